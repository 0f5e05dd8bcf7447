"""Device, dtype, threads, memory and random generators, as values that are passed down.

Nothing here is read from globals by other packages: a caller asks once and hands the answer on.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_device(name: str = "auto") -> torch.device:
    """`auto` takes an NVIDIA GPU if there is one, else the CPU. A device that is not there is an error."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={name}: this torch ({torch.__version__}) sees no GPU. Use device=cpu or device=auto."
        )
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 here.

    On CPUs that is true only with the bf16 dot-product instructions; without them they are emulated and about three times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype activations are computed in while training; the weights themselves stay float32."""
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def available_memory() -> int:
    """Bytes this process can still take, as far as the system tells (cgroup limits included)."""
    candidates = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                candidates.append(int(line.split()[1]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        candidates.append(int(text) - int(used.read_text()))
    if not candidates:  # macOS and Windows: total memory is the best the standard library offers
        pages = getattr(os, "sysconf", lambda _: 0)
        candidates.append(int(pages("SC_PAGE_SIZE")) * int(pages("SC_PHYS_PAGES")) or 2**34)
    return min(candidates)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Inside the block, in the whole process, memory that an operation frees is kept for the next one, instead of given back to the system and
    fetched again page by page: thousands of page faults in every training step. At its end all of it is given back. glibc's allocator alone can be
    told so, by mallopt(3), and old ones refuse; what is computed stays the same."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 2**31 - 1)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # where glibc's own rule ends once large blocks were freed
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**26)
        libc.malloc_trim(0)


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for one purpose. The name enters the seed, so that two purposes never share a stream."""
    mixed = seed
    for byte in name.encode():  # FNV-1a: stable across processes, unlike hash()
        mixed = ((mixed ^ byte) * 0x100000001B3) & 0x7FFF_FFFF_FFFF_FFFF
    made = torch.Generator(device=device)
    made.manual_seed(mixed)
    return made


def environment() -> dict[str, str]:
    """What decides the bits of a run: a resumed run compares it and says what changed."""
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
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
