"""A device that is none: its tensors hold CPU memory, and meet those of the CPU only where a GPU's may. So a machine without a GPU finds
what would be "expected all tensors to be on the same device" on one.

A program, because torch learns of a device once and for a whole process: python pretended.py RECIPE OUT DATA STOP_AT
runs a recipe whose trained stages are on this device; every one of them is stopped at step STOP_AT and goes on from there.
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
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training import learning_rate_finder, loop
from chatwright.training.watcher import Progress, Stopped, Watcher

NAME = "pretended"
aten = torch.ops.aten
BETWEEN_DEVICES = {aten._to_copy.default, aten.copy_.default}
TAKES_INDICES_FROM_THE_CPU = {
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
}
# Their kernels are handed pointers: not even a number may lie elsewhere.
ALL_ON_ONE_DEVICE = {
    getattr(aten, name).default for name in dir(aten) if name.startswith("_fused_adam")
}


class Pretended(Tensor):
    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        made: Pretended = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(operation, args, kwargs or {})

    # torch refuses this, and lists as an index, to such a subclass, and not to a GPU's tensors.
    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(without_lists(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(without_lists(index), value)


def without_lists(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(without_lists, index))
    return torch.tensor(index) if isinstance(index, list) else index


def computed(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The same on the memory that is held. RuntimeError where a tensor of the CPU is among those of this device."""
    tensors = [x for x in flat([*args, *kwargs.values()]) if isinstance(x, Tensor)]
    here, elsewhere = (
        [t for t in tensors if isinstance(t, Pretended) == is_here] for is_here in (True, False)
    )
    elsewhere = [
        t for t in elsewhere if t.dim() or operation in ALL_ON_ONE_DEVICE
    ]  # elsewhere a number from the CPU is welcome
    may_meet = operation in BETWEEN_DEVICES or (
        operation in TAKES_INDICES_FROM_THE_CPU and isinstance(args[0], Pretended)
    )
    if here and elsewhere and not may_meet:
        raise RuntimeError(
            f"{operation}: expected all tensors to be on the same device, found {NAME} and {elsewhere[0].device}"
        )
    out = operation(
        *each(held, args), **{name: each(held, value) for name, value in kwargs.items()}
    )
    goes_to_the_cpu = (
        operation is aten._to_copy.default
        and torch.device(kwargs.get("device") or NAME).type == "cpu"
    )
    if goes_to_the_cpu:
        return out
    if operation is aten.copy_.default and not isinstance(args[0], Pretended):
        return args[0]
    return return_and_correct_aliasing(
        operation, args, kwargs, each(lambda x: Pretended(x) if isinstance(x, Tensor) else x, out)
    )


def flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from flat(value) if isinstance(value, list | tuple) else (value,)


def each(change: Callable[[Any], Any], value: Any) -> Any:
    """Of an operation's arguments or results: `change` of each, also in lists. (torch's own tree_map knows more, and takes most of the time.)"""
    return (
        type(value)(each(change, part) for part in value)
        if type(value) in (list, tuple)
        else change(value)
    )


def held(value: Any) -> Any:
    return (
        value.held
        if isinstance(value, Pretended)
        else torch.device("cpu")
        if isinstance(value, torch.device)
        else value
    )


def register() -> torch.library.Library:
    """The device exists as long as what comes back does."""
    _setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(
        lambda operation, *args, **kwargs: computed(operation, args, kwargs), "PrivateUse1"
    )
    torch.tensor, torch.arange = made_there(torch.tensor), made_there(torch.arange)
    torch.__future__.set_swap_module_params_on_conversion(
        True
    )  # as a GPU's do, a module's weights stay the same objects: tied ones tied
    _foreach_utils._foreach_supported_types.append(Pretended)  # type: ignore[arg-type]
    for module in (
        loop,
        learning_rate_finder,
    ):  # a device written in Python can have no generators of its own
        module.generator = lambda seed, name, device: devices.generator(seed, name)  # type: ignore[attr-defined]
    return library


def made_there(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Lists are read, and an empty tensor grown, on ways where a device written in Python is not asked."""
    return lambda *given, device=None, **settings: make(*given, **settings).to(
        "cpu" if device is None else device
    )


def main(recipe: Path, out: Path, data: Path, stop_at: int) -> None:
    trained = [stage.name for stage in read_recipe(recipe).stages if stage.kind.trains]
    plan = read_recipe(
        recipe,
        [
            f"{name}.loop.{setting}"
            for name in trained
            for setting in (f"device={NAME}", "log_every=1")
        ],
    )
    reached: list[Progress] = []
    watcher = Watcher(
        say=print, progress=reached.append, should_stop=lambda: reached[-1].step == stop_at
    )
    for _ in range(len(trained) + 1):
        try:
            run_recipe(plan, out, data, watcher)
        except Stopped as stopped:  # once in every stage: the next step of it is a later one
            print(stopped)


if __name__ == "__main__":
    kept = register()
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
