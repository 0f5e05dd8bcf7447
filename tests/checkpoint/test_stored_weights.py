"""Weights are read to where they are used: fused, transposed, of other dtypes, from one file or several, to the bit."""

import json
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import safetensors_file, stored_weights
from chatwright.checkpoint.family import Weight
from chatwright.devices import generator
from chatwright.model.model import Model


class Two(Model):
    """Enough of a model: a query and a key, a vector, and one weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.vector = (
            torch.nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (2, 4), (5,))
        )
        self.again = self.vector


WEIGHTS = [Weight(("query", "key"), "fused"), Weight(("vector",), "row", is_row=True)]
TRANSPOSED = [
    Weight(("query", "key"), "fused", transposed=True),
    Weight(("vector",), "row", is_row=True),
]
WHOLE, ROW = (
    torch.randn(shape, generator=generator(0, name))
    for name, shape in (("a", (5, 4)), ("b", (1, 5)))
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("weights", [WEIGHTS, TRANSPOSED], ids=["rows", "transposed"])
def test_each_number_comes_to_its_place(
    weights: list[Weight], dtype: torch.dtype, tmp_path: Path
) -> None:
    stored = {
        "fused": (WHOLE.T if weights is TRANSPOSED else WHOLE).to(dtype),
        "row": ROW.to(dtype),
    }
    safetensors_file.save(stored, tmp_path / "model.safetensors")
    model = Two()
    stored_weights.load_into(model, weights, stored_weights.find_tensors(tmp_path), tmp_path)
    assert torch.equal(torch.cat([model.query, model.key]), WHOLE.to(dtype).float())
    assert torch.equal(model.vector, ROW[0].to(dtype).float())
    assert model.again is model.vector


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    for stored, message in (
        ({"fused": WHOLE}, r"missing \['row'\]"),
        ({"fused": WHOLE, "row": ROW, "more": ROW + 1}, r"unexpected \['more'\]"),
        ({"fused": WHOLE, "row": ROW[0]}, r"row has shape \(5,\), config.json asks for \(1, 5\)"),
    ):
        safetensors_file.save(stored, tmp_path / "model.safetensors")
        model = Two()
        with pytest.raises(ValueError, match=message):
            stored_weights.load_into(
                model, WEIGHTS, stored_weights.find_tensors(tmp_path), tmp_path
            )
        assert all(not parameter.any() for parameter in model.parameters())


def test_a_file_that_is_overwritten_changes_no_loaded_weight(tmp_path: Path) -> None:
    safetensors_file.save({"fused": WHOLE, "row": ROW}, tmp_path / "model.safetensors")
    model = Two()
    stored_weights.load_into(model, WEIGHTS, stored_weights.find_tensors(tmp_path), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert torch.equal(torch.cat([model.query, model.key]), WHOLE)


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path: Path) -> None:
    safetensors_file.save({"fused": WHOLE, "row": ROW}, tmp_path / "model.safetensors")
    entries = stored_weights.find_tensors(tmp_path)
    with (tmp_path / "model.safetensors").open("r+b") as stream:
        stream.truncate(max(entry.start for entry in entries.values()) + 2)
    with pytest.raises(ValueError, match="it became shorter while it was read"):
        stored_weights.load_into(Two(), WEIGHTS, entries, tmp_path)


def test_a_model_in_several_files_is_read_by_its_index(tmp_path: Path) -> None:
    parts = {
        "model-1-of-2.safetensors": {"a": torch.ones(2)},
        "model-2-of-2.safetensors": {"b": torch.zeros(3), "c": torch.ones(1)},
    }
    for name, tensors in parts.items():
        safetensors_file.save(tensors, tmp_path / name)
    places = {tensor: name for name, tensors in parts.items() for tensor in tensors}
    index = tmp_path / stored_weights.INDEX
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert {name: entry.shape for name, entry in stored_weights.find_tensors(tmp_path).items()} == {
        "a": (2,),
        "b": (3,),
        "c": (1,),
    }
    for wrong, message in (
        ({"a": "../../etc/model.safetensors"}, "does not name files of this directory"),
        ({"a": 3}, "does not name files"),
        (places | {"a": "model-2-of-2.safetensors"}, "'a' is not where"),
        (places | {"d": "gone.safetensors"}, "is missing"),
        ({k: v for k, v in places.items() if k != "c"}, "'c' is not where"),
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ValueError, match=message):
            stored_weights.find_tensors(tmp_path)


def test_a_pickle_is_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(
        ValueError, match="holds pytorch_model.bin, which is not read: such files can run code"
    ):
        stored_weights.find_tensors(tmp_path)
    assert not Path("ran").exists()
