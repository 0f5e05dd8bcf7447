"""Measure memory and speed of a model of 1.7B parameters with random weights.

    python benchmarks/large_shape.py --weights int8 [--threads 1] [--tokens 8] [--clock wall]

The shape is that of SmolLM2-1.7B. Values do not change speed or memory, so all blocks get the same
random weights. Memory is what the process holds after opening, and its peak.
"""

import argparse
import resource
import time

import psutil
import torch

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, SamplingConfig
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model

SHAPE = GPTConfig(
    vocab_size=49_152,
    context_length=2048,
    n_layer=24,
    n_head=32,
    n_kv_head=32,
    d_model=2048,
    d_ff=8192,
    qk_norm=False,
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Print the figures of one format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="int8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    torch.set_num_threads(arguments.threads)
    model = GPT(SHAPE)
    fill(model)
    began = clock()
    config = EngineConfig(n_slot=1, context_length=512, weights=arguments.weights)
    engine = Engine(model, config, keeps_weights=False)
    opening = clock() - began
    held = psutil.Process().memory_info().rss / 1e9
    engine.submit(Request(range(1, 33), SamplingConfig(temperature=0, max_tokens=arguments.tokens)))
    engine.step()
    began = clock()
    while engine.has_work:
        engine.step()
    speed = (arguments.tokens - 1) / (clock() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{arguments.weights}: {speed:.2f} tokens/s, packed in {opening:.1f} s, "
        f"{held:.2f} GB held, {peak:.2f} GB at most"
    )


@torch.no_grad()
def fill(model: Model) -> None:
    """Give all parameters random values, equal where the shape is equal."""
    values: dict[torch.Size, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.shape not in values:
            values[parameter.shape] = 0.02 * torch.randn(parameter.shape, generator=generator)
        parameter.copy_(values[parameter.shape])


if __name__ == "__main__":
    main()
