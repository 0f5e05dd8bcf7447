"""Every number type of GGUF files stands for the values that llama.cpp computes from it."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from chatwright.checkpoint import gguf_types
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.pipeline import model_source
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import import_model
from tests.checkpoint.gguf_converter import rewrite
from tests.pipeline.imported_models import write
from tests.pipeline.test_gguf_export import needs_llama_cpp, next_log_probs, open_in_llama_cpp

pytestmark = [pytest.mark.uses_global_rng, pytest.mark.ci, needs_llama_cpp]

WIDTH = 256  # the largest block
NAMES = [kind.name for kind in gguf_types.TYPES.values()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a Llama of one layer whose output does not use the embedding matrix."""
    folder = tmp_path_factory.mktemp("exported")
    shape = {"hidden_size": WIDTH, "head_dim": 64, "num_hidden_layers": 1}
    source = write(folder / "source", "llama", **shape, tie_word_embeddings=False)
    import_model(str(source), folder / "model")
    export_gguf(folder / "model", folder / "model.gguf")
    return folder / "model.gguf"


def random_rows(name: str, n_row: int) -> np.ndarray:
    """Return random numbers of this type, of common sizes. Block types give bytes."""
    draw = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType[name]
    n_element, n_byte = gguf.GGML_QUANT_SIZES[kind]
    if n_element == 1:
        return gguf.quantize(draw.normal(size=(n_row, WIDTH)).astype(np.float32), kind)
    blocks = draw.integers(0, 256, (4 * n_row * WIDTH // n_element, n_byte), dtype=np.uint8)
    with np.errstate(all="ignore"):
        largest = np.abs(gguf.dequantize(blocks, kind)).max(axis=1)
    usable = blocks[(largest > 0.01) & (largest < 10)]  # neither infinite nor NaN
    return draw.choice(usable, n_row * WIDTH // n_element).reshape(n_row, -1)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_embeddings_of_every_type_give_the_probabilities_of_llama_cpp(
    name: str, exported: Path, tmp_path: Path
) -> None:
    """llama.cpp looks embeddings up as float32, so it computes nothing in a quantized type."""

    def with_random_embeddings(tensor: str, numbers: np.ndarray) -> tuple[np.ndarray, str]:
        if tensor != "token_embd.weight":
            return numbers, "F32"
        return random_rows(name, len(numbers)), name

    file = rewrite(exported, tmp_path / "a.gguf", with_random_embeddings)
    model = model_source.read(str(file)).model
    server = open_in_llama_cpp(file)
    for row in random_prompts(model.config.vocab_size, 64, 3):
        ours = model(row)[0, -1].log_softmax(-1)
        theirs = next_log_probs(server, row[0].tolist(), model.config.vocab_size)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
