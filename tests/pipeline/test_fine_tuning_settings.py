"""The sizes that fine-tuning chooses, worked out by hand."""

import pytest

from chatwright.pipeline import fine_tuning_settings as settings


@pytest.mark.parametrize(
    ("lengths", "needed", "limit", "expected"),
    [
        ([50] * 100, 50, 8192, 256),  # never shorter than 256
        ([50] * 99 + [700], 50, 8192, 256),  # one of a hundred may be cut
        ([50] * 98 + [700] * 2, 50, 8192, 704),  # a multiple of 64
        ([50] * 99 + [700], 700, 8192, 704),  # validation must not be empty
        ([5000] * 10, 50, 2048, 2048),  # the model reads no more
        ([50], 50, 128, 128),
    ],
)
def test_rows_hold_almost_all_conversations_whole(
    lengths: list[int], needed: int, limit: int, expected: int
) -> None:
    assert settings.row_length(lengths, needed, limit) == expected


@pytest.mark.parametrize(
    ("row_bytes", "budget", "expected"),
    [(100, 100, 1024), (100, 50, 512), (100, 13, 128), (10**9, 1, 64)],
)
def test_rows_become_shorter_where_memory_is_short(
    row_bytes: int, budget: int, expected: int
) -> None:
    assert settings.fitting_row_length(1024, row_bytes, budget) == expected


@pytest.mark.parametrize(
    ("n", "tokens", "length", "expected"),
    [
        (100, 55, 256, 2),  # 8 conversations of 55 tokens fill 1.7 rows
        (100, 10, 256, 1),
        (5_000, 128, 256, 8),  # 16 conversations
        (20_000, 256, 256, 32),
        (100, 9_000, 512, 8),  # longer ones are cut to a row
    ],
)
def test_a_step_holds_so_many_conversations(
    n: int, tokens: int, length: int, expected: int
) -> None:
    assert settings.rows_per_step([tokens] * n, length) == expected


@pytest.mark.parametrize(
    ("rows", "length", "row_bytes", "budget", "expected"),
    [
        (8, 256, 1, 10**9, 1),  # 8 rows are 2,048 tokens
        (8, 512, 1, 10**9, 2),
        (8, 256, 100, 250, 4),  # two rows fit into memory
        (6, 256, 100, 450, 2),  # four fit, but only three divide six
        (7, 256, 100, 650, 7),
        (4, 8192, 10**9, 1, 4),  # at least one row
    ],
)
def test_micro_batches_fit_into_memory(
    rows: int, length: int, row_bytes: int, budget: int, expected: int
) -> None:
    assert settings.micro_batches(rows, length, row_bytes, budget) == expected


@pytest.mark.parametrize(
    ("passes", "steps_per_pass", "expected"),
    [
        (3, 100, 300),
        (3, 12, 36),
        (3, 6, 30),  # five passes, to reach 30 steps
        (3, 1, 10),  # ten passes at most
        (20, 1, 20),  # unless the user asks for more
        (0.5, 100, 50),
    ],
)
def test_steps_follow_from_passes(passes: float, steps_per_pass: int, expected: int) -> None:
    assert settings.steps_for(passes, steps_per_pass) == expected


@pytest.mark.parametrize(
    ("steps", "steps_per_pass", "warmup", "evaluate_every"),
    [(36, 12, 3, 6), (10_000, 12, 20, 12), (10_000, 2, 20, 5), (10, 1, 1, 2), (300, 100, 20, 50)],
)
def test_warm_up_and_evaluations_follow_from_steps(
    steps: int, steps_per_pass: int, warmup: int, evaluate_every: int
) -> None:
    chosen = settings.loop_settings(steps, steps_per_pass)
    assert chosen["loop.warmup"] == warmup
    assert chosen["loop.evaluate_every"] == evaluate_every
    assert chosen["loop.patience"] > 0


def test_imported_weights_get_smaller_rates_and_all_weights_the_smallest() -> None:
    def rate(origin: settings.Origin, is_adapter: bool) -> float:
        chosen = settings.rate_settings(origin, is_adapter, ())
        assert chosen["loop.optimizer.kind"] == "adamw"
        return float(chosen["loop.optimizer.learning_rate"])

    assert rate("imported", False) < rate("imported", True) < rate("trained", True)


def test_a_user_who_names_muon_gets_muon_with_a_safe_rate() -> None:
    given = {"loop.optimizer.kind"}
    assert settings.rate_settings("imported", True, given)[
        "loop.optimizer.matrix_learning_rate"
    ] == pytest.approx(10 * settings.LEARNING_RATES["imported", True])
    given = {"loop.optimizer.matrix_learning_rate"}
    assert "loop.optimizer.kind" not in settings.rate_settings("imported", True, given)


@pytest.mark.parametrize(
    ("lengths", "rows", "most_tokens", "expected"),
    [
        ([100] * 50, 16, 4096, 1),  # equal lengths need no padding: one part costs least
        ([2000] * 5, 16, 4096, 16),  # a row has two texts: each is a part of its own
        ([10, 900], 2, 4096, 2),  # 2 * 2 * 900 + 128 > 2 * 900 + 2 * 10 + 2 * 128
        ([10, 40], 2, 4096, 1),  # 2 * 2 * 40 + 128 < 2 * 40 + 2 * 10 + 2 * 128
    ],
)
def test_rows_of_one_length_share_a_micro_batch(
    lengths: list[int], rows: int, most_tokens: int, expected: int
) -> None:
    assert settings.parts_by_length(lengths, rows, 2, most_tokens) == expected
