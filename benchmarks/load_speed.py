"""Measure how long a saved model takes to open, and how much memory, against reading its bytes.

    python benchmarks/load_speed.py [SIZE ...]

The default sizes are gpt2 (124M parameters, whose matrices are transposed in GPT-2's layout) and
large (124M of our own shape). Every measurement runs in a process of its own; the processes
alternate. The best and the median of each are printed: other programs only ever add time.

The memory figures read /proc, so the script needs Linux.
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
PAGE_SIZE = 4096  # bytes
N_TOKEN = 300

Measurement = dict[str, float]
"""seconds, processor seconds, and peak memory as a share of the file's size."""


def main() -> None:
    """Write a model of each size and print its measurements."""
    arguments = parse_arguments()
    if arguments.measure:
        name, directory = arguments.measure
        print(json.dumps(MEASURES[name](Path(directory))))
        return
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / size
            write_model(directory.with_name("tiny"), "tiny")
            n_parameter = write_model(directory, size)
            n_byte = (directory / "model.safetensors").stat().st_size
            print(f"{size}: {n_parameter / 1e6:.1f}M parameters, {n_byte / 1e6:.0f} MB")
            report(directory)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", default=["gpt2", "large"])
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "DIRECTORY"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_model(directory: Path, size: str) -> int:
    """Save a fresh model of that size and return its number of parameters."""
    from chatwright.checkpoint import model_directory
    from chatwright.devices import generator
    from chatwright.model.gpt import GPT, init_weights
    from chatwright.model.model import count_parameters
    from chatwright.model.presets import preset
    from chatwright.tokenizer.byte_bpe import ByteBPE

    tokenizer = ByteBPE.train(["a vocabulary that takes no time to open " * 30], N_TOKEN)
    # The vocabulary is small, so that opening it costs nothing. More positions or layers make up
    # for its parameters.
    changes = {
        "gpt2": {"context_length": 50_257 - tokenizer.vocab_size + 1024},
        "large": {"n_layer": 20},
    }
    model = GPT(preset(size, **changes.get(size, {}), vocab_size=tokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    model_directory.save(directory, model, tokenizer)
    return count_parameters(model)


def report(directory: Path) -> None:
    """Measure in alternating processes and print the best and the median."""
    runs: dict[str, list[Measurement]] = {name: [] for name in MEASURES}
    for _ in range(REPEATS):
        for name, measurements in runs.items():
            measurements.append(measure_in_new_process(name, directory))
    for statistic, pick in (("best", min), ("median", statistics.median)):
        picked = {
            name: {key: pick([run[key] for run in measurements]) for key in measurements[0]}
            for name, measurements in runs.items()
        }
        for name, figures in picked.items():
            wall = figures["seconds"] / picked["bytes"]["seconds"]
            processor = figures["processor"] / picked["bytes"]["processor"]
            print(
                f"  {statistic:6} {name:5} {figures['seconds']:7.3f} s "
                f"({wall:.2f} of reading the bytes), "
                f"{figures['processor']:.3f} s of processor time ({processor:.2f}), "
                f"peak memory {figures['peak']:.2f} of the file"
            )


def measure_in_new_process(name: str, directory: Path) -> Measurement:
    """Run one measurement in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--measure", name, str(directory)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    measurement: Measurement = json.loads(run.stdout)
    return measurement


def read_bytes(directory: Path) -> Measurement:
    """Measure reading the file's bytes once: what opening is compared with."""
    return measured(directory, (directory / "model.safetensors").read_bytes)


def load(directory: Path) -> Measurement:
    """Measure opening the model."""
    from chatwright.checkpoint import model_directory

    return measured(directory, lambda: model_directory.load(directory))


def measured(directory: Path, action: Callable[[], object]) -> Measurement:
    """Measure an action after opening a tiny model, so that imports are not counted."""
    from chatwright.checkpoint import model_directory

    model_directory.load(directory.with_name("tiny"))
    memory_before = resident_memory()
    started = time.perf_counter()
    processor_started = time.process_time()
    result = action()
    seconds = time.perf_counter() - started
    processor = time.process_time() - processor_started
    assert result is not None, "the result is kept in memory until the peak is read"
    n_byte = (directory / "model.safetensors").stat().st_size
    peak = (peak_memory() - memory_before) / n_byte
    return {"seconds": seconds, "processor": processor, "peak": peak}


def resident_memory() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE


def peak_memory() -> int:
    """Return the largest number of bytes of this process that were in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


MEASURES = {"bytes": read_bytes, "load": load}


if __name__ == "__main__":
    main()
