"""The origin of a model is recorded, passed on, and guessed for directories of earlier versions."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright.checkpoint.origin import origin_after, origin_of

PREVIOUS = Path(__file__).parent / "previous_version"


def copy_with_notes(tmp_path: Path, notes: dict[str, object] | None, name: str = "model") -> Path:
    out = tmp_path / "copy"
    shutil.copytree(PREVIOUS / "run" / name, out)
    (out / "training.json").unlink(missing_ok=True)
    if notes is not None:
        (out / "training.json").write_text(json.dumps(notes))
    return out


@pytest.mark.parametrize(
    ("notes", "origin"),
    [
        ({"origin": "imported", "stage": "sft", "parent": None}, "imported"),
        ({"origin": "trained", "stage": "sft", "parent": "abc"}, "trained"),
        ({"imported_from": "SmolLM2", "family": "llama"}, "imported"),
        ({"stage": "pretrain", "parent": None}, "trained"),
        ({"stage": "sft", "parent": "abc"}, "trained"),
        (None, "trained"),
    ],
)
def test_the_notes_of_a_model_decide(
    tmp_path: Path, notes: dict[str, object] | None, origin: str
) -> None:
    assert origin_of(copy_with_notes(tmp_path, notes)) == origin


@pytest.mark.parametrize("notes", [{"stage": "sft", "parent": "abc"}, None])
def test_without_a_record_an_imported_tokenizer_decides(
    tmp_path: Path, notes: dict[str, object] | None
) -> None:
    path = copy_with_notes(tmp_path, notes)
    (path / "chatwright_tokenizer.json").write_text("{}")
    assert origin_of(path) == "imported"


def test_an_adapter_has_the_origin_of_its_base(tmp_path: Path) -> None:
    base = copy_with_notes(tmp_path, {"imported_from": "SmolLM2"})
    adapter = tmp_path / "adapter"
    shutil.copytree(PREVIOUS / "adapter", adapter)
    reference = json.loads((adapter / "base.json").read_text())
    reference |= {"path": str(base), "from_here": "../copy"}
    (adapter / "base.json").write_text(json.dumps(reference))
    assert origin_of(adapter) == "imported"


def test_a_model_without_a_parent_was_trained_here() -> None:
    assert origin_after(None) == "trained"
