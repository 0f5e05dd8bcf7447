"""`chatwright import model.gguf`: weights, tokenizer and chat format arrive as they were."""

import json
import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.checkpoint.gguf_header import read_gguf_header
from chatwright.cli.app import app
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.pipeline import model_source
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import import_model
from tests import real_models
from tests.checkpoint.gguf_converter import rewrite
from tests.pipeline.imported_models import write
from tests.pipeline.test_gguf_export import needs_llama_cpp, next_log_probs, open_in_llama_cpp
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = pytest.mark.uses_global_rng

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Export a small Llama as GGUF, and return the file."""
    import_model(str(write(tmp_path / "source", "llama")), tmp_path / "model")
    export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    return tmp_path / "model.gguf"


@torch.no_grad()
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma3_text"])
def test_an_exported_model_is_imported_with_equal_logits_and_ids(
    family: str, tmp_path: Path
) -> None:
    settings = {"sliding_window": None} if family == "mistral" else {}
    import_model(str(write(tmp_path / "source", family, **settings)), tmp_path / "model")
    export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    imported = import_model(str(tmp_path / "model.gguf"), tmp_path / "again")
    assert imported.unused == []
    model, tokenizer = model_directory.load(tmp_path / "model")
    again, tokenizer_again = model_directory.load(tmp_path / "again")
    for prompt in random_prompts(model.config.vocab_size, 64, 8):
        assert torch.equal(model(prompt), again(prompt))
    texts = hard_strings(200)
    assert tokenizer_again.encode_batch(texts) == tokenizer.encode_batch(texts)


def test_the_import_command_says_what_the_file_holds(exported: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import", str(exported), str(tmp_path / "again")])
    assert result.exit_code == 0
    assert result.output.startswith("llama: ")
    training = json.loads((tmp_path / "again" / "training.json").read_text())
    assert (training["imported_from"], training["family"]) == ("model.gguf", "llama")


def test_a_file_without_a_suffix_and_a_folder_with_one_are_understood(
    exported: Path, tmp_path: Path
) -> None:
    blob = exported.rename(tmp_path / "sha256-1234")
    assert import_model(str(blob), tmp_path / "again").family == "llama"
    (tmp_path / "folder").mkdir()
    blob.rename(tmp_path / "folder" / "tiny.gguf")
    with pytest.raises(InputError) as caught:
        import_model(str(tmp_path / "folder"), tmp_path / "other")
    assert str(tmp_path / "folder" / "tiny.gguf") in caught.value.remedy


def test_other_commands_say_that_a_gguf_file_is_imported_first(exported: Path) -> None:
    with pytest.raises(InputError) as caught:
        model_directory.load(exported)
    assert caught.value.field == "model"
    assert f"chatwright import {exported} model" in caught.value.remedy


def test_a_missing_file_is_not_looked_for_in_the_network(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        import_model("downloads/model.gguf", tmp_path / "model")
    assert caught.value.field == "source"


def test_quantized_weights_are_noted(exported: Path, tmp_path: Path) -> None:
    def quantized(name: str, numbers: np.ndarray) -> tuple[np.ndarray, str]:
        if numbers.ndim == 1 or numbers.shape[1] % 32:
            return numbers, "F32"
        return gguf.quantize(numbers, gguf.GGMLQuantizationType.Q8_0), "Q8_0"

    rewrite(exported, tmp_path / "q8.gguf", quantized)
    notes = import_model(str(exported), tmp_path / "float").notes
    more = import_model(str(tmp_path / "q8.gguf"), tmp_path / "quantized").notes
    (note,) = set(more) - set(notes)
    assert "Q8_0" in note


def test_a_hostile_file_leaves_nothing_behind(exported: Path, tmp_path: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[-4:] = np.float32(np.nan).tobytes()
    exported.write_bytes(data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError):
        import_model(str(exported), tmp_path / "again")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_with_random_bytes_in_its_header_is_read_or_rejected(
    exported: Path, tmp_path: Path
) -> None:
    draw = random.Random(0)
    whole = exported.read_bytes()
    header = min(tensor.offset for tensor in read_gguf_header(exported).tensors.values())
    n_rejected = 0
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(header)] = draw.choice([0, 1, 255, draw.randrange(256)])
        (tmp_path / "a.gguf").write_bytes(data)
        try:
            model_source.read(str(tmp_path / "a.gguf"))
        except InputError as error:
            n_rejected += bool(error.field)
    assert n_rejected > 50


# ---- SmolLM2 -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Import the published file, and return it and the imported model."""
    folder = tmp_path_factory.mktemp("smollm2")
    file = real_models.find(SMOLLM2, folder)
    imported = import_model(str(file), folder / "model")
    assert (imported.family, imported.n_parameter) == ("llama", 134_515_008)
    assert imported.chat_format is not None
    return file, folder / "model"


def prompts(model: Any) -> list[torch.Tensor]:
    return random_prompts(model.config.vocab_size, 64, 8)


@torch.no_grad()
@pytest.mark.full
def test_smollm2_computes_the_logits_of_transformers(smollm2: tuple[Path, Path]) -> None:
    from transformers import AutoModelForCausalLM

    file, directory = smollm2
    model, tokenizer = model_directory.load(directory)
    reference = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    text = torch.tensor([tokenizer.encode("The capital of France is Paris. It lies on the Seine")])
    for prompt in [*prompts(model), text]:
        torch.testing.assert_close(model(prompt), reference(prompt).logits, rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.full
@needs_llama_cpp
def test_smollm2_computes_the_probabilities_of_llama_cpp(
    smollm2: tuple[Path, Path], tmp_path: Path
) -> None:
    """The same weights in float32 agree closely; llama.cpp rounds the inputs of quantized ones."""
    file, directory = smollm2
    model, tokenizer = model_directory.load(directory)
    export_gguf(directory, tmp_path / "float32.gguf")
    texts = ["The capital of France is", "def add(a, b):\n    return", "Once upon a time there was"]
    rows = [torch.tensor([tokenizer.encode(text)]) for text in texts]
    for path, tolerance in ((tmp_path / "float32.gguf", 1e-3), (file, 1.0)):
        server = open_in_llama_cpp(path)
        for row in rows:
            ours = model(row)[0, -1].log_softmax(-1)
            theirs = next_log_probs(server, row[0].tolist(), model.config.vocab_size)
            # Tokens that are not improbable; the others carry no weight in what a model says.
            likely = ours > -10
            assert float((ours - theirs)[likely].abs().max()) < tolerance
            assert int(ours.argmax()) == int(theirs.argmax())
