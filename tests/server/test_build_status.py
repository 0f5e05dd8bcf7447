"""What a build tells the page: of the whole build, by a clock of our own."""

import pytest

from chatwright.server.build_status import KEPT_PER_PROMPT, BuildStatus
from chatwright.training.watcher import Progress

PLAN = [("pretrain", 100), ("sft", 300)]


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def board(clock):
    return BuildStatus(PLAN, clock=lambda: clock[0])


def progress(stage, step, steps=None, seconds=0.0, loss=None, samples=()):
    figures = {} if loss is None else {"validation_loss": loss}
    return Progress(
        stage, step, steps or dict(PLAN)[stage], 1.0, 1, seconds, 999.0, figures, list(samples)
    )


def test_how_far_and_how_long_are_of_the_whole_build(board, clock):
    assert (board.status().state, board.status().fraction, board.status().seconds_left) == (
        "building",
        0.0,
        None,
    )
    board.progress(progress("pretrain", 0))
    assert board.status().seconds_left is None, "nothing is measured yet"
    seen = []
    for stage, step, now in (
        ("pretrain", 50, 100.0),
        ("pretrain", 100, 200.0),
        ("sft", 0, 230.0),
        ("sft", 100, 330.0),
        ("sft", 300, 530.0),
    ):
        clock[0] = now
        board.progress(progress(stage, step))
        seen.append((board.status().stage, board.status().fraction, board.status().seconds_left))
    assert seen == [
        ("Learning to read", 50 / 400, 700.0),  # 2 seconds a step so far, 350 steps to go
        ("Learning to read", 100 / 400, 600.0),
        ("Learning to converse", 100 / 400, 600.0),  # its own pace is not known yet
        ("Learning to converse", 200 / 400, 200.0),  # 1 second a step
        ("Learning to converse", 1.0, 0.0),
    ]


def test_a_build_that_goes_on_counts_what_was_done_before(board, clock):
    board.progress(
        progress("sft", 110, seconds=55.0)
    )  # the first stage was done before; a step took half a second then
    assert (board.status().fraction, board.status().seconds_left) == (210 / 400, 95.0)
    clock[0] = 30.0
    board.progress(
        progress("sft", 120, seconds=60.0)
    )  # by the clock 3 seconds: what counts is how long a person waits
    assert board.status().seconds_left == 540.0


def test_two_stages_of_one_kind_and_one_that_nobody_announced():
    board = BuildStatus([("sft", 10), ("sft", 30)])
    board.progress(progress("sft", 10, 10))
    board.progress(progress("sft", 0, 30))
    assert board.status().fraction == 10 / 40
    board.progress(progress("polish", 20, 40))
    assert (board.status().stage, board.status().fraction) == ("polish", 60 / 80)


def test_the_newest_replies_to_each_prompt_are_kept_and_another_stage_starts_anew(board):
    for step in range(0, 60, 10):
        board.progress(
            progress(
                "pretrain",
                step,
                loss=8.0 - step / 10,
                samples=[("The", f"a{step}"), ("In", f"b{step}")],
            )
        )
    assert [(step, loss) for step, loss in board.status().loss_curve] == [
        (step, 8.0 - step / 10) for step in range(0, 60, 10)
    ]
    kept = [(sample.prompt, sample.reply, sample.step) for sample in board.status().samples]
    assert kept == [
        (prompt, f"{letter}{step}", step)
        for step in range(20, 60, 10)
        for prompt, letter in (("The", "a"), ("In", "b"))
    ]
    assert len(kept) == 2 * KEPT_PER_PROMPT
    board.progress(progress("sft", 0, loss=3.0, samples=[("The", "c")]))
    assert board.status().loss_curve == ((0, 3.0),)
    assert [sample.reply for sample in board.status().samples] == ["c"]


def test_a_warning_stays_to_be_read_while_the_build_goes_on(board):
    board.warned("the loss is above its band")
    board.progress(progress("pretrain", 50, loss=3.0))
    assert (board.status().state, board.status().message) == (
        "building",
        "the loss is above its band",
    )
    board.ready()
    assert board.status().message == ""


def test_the_end_is_ready_or_failed(board):
    board.progress(progress("pretrain", 0, loss=3.0))
    board.failed("the disk is full")
    assert (board.status().state, board.status().message, board.status().stage) == (
        "failed",
        "the disk is full",
        "Learning to read",
    )
    board.ready()
    assert (board.status().state, board.status().fraction) == ("ready", 1.0)
