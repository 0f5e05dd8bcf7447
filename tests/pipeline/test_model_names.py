"""The name of a model means one directory, or is an error that says what to do."""

from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory as saved_models
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.model_names import model_directory, source_record
from chatwright.tokenizer.byte_bpe import ByteBPE

KNOWN = "smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: Path, name: str = "") -> Path:
    """Save a model, as a fetch by `name` would."""
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    notes = {"source": {"name": name}} if name else {}
    saved_models.save(path, model, tokenizer, notes)
    return path


def test_an_existing_path_is_returned() -> None:
    save(Path("mine"))
    assert model_directory("mine") == Path("mine")
    assert model_directory(Path("mine").absolute()) == Path("mine").absolute()
    assert source_record(Path("mine")) == {}


def test_a_known_model_is_found_after_it_was_fetched() -> None:
    with pytest.raises(InputError) as caught:
        model_directory(KNOWN)
    assert (caught.value.field, caught.value.value) == ("model", KNOWN)
    assert caught.value.remedy.endswith(f"chatwright fetch {KNOWN}")
    save(Path("models") / KNOWN, KNOWN)
    assert model_directory(KNOWN) == Path("models") / KNOWN


def test_a_model_of_the_hub_is_found_by_its_name_with_and_without_its_organization() -> None:
    save(Path("models/tiny"), "organization/tiny")
    assert model_directory("organization/tiny") == Path("models/tiny")
    assert model_directory("tiny") == Path("models/tiny")
    with pytest.raises(InputError):
        model_directory("another/tiny")


def test_a_directory_that_was_not_fetched_has_no_short_name() -> None:
    save(Path("models/other"))
    with pytest.raises(InputError):
        model_directory("other")


def test_a_path_with_the_name_of_a_known_model_is_an_error_naming_both(here: Path) -> None:
    save(Path(KNOWN))
    save(Path("models") / KNOWN, KNOWN)
    with pytest.raises(InputError) as caught:
        model_directory(KNOWN)
    assert str(here / KNOWN) in caught.value.problem
    assert (caught.value.field, caught.value.value) == ("model", KNOWN)
    assert model_directory(here / KNOWN) == here / KNOWN, "the remedy works"


def test_inside_the_folder_of_models_a_fetched_model_is_no_second_meaning(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Path("models") / KNOWN, KNOWN)
    monkeypatch.chdir(here / "models")
    assert model_directory(KNOWN) == Path(KNOWN)


@pytest.mark.parametrize("name", ["nothing", "runs/nothing", "smollm2-135m-instuct"])
def test_a_name_of_nothing_is_an_error_that_suggests_a_known_one_if_it_is_similar(
    name: str,
) -> None:
    with pytest.raises(InputError) as caught:
        model_directory(name)
    assert (caught.value.field, caught.value.value) == ("model", name)
    assert (f"Did you mean {KNOWN}?" in caught.value.remedy) == name.startswith("smollm2")
