"""Training throughput: our GPT against Hugging Face's GPT-2 at the same shapes, in turn, in one run.

    python benchmarks/train_speed.py [--pairs 5] [--seconds 4]

Same layers, heads, width, feed-forward width, context, vocabulary and rows; both with AdamW (fused), clipping 1.0 and cross-entropy on every
token. Ours is the historical GPT-2 preset (layer norm, GELU, biases, learned positions, tied head), computed in what the device is fast
in, as our loop does; the peer in float32 as it comes, and again under torch.autocast(bfloat16), so that the gain of the dtype and of the
code are seen apart. Figures are medians over pairs.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from chatwright.devices import environment, generator, resolve_device, resolve_precision
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.training.cross_entropy import next_token_loss
from chatwright.training.optim.optimizer import Optimizer, OptimizerConfig
from chatwright.training.stage import MicroBatch

SHAPES = {  # name: n_layer, width, n_head, vocabulary, rows, context
    "0.8M": (4, 128, 4, 65, 12, 64),
    "2.6M": (4, 192, 6, 4096, 32, 128),
    "10.7M": (6, 384, 6, 65, 16, 256),
}


def batch(vocab: int, rows: int, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(vocab, (rows, context + 1), generator=generator(0, "tokens"))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def our_step(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Callable[[], None], int]:
    n_layer, width, n_head, vocab, rows, context = shape
    model = GPT(
        preset(
            "gpt2",
            vocab_size=vocab,
            n_layer=n_layer,
            d_model=width,
            n_head=n_head,
            n_kv_head=n_head,
            head_dim=width // n_head,
            d_ff=4 * width,
            context_length=context,
        )
    )
    init_weights(model, generator(0, "weights"))
    optimizer = Optimizer(model, OptimizerConfig(kind="adamw", learning_rate=1e-3), dtype)
    micro = MicroBatch(*batch(vocab, rows, context))

    def step() -> None:
        loss = next_token_loss(model, micro, dtype)
        (loss.sum / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad()

    return step, count_parameters(model)


def peer_step(shape: tuple[int, ...], autocast: bool) -> tuple[Callable[[], None], int]:
    n_layer, width, n_head, vocab, rows, context = shape
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab,
            n_positions=context,
            n_embd=width,
            n_layer=n_layer,
            n_head=n_head,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    x, y = batch(vocab, rows, context)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(x).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), y.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(p.numel() for p in model.parameters())


def tokens_per_second(step: Callable[[], None], tokens: int, seconds: float) -> float:
    step()
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        n += 1
    return n * tokens / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    dtype = resolve_precision("auto", resolve_device("cpu"))
    report: dict[str, object] = {"environment": environment(), "our_dtype": str(dtype)}
    for name, shape in SHAPES.items():
        tokens = shape[4] * shape[5]
        ours, n_ours = our_step(shape, dtype)
        ours_float32, _ = our_step(shape, torch.float32)
        peer, n_peer = peer_step(shape, autocast=False)
        peer_bf16, _ = peer_step(shape, autocast=True)
        assert n_ours == n_peer, f"the shapes differ: {n_ours} and {n_peer} parameters"
        runs: dict[str, list[float]] = {
            "ours": [],
            "ours float32": [],
            "peer": [],
            "peer autocast": [],
        }
        for _ in range(options.pairs):
            for key, step in zip(runs, (ours, ours_float32, peer, peer_bf16), strict=True):
                runs[key].append(tokens_per_second(step, tokens, options.seconds))
        ratio = [a / b for a, b in zip(runs["ours"], runs["peer"], strict=True)]
        same_dtype = [a / b for a, b in zip(runs["ours float32"], runs["peer"], strict=True)]
        best_peer = [
            a / max(b, c)
            for a, b, c in zip(runs["ours"], runs["peer"], runs["peer autocast"], strict=True)
        ]
        report[name] = {
            "parameters": n_ours,
            **{key: round(statistics.median(v)) for key, v in runs.items()},
            "ratio": round(statistics.median(ratio), 2),
            "ratio float32": round(statistics.median(same_dtype), 2),
            "ratio to the faster peer": round(statistics.median(best_peer), 2),
        }
        print(name, json.dumps(report[name]), flush=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
