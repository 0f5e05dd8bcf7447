"""The documents agree with the program: commands, settings, links, generated pages, figures."""

import ast
import importlib
import importlib.util
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main

from chatwright import config
from chatwright.cli.app import app
from chatwright.model.attention import attend, attention_weights
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.stage_kinds import STAGE_KINDS
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.completions_api.text_request import TextRequest
from chatwright.server.request_body.request_parser import Strict
from chatwright.server.routes.embeddings import EmbeddingRequest
from chatwright.server.routes.tokens import DetokenizeRequest, TokenizeRequest
from chatwright.settings import dotted_keys
from chatwright.training.reward_sources import RULE_NAMES
from tests.docs.markdown import ROOT, Command, commands_of, inline_commands_of, pages

PATH_IN_CODE = re.compile(
    r"`((?:chatwright|recipes|benchmarks|tests|docs|\.ci)/[\w/.-]+\.\w+|[A-Z]+\.md|Makefile)`"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SETTINGS = {kind.name: dotted_keys(kind.config_class()) for kind in STAGE_KINDS}
LONGEST_README = 150  # lines
LARGEST_IMAGE = 300_000  # bytes


def all_commands() -> list[Command]:
    return [
        command
        for page in pages()
        for command in (*commands_of(page), *inline_commands_of(page))
        if command.words[0] == "chatwright" and page.name != "CONTRIBUTING.md"
    ]


@pytest.mark.parametrize("command", all_commands(), ids=lambda c: f"{c.page}: {' '.join(c.words)}")
def test_the_documented_command_exists_with_its_options(command: Command) -> None:
    parser = typer.main.get_command(app)
    words = [word for word in command.words[1:] if word != "..."]
    if any(word in ("COMMAND", "KIND") for word in words):
        return
    while words and words[0] in getattr(parser, "commands", {}):
        parser = parser.commands[words.pop(0)]
    assert not getattr(parser, "commands", {}) or not words, f"{words[0]} is no command"
    known = {name for parameter in parser.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= {*known, "--help"}


@pytest.mark.parametrize(
    "command",
    [command for command in all_commands() if command.words[1:2] == ("train",)],
    ids=lambda c: f"{c.page}: {' '.join(c.words)}",
)
def test_the_documented_settings_exist(command: Command) -> None:
    if len(command.words) < 3 or command.words[2] not in SETTINGS:
        return
    known = SETTINGS[command.words[2]]
    named = {word.partition("=")[0] for word in command.words[3:] if re.match(r"[a-z_.]+=", word)}
    # The keys of reward.rules are names of rules; RewardConfig checks them.
    rules = {f"reward.rules.{name}" for name in RULE_NAMES if "reward.rules" in known}
    assert named <= {*known, *rules}


def settings_named_in_tables() -> list[tuple[str, str]]:
    found = []
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        for key in re.findall(
            r"`((?:loop|lora|model|batches|distillation)\.[\w.]+)", page.read_text()
        ):
            found.append((page.name, key))
    return found


@pytest.mark.parametrize(("page", "key"), settings_named_in_tables())
def test_the_setting_named_in_a_guide_exists(page: str, key: str) -> None:
    assert any(key in keys for keys in SETTINGS.values())


def test_every_link_and_file_named_in_the_documents_is_there() -> None:
    missing = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for target in LINK.findall(text):
            path = target.partition("#")[0]
            if not target.startswith("http") and path and not (page.parent / path).exists():
                missing.append(f"{page.name}: {target}")
        missing += [f"{page.name}: {p}" for p in PATH_IN_CODE.findall(text) if not _is_there(p)]
    assert missing == []


def _is_there(path: str) -> bool:
    return (ROOT / path).exists() or (ROOT / "docs" / path).exists()


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    names = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert names == set(re.findall(r"([\w/-]+\.md)$", navigation, flags=re.M))


@pytest.mark.parametrize("name", ["cli.md", "configuration.md"])
def test_the_generated_reference_is_current(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    expected = runpy.run_path(str(ROOT / "docs" / "reference.py"))["pages"]()[name]
    assert written == expected, "run: python docs/reference.py"


def test_the_http_reference_names_every_field_of_a_request() -> None:
    text = (ROOT / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")
    requests: tuple[type[Strict], ...] = (
        ChatRequest,
        TextRequest,
        TokenizeRequest,
        DetokenizeRequest,
        EmbeddingRequest,
    )
    fields = {name for request in requests for name in request.model_fields}
    assert {name for name in fields if f"`{name}`" not in text} == set()


def test_the_http_reference_names_every_error_code() -> None:
    pages = ("http-api.md", "page-api.md")
    reference = ROOT / "docs" / "reference"
    text = "".join((reference / page).read_text(encoding="utf-8") for page in pages)
    codes = {
        keyword.value.value
        for file in (ROOT / "chatwright" / "server").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ApiError"
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_the_architecture_page_shows_the_imports_that_are_allowed() -> None:
    allowed = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))["MAY_IMPORT"]
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    shown = {
        package: set(re.findall(r"`(\w+)`", imports))
        for package, imports in re.findall(r"^\| `(\w+)` \| (.*?) \|", text, flags=re.M)
    }
    packages = allowed.keys() - {"__main__", "cli"}
    assert {name: shown.get(name) for name in packages} == {n: allowed[n] for n in packages}


def test_the_attention_page_prints_its_own_table() -> None:
    text = (ROOT / "docs" / "explanation" / "attention.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        exec(compile(block, "attention.md", "exec"), names)
    rows = re.findall(r"^\| \((\d), (\d)\) \| ([\d. ]+) \| ([\d. ]+) \|$", text, flags=re.M)
    assert len(rows) == 5
    for q1, q2, weights, result in rows:
        query = torch.tensor([[[[float(q1), float(q2)]]]])
        shown_weights = torch.tensor([float(x) for x in weights.split()])
        shown_result = torch.tensor([float(x) for x in result.split()])
        computed = attention_weights(query, names["keys"]).flatten()
        torch.testing.assert_close(computed, shown_weights, atol=6e-5, rtol=0)
        computed = attend(query, names["keys"], names["values"]).flatten()
        torch.testing.assert_close(computed, shown_result, atol=6e-5, rtol=0)


def test_the_readme_fits_on_a_screen_and_a_half_and_its_image_is_small() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README
    assert (ROOT / "docs" / "images" / "page.png").stat().st_size <= LARGEST_IMAGE


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_every_recipe_says_what_it_is_and_how_to_run_it(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert text.startswith(("# chatwright run " + recipe.stem, "# chatwright up"))
    assert config.read_toml(recipe)["about"]
    assert packaged_recipe(recipe.stem) == recipe


SCRIPTS = [
    file for folder in ("benchmarks", "recipes", "docs") for file in (ROOT / folder).glob("*.py")
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_what_a_script_imports_of_the_package_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chatwright"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                name = f"{module.__name__}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(name), name


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {word}".strip())


def test_help_describes_every_command_and_option() -> None:
    described = dict(commands(typer.main.get_command(app)))
    assert {"", "up", "import", "train sft", "inspect embeddings"} <= described.keys()
    for name, command in described.items():
        assert command.help, f"chatwright {name} has no description"
        context = command.make_context(name, [], resilient_parsing=True)
        assert "Usage:" in command.get_help(context)
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", None), (
                f"chatwright {name}: {parameter.name} has no description"
            )
