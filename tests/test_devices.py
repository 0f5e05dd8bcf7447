"""The ground: what the machine is told."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from chatwright.devices import keeping_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

given_back = faults()
with keeping_freed_memory():
    faults()
    print(given_back, faults(), resident())
print(resident())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told to keep memory"
)
def test_freed_memory_is_fetched_once_and_given_back_at_the_end() -> None:
    """64 MB twenty times: without being told, every time anew."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    given_back, kept, during, after = map(int, ran.stdout.split())
    assert given_back > 20 * 30  # pages of 4 kB; of 2 MB where the system makes them large
    assert kept < 20
    assert during - after > 15_000  # pages of 4 kB
