"""Train on characters of tiny Shakespeare: our recipe against the public GPT-2 baseline.

    python benchmarks/char_lm.py PATH/input.txt[.xz] [--recipe recipes/shakespeare.toml]
                                 [--out runs/char_lm] [--skip-baseline]

The baseline is Hugging Face's GPT-2 with 4 layers, 4 heads, n_embd 128, context 64 and no dropout.
It trains with AdamW: learning rate 1e-3 to 1e-4 by cosine after 100 steps of warm-up, betas 0.9 and
0.99, weight decay 0.1, clipping 1.0, 2,000 steps of 12 x 64 characters.

Both are validated on the last tenth of the text, in windows of the model's own context that do not
overlap. Seconds count training only.
"""

import argparse
import json
import lzma
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from chatwright.devices import environment
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training import metrics
from chatwright.training.watcher import Watcher

STEPS = 2000
WARMUP = 100
ROWS = 12
CONTEXT = 64
TRAINING_SHARE = 0.9
Curve = list[tuple[float, float]]
"""(seconds of training, validation loss) at each evaluation."""


def main() -> None:
    """Run both and print the comparison as JSON."""
    options = parse_arguments()
    result: dict[str, object] = {"environment": environment()}
    curve = train_recipe(options.text, options.recipe, options.out)
    result["ours"] = {"curve": curve, "seconds": curve[-1][0], "validation_loss": curve[-1][1]}
    if not options.skip_baseline:
        baseline = train_baseline(read_text(options.text))
        result["baseline"] = baseline
        result |= compare(curve, baseline)
    print(json.dumps(result, indent=1))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("shakespeare"))
    parser.add_argument("--out", type=Path, default=Path("runs/char_lm"))
    parser.add_argument("--skip-baseline", action="store_true", help="train our recipe only")
    return parser.parse_args()


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked if it ends in .xz."""
    if path.suffix == ".xz":
        with lzma.open(path, "rt", encoding="utf-8") as file:
            return file.read()
    return path.read_text(encoding="utf-8")


def train_recipe(text: Path, recipe: Path, out: Path) -> Curve:
    """Train our recipe and return its validation curve."""
    watcher = Watcher(say=lambda line: print(line, flush=True))
    last_stage = run_recipe(read_recipe(recipe), out, text, watcher)
    return [
        (entry["seconds"], entry["validation_loss"])
        for entry in metrics.read(last_stage / "metrics.jsonl")
        if "validation_loss" in entry
    ]


def compare(curve: Curve, baseline: dict[str, float]) -> dict[str, object]:
    """Return when our curve reaches the baseline's loss, and its loss at the baseline's time."""
    target = baseline["validation_loss"]
    reached = next((seconds for seconds, loss in curve if loss <= target), float("inf"))
    in_time = [loss for seconds, loss in curve if seconds <= baseline["seconds"]]
    return {
        "seconds_to_baseline_loss": reached,
        "share_of_baseline_time": reached / baseline["seconds"],
        "loss_at_baseline_time": min(in_time) if in_time else None,
    }


def train_baseline(text: str) -> dict[str, float]:
    """Train the baseline and return its seconds of training and validation loss."""
    torch.manual_seed(1337)
    characters = sorted(set(text))
    index_of = {character: index for index, character in enumerate(characters)}
    ids = torch.tensor([index_of[character] for character in text])
    train = ids[: int(TRAINING_SHARE * len(ids))]
    validation = ids[int(TRAINING_SHARE * len(ids)) :]
    model = baseline_model(len(characters))
    optimizer = baseline_optimizer(model)
    seconds = 0.0
    for step in range(STEPS):
        starts = torch.randint(len(train) - CONTEXT, (ROWS,))
        x = torch.stack([train[i : i + CONTEXT] for i in starts])
        y = torch.stack([train[i + 1 : i + CONTEXT + 1] for i in starts])
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds += time.perf_counter() - started
        if (step + 1) % 500 == 0:
            print(f"baseline step {step + 1}: {seconds:.1f} s", flush=True)
    return {"seconds": seconds, "validation_loss": validation_loss(model, validation)}


def baseline_model(vocab_size: int) -> GPT2LMHeadModel:
    """Return the baseline with fresh weights."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab_size,
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


def baseline_optimizer(model: GPT2LMHeadModel) -> torch.optim.AdamW:
    """Return AdamW that decays matrices and leaves vectors alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.99),
        fused=True,
    )


def learning_rate(step: int) -> float:
    """Return the baseline's learning rate: linear warm-up, then cosine."""
    if step < WARMUP:
        return 1e-3 * (step + 1) / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return 1e-4 + (1e-3 - 1e-4) * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def validation_loss(model: GPT2LMHeadModel, ids: Tensor) -> float:
    """Return the mean loss over windows of the model's context, in nats a character."""
    model.eval()
    n_window = (len(ids) - 1) // CONTEXT
    inputs = ids[: n_window * CONTEXT].view(n_window, CONTEXT)
    targets = ids[1 : n_window * CONTEXT + 1].view(n_window, CONTEXT)
    total = 0.0
    for x, y in zip(inputs.split(64), targets.split(64), strict=True):
        logits = model(x).logits.flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, y.flatten(), reduction="sum")
        total += float(loss)
    model.train()
    return total / (n_window * CONTEXT)


if __name__ == "__main__":
    main()
