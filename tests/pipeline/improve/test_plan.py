"""Which weights a planned improvement trains."""

from pathlib import Path

import pytest

from chatwright.pipeline.improve.methods import FeedbackCounts, choose
from chatwright.pipeline.improve.plan import make_recipe
from chatwright.pipeline.improve.settings import ImproveConfig


@pytest.mark.parametrize(
    ("method", "n_pair", "n_thumb", "trains_adapter"),
    [
        ("dpo", 10, 600, True),  # the thumbs teach DPO nothing
        ("dpo", 499, 0, True),
        ("dpo", 500, 0, False),
        ("kto", 0, 600, False),
        ("kto", 600, 20, True),
    ],
)
def test_little_feedback_of_the_method_trains_an_adapter(
    tmp_path: Path, method: str, n_pair: int, n_thumb: int, trains_adapter: bool
) -> None:
    half = n_thumb // 2
    counts = FeedbackCounts(n_pair=n_pair, n_up=half, n_down=half, n_tie=0, raters=("a",))
    chosen = choose(method, counts)
    recipe = make_recipe(ImproveConfig(), chosen, counts, tmp_path, tmp_path / "parent", False)
    (stage,) = recipe.stages
    assert ("lora" in stage.identifying_table()) == trains_adapter
