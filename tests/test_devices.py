"""Devices by name, available memory, and freed memory that stays in the process."""

import platform
import subprocess
import sys

import psutil
import pytest
import torch

from chatwright.devices import available_memory, resolve_device
from chatwright.errors import InputError

# Prints the page faults by default and with memory kept, then the resident pages before and after
# freed memory is returned.
PAGE_FAULTS_PROGRAM = """
import resource, torch
from chatwright.devices import keeping_freed_memory, return_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

by_default = faults()
with keeping_freed_memory():
    faults()
    print(by_default, faults(), resident())
    return_freed_memory()
    print(resident())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be set to keep memory"
)
def test_freed_memory_is_kept_inside_the_block_until_it_is_returned() -> None:
    """Allocate 64 MB twenty times. By default every allocation causes page faults."""
    program = [sys.executable, "-c", PAGE_FAULTS_PROGRAM]
    ran = subprocess.run(program, capture_output=True, text=True, check=True)
    by_default, kept, during, after = map(int, ran.stdout.split())
    assert by_default > 20 * 30  # 64 MB are 32 faults with pages of 2 MB, and more with 4 kB
    assert kept < 20
    assert during - after > 15_000  # 64 MB are 16,384 pages of 4 kB


@pytest.mark.parametrize("name", ["gpu", "cuda", "mps", "cuda:x", "cuda:99", ""])
def test_a_device_that_is_unknown_or_missing_is_refused_with_a_remedy(name: str) -> None:
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has an NVIDIA GPU")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has Apple silicon")
    with pytest.raises(InputError) as caught:
        resolve_device(name)
    assert (caught.value.field, caught.value.value) == ("device", name)
    assert "cpu" in caught.value.remedy


def test_the_available_memory_is_at_most_the_memory_of_the_machine() -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total
