"""Device, dtype, memory and random generators of a run.

A caller asks for them once and passes them down as arguments; other packages read no globals.
"""

import ctypes
import functools
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psutil
import torch

from chatwright.errors import InputError

Precision = Literal["auto", "float32", "bfloat16"]

# Parameters of mallopt(3), from glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# glibc raises its own thresholds to these values once large blocks were freed.
GLIBC_MMAP_THRESHOLD = 2**25
GLIBC_TRIM_THRESHOLD = 2**26


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device called `name`: auto, cpu, cuda, cuda:1, mps and so on.

    "auto" is an NVIDIA GPU if there is one, else the CPU.

    Raises:
        InputError: torch does not know the device, or this machine has no GPU of that kind.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's own error lists dozens of back ends that hardly anyone has
        raise InputError(
            f"device={name}: torch knows no such device.",
            remedy="Use auto, cpu, cuda (an NVIDIA GPU) or mps (Apple silicon).",
            field="device",
            value=name,
        ) from None
    if not _exists(device):
        raise InputError(
            f"device={name}: torch {torch.__version__} finds no such GPU on this machine.",
            remedy="Use device=cpu or device=auto.",
            field="device",
            value=name,
        )
    return device


def _exists(device: torch.device) -> bool:
    """Whether this machine has the GPU that the device names; other kinds always exist."""
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type != "mps" or torch.backends.mps.is_available()


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether matrix products in bfloat16 are faster than in float32 on this device.

    A CPU needs bf16 dot-product instructions for that. Without them bfloat16 is emulated and about
    three times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of activations in training. The weights themselves stay float32."""
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def available_memory() -> int:
    """Return how many bytes of memory this process can still allocate within container limits."""
    candidates = [psutil.virtual_memory().available]
    # psutil reports the machine's memory; a Linux container may have less.
    limit = Path("/sys/fs/cgroup/memory.max")
    used = Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists():
        text = limit.read_text(encoding="utf-8").strip()
        if text != "max":
            candidates.append(int(text) - int(used.read_text(encoding="utf-8")))
    return min(candidates)


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keep freed memory in this process inside the block, and give it back at the end.

    By default glibc returns large freed blocks to the system. Each training step then takes
    thousands of page faults to get them again. mallopt(3) changes that; with another allocator, or
    a glibc that refuses, the block does nothing. Results do not change.

    Batches of changing shapes leave gaps between their blocks, and the process grows: call
    `return_freed_memory` now and then.
    """
    if not _has_glibc():
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 2**31 - 1)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, GLIBC_MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, GLIBC_TRIM_THRESHOLD)
        return_freed_memory()


def return_freed_memory() -> None:
    """Return memory that is free to the system at once; without glibc, do nothing."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def _has_glibc() -> bool:
    # platform.libc_ver reads through the file of the interpreter.
    return platform.libc_ver()[0] == "glibc"


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator for one purpose.

    The seed is mixed with `name`, so that different purposes draw different numbers.
    """
    mixed = seed
    for byte in name.encode():  # FNV-1a: equal in every process, unlike hash()
        mixed = ((mixed ^ byte) * 0x100000001B3) & 0x7FFF_FFFF_FFFF_FFFF
    named_generator = torch.Generator(device=device)
    named_generator.manual_seed(mixed)
    return named_generator


def environment() -> dict[str, str]:
    """Describe the software and hardware that a run's exact numbers depend on.

    A resumed run reports what has changed.
    """
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
