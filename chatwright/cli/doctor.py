"""chatwright doctor: what this machine is, what works on it, and what to do about what does not."""

import importlib.metadata
import importlib.util
import shutil
import time
from pathlib import Path


def doctor() -> None:
    """Check this installation and machine. Exit status 1 if something needed does not work."""
    import torch
    import typer

    from chatwright.devices import available_memory, environment, has_fast_bfloat16, resolve_device

    device = resolve_device()
    good = True
    for name, value in environment().items():
        print(f"      {name:22} {value}")
    print(f"      {'device':22} {device}")
    print(f"      {'trains in':22} {'bfloat16' if has_fast_bfloat16(device) else 'float32'}")
    memory, disk = available_memory(), shutil.disk_usage(Path.cwd()).free
    print(
        f"      {'matrix products':22} {_gflops(torch.float32):.0f} GFLOP/s float32, {_gflops(torch.bfloat16):.0f} bfloat16"
    )
    good &= _line(
        memory > 2e9,
        "memory",
        f"{memory / 1e9:.1f} GB free",
        "training the starter needs 2 GB: close other programs",
    )
    good &= _line(
        disk > 2e9,
        "disk",
        f"{disk / 1e9:.1f} GB free here",
        "a run and its checkpoints need 2 GB: make room or work in another folder",
    )
    good &= _line(
        torch.backends.mkldnn.is_available(),
        "packed kernels",
        "the same bits alone and in a batch",
        "this torch has no oneDNN: replies stay right, but their last bits may depend on the batch",
    )
    for package, extra in (("fastapi", "serve"), ("uvicorn", "serve")):
        found = importlib.util.find_spec(package) is not None
        good &= _line(
            found,
            package,
            importlib.metadata.version(package) if found else "missing",
            f"pip install 'chatwright[{extra}]'",
        )
    if not good:
        raise typer.Exit(1)


def _line(is_good: bool, name: str, value: str, remedy: str) -> bool:
    print(f"{'ok' if is_good else 'BAD':5} {name:22} {value}{'' if is_good else ' -> ' + remedy}")
    return is_good


def _gflops(dtype: object) -> float:
    import torch

    a = torch.ones(1024, 1024, dtype=dtype)  # type: ignore[call-overload]
    a @ a
    began = time.perf_counter()
    for _ in range(5):
        a @ a
    return float(5 * 2 * 1024**3 / (time.perf_counter() - began) / 1e9)
