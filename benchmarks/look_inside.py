"""Measure how long opening a reply in the view "Inside this reply" takes.

    python benchmarks/look_inside.py [DIRECTORY] [--context N] [--reply N]

Without a directory, the model has the shape of SmolLM2-135M and random weights. Opening asks what
the page asks, in its order: how probable the reply's tokens were, the alternatives at its first
token, then the rows of one head. The forward pass of the whole text is part of the first answer.
Further views of the same text follow. The model is packed as a served one is.
"""

import argparse
import random
import time
from pathlib import Path

import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.forward import Forward
from chatwright.inspection.queries import TraceCache, answer_query
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset

N_ROW = 576
"""Rows of a head that the page asks for at once."""


def main() -> None:
    """Print the seconds of every answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--context", type=int, default=1000, help="tokens before the reply")
    parser.add_argument("--reply", type=int, default=200, help="tokens of the reply")
    arguments = parser.parse_args()
    model = open_model(arguments.directory)
    config = model.config
    n_reply = min(arguments.reply, config.context_length - 1)
    n_context = min(arguments.context, config.context_length - n_reply)
    choose = random.Random(5)
    ids = [choose.randrange(config.vocab_size) for _ in range(n_context + n_reply)]
    layer, head = config.n_layer - 1, config.n_head - 1
    first_row = max(0, n_context - N_ROW // 2)
    opening = [
        {"what": "tokens", "first": n_context},
        {"what": "next", "position": n_context - 1, "top": 300},
        {"what": "attention", "layer": layer, "head": head, "first": first_row, "rows": N_ROW},
    ]
    further = [
        {"what": "attention", "layer": 0, "head": 0, "first": first_row, "rows": N_ROW},
        {"what": "heads", "position": n_context},
        {"what": "lens", "position": n_context, "top": 5},
        {"what": "tokens", "first": 0},
    ]
    print(
        f"{n_context} tokens of context, {n_reply} of the reply, {torch.get_num_threads()} threads"
    )
    with Forward(model, keeps_weights=False):
        traces = TraceCache()
        total = sum(timed(model, traces, ids, query) for query in opening)
        print(f"opening, with layer {layer}, head {head}: {total:.2f} s")
        for query in further:
            timed(model, traces, ids, query)


def timed(model: GPT, traces: TraceCache, ids: list[int], query: dict[str, object]) -> float:
    """Print and return the seconds of one answer."""
    start = time.perf_counter()
    answer_query(model, traces, {"token_ids": ids, **query})
    seconds = time.perf_counter() - start
    name = " ".join(f"{key}={value}" for key, value in query.items())
    print(f"  {name}: {seconds:.2f} s", flush=True)
    return seconds


def open_model(directory: Path | None) -> GPT:
    """Load the decoder in a directory, or make one with random weights."""
    if directory is None:
        shape = {"n_layer": 30, "n_head": 9, "n_kv_head": 3, "head_dim": 64, "d_model": 576}
        changes = {"d_ff": 1536, "vocab_size": 49_152, "context_length": 8192, "qk_norm": False}
        model = GPT(preset("large", **shape, **changes))
        init_weights(model, generator(1, "init"))
        return model.eval()
    loaded, _ = model_directory.load(directory)
    assert isinstance(loaded, GPT), "the directory holds a decoder"
    return loaded


if __name__ == "__main__":
    main()
