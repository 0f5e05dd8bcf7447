"""Measure how soon the next turn of a conversation gets its first token, cached and cold.

    python benchmarks/first_token.py [DIRECTORY] [--turns N]

Without a directory, the model has the shape of SmolLM2-135M and random weights. A conversation of
1,000 tokens gets 24 new ones. Both engines hold the same model and take turns; the cold one reads
the whole conversation. The medians and the pairs' ratios are printed, of time and of processor
time, and whether both sampled the same token with the same log-probability. Other programs change
the processor time less than the time.
"""

import argparse
import random
import statistics
import time
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, RequestFinished, SamplingConfig, TokenSampled
from chatwright.engine.packed_model import shared_copy
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset

N_CONVERSATION = 1000
N_NEW = 24
N_REPLY = 20
"""Tokens of the conversation that are a reply."""


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    model = open_model(arguments.directory)
    same_model = shared_copy(model)  # before the model is packed
    times: dict[str, list[tuple[float, float]]] = {"cold": [], "cached": []}
    n_equal = 0
    with (
        Engine(model, EngineConfig(prefix_cache_bytes=2**30)) as cached,
        Engine(same_model, EngineConfig()) as cold,
    ):
        for turn in range(arguments.turns):
            choose = random.Random(turn)
            prompt = [choose.randrange(cached.vocab_size) for _ in range(N_CONVERSATION - N_REPLY)]
            reply, _ = run(cached, prompt, N_REPLY)
            question = [choose.randrange(cached.vocab_size) for _ in range(N_NEW)]
            text = [*prompt, *(event.token_id for event in reply), *question]
            first = {}
            for name, engine in (("cold", cold), ("cached", cached)):
                start, start_cpu = time.perf_counter(), time.process_time()
                events, n_cached = run(engine, text, 1)
                times[name].append((time.perf_counter() - start, time.process_time() - start_cpu))
                first[name] = (events[0].token_id, events[0].log_prob)
                print(f"turn {turn} {name}: {times[name][-1][0]:.3f} s, {n_cached} tokens cached")
            n_equal += first["cold"] == first["cached"]
    for index, kind in enumerate(("time", "processor time")):
        cold_seconds, cached_seconds = ([pair[index] for pair in times[name]] for name in times)
        ratios = [a / b for a, b in zip(cold_seconds, cached_seconds, strict=True)]
        print(
            f"{kind}: cold {statistics.median(cold_seconds):.3f} s, cached "
            f"{statistics.median(cached_seconds):.3f} s; ratio {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f})"
        )
    print(f"equal tokens and log-probabilities: {n_equal} of {arguments.turns}")


def open_model(directory: Path | None) -> GPT:
    """Load the model in a directory, or make one of SmolLM2-135M's shape."""
    if directory is not None:
        model, _ = model_directory.load(model_directory.find(directory))
        return model
    shape = {"n_layer": 30, "n_head": 9, "n_kv_head": 3, "head_dim": 64, "d_model": 576}
    changes = {"d_ff": 1536, "vocab_size": 49_152, "context_length": 8192, "qk_norm": False}
    model = GPT(preset("large", **shape, **changes))
    init_weights(model, generator(0, "weights"))
    return model


def run(engine: Engine, prompt: list[int], max_tokens: int) -> tuple[list[TokenSampled], int]:
    """Return the tokens of a reply and how many of the prompt's tokens were cached."""
    engine.submit(Request(prompt, SamplingConfig(seed=1, max_tokens=max_tokens)))
    sampled: list[TokenSampled] = []
    n_cached = 0
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenSampled):
                sampled.append(event)
            elif isinstance(event, RequestFinished):
                n_cached = event.n_cached
    return sampled, n_cached


if __name__ == "__main__":
    main()
