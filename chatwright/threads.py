"""How the threads of torch wait for work.

OpenMP's threads spin while they wait. With anything else running on a small machine, unlimited
spinning makes training ten times slower. A spin count of 1,000 covers most gaps within a training
step and costs other programs little (docs/LOG.md, "How threads wait"). On Linux, where torch uses
GNU's OpenMP, "passive" would stop all spinning as soon as a model is served during training,
because the process then has more threads than cores.
"""

import os
import sys

SETTINGS = {
    "OMP_WAIT_POLICY": "active" if sys.platform == "linux" else "passive",
    "GOMP_SPINCOUNT": "1000",
}


def set_thread_waiting() -> None:
    """Set the environment variables that OpenMP reads once, when torch is imported.

    Variables that you have set stay. After `import torch` this has no effect.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def thread_waiting() -> str:
    """Describe the settings in force, for `chatwright doctor`."""
    return ", ".join(f"{name}={os.environ.get(name, 'not set')}" for name in SETTINGS)
