"""Commands in messages can be copied into a shell, whatever their paths contain."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.commands import command_line, quoted

PACKAGE = Path(__file__).resolve().parents[1] / "chatwright"
VERBS = (
    "up|new|run|chat|generate|translate|classify|embed|serve|eval|merge|import|export|train|data"
    "|inspect"
)
OPTIONS = "from|data|file|out|tokenizer|references"
# The text before an inserted path, with VALUE for earlier values: "chatwright chat ", "--from ".
COMMAND_BEFORE_A_PATH = re.compile(rf"(chatwright (VALUE|{VERBS})( [^:.,]*)?|--({OPTIONS})) $")


@pytest.mark.parametrize(
    "word", ["runs/a", "my model", "a[1]", "it's", 'a "b" c', "$HOME", "", "é"]
)
def test_a_shell_parses_a_command_line_back_into_its_words(word: str) -> None:
    assert shlex.split(command_line("chat", word)) == ["chatwright", "chat", word]


def test_a_path_whose_only_special_character_is_a_space_gets_double_quotes() -> None:
    assert quoted(Path("my model")) == '"my model"'


def unquoted_values(path: Path) -> Iterator[str]:
    """Find values that an f-string of the file inserts into a command without `quoted`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            expression = ast.unparse(part.value)
            if COMMAND_BEFORE_A_PATH.search(before) and not expression.startswith("quoted("):
                yield f"{path.name}:{node.lineno}: {expression}"
            before += "VALUE"


def test_every_value_inserted_into_a_command_is_quoted() -> None:
    found = [line for path in sorted(PACKAGE.rglob("*.py")) for line in unquoted_values(path)]
    assert found == []


def test_the_check_finds_a_planted_unquoted_value(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    lines = ['f"see chatwright chat {a}"', 'f"--from {b}"', 'f"chatwright up {quoted(c)}"']
    lines += ['f"see: chatwright {verb} {d}"', 'f"{e}: see {command_line(1, f)}"']
    file.write_text("\n".join(lines))
    assert list(unquoted_values(file)) == ["a.py:1: a", "a.py:2: b", "a.py:4: d"]
