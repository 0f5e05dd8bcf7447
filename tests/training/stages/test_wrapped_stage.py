"""A wrapped stage behaves as the stage inside it."""

import inspect

from chatwright.training.stage import Stage
from chatwright.training.stages.wrapped_stage import WrappedStage


def test_every_method_of_a_stage_is_forwarded() -> None:
    """A method added to `Stage` later must be added to `WrappedStage` too."""
    methods = {name for name, _ in inspect.getmembers(Stage, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert public, "the check would pass without methods"
    assert public <= vars(WrappedStage).keys()


def test_a_fresh_head_inside_is_checked_as_fresh() -> None:
    """Fault: the wrapper hid `has_fresh_head`, so the head was compared with a parent without one."""

    class Inner:
        name = "inner"

        def check_start(self, model: object, batch: object, parent: object) -> float:
            return 0.25

    wrapped = WrappedStage(Inner())  # type: ignore[arg-type]
    assert wrapped.check_start(None, None, None) == 0.25  # type: ignore[arg-type]
