"""Check this installation and this machine, for `chatwright doctor`."""

import importlib.metadata
import importlib.util
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import (
    available_memory,
    environment,
    has_fast_bfloat16,
    resolve_device,
)
from chatwright.engine.formats import FORMATS
from chatwright.engine.forward import Forward
from chatwright.engine.invariance_cache import batch_dependence_reason, cache_folder
from chatwright.threads import thread_waiting

NEEDED_BYTES = 2e9  # memory and disk for training the starter
N_COMPARED = 64  # tokens whose log-probabilities are compared
LARGEST_GAP = 1e-2  # nats; float32 rounding gives about 1e-4 with 30 layers
SERVING_PACKAGES = ("fastapi", "uvicorn")  # of the extra chatwright[serve]


@dataclass(frozen=True)
class Check:
    """One requirement, and what to do if it is not met."""

    name: str
    value: str
    is_met: bool
    remedy: str


def describe_machine() -> dict[str, str]:
    """Describe the software, the device, the dtype of training, formats of weights, the speed."""
    device = resolve_device()
    trains_in = "bfloat16" if has_fast_bfloat16(device) else "float32"
    speed = f"{_gflops(torch.float32):.0f} GFLOP/s float32, {_gflops(torch.bfloat16):.0f} bfloat16"
    return environment() | {
        "device": str(device),
        "trains in": trains_in,
        "matrix products": speed,
        "waiting threads": thread_waiting(),
        **describe_formats(),
    }


def describe_formats() -> dict[str, str]:
    """Describe the accuracy of each format of weights, or why this machine cannot use it."""
    return {
        f"weights {name}": f"not here: {one.obstacle()}" if one.obstacle() else one.error
        for name, one in FORMATS.items()
    }


def checks() -> Iterator[Check]:
    """Check memory, disk, kernels and packages."""
    memory = available_memory()
    yield Check(
        "memory",
        f"{memory / 1e9:.1f} GB free",
        memory > NEEDED_BYTES,
        "training the starter needs 2 GB: close other programs",
    )
    disk = shutil.disk_usage(Path.cwd()).free
    yield Check(
        "disk",
        f"{disk / 1e9:.1f} GB free here",
        disk > NEEDED_BYTES,
        "a run and its checkpoints need 2 GB: make room or work in another folder",
    )
    yield Check(
        "packed kernels",
        "replies do not depend on other requests in the batch",
        torch.backends.mkldnn.is_available(),
        "this build of torch has no oneDNN, so logits may differ by rounding errors when other "
        "requests are in the batch",
    )
    for package in SERVING_PACKAGES:
        is_installed = importlib.util.find_spec(package) is not None
        version = importlib.metadata.version(package) if is_installed else "missing"
        yield Check(package, version, is_installed, "pip install 'chatwright[serve]'")


def check_batch_invariance(directory: Path) -> Check:
    """Check whether the model's replies depend on the other requests in the batch.

    The check computes with the model's own weights, whatever an earlier check found, and keeps its
    result for the next start of a server.
    """
    model, _ = model_directory.load(directory)
    with Forward(model, keeps_weights=False) as forward:
        began = time.perf_counter()
        difference = batch_dependence_reason(forward, checks_again=True)
        seconds = time.perf_counter() - began
    return Check(
        "batch invariance",
        difference
        or "this model's replies do not depend on other requests in the batch (checked in "
        f"{seconds:.1f} s, result kept in {cache_folder()})",
        not difference,
        "logits may differ by rounding errors when other requests are in the batch",
    )


def check_log_probs(directory: Path) -> Check:
    """Compare the engine's log-probabilities with those of the training forward.

    Reinforcement learning samples with the one and learns with the other. Both read one text of
    random tokens; the difference is that of the token at each position.
    """
    model, _ = model_directory.load(directory)
    model.eval()
    shape = (1, min(N_COMPARED, model.config.context_length))
    draws = torch.Generator().manual_seed(0)
    text = torch.randint(model.config.vocab_size, shape, generator=draws)
    with torch.no_grad():
        trained = _log_probs(model(text)[0], text[0])
    with Forward(model, keeps_weights=False) as forward:
        inferred = _log_probs(forward.head(forward.hidden_states(text.tolist(), [0])[0]), text[0])
    largest = float((trained - inferred).abs().max())
    return Check(
        "engine and training",
        f"log-probabilities of {shape[1]} tokens differ by {largest:.1e} at most",
        largest < LARGEST_GAP,
        "the engine computes another model than training does: please report this",
    )


def _log_probs(logits: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each token after the first. (T, V), (T,) -> (T - 1,)."""
    return logits[:-1].double().log_softmax(dim=-1).gather(1, text[1:, None])[:, 0]


def _gflops(dtype: torch.dtype) -> float:
    a = torch.ones(1024, 1024, dtype=dtype)
    a @ a
    began = time.perf_counter()
    for _ in range(5):
        a @ a
    return 5 * 2 * 1024**3 / (time.perf_counter() - began) / 1e9
