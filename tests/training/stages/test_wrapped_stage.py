"""A wrapped stage behaves like the stage inside it."""

import inspect

from chatwright.training.stage import Stage
from chatwright.training.stages.wrapped_stage import WrappedStage


def test_every_method_of_a_stage_is_forwarded() -> None:
    """A method that is added to `Stage` must be added to `WrappedStage` too."""
    methods = {name for name, _ in inspect.getmembers(Stage, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert public, "without methods this test would always pass"
    assert public <= vars(WrappedStage).keys()


def test_first_loss_is_checked_by_the_inner_stage() -> None:
    """Fault: the wrapper lacked `has_fresh_head`, and a new head was compared with the parent's."""

    class Inner:
        name = "inner"

        def check_start(self, model: object, batch: object, parent: object) -> float:
            return 0.25

    wrapped = WrappedStage(Inner())  # type: ignore[arg-type]
    assert wrapped.check_start(None, None, None) == 0.25  # type: ignore[arg-type]
