"""`--help` of every verb is printed without importing torch or any other slow library."""

import json
import subprocess
import sys

import click
import typer.main

from chatwright.cli.app import app

SLOW = ("torch", "numpy", "pyarrow", "tokenizers", "matplotlib", "fastapi", "rich")
PROGRAM = """
import contextlib, io, json, sys
from chatwright.cli.app import app
loaded = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        app([*words, "--help"], standalone_mode=False)
    slow = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    loaded[" ".join(words)] = [slow, shown.getvalue()]
print(json.dumps(loaded))
"""


def verbs(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """List every command and group of commands as the words after `chatwright`."""
    found = [words]
    for name, inner in getattr(command, "commands", {}).items():
        found += verbs(inner, (*words, name))
    return found


def test_help_of_every_verb_imports_no_slow_library_and_shows_its_arguments() -> None:
    every_verb = verbs(typer.main.get_command(app))
    assert ("train", "sft") in every_verb
    arguments = [json.dumps(every_verb), json.dumps(SLOW)]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    loaded = json.loads(ran.stdout)
    assert {verb: slow for verb, (slow, _) in loaded.items() if slow} == {}
    assert [verb for verb, (_, shown) in loaded.items() if "Usage:" not in shown] == []
