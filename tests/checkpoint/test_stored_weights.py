"""Tensors that are fused, transposed, of another dtype or in several files are loaded exactly."""

import json
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import safetensors_file, stored_weights
from chatwright.checkpoint.family import Weight
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.model import Model


class SmallModel(Model):
    """A query and a key, which a file fuses, and a vector that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.query = torch.nn.Parameter(torch.zeros(3, 4))
        self.key = torch.nn.Parameter(torch.zeros(2, 4))
        self.vector = torch.nn.Parameter(torch.zeros(5))
        self.same_vector = self.vector


WEIGHTS = [Weight(("query", "key"), "fused"), Weight(("vector",), "row", is_row=True)]
TRANSPOSED = [
    Weight(("query", "key"), "fused", transposed=True),
    Weight(("vector",), "row", is_row=True),
]
FUSED = torch.randn(5, 4, generator=generator(0, "a"))
ROW = torch.randn(1, 5, generator=generator(0, "b"))


def load(directory: Path, weights: list[Weight] = WEIGHTS) -> SmallModel:
    model = SmallModel()
    entries = stored_weights.find_tensors(directory)
    stored_weights.load_into(model, weights, entries, directory)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("weights", [WEIGHTS, TRANSPOSED], ids=["rows", "transposed"])
def test_every_element_is_read_into_its_parameter(
    weights: list[Weight], dtype: torch.dtype, tmp_path: Path
) -> None:
    fused = FUSED.T if weights is TRANSPOSED else FUSED
    stored = {"fused": fused.to(dtype), "row": ROW.to(dtype)}
    safetensors_file.save(stored, tmp_path / "model.safetensors")
    model = load(tmp_path, weights)
    assert torch.equal(torch.cat([model.query, model.key]), FUSED.to(dtype).float())
    assert torch.equal(model.vector, ROW[0].to(dtype).float())
    assert model.same_vector is model.vector


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"fused": FUSED}, "row"),
        ({"fused": FUSED, "row": ROW, "more": ROW + 1}, "more"),
        ({"fused": FUSED, "row": ROW[0]}, "row"),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_tensors_that_do_not_match_the_model_change_no_parameter(
    tmp_path: Path, stored: dict[str, torch.Tensor], field: str
) -> None:
    safetensors_file.save(stored, tmp_path / "model.safetensors")
    model, entries = SmallModel(), stored_weights.find_tensors(tmp_path)
    with pytest.raises(InputError) as caught:
        stored_weights.load_into(model, WEIGHTS, entries, tmp_path)
    assert caught.value.field == field
    assert all(not parameter.any() for parameter in model.parameters())


def test_overwriting_the_file_does_not_change_loaded_weights(tmp_path: Path) -> None:
    safetensors_file.save({"fused": FUSED, "row": ROW}, tmp_path / "model.safetensors")
    model = load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert torch.equal(torch.cat([model.query, model.key]), FUSED)


def test_a_file_that_becomes_shorter_during_reading_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    safetensors_file.save({"fused": FUSED, "row": ROW}, file)
    entries = stored_weights.find_tensors(tmp_path)
    with file.open("r+b") as stream:
        stream.truncate(max(entry.start for entry in entries.values()) + 2)
    with pytest.raises(InputError) as caught:
        stored_weights.load_into(SmallModel(), WEIGHTS, entries, tmp_path)
    assert caught.value.field == "model.safetensors"


def test_a_model_in_several_files_is_read_through_its_index(tmp_path: Path) -> None:
    first, second = "model-1-of-2.safetensors", "model-2-of-2.safetensors"
    safetensors_file.save({"a": torch.ones(2)}, tmp_path / first)
    safetensors_file.save({"b": torch.zeros(3), "c": torch.ones(1)}, tmp_path / second)
    file_of: dict[str, object] = {"a": first, "b": second, "c": second}
    index = tmp_path / stored_weights.INDEX
    index.write_text(json.dumps({"metadata": {}, "weight_map": file_of}))
    entries = stored_weights.find_tensors(tmp_path)
    shapes = {name: entry.shape for name, entry in entries.items()}
    assert shapes == {"a": (2,), "b": (3,), "c": (1,)}
    for wrong, field in (
        ({"a": "../../etc/model.safetensors"}, "weight_map"),
        ({"a": 3}, "weight_map"),
        (file_of | {"a": second}, "a"),
        (file_of | {"d": "gone.safetensors"}, "gone.safetensors"),
        ({"a": first, "b": second}, "c"),
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(InputError) as caught:
            stored_weights.find_tensors(tmp_path)
        assert caught.value.field == field


def test_a_pickle_file_is_named_in_the_error_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(InputError) as caught:
        stored_weights.find_tensors(tmp_path)
    assert caught.value.value == "pytorch_model.bin"
    assert not Path("ran").exists()
