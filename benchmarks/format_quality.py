"""Measure what a format of weights costs: bits per byte, logit errors and memory.

    python benchmarks/format_quality.py DIR --text FILE [--tokens 2048] [--threads 1]

FILE is plain text, also as .xz, such as the validation text of wikitext-2. Its first tokens are
read in texts of 512. The format gguf is measured if DIR was imported with --keep-quantized. Errors
are differences to the logits of the training forward, so the row of float32 shows how far the
engine itself is from training.
"""

import argparse
import lzma
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.engine.formats import FORMATS, keeps_quantized
from chatwright.engine.forward import Forward
from chatwright.model.gpt import GPT
from chatwright.model.linear import products, quantized_weights

LENGTH = 512


def main() -> None:
    """Print one line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = model_directory.load(arguments.directory)
    opener = lzma.open if arguments.text.suffix == ".xz" else open
    with opener(arguments.text, "rt", encoding="utf-8") as file:
        ids = list(tokenizer.encode(file.read(8 * arguments.tokens)))[: arguments.tokens]
    texts = [ids[start : start + LENGTH] for start in range(0, len(ids), LENGTH)]
    n_byte = sum(len(tokenizer.decode(text[1:]).encode()) for text in texts)
    with torch.no_grad():
        expected = [model.eval()(torch.tensor([text]))[0] for text in texts]
    print(f"{len(ids)} tokens, {n_byte} bytes")
    bits = sum(bits_of(logits, text) for logits, text in zip(expected, texts, strict=True))
    print(f"{'training forward':18}{bits / n_byte:8.4f} bits per byte")
    for name in FORMATS:
        if keeps_quantized(name):
            model, _ = model_directory.load(arguments.directory, keeps_quantized=True)
            if not quantized_weights(model):
                continue
        measure(model, name, texts, expected, n_byte)


def measure(
    model: GPT, name: str, texts: list[list[int]], expected: list[Tensor], n_byte: int
) -> None:
    """Print the figures of one format."""
    began = time.perf_counter()
    with Forward(model, weight_format=FORMATS[name]) as forward:
        seconds = time.perf_counter() - began
        size = sum(packed_sizes(model))
        bits, squares, n_number, largest, log_prob = 0.0, 0.0, 0, 0.0, 0.0
        for text, reference in zip(texts, expected, strict=True):
            logits = forward.head(forward.hidden_states([text], [0])[0])  # (T, V)
            bits += bits_of(logits, text)
            difference = (logits - reference).double()
            squares += float(difference.square().sum())
            n_number += difference.numel()
            largest = max(largest, float(difference.abs().max()))
            gaps = log_probs_of(logits, text) - log_probs_of(reference, text)
            log_prob = max(log_prob, float(gaps.abs().max()))
    print(
        f"{name:18}{bits / n_byte:8.4f} bits per byte; logit errors: root mean square "
        f"{math.sqrt(squares / n_number):.2g}, largest {largest:.2g}; largest difference of a "
        f"token's log-probability {log_prob:.2g}; {size / 1e6:.0f} MB packed in {seconds:.1f} s",
        flush=True,
    )


def packed_sizes(model: GPT) -> Iterator[int]:
    """Yield the bytes of every packed weight."""
    for _, _, product in products(model):
        packed = getattr(product, "packed", None)
        assert packed is not None, "the model was packed"
        yield packed.nbytes


def log_probs_of(logits: Tensor, text: list[int]) -> Tensor:
    """Return the log-probability of each token after the first. (T, V) -> (T - 1,)."""
    targets = torch.tensor(text[1:])[:, None]
    return logits[:-1].double().log_softmax(dim=-1).gather(1, targets)[:, 0]


def bits_of(logits: Tensor, text: list[int]) -> float:
    """Return the bits of all tokens after the first."""
    return -float(log_probs_of(logits, text).sum()) / math.log(2)


if __name__ == "__main__":
    main()
