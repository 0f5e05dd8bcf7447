"""Measure every family against transformers and write docs/PARITY.md: python docs/parity.py"""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

from tests.parity.case import DTYPES, measure
from tests.parity.families import CASES

HEAD = """# Equal to an independent implementation

The largest absolute difference between the outputs of `transformers` {transformers} and ours (torch {torch}, CPU, {capability}), for models of
every family with random small weights that `transformers` wrote and we read. Each row is one branch of a family's configuration; each number the
largest over all outputs of a text read whole, of two texts padded right and left, of a text as long as the model reads, whole and in pieces with
a cache, of training's forward pass, and (float32) of the engine's. The outputs are of the order of 1.

float64 shows that both compute one formula (where it stays near 1e-7, `transformers` computes its norms in float32 whatever the dtype);
float32 is what is used; bfloat16 says what that dtype costs, in two implementations that round at different places.

Written by `python docs/parity.py` at commit {commit}. The tests measure float32 anew and hold it to 1e-4: `pytest tests/parity`.

| family | branch | {dtypes} |
|---|---|{lines}|
"""


def main() -> None:
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as directory:
            found = measure(case, Path(directory))
        rows.append(
            f"| {case.family} | {case.branch} | {' | '.join(f'{found[name]:.1e}' for name in DTYPES)} |"
        )
        print(rows[-1], flush=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    head = HEAD.format(
        commit=commit,
        transformers=transformers.__version__,
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        dtypes=" | ".join(DTYPES),
        lines="|".join("---" for _ in DTYPES),
    )
    (ROOT / "docs" / "PARITY.md").write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
