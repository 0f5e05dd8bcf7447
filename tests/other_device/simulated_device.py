"""A simulated device, to find operations that mix tensors of two devices, without a GPU.

Tensors on the device keep their data in CPU memory. An operation that also gets a tensor on the CPU
raises the error that it would raise on a GPU.

This is also a program, because torch registers a device once per process:
python simulated_device.py RECIPE OUT DATA STOP_AT trains the recipe's stages on the device. Each
stage is stopped at step STOP_AT and resumed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from chatwright import devices
from chatwright.pipeline import training_cost
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training import learning_rate_finder, loop
from chatwright.training.watcher import Progress, Stopped, Watcher

NAME = "simulated"
aten = torch.ops.aten
COPIES_BETWEEN_DEVICES = {aten._to_copy.default, aten.copy_.default}
# A GPU accepts indices on the CPU for these operations.
TAKES_INDICES_FROM_THE_CPU = {
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
}
# These operations refuse even a scalar tensor on the CPU: their kernels read it by its pointer.
NEEDS_ALL_ON_ONE_DEVICE = {
    getattr(aten, name).default for name in dir(aten) if name.startswith("_fused_adam")
}


class SimulatedTensor(Tensor):
    """A tensor on the simulated device; `on_cpu` holds its data."""

    on_cpu: Tensor

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> "SimulatedTensor":
        tensor: SimulatedTensor = Tensor._make_wrapper_subclass(
            cls,
            on_cpu.size(),
            strides=on_cpu.stride(),
            storage_offset=on_cpu.storage_offset(),
            dtype=on_cpu.dtype,
            layout=on_cpu.layout,
            device=torch.device(NAME, 0),
        )
        tensor.on_cpu = on_cpu
        return tensor

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return compute(operation, args, kwargs or {})

    # torch does not support `tolist` and indexing with lists for subclasses of Tensor.
    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(lists_to_tensors(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(lists_to_tensors(index), value)


def lists_to_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(lists_to_tensors, index))
    return torch.tensor(index) if isinstance(index, list) else index


def compute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU data of its arguments, and put the result on its device.

    Raises:
        RuntimeError: The arguments are on different devices, and a GPU would refuse that.
    """
    check_devices(operation, args, kwargs)
    result = operation(
        *map_nested(to_cpu, args),
        **{name: map_nested(to_cpu, value) for name, value in kwargs.items()},
    )
    target = torch.device(kwargs.get("device") or NAME)
    if operation is aten._to_copy.default and target.type == "cpu":
        return result
    if operation is aten.copy_.default and not isinstance(args[0], SimulatedTensor):
        return args[0]
    return return_and_correct_aliasing(operation, args, kwargs, map_nested(to_device, result))


def check_devices(operation: Any, args: Any, kwargs: dict[str, Any]) -> None:
    tensors = [x for x in flatten([*args, *kwargs.values()]) if isinstance(x, Tensor)]
    on_cpu = [t for t in tensors if not isinstance(t, SimulatedTensor)]
    if len(on_cpu) == len(tensors) or operation in COPIES_BETWEEN_DEVICES:
        return
    if operation in TAKES_INDICES_FROM_THE_CPU and isinstance(args[0], SimulatedTensor):
        return
    # Most operations accept scalar tensors on the CPU.
    wrong = [t for t in on_cpu if t.dim() or operation in NEEDS_ALL_ON_ONE_DEVICE]
    if wrong:
        raise RuntimeError(
            f"{operation}: expected all tensors to be on the same device, found {NAME} and "
            f"{wrong[0].device}"
        )


def flatten(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from flatten(value)
        else:
            yield value


def map_nested(change: Callable[[Any], Any], value: Any) -> Any:
    """Apply `change` to a value, or to all values of nested lists and tuples.

    torch's own tree_map supports more containers, but it would take most of the time.
    """
    if type(value) in (list, tuple):
        return type(value)(map_nested(change, part) for part in value)
    return change(value)


def to_cpu(value: Any) -> Any:
    if isinstance(value, SimulatedTensor):
        return value.on_cpu
    return torch.device("cpu") if isinstance(value, torch.device) else value


def to_device(value: Any) -> Any:
    return SimulatedTensor(value) if isinstance(value, Tensor) else value


def register() -> torch.library.Library:
    """Register the device with torch. Keep the returned library: without it the device is gone."""
    _setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(
        lambda operation, *args, **kwargs: compute(operation, args, kwargs), "PrivateUse1"
    )
    # torch.tensor and torch.arange do not support a device that is written in Python.
    torch.tensor = create_on_cpu(torch.tensor)
    torch.arange = create_on_cpu(torch.arange)
    # As on a GPU, moving a module keeps its parameter objects, so tied weights stay tied.
    torch.__future__.set_swap_module_params_on_conversion(True)
    _foreach_utils._foreach_supported_types.append(SimulatedTensor)  # type: ignore[arg-type]
    # A device that is written in Python cannot have generators, so the CPU's are used.
    for module in (loop, learning_rate_finder, training_cost):
        module.generator = generator_on_cpu  # type: ignore[attr-defined]
    return library


def generator_on_cpu(seed: int, name: str, device: torch.device) -> torch.Generator:
    return devices.generator(seed, name)


def create_on_cpu(create: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that creates a tensor on the CPU and then moves it to the device."""
    return lambda *args, device=None, **kwargs: create(*args, **kwargs).to(device or "cpu")


def main(recipe: Path, out: Path, data: Path, stop_at: int) -> None:
    trained = [stage.name for stage in read_recipe(recipe).stages if stage.kind.trains]
    overrides = [
        f"{name}.loop.{setting}"
        for name in trained
        for setting in (f"device={NAME}", "log_every=1")
    ]
    plan = read_recipe(recipe, overrides)
    reached: list[Progress] = []
    watcher = Watcher(
        say=print, progress=reached.append, should_stop=lambda: reached[-1].step == stop_at
    )
    # Each stage stops once: after resuming, its steps are later than `stop_at`.
    for _ in range(len(trained) + 1):
        try:
            run_recipe(plan, out, data, watcher)
        except Stopped as stopped:
            print(stopped)


if __name__ == "__main__":
    registered = register()
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
