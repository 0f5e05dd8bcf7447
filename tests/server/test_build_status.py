"""The status of a build, measured with a fake clock."""

import pytest

from chatwright.server.build_status import SAMPLES_PER_PROMPT, BuildStatus
from chatwright.training.watcher import Progress

PLAN = [("pretrain", 100), ("sft", 300)]


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def build_status(clock):
    return BuildStatus(PLAN, clock=lambda: clock[0])


def progress(stage, step, steps=None, seconds=0.0, loss=None, samples=()):
    evaluation = {} if loss is None else {"validation_loss": loss}
    return Progress(
        stage, step, steps or dict(PLAN)[stage], 1.0, 1, seconds, 999.0, evaluation, list(samples)
    )


def test_fraction_and_time_left_are_those_of_the_whole_build(build_status, clock):
    assert (
        build_status.status().state,
        build_status.status().fraction,
        build_status.status().seconds_left,
    ) == (
        "building",
        0.0,
        None,
    )
    build_status.update(progress("pretrain", 0))
    assert build_status.status().seconds_left is None, "no step has been timed yet"
    seen = []
    for stage, step, now in (
        ("pretrain", 50, 100.0),
        ("pretrain", 100, 200.0),
        ("sft", 0, 230.0),
        ("sft", 100, 330.0),
        ("sft", 300, 530.0),
    ):
        clock[0] = now
        build_status.update(progress(stage, step))
        seen.append(
            (
                build_status.status().stage,
                build_status.status().fraction,
                build_status.status().seconds_left,
            )
        )
    assert seen == [
        ("Learning to read", 50 / 400, 700.0),  # 2 seconds a step so far, 350 steps to go
        ("Learning to read", 100 / 400, 600.0),
        ("Learning to converse", 100 / 400, 600.0),  # the second stage's speed is not known yet
        ("Learning to converse", 200 / 400, 200.0),  # 1 second a step
        ("Learning to converse", 1.0, 0.0),
    ]


def test_a_resumed_build_counts_its_earlier_steps(build_status, clock):
    # The first stage was finished before the build resumed; a step took half a second then.
    build_status.update(progress("sft", 110, seconds=55.0))
    assert (build_status.status().fraction, build_status.status().seconds_left) == (210 / 400, 95.0)
    clock[0] = 30.0
    # By the clock a step takes 3 seconds now, with evaluation and saving.
    build_status.update(progress("sft", 120, seconds=60.0))
    assert build_status.status().seconds_left == 540.0


def test_two_stages_of_one_kind_and_an_unplanned_stage_count_for_the_fraction():
    build_status = BuildStatus([("sft", 10), ("sft", 30)])
    build_status.update(progress("sft", 10, 10))
    build_status.update(progress("sft", 0, 30))
    assert build_status.status().fraction == 10 / 40
    build_status.update(progress("polish", 20, 40))
    assert (build_status.status().stage, build_status.status().fraction) == ("polish", 60 / 80)


def test_the_newest_samples_of_each_prompt_are_kept_until_the_next_stage(build_status):
    for step in range(0, 60, 10):
        build_status.update(
            progress(
                "pretrain",
                step,
                loss=8.0 - step / 10,
                samples=[("The", f"a{step}"), ("In", f"b{step}")],
            )
        )
    assert [(step, loss) for step, loss in build_status.status().loss_curve] == [
        (step, 8.0 - step / 10) for step in range(0, 60, 10)
    ]
    kept = [(sample.prompt, sample.reply, sample.step) for sample in build_status.status().samples]
    assert kept == [
        (prompt, f"{letter}{step}", step)
        for step in range(20, 60, 10)
        for prompt, letter in (("The", "a"), ("In", "b"))
    ]
    assert len(kept) == 2 * SAMPLES_PER_PROMPT
    build_status.update(progress("sft", 0, loss=3.0, samples=[("The", "c")]))
    assert build_status.status().loss_curve == ((0, 3.0),)
    assert [sample.reply for sample in build_status.status().samples] == ["c"]


def test_a_warning_stays_until_the_build_ends(build_status):
    build_status.warn("the loss is above its band")
    build_status.update(progress("pretrain", 50, loss=3.0))
    assert (build_status.status().state, build_status.status().message) == (
        "building",
        "the loss is above its band",
    )
    build_status.set_ready()
    assert build_status.status().message == ""


def test_a_build_ends_ready_or_failed(build_status):
    build_status.update(progress("pretrain", 0, loss=3.0))
    build_status.set_failed("the disk is full")
    assert (
        build_status.status().state,
        build_status.status().message,
        build_status.status().stage,
    ) == (
        "failed",
        "the disk is full",
        "Learning to read",
    )
    build_status.set_ready()
    assert (build_status.status().state, build_status.status().fraction) == ("ready", 1.0)
