"""Compare every model family with transformers and write docs/PARITY.md.

Usage: python docs/parity.py
"""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported

import torch
import transformers

from tests.parity.case import DTYPES, measure
from tests.parity.families import CASES

ROOT = Path(__file__).resolve().parents[1]

HEAD = """# Equality with an independent implementation

The largest absolute difference between the outputs of `transformers` {transformers} and of
Chatwright (torch {torch}, CPU, {capability}). `transformers` saves a small model with random
weights, and Chatwright loads it. The outputs are of the order of 1.

Each row is one variant of a family's settings. Each number is the largest difference over:

- whole texts, and texts padded on the right and on the left
- a text of the full context length, whole and in chunks with a key/value cache
- the forward pass of training
- the engine (float32 only)

What the dtypes show:

- float64: both implementations compute the same formula. Where the difference is near 1e-7,
  `transformers` computes its norms in float32 whatever the dtype.
- float32: the dtype of the weights.
- bfloat16: the rounding error of this dtype. The implementations round intermediate results at
  different points.

`python docs/parity.py` wrote this page at commit {commit}. `pytest tests/parity` measures float32
again and fails above 1e-4.

| family | variant | {dtypes} |
|---|---|{lines}|
"""


def main() -> None:
    """Measure every case, print its row, and write the page."""
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as directory:
            differences = measure(case, Path(directory))
        numbers = " | ".join(f"{differences[name]:.1e}" for name in DTYPES)
        rows.append(f"| {case.family} | {case.variant} | {numbers} |")
        print(rows[-1], flush=True)
    head = HEAD.format(
        commit=current_commit(),
        transformers=transformers.__version__,
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        dtypes=" | ".join(DTYPES),
        lines="|".join("---" for _ in DTYPES),
    )
    page = ROOT / "docs" / "PARITY.md"
    page.write_text(head + "\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def current_commit() -> str:
    """Return the short hash of the checked-out commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
