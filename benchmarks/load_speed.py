"""How long a saved model takes to open, and how much memory: against reading the bytes of its file.

    python benchmarks/load_speed.py [SIZE ...]          default: gpt2 (124M, kept transposed in GPT-2's layout) and large (124M of our own shape)

Every measurement is a process of its own, in turn, several times: the best of each, since other programs only ever add time, and the median.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPEATS = 7
ROOT = Path(__file__).resolve().parents[1]


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def peak() -> int:
    [line] = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


def read_bytes(directory: Path) -> dict[str, float]:
    """The bar: the file's bytes, read once."""
    return measured(directory, lambda: (directory / "model.safetensors").read_bytes())


def load(directory: Path) -> dict[str, float]:
    from chatwright.checkpoint import model_directory

    return measured(directory, lambda: model_directory.load(directory))


def measured(directory: Path, action: Callable[[], object]) -> dict[str, float]:
    from chatwright.checkpoint import model_directory

    model_directory.load(directory.with_name("tiny"))  # what Python imports once is not counted
    before, began, worked = resident(), time.perf_counter(), time.process_time()
    kept = action()
    found = {"seconds": time.perf_counter() - began, "work": time.process_time() - worked}
    assert kept is not None
    return found | {"peak": (peak() - before) / (directory / "model.safetensors").stat().st_size}


MEASURES = {"bytes": read_bytes, "load": load}


def write_model(directory: Path, size: str) -> int:
    """A fresh model of that size. Its vocabulary is small, so that opening that costs nothing; more or wider layers make up for it. -> parameters"""
    from chatwright.checkpoint import model_directory
    from chatwright.devices import generator
    from chatwright.model.gpt import GPT, init_weights
    from chatwright.model.model import count_parameters
    from chatwright.model.presets import preset
    from chatwright.tokenizer.byte_bpe import ByteBPE

    tokenizer = ByteBPE.train(["a vocabulary that takes no time to open " * 30], 300)
    changes = {
        "gpt2": {"context_length": 50_257 - tokenizer.vocab_size + 1024},
        "large": {"n_layer": 20},
    }.get(size, {})
    model = GPT(preset(size, **(changes | {"vocab_size": tokenizer.vocab_size})))
    init_weights(model, generator(0, "weights"))
    model_directory.save(directory, model, tokenizer)
    return count_parameters(model)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", default=["gpt2", "large"])
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "DIRECTORY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASURES[arguments.measure[0]](Path(arguments.measure[1]))))
        return
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place) / size
            write_model(directory.with_name("tiny"), "tiny")
            print(
                f"{size}: {write_model(directory, size) / 1e6:.1f}M parameters, {(directory / 'model.safetensors').stat().st_size / 1e6:.0f} MB"
            )
            report(directory)


def report(directory: Path) -> None:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in MEASURES}
    for _ in range(REPEATS):
        for name in MEASURES:
            run = subprocess.run(
                [sys.executable, __file__, "--measure", name, str(directory)],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            )
            found[name].append(json.loads(run.stdout))
    for what_is, pick in (("best", min), ("median", statistics.median)):
        chosen = {
            name: {what: pick([one[what] for one in runs]) for what in ("seconds", "work", "peak")}
            for name, runs in found.items()
        }
        for name, one in chosen.items():
            ratios = {what: one[what] / chosen["bytes"][what] for what in ("seconds", "work")}
            print(
                f"  {what_is:6} {name:6} {one['seconds']:7.3f} s ({ratios['seconds']:.2f} of reading the bytes)   {one['work']:.3f} s of processor "
                f"time ({ratios['work']:.2f})   peak memory {one['peak']:.2f} of the file"
            )


if __name__ == "__main__":
    main()
