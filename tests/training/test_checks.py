"""The checks of the first loss, also where the expected loss is negative or zero."""

import pytest

from chatwright.training import checks


@pytest.mark.parametrize("expected", [2.0, -2.0, 0.0])
def test_loss_equal_to_the_expected_loss_passes(expected: float) -> None:
    checks.check_fresh_loss(expected, expected)
    checks.check_continued_loss(expected, expected)


@pytest.mark.parametrize(("loss", "expected"), [(2.3, 2.0), (-2.3, -2.0), (0.1, 0.0), (2.0, -2.0)])
def test_loss_far_from_the_expected_loss_fails(loss: float, expected: float) -> None:
    with pytest.raises(checks.RunFailed) as failed:
        checks.check_fresh_loss(loss, expected)
    assert failed.value.check == "fresh_loss"
    with pytest.raises(checks.RunFailed) as failed:
        checks.check_continued_loss(loss, expected)
    assert failed.value.check == "continued_loss"
