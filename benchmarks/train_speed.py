"""Measure training throughput: our GPT against Hugging Face's GPT-2 at the same shapes.

    python benchmarks/train_speed.py [--pairs 5] [--seconds 4]

Both have the same layers, heads, widths, context, vocabulary and rows. Both train with fused AdamW,
clipping 1.0 and a cross-entropy on every token. Ours is the preset gpt2 (layer norm, GELU, biases,
learned positions, tied head), in the number format that the training loop chooses.

The peer runs in float32, its default, and again under torch.autocast(bfloat16). So the gain of the
number format and the gain of the code are seen apart. The measurements alternate, and the figures
are medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from chatwright.devices import environment, generator, resolve_device, resolve_precision
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.training.cross_entropy import next_token_loss
from chatwright.training.optim.optimizer import Optimizer, OptimizerConfig
from chatwright.training.stage import MicroBatch

Step = Callable[[], None]


@dataclass(frozen=True)
class Shape:
    """The shape of both models and of a batch."""

    n_layer: int
    d_model: int
    n_head: int
    vocab_size: int
    rows: int
    context_length: int


SHAPES = {
    "0.8M": Shape(4, 128, 4, 65, 12, 64),
    "2.6M": Shape(4, 192, 6, 4096, 32, 128),
    "10.7M": Shape(6, 384, 6, 65, 16, 256),
}


def main() -> None:
    """Measure every shape and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each model")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a measurement")
    options = parser.parse_args()
    dtype = resolve_precision("auto", resolve_device("cpu"))
    report: dict[str, object] = {"environment": environment(), "our_dtype": str(dtype)}
    for name, shape in SHAPES.items():
        report[name] = measure(shape, dtype, options.pairs, options.seconds)
        print(name, json.dumps(report[name]), flush=True)
    print(json.dumps(report, indent=1))


def measure(shape: Shape, dtype: torch.dtype, pairs: int, seconds: float) -> dict[str, object]:
    """Return medians of tokens per second and of the ratios of neighboring measurements."""
    our_step, n_ours = make_our_step(shape, dtype)
    peer_step, n_peer = make_peer_step(shape, autocast=False)
    assert n_ours == n_peer, f"the shapes differ: {n_ours} and {n_peer} parameters"
    steps = {
        "ours": our_step,
        "ours float32": make_our_step(shape, torch.float32)[0],
        "peer": peer_step,
        "peer autocast": make_peer_step(shape, autocast=True)[0],
    }
    runs: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(pairs):
        for name, step in steps.items():
            n_token = shape.rows * shape.context_length
            runs[name].append(tokens_per_second(step, n_token, seconds))
    faster_peer = [max(pair) for pair in zip(runs["peer"], runs["peer autocast"], strict=True)]
    return {
        "parameters": n_ours,
        **{name: round(statistics.median(values)) for name, values in runs.items()},
        "ratio": median_ratio(runs["ours"], runs["peer"]),
        "ratio float32": median_ratio(runs["ours float32"], runs["peer"]),
        "ratio to the faster peer": median_ratio(runs["ours"], faster_peer),
    }


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of measurements made one after the other."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def tokens_per_second(step: Step, n_token: int, seconds: float) -> float:
    """Run steps for about so many seconds, after one that is not counted."""
    step()
    started = time.perf_counter()
    n_step = 0
    while time.perf_counter() - started < seconds:
        step()
        n_step += 1
    return n_step * n_token / (time.perf_counter() - started)


def random_batch(shape: Shape) -> tuple[Tensor, Tensor]:
    """Return random inputs and targets, each (B, T)."""
    size = (shape.rows, shape.context_length + 1)
    tokens = torch.randint(shape.vocab_size, size, generator=generator(0, "tokens"))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def make_our_step(shape: Shape, dtype: torch.dtype) -> tuple[Step, int]:
    """Return a training step of ours and the number of parameters."""
    model = GPT(
        preset(
            "gpt2",
            vocab_size=shape.vocab_size,
            n_layer=shape.n_layer,
            d_model=shape.d_model,
            n_head=shape.n_head,
            n_kv_head=shape.n_head,
            head_dim=shape.d_model // shape.n_head,
            d_ff=4 * shape.d_model,
            context_length=shape.context_length,
        )
    )
    init_weights(model, generator(0, "weights"))
    optimizer = Optimizer(model, OptimizerConfig(kind="adamw", learning_rate=1e-3), dtype)
    micro_batch = MicroBatch(*random_batch(shape))

    def step() -> None:
        loss = next_token_loss(model, micro_batch, dtype)
        (loss.sum / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad()

    return step, count_parameters(model)


def make_peer_step(shape: Shape, autocast: bool) -> tuple[Step, int]:
    """Return a training step of the peer and the number of parameters."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.context_length,
        n_embd=shape.d_model,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    x, y = random_batch(shape)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(x).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), y.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    main()
