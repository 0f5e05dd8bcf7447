"""`chatwright import model.gguf --keep-quantized`: the weights stay as the file stores them."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import (
    gguf_model,
    model_directory,
    quantized_tensors,
    safetensors_file,
)
from chatwright.checkpoint.gguf_header import read_gguf_header
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.cli.app import app
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.formats import FORMATS
from chatwright.engine.messages import Request, SamplingConfig, TokenSampled
from chatwright.errors import InputError
from chatwright.model.linear import quantized_weights
from chatwright.model.quantized_weight import BLOCKS
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import import_model
from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from tests import quantize_blocks
from tests.checkpoint.gguf_converter import convert, random_reference, rewrite
from tests.pipeline.imported_base import write_rows
from tests.pipeline.imported_models import write
from tests.pipeline.run_command import chatwright

pytestmark = pytest.mark.uses_global_rng


def gguf_file(folder: Path, family: str = "llama", number_type: str = "Q8_0") -> Path:
    """Export a small model as GGUF and quantize its matrices."""
    settings = {"sliding_window": None} if family == "mistral" else {}
    if number_type == "Q4_K":  # blocks of 256 weights
        settings["hidden_size"] = 256
    source = write(folder / "source", family, intermediate_size=256, **settings)
    import_model(str(source), folder / "model")
    export_gguf(folder / "model", folder / "model.gguf")
    return quantize(folder / "model.gguf", folder / f"{number_type}.gguf", number_type)


def quantize(source: Path, target: Path, number_type: str) -> Path:
    n_weight = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[number_type]][0]

    def quantized(_: str, numbers: np.ndarray) -> tuple[np.ndarray, str]:
        if numbers.ndim == 1 or numbers.shape[1] % n_weight:
            return numbers, "F32"
        return quantize_blocks.quantize(numbers, number_type), number_type

    return rewrite(source, target, quantized)


FAMILIES = ["qwen3", "smollm3", "gemma3_text"]


@pytest.mark.parametrize(
    ("family", "number_type"),
    [(family, "Q8_0") for family in FAMILIES] + [("llama", name) for name in BLOCKS],
)
def test_all_weights_equal_those_of_an_import_in_float32(
    family: str, number_type: str, tmp_path: Path
) -> None:
    source = str(gguf_file(tmp_path, family, number_type))
    import_model(source, tmp_path / "float")
    import_model(source, tmp_path / "kept", keeps_quantized=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("float", "kept")]
    assert sizes[1] < sizes[0]
    expected = dict(model_directory.load(tmp_path / "float")[0].named_parameters())
    converted = dict(model_directory.load(tmp_path / "kept")[0].named_parameters())
    assert all(torch.equal(expected[name], converted[name]) for name in expected)
    model, _ = model_directory.load(tmp_path / "kept", keeps_quantized=True)
    kept = quantized_weights(model)
    n_weight = BLOCKS[number_type][0]
    linears = quantized_tensors.block_linears(model)
    assert len(linears) == 7 * model.config.n_layer
    whole = [f"{n}.weight" for n, linear in linears if linear.weight.shape[1] % n_weight == 0]
    assert kept.keys() == set(whole)
    parameters = dict(model.named_parameters())
    for name, weight in kept.items():
        assert parameters[name].is_meta
        assert weight.number_type == number_type
        assert torch.equal(weight.values(), expected[name])


def test_the_kept_model_replies_and_its_replies_are_replayed(tmp_path: Path) -> None:
    if FORMATS["gguf"].obstacle():
        pytest.skip(FORMATS["gguf"].obstacle())
    import_model(str(gguf_file(tmp_path)), tmp_path / "kept", keeps_quantized=True)

    def reply(weights: str, keeps_quantized: bool) -> list[tuple[int, float]]:
        model, _ = model_directory.load(tmp_path / "kept", keeps_quantized=keeps_quantized)
        sampled = []
        with Engine(model, EngineConfig(weights=weights), keeps_weights=False) as engine:
            engine.submit(Request(list(range(1, 9)), SamplingConfig(max_tokens=6, temperature=0)))
            while engine.has_work:
                sampled += [e for e in engine.step() if isinstance(e, TokenSampled)]
        return [(event.token_id, event.log_prob) for event in sampled]

    kept = reply("gguf", True)
    assert kept == reply("gguf", True)
    assert reply("float32", True) == reply("float32", False)
    difference = kept[0][1] - reply("float32", False)[0][1]
    assert 0 < abs(difference) < 0.1


def test_the_options_of_the_command_line_reach_the_weights(tmp_path: Path) -> None:
    if FORMATS["gguf"].obstacle():
        pytest.skip(FORMATS["gguf"].obstacle())
    source, kept = str(gguf_file(tmp_path)), str(tmp_path / "kept")
    options = ["--keep-quantized", "--chat-format", "chatwright"]
    assert CliRunner().invoke(app, ["import", source, kept, *options]).exit_code == 0
    chat = ["--weights", "gguf", "max_tokens=3"]
    answered = CliRunner().invoke(app, ["chat", kept, *chat], input="hello\n")
    assert answered.exit_code == 0, answered.output
    assert "int8" not in answered.stderr
    import_model(source, tmp_path / "float", "chatwright")
    answered = CliRunner().invoke(app, ["chat", str(tmp_path / "float"), *chat], input="hello\n")
    assert answered.exit_code == 0, answered.output
    assert "int8" in answered.stderr


def test_the_kept_model_can_get_control_tokens(tmp_path: Path) -> None:
    source = str(gguf_file(tmp_path))
    import_model(source, tmp_path / "float", "chatwright")
    import_model(source, tmp_path / "kept", "chatwright", keeps_quantized=True)
    expected = dict(model_directory.load(tmp_path / "float")[0].named_parameters())
    converted = dict(model_directory.load(tmp_path / "kept")[0].named_parameters())
    assert all(torch.equal(expected[name], converted[name]) for name in expected)


def test_other_tools_and_another_import_refuse_the_directory(tmp_path: Path) -> None:
    import transformers

    import_model(str(gguf_file(tmp_path)), tmp_path / "kept", keeps_quantized=True)
    with pytest.raises(ValueError, match="chatwright"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "kept")
    with pytest.raises(InputError) as caught:
        import_model(str(tmp_path / "kept"), tmp_path / "again")
    assert caught.value.field == "model_type"


def test_a_fetched_gguf_file_is_kept_for_the_format_gguf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = gguf_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    for weights, n_kept in (("gguf", 14), ("float32", 0)):
        copy = file.rename(tmp_path / f"{weights}.gguf")
        fetched = fetch(str(copy), FetchWatcher(), weights).directory
        model, _ = model_directory.load(fetched, keeps_quantized=True)
        assert len(quantized_weights(model)) == n_kept
        file = copy


def test_training_starts_from_the_values_and_writes_a_plain_model(tmp_path: Path) -> None:
    import_model(str(gguf_file(tmp_path)), tmp_path / "kept", "chatwright", keeps_quantized=True)
    rows = write_rows(tmp_path / "rows.jsonl", 12, lambda i: f"At {i}.")
    run = tmp_path / "run"
    options = ["loop.steps=1", "loop.precision=float32", "sample_tokens=2", "stop_prompts=0"]
    chatwright("train", "sft", "--from", tmp_path / "kept", "--data", rows, "--out", run, *options)
    model, _ = model_directory.load(run, keeps_quantized=True)
    assert not quantized_weights(model)
    before = dict(model_directory.load(tmp_path / "kept")[0].named_parameters())
    for name, after in model.named_parameters():
        assert (after - before[name]).abs().max() < 0.01, name


def test_sources_without_weights_that_can_stay_are_refused(tmp_path: Path) -> None:
    """Float GGUF files and folders: nothing is written."""
    gguf_file(tmp_path)
    for source in (tmp_path / "model.gguf", tmp_path / "source"):
        with pytest.raises(InputError) as caught:
            import_model(str(source), tmp_path / "kept", keeps_quantized=True)
        assert caught.value.field == "keep_quantized"
        assert not (tmp_path / "kept").exists()


def test_layers_that_a_file_stores_together_become_float32(tmp_path: Path) -> None:
    """GPT-2's query, key and value are one matrix; its other layers stay quantized."""
    source = convert(random_reference("gpt2"), "gpt2", tmp_path / "gpt2.gguf")
    header = read_gguf_header(quantize(source, tmp_path / "q.gguf", "Q8_0"))
    expected = dict(gguf_model.read(header).named_parameters())
    model = gguf_model.read(header, keeps_quantized=True)
    kept = quantized_weights(model)
    together = ("attention.query.weight", "attention.key.weight", "attention.value.weight")
    linears = [f"{name}.weight" for name, _ in quantized_tensors.block_linears(model)]
    assert kept.keys() == {name for name in linears if not name.endswith(together)}
    for name, weight in kept.items():
        assert torch.equal(weight.values(), expected[name])


