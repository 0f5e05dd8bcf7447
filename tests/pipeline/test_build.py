"""`chatwright up` finds the recipe that its argument names, and checks the data."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.build import plan_build

RECIPE = """
stages = ["tokenizer", "pretrain"]
[tokenizer]
data = "{here}/data"
[pretrain]
data = "{here}/data"
chat = "{here}/data"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like one that `chatwright new` makes, in the current directory."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "my b" / "data"
    data.mkdir(parents=True)
    (tmp_path / "my b" / "recipe.toml").write_text(RECIPE)
    (data / "a.txt").write_text("A boat leaves.\n")
    (data / "b.jsonl").write_text('{"prompt": "When?", "completion": "Now."}\n')
    return tmp_path / "my b"


@pytest.mark.parametrize("argument", ["my b", "my b/recipe.toml"])
def test_a_folder_and_the_recipe_file_in_it_give_the_same_build(argument: str) -> None:
    build = plan_build(Path(argument))
    assert (build.name, build.out) == ("my b", Path("my b/runs"))
    assert build.checks_data
    assert plan_build(Path(argument), smoke=True).out == Path("my b/runs-smoke")


def test_without_an_argument_the_starter_is_built() -> None:
    build = plan_build()
    assert (build.name, build.out) == ("starter", Path("runs/starter"))
    assert [kind for kind, _ in build.trained_stages] == ["pretrain", "sft"]


def test_the_current_folder_may_be_named_by_a_dot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert plan_build(Path(".")).name == "my b"


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        ("b", "chatwright new b"),
        ("other b", 'chatwright new "other b"'),
        ("smollm2-135m", "smollm2-135m-instruct?"),
        ("b/recipe.tml", "chatwright new NAME"),
        ("texts", "chatwright new NAME --data texts"),
    ],
)
def test_the_error_for_a_missing_recipe_names_the_command_that_creates_one(
    argument: str, remedy: str
) -> None:
    Path("texts").mkdir()
    with pytest.raises(InputError) as caught:
        plan_build(Path(argument))
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("inside", "argument", "levels"), [("texts", ".", ".."), ("texts/deep", "..", "../..")]
)
def test_the_suggested_command_creates_no_folder_inside_the_data(
    inside: str, argument: str, levels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(inside).mkdir(parents=True)
    monkeypatch.chdir(inside)
    with pytest.raises(InputError) as caught:
        plan_build(Path(argument))
    assert f"cd {levels} && chatwright new NAME --data texts" in caught.value.remedy


def test_a_recipe_that_trains_no_chat_model_is_rejected() -> None:
    build = plan_build(Path("translate-en-fr"), data=Path("my pairs"))
    with pytest.raises(InputError) as caught:
        build.require_chat_model()
    assert caught.value.remedy.endswith('--data "my pairs"')
    plan_build(Path("my b")).require_chat_model()


def test_all_problems_of_the_data_are_reported_together(folder: Path) -> None:
    (folder / "data" / "c.jsonl").write_text('{"prompt": "Hi"}\nnot json\n')
    shown: list[str] = []
    with pytest.raises(InputError) as caught:
        plan_build(folder).check_data(shown.append)
    assert caught.value.field.endswith("data")
    [report] = shown
    assert "line 1" in report
    assert "line 2" in report


def test_the_error_for_missing_rows_names_the_stage_and_the_setting(folder: Path) -> None:
    plan_build(folder).check_data(print)
    (folder / "data" / "a.txt").unlink()
    with pytest.raises(InputError) as caught:
        plan_build(folder).check_data(print)
    assert caught.value.field == "data in [pretrain] finds no text rows"


@pytest.mark.parametrize("argument", ["translate-en-fr", "recipes/translate-en-fr.toml"])
def test_a_packaged_recipe_is_found_outside_a_checkout(argument: str) -> None:
    assert plan_build(Path(argument)).recipe.path.is_file()
