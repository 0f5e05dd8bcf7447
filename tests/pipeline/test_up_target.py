"""`chatwright up NAME` builds a recipe or serves a model, and refuses a name with two meanings."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.open_models.fetch import FetchWatcher
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.up_target import (
    is_open_model,
    open_model_directory,
    require_chat_model,
)
from tests.pipeline.test_model_names import KNOWN, save

EMBEDDING = "all-minilm-l6-v2"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (KNOWN, True),
        (EMBEDDING, True),
        ("organization/model", True),
        ("starter", False),
        ("starter-large", False),
        ("recipes/starter.toml", False),
        ("nosuch/recipe.toml", False),
        ("nosuch", False),
    ],
)
def test_a_name_without_a_path_is_a_recipe_or_a_model(name: str, expected: bool) -> None:
    assert is_open_model(name) == expected


def test_an_existing_path_is_what_it_holds() -> None:
    save(Path("model"))
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    Path("my").mkdir()
    Path("my/recipe.toml").write_text("")
    Path("texts").mkdir()
    Path("a.toml").write_text("")
    Path("a.gguf").write_text("")
    found = {path: is_open_model(path) for path in ("model", "run", "my", "texts", "a.toml")}
    assert found == {"model": True, "run": True, "my": False, "texts": False, "a.toml": False}
    assert is_open_model("a.gguf")


@pytest.mark.parametrize("name", [KNOWN, "starter-large"])
def test_a_path_with_the_name_of_something_else_is_an_error_naming_both(
    name: str, here: Path
) -> None:
    Path(name).mkdir()
    with pytest.raises(InputError) as caught:
        is_open_model(name)
    assert str(here / name) in caught.value.problem
    assert caught.value.value == name
    assert caught.value.remedy
    assert not is_open_model(str(here / name)), "the remedy works: it is an empty folder"


def test_a_recipe_with_the_name_of_a_known_model_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "chatwright.pipeline.packaged_recipes.packaged_recipe", lambda _: packaged_recipe("starter")
    )
    with pytest.raises(InputError) as caught:
        is_open_model(KNOWN)
    assert caught.value.value == KNOWN


def test_a_model_of_ours_is_served_from_its_place_and_not_copied(here: Path) -> None:
    save(Path("mine"))
    assert open_model_directory("mine", FetchWatcher()) == Path("mine")
    assert not Path("models").exists()


def test_a_model_that_cannot_converse_names_the_command_that_uses_it() -> None:
    require_chat_model(KNOWN, [])
    with pytest.raises(InputError) as caught:
        require_chat_model(EMBEDDING, [])
    assert caught.value.value == EMBEDDING
    assert f"chatwright embed {EMBEDDING}" in caught.value.remedy


def test_options_of_recipes_are_refused_for_a_model() -> None:
    with pytest.raises(InputError) as caught:
        require_chat_model(KNOWN, ["--data", "--smoke"])
    assert caught.value.field == "--data"
    assert "--smoke" in caught.value.problem