def test_types_that_cannot_stay_are_named(tmp_path: Path) -> None:
    """The embedding is in Q8_0, but it becomes float32 in any case."""
    mixed = quantize(gguf_file(tmp_path).parent / "model.gguf", tmp_path / "mixed.gguf", "Q5_0")
    rewritten = tmp_path / "rewritten.gguf"

    def change(name: str, numbers: np.ndarray) -> tuple[np.ndarray, str]:
        if numbers.ndim == 1:
            return numbers, "F32"
        number_type = "Q5_0" if name.startswith("blk.") else "Q8_0"
        return quantize_blocks.quantize(numbers, number_type), number_type

    rewrite(tmp_path / "model.gguf", rewritten, change)
    for source in (mixed, rewritten):
        with pytest.raises(InputError) as caught:
            import_model(str(source), tmp_path / "kept", keeps_quantized=True)
        assert (caught.value.field, caught.value.value) == ("keep_quantized", "Q5_0")


def test_damaged_scales_are_refused_at_import(tmp_path: Path) -> None:
    file = gguf_file(tmp_path)
    data = bytearray(file.read_bytes())
    offset = next(t for t in gguf.GGUFReader(file).tensors if t.name == "blk.0.ffn_up.weight")
    data[offset.data_offset : offset.data_offset + 2] = b"\xff\xff"
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        import_model(str(file), tmp_path / "kept", keeps_quantized=True)
    assert "mlp" in caught.value.field or "ffn" in caught.value.field
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(torch.float32, (4, 34)), (torch.uint8, (4, 35)), (torch.uint8, (136,))],
)
def test_a_tensor_without_whole_blocks_is_refused(
    dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        quantized_tensors.recognize({"a.weight.Q8_0": Entry(tmp_path / "a", dtype, shape, 0)})
    assert caught.value.field == "a.weight.Q8_0"


def test_a_tensor_in_two_number_types_is_refused(tmp_path: Path) -> None:
    entries = {
        "a.weight": Entry(tmp_path / "a", torch.float32, (4, 32), 0),
        "a.weight.Q8_0": Entry(tmp_path / "a", torch.uint8, (4, 34), 512),
    }
    with pytest.raises(InputError) as caught:
        quantized_tensors.recognize(entries)
    assert caught.value.field == "a.weight.Q8_0"


def test_a_file_that_names_another_layer_is_refused(tmp_path: Path) -> None:
    import_model(str(gguf_file(tmp_path)), tmp_path / "kept", keeps_quantized=True)
    file = tmp_path / "kept" / "model.safetensors"
    tensors = safetensors_file.load(file)
    name = next(name for name in tensors if name.endswith(".Q8_0"))
    tensors[name] = tensors[name][:-1]
    safetensors_file.save(tensors, file)
    for keeps_quantized in (False, True):
        with pytest.raises(InputError) as caught:
            model_directory.load(tmp_path / "kept", keeps_quantized=keeps_quantized)
        assert caught.value.field == name.removesuffix(".Q8_0")
