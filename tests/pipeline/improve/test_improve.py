"""`chatwright improve` on a planted preference: promoted when it helps, refused when it hurts."""

import random
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory, registry
from chatwright.data.snapshot import read_snapshot
from chatwright.errors import InputError
from chatwright.training.watcher import Stopped
from tests.pipeline.improve.planted_preference import N_PROMPT, QUICK, feedback, thumbs
from tests.pipeline.run_command import chatwright


def improve(folder: Path, snapshot: Path, *more: object) -> str:
    return chatwright(
        "improve", folder / "model", "--feedback", snapshot,
        "--prompts", folder / "prompts.jsonl", "--rules", "right_number", *more, *QUICK,
    )  # fmt: skip


def states(folder: Path) -> list[str]:
    read = registry.read(folder / "model")
    return [read.state(version) for version in read.versions]


def test_a_better_model_is_promoted_and_can_be_rolled_back(folder: Path) -> None:
    snapshot = feedback(folder, lambda _: (1, 2))
    improve(folder, snapshot)
    assert states(folder) == ["served before", "served"]
    read = registry.read(folder / "model")
    event = read.events[-1]
    assert event.metrics["win_rate_low"] > 0.5
    assert event.metrics["prompts"] == 32
    assert read.current.parent == read.versions[0].id
    assert (read.current.method, read.current.feedback != "") == ("dpo", True)
    assert model_directory.find(folder / "model") == read.path_of(read.current)
    before = (folder / "model" / "registry.jsonl").read_bytes()
    chatwright("models", "rollback", folder / "model")
    assert states(folder) == ["served", "served before"]
    assert (folder / "model" / "registry.jsonl").read_bytes().startswith(before)


def test_thumbs_improve_a_model_by_kto(folder: Path) -> None:
    chatwright(
        "improve", folder / "model", "--feedback", thumbs(folder),
        "--prompts", folder / "prompts.jsonl", "--rules", "right_number",
        *(setting.replace("dpo.", "kto.") for setting in QUICK), "kto.loop.steps=60",
    )  # fmt: skip
    assert states(folder) == ["served before", "served"]
    assert registry.read(folder / "model").current.method == "kto"


def test_a_worse_model_is_refused_and_kept(folder: Path) -> None:
    snapshot = feedback(folder, lambda _: (2, 1))
    said = improve(folder, snapshot)
    assert states(folder) == ["served", "refused"]
    read = registry.read(folder / "model")
    assert read.events[-1].reason in said
    assert read.events[-1].metrics["win_rate_high"] < 0.5
    assert model_directory.holds_model(read.path_of(read.versions[1]))
    with pytest.raises(InputError):
        chatwright("models", "promote", folder / "model", "v2")


def test_the_same_improvement_is_made_once_and_another_one_anew(folder: Path) -> None:
    snapshot = feedback(folder, lambda _: (2, 1))
    first, second = (improve(folder, snapshot).splitlines()[-1] for _ in range(2))
    assert first == second
    assert states(folder) == ["served", "refused"]
    improve(folder, snapshot, "dpo.beta=0.2")
    assert states(folder) == ["served", "refused", "refused"]
    paths = [version.path for version in registry.read(folder / "model").versions[1:]]
    assert paths == ["improve/1/dpo/model", "improve/2/dpo/model"]


def test_an_improvement_stopped_in_any_step_ends_as_one_that_was_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatwright.pipeline.improve import improve as module

    snapshot = feedback(folder, lambda _: (1, 2))

    def stop(*_: object, **__: object) -> None:
        raise Stopped("here")

    for step in ("run_recipe", "compare", "decide"):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, stop)
            with pytest.raises(Stopped):
                improve(folder, snapshot)
    assert states(folder) == ["served", "not decided"]
    stamp = (folder / "model/improve/1/dpo/model/MANIFEST.json").stat().st_mtime_ns
    improve(folder, snapshot)
    assert states(folder) == ["served before", "served"]
    manifest = folder / "model/improve/1/dpo/model/MANIFEST.json"
    assert manifest.stat().st_mtime_ns == stamp, "the training was not repeated"


def test_feedback_from_which_nothing_can_be_learned_is_refused(folder: Path) -> None:
    with pytest.raises(InputError) as ties:
        improve(folder, feedback(folder, lambda _: (1, 1), "ties"))
    assert (ties.value.field, ties.value.value) == ("feedback", N_PROMPT)
    with pytest.raises(InputError) as few:
        improve(folder, feedback(folder, lambda n: (1, 2) if n < 5 else (1, 1), "few"))
    assert few.value.value == 5
    with pytest.raises(InputError):
        improve(folder, folder / "chat.jsonl")
    with pytest.raises(InputError) as unjudged:
        chatwright(
            "improve", folder / "model", "--feedback", feedback(folder, lambda _: (1, 2), "ok")
        )
    assert unjudged.value.field == "rules"
    assert not (folder / "model" / "improve").joinpath("1", "dpo").exists()


def test_feedback_on_replies_of_other_weights_needs_an_option(folder: Path) -> None:
    snapshot = feedback(folder, lambda _: (1, 2), weights="f" * 64)
    with pytest.raises(InputError) as caught:
        improve(folder, snapshot)
    assert caught.value.value == N_PROMPT
    improve(folder, snapshot, "--any-weights")
    assert states(folder) == ["served before", "served"]


@pytest.mark.parametrize("setting", ["method=rlhf", "kto.beta=1", "judging_share=1", "nonsense=1"])
def test_wrong_settings_are_refused_before_anything_is_trained(folder: Path, setting: str) -> None:
    snapshot = feedback(folder, lambda _: (1, 2))
    with pytest.raises(InputError):
        improve(folder, snapshot, setting)
    assert not list((folder / "model").glob("improve/*/dpo"))


def test_doubtful_feedback_is_left_out_and_counted(folder: Path) -> None:
    doubled = feedback(folder, lambda _: (1, 2), copies=2)
    improve(folder, doubled)
    training = read_snapshot(folder / "model" / "improve" / "1" / "feedback.jsonl")
    assert len(training.feedback) == N_PROMPT


JUDGED = ("judging_share=0.5", "judge.loop.steps=40", "judge.loop.precision=float32")


def test_a_judge_of_the_feedback_decides_and_its_accuracy_is_kept(folder: Path) -> None:
    snapshot = feedback(folder, lambda _: (1, 2), prompts=range(120))
    chatwright("improve", folder / "model", "--feedback", snapshot, *JUDGED, *QUICK)
    assert states(folder) == ["served before", "served"]
    metrics = registry.read(folder / "model").events[-1].metrics
    assert metrics["judge_accuracy"] == 1.0
    assert 0.5 < metrics["judge_accuracy_low"] < 1.0


def test_a_judge_at_chance_is_refused_before_the_model_is_trained(folder: Path) -> None:
    """The preferences are drawn by chance, so no judge can know those of other prompts."""
    draws = random.Random(0).choices([(1, 2), (2, 1)], k=120)
    snapshot = feedback(folder, lambda number: draws[number], prompts=range(120))
    with pytest.raises(InputError) as caught:
        chatwright("improve", folder / "model", "--feedback", snapshot, *JUDGED, *QUICK)
    assert caught.value.field == "rules"
    assert isinstance(caught.value.value, float)
    assert caught.value.value < 0.75
    assert (folder / "model/improve/1/judge/model").exists()
    assert not (folder / "model/improve/1/dpo").exists()
