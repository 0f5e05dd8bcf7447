"""Characters of tiny Shakespeare: our recipe against the public baseline, in one run on one machine.

    python benchmarks/char_lm.py PATH/input.txt[.xz] [--recipe recipes/shakespeare.toml] [--out runs/char_lm] [--skip-baseline]

The baseline is Hugging Face's GPT-2 with 4 layers, 4 heads, width 128, context 64, no dropout; AdamW, learning rate 1e-3 to 1e-4 by cosine
with 100 warm-up steps, betas 0.9 and 0.99, weight decay 0.1, clipping 1.0, 2,000 iterations of 12 x 64 characters. Validation of both is
the whole last tenth of the text in windows of the model's own context that do not overlap. Seconds are training alone; evaluation apart.
"""

import argparse
import json
import lzma
import math
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from chatwright.devices import environment
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training import metrics
from chatwright.training.watcher import Watcher

STEPS, WARMUP, ROWS, CONTEXT = 2000, 100, 12, 64


def read(path: Path) -> str:
    return (
        lzma.open(path, "rt", encoding="utf-8").read()
        if path.suffix == ".xz"
        else path.read_text(encoding="utf-8")
    )


def learning_rate(step: int) -> float:
    if step < WARMUP:
        return 1e-3 * (step + 1) / WARMUP
    return 1e-4 + (1e-3 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


@torch.no_grad()
def validation_loss(model: GPT2LMHeadModel, ids: torch.Tensor) -> float:
    model.eval()
    n = (len(ids) - 1) // CONTEXT
    inputs, targets = ids[: n * CONTEXT].view(n, CONTEXT), ids[1 : n * CONTEXT + 1].view(n, CONTEXT)
    total = sum(
        float(
            torch.nn.functional.cross_entropy(
                model(x).logits.flatten(0, 1), y.flatten(), reduction="sum"
            )
        )
        for x, y in zip(inputs.split(64), targets.split(64), strict=True)
    )
    model.train()
    return total / (n * CONTEXT)


def baseline(text: str) -> dict[str, float]:
    torch.manual_seed(1337)
    characters = sorted(set(text))
    place = {c: i for i, c in enumerate(characters)}
    ids = torch.tensor([place[c] for c in text])
    train, validation = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(characters),
            n_positions=CONTEXT,
            n_embd=128,
            n_layer=4,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.99),
        fused=True,
    )
    seconds = 0.0
    for step in range(STEPS):
        starts = torch.randint(len(train) - CONTEXT, (ROWS,))
        x = torch.stack([train[i : i + CONTEXT] for i in starts])
        y = torch.stack([train[i + 1 : i + CONTEXT + 1] for i in starts])
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds += time.perf_counter() - began
        if (step + 1) % 500 == 0:
            print(f"baseline step {step + 1}: {seconds:.1f} s", flush=True)
    return {"seconds": seconds, "validation_loss": validation_loss(model, validation)}


def ours(path: Path, recipe: Path, out: Path) -> list[tuple[float, float]]:
    """(training seconds, validation loss) at each evaluation."""
    last = run_recipe(
        read_recipe(recipe), out, path, Watcher(say=lambda text: print(text, flush=True))
    )
    return [
        (r["seconds"], r["validation_loss"])
        for r in metrics.read(last / "metrics.jsonl")
        if "validation_loss" in r
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument(
        "--recipe", type=Path, default=Path(__file__).parent.parent / "recipes" / "shakespeare.toml"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/char_lm"))
    parser.add_argument("--skip-baseline", action="store_true", help="Only our recipe.")
    options = parser.parse_args()
    result: dict[str, object] = {"environment": environment()}
    if not options.skip_baseline:
        result["baseline"] = reference = baseline(read(options.text))
        print(json.dumps(result["baseline"]), flush=True)
    curve = ours(options.text, options.recipe, options.out)
    result["ours"] = {"curve": curve, "seconds": curve[-1][0], "validation_loss": curve[-1][1]}
    if not options.skip_baseline:
        reached = next(
            (s for s, loss in curve if loss <= reference["validation_loss"]), float("inf")
        )
        in_time = [loss for s, loss in curve if s <= reference["seconds"]]
        result["seconds_to_baseline_loss"] = reached
        result["share_of_baseline_time"] = reached / reference["seconds"]
        result["loss_at_baseline_time"] = min(in_time) if in_time else None
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
