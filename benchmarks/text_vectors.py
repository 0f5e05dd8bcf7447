"""Compare vectors of texts with those of sentence-transformers: equality and speed.

    python benchmarks/text_vectors.py SOURCE BOOKS

SOURCE is the folder of a model in the layout of sentence-transformers, BOOKS an archive of texts
such as books.tar.xz. 1,000 passages of 1 to 500 words are drawn with a fixed seed. Both programs
compute all of them, three times in turn; the best time of each is printed.
"""

import argparse
import random
import tarfile
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder
from chatwright.pipeline.import_export import import_model
from chatwright.tasks.embed import Embedder

N_TEXT = 1000
N_BOOK = 12
MEAN_LENGTH = 40  # words
LONGEST = 500
REPEATS = 3


def main() -> None:
    """Print the smallest cosine between the vectors, and both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("books", type=Path)
    arguments = parser.parse_args()
    texts = passages(arguments.books)
    programs = {
        "sentence-transformers": library(arguments.source),
        "chatwright": ours(arguments.source),
    }
    vectors: dict[str, Tensor] = {}
    seconds = dict.fromkeys(programs, float("inf"))
    for _ in range(REPEATS):
        for name, encode in programs.items():
            began = time.perf_counter()
            vectors[name] = encode(texts)
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    cosines = F.cosine_similarity(*(v.double() for v in vectors.values()))
    print(f"{len(texts):,} texts, {torch.get_num_threads()} threads")
    print(f"smallest cosine: 1 - {1 - float(cosines.min()):.1e}")
    for name, best in seconds.items():
        print(f"{name}: {best:.2f} s, {len(texts) / best:.0f} texts a second")


def passages(books: Path) -> list[str]:
    """Return passages of random lengths from the first books of the archive."""
    rng = random.Random(0)
    words: list[str] = []
    with tarfile.open(books) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        for file in islice(filter(None, files), N_BOOK):
            words += file.read().decode("utf-8").split()
    texts = []
    for _ in range(N_TEXT):
        length = min(LONGEST, int(rng.expovariate(1 / MEAN_LENGTH)) + 1)
        start = rng.randrange(len(words) - length)
        texts.append(" ".join(words[start : start + length]))
    return texts


def library(source: Path) -> Callable[[list[str]], Tensor]:
    """Return the encoder of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu")
    return lambda texts: model.encode(texts, convert_to_tensor=True)


def ours(source: Path) -> Callable[[list[str]], Tensor]:
    """Import the model and return its encoder."""
    with tempfile.TemporaryDirectory() as folder:
        import_model(str(source), Path(folder) / "model")
        model, tokenizer = model_directory.load(Path(folder) / "model", kind=Encoder)
    embedder = Embedder(EmbeddingForward(model), tokenizer)
    return lambda texts: torch.stack([text.vector for text in embedder.embed(texts)])


if __name__ == "__main__":
    main()
