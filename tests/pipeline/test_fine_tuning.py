"""Fine-tuning of an imported model works by its defaults, and bad settings never ruin it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.checkpoint.origin import origin_of
from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.pipeline import fine_tuning
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.training import metrics
from chatwright.training.checks import RunFailed
from chatwright.training.watcher import Stopped, Watcher
from tests.pipeline.imported_base import as_trained, write_imported_base, write_rows
from tests.pipeline.run_command import chatwright

pytestmark = pytest.mark.uses_global_rng  # transformers writes the base

QUICK = ["loop.precision=float32", "sample_tokens=2", "stop_prompts=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and conversations with another way to answer."""
    folder = tmp_path_factory.mktemp("fine-tuning")
    write_imported_base(folder)
    write_rows(folder / "new.jsonl", 50, lambda i: f"The boat leaves at {i}, captain!")
    return folder


def tune(folder: Path, out: Path, *settings: str, data: str = "new.jsonl") -> str:
    paths = ["--from", folder / "base", "--data", folder / data, "--out", out]
    return chatwright("train", "sft", *paths, *QUICK, *settings)


def prepare(
    folder: Path,
    out: Path,
    *settings: str,
    watcher: Watcher = Watcher(),
    data: str = "new.jsonl",
) -> Any:
    options = StageOptions(
        data=str(folder / data),
        out=out,
        overrides=[*QUICK, *settings],
        parent=folder / "base",
    )
    return prepare_stage(stage_kind("sft"), options, watcher)


def outcome_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "model" / "training.json").read_text())["outcome"]


@pytest.mark.parametrize("settings", [["lora.rank=4"], []], ids=["adapter", "all weights"])
def test_the_defaults_suit_the_data_and_improve_the_model(
    folder: Path, tmp_path: Path, settings: list[str]
) -> None:
    out = tmp_path / "out"
    printed = tune(folder, out, *settings)
    run = json.loads((out / "run.json").read_text())
    chosen = json.loads((out / "chosen_settings.json").read_text())
    assert run["loop"]["optimizer"]["kind"] == "adamw"
    assert run["loop"]["optimizer"]["learning_rate"] <= 1e-3
    assert run["data"]["batches"] == {
        "rows": chosen["batches.rows"],
        "accumulate": chosen["batches.accumulate"],
        "context_length": 256,
        "short_rows": 0,
    }
    train = run["data"]["train"]
    mean = train["tokens"] / train["documents"] - 1
    assert chosen["batches.rows"] == round(8 * mean / 256), "a step holds 8 conversations"
    assert run["loop"]["steps"] == 30
    records = metrics.read(out / "metrics.jsonl")
    steps = [record["step"] for record in records if "loss" in record]
    assert steps == list(range(1, 31)), "every step is logged"
    evaluations = [record["step"] for record in records if "validation_loss" in record]
    assert evaluations == [0, 5, 10, 15, 20, 25, 30]
    outcome = outcome_of(out)
    assert outcome["after"] < outcome["before"]
    assert outcome["after"] == min(r["validation_loss"] for r in records if "samples" in r)
    assert f"{outcome['after']:.4f}" in printed.splitlines()[-1]
    assert "passes" in printed
    assert "GB" in printed
    report = (out / "report.html").read_text()
    assert "batches.context_length" in report
    assert f"{outcome['before']:.4f}" in report


def test_the_system_prompt_of_the_model_is_named_before_the_training(
    folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    prepare(folder, tmp_path / "out", "lora.rank=4", watcher=Watcher(say=said.append))
    assert any("You are a test." in text for text in said)


def test_settings_of_the_user_win(folder: Path, tmp_path: Path) -> None:
    given = {
        "loop.steps": 3,
        "batches.rows": 3,
        "batches.context_length": 128,
        "loop.optimizer.learning_rate": 0.0001,
        "loop.patience": 0,
        "validation_share": 0.3,
    }
    prepared = prepare(
        folder, tmp_path / "out", "lora.rank=4", *(f"{key}={value}" for key, value in given.items())
    )
    assert not given.keys() & prepared.chosen.keys()
    assert prepared.loop.steps == 3
    assert prepared.loop.patience == 0
    assert prepared.loop.optimizer.learning_rate == 0.0001
    assert prepared.settings["stage"]["batches"]["rows"] == 3
    assert prepared.settings["stage"]["batches"]["context_length"] == 128
    assert prepared.settings["stage"]["validation_share"] == 0.3


def test_a_model_trained_here_keeps_the_defaults_of_the_stage(folder: Path, tmp_path: Path) -> None:
    base = as_trained(folder / "base", tmp_path / "trained")
    options = StageOptions(
        data=str(folder / "new.jsonl"),
        out=tmp_path / "out",
        overrides=[*QUICK, "validation_share=0.1"],
        parent=base,
    )
    prepared = prepare_stage(stage_kind("sft"), options, Watcher())
    assert prepared.chosen == {}
    assert prepared.loop.steps == 1000
    assert prepared.loop.optimizer.kind == "muon"


def test_origin_is_passed_on_to_runs_and_checkpoints(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tune(folder, out, "loop.steps=2", "loop.save_every=1", "loop.warmup=1")
    [first, last] = sorted((out / "checkpoints").iterdir())
    assert origin_of(out) == origin_of(first) == origin_of(last) == "imported"
    chatwright("train", "sft", "--from", out, "--data", folder / "new.jsonl", "--out",
               tmp_path / "again", "loop.steps=1", *QUICK)  # fmt: skip
    run = json.loads((tmp_path / "again" / "run.json").read_text())
    assert run["loop"]["optimizer"]["kind"] == "adamw"


def test_a_stopped_run_resumes_with_its_choices_on_a_machine_with_less_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["lora.rank=4", "loop.steps=4", "loop.warmup=1"]
    whole = prepare(folder, tmp_path / "whole", *settings)
    whole.run(tmp_path / "whole", Watcher())
    stopping = Watcher(should_stop=lambda: True)
    with pytest.raises(Stopped):
        prepare(folder, tmp_path / "resumed", *settings).run(tmp_path / "resumed", stopping)
    monkeypatch.setattr(fine_tuning, "available_memory", lambda: 10_000_000)
    fresh = prepare(folder, tmp_path / "fresh", *settings)
    assert fresh.chosen != whole.chosen, "less memory leads to other choices"
    resumed = prepare(folder, tmp_path / "resumed", *settings)
    assert resumed.chosen == whole.chosen
    resumed.run(tmp_path / "resumed", Watcher())
    weights = [tmp_path / name / "model/adapter_model.safetensors" for name in ("whole", "resumed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_too_little_memory_is_said_before_the_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(fine_tuning, "available_memory", lambda: 10_000_000)
    prepare(folder, tmp_path / "out", "lora.rank=4", watcher=Watcher(warn=warnings.append))
    assert any("memory" in text for text in warnings)


# ---- bad settings --------------------------------------------------------------------------------


def write_bad_data(folder: Path, name: str) -> None:
    write_rows(folder / "one.jsonl", 1, str)
    write_rows(folder / "same.jsonl", 1, str)
    text = (folder / "same.jsonl").read_text()
    (folder / "same.jsonl").write_text(text * 20)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Boat {i}?"},
                {"role": "assistant", "content": "Yes.", "weight": 0},
            ]
        }
        for i in range(30)
    ]
    (folder / "masked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert (folder / name).is_file()


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("one.jsonl", []),
        ("same.jsonl", []),
        ("new.jsonl", ["validation_share=0.0"]),
        ("new.jsonl", ["validation_share=0.001"]),
        ("masked.jsonl", []),
        ("new.jsonl", ["batches.context_length=8"]),
        ("new.jsonl", ["model.context_length=8"]),
    ],
)
def test_data_that_cannot_teach_are_an_error(
    folder: Path, tmp_path: Path, data: str, settings: list[str]
) -> None:
    write_bad_data(folder, data)
    with pytest.raises(InputError) as caught:
        tune(folder, tmp_path / "out", "lora.rank=4", *settings, data=data)
    assert caught.value.remedy
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("is_adapter", [True, pytest.param(False, marks=pytest.mark.ci)])
@pytest.mark.parametrize(
    "settings",
    [pytest.param({"loop.steps": 10_000, "times": 1_000}, marks=pytest.mark.ci), {"times": 10}],
)
def test_too_many_steps_and_high_rates_are_warned_about_and_keep_the_best_weights(
    folder: Path, tmp_path: Path, settings: dict[str, int], is_adapter: bool
) -> None:
    """The result is never worse than the model before training, measured anew on the same data.

    The data are those that the base was trained on, so it has much to lose and little to gain.
    """
    out = tmp_path / "out"
    rate = fine_tuning.wanted.LEARNING_RATES["imported", is_adapter]
    changes = ["lora.rank=4"] if is_adapter else []
    changes.append(f"loop.optimizer.learning_rate={settings['times'] * rate}")
    if "loop.steps" in settings:
        changes.append(f"loop.steps={settings['loop.steps']}")
    warnings: list[str] = []
    watcher = Watcher(warn=warnings.append)
    prepared = prepare(folder, out, *changes, "stop_prompts=0", watcher=watcher, data="old.jsonl")
    assert warnings, "said before the first step"
    try:
        prepared.run(out, Watcher())
    except RunFailed:  # a loss that is not finite: an error is as good
        return
    outcome = outcome_of(out)
    assert outcome["after"] <= outcome["before"]
    trained, _ = model_directory.load(out)
    base, _ = model_directory.load(folder / "base")
    with torch.no_grad():
        after, before = (prepared.stage.evaluate(model.eval()) for model in (trained, base))
    assert after["validation_loss"] <= before["validation_loss"] * 1.001
    assert after["validation_loss"] == pytest.approx(outcome["after"], rel=1e-3)


def test_one_row_in_a_step_improves_the_model_too(folder: Path, tmp_path: Path) -> None:
    tune(folder, tmp_path / "out", "lora.rank=4", "batches.rows=1")
    outcome = outcome_of(tmp_path / "out")
    assert outcome["after"] < outcome["before"]


def test_a_ruined_model_is_named_in_the_last_line_and_in_the_report(
    folder: Path, tmp_path: Path
) -> None:
    """Positive control: the rates of a model trained here, and no best weights (fault 40)."""
    out = tmp_path / "out"
    printed = tune(
        folder,
        out,
        "loop.steps=20",
        "loop.patience=0",
        "loop.optimizer.kind=muon",
        "loop.optimizer.matrix_learning_rate=0.3",
        "loop.optimizer.learning_rate=0.3",
        data="old.jsonl",
    )
    outcome = outcome_of(out)
    assert math.isnan(outcome["after"]) or outcome["after"] > outcome["before"]
    assert outcome["warning"] in printed.splitlines()[-1]
    assert "worse than the start" in (out / "report.html").read_text()


def test_conversations_that_do_not_fit_are_warned_about(folder: Path, tmp_path: Path) -> None:
    long = "boat " * 40
    write_rows(folder / "long.jsonl", 30, lambda i: f"{i} {long if i % 3 == 0 else ''}")
    warnings: list[str] = []
    options = StageOptions(
        data=str(folder / "long.jsonl"),
        out=tmp_path / "out",
        overrides=[*QUICK, "batches.context_length=64"],
        parent=folder / "base",
    )
    prepare_stage(stage_kind("sft"), options, Watcher(warn=warnings.append))
    assert any("batches.context_length" in text for text in warnings)


def test_continued_pretraining_of_an_imported_model_is_safe_by_default(
    folder: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for i in range(12):
        (texts / f"{i}.txt").write_text(f"Boat number {i} leaves at {i} o'clock, captain. " * 12)
    out = tmp_path / "out"
    paths = ["--from", folder / "base", "--data", texts, "--out", out]
    settings = [*QUICK[:2], "validation_share=0.2", "batches.rows=1", "loop.steps=12"]
    chatwright("train", "pretrain", *paths, *settings)
    run = json.loads((out / "run.json").read_text())
    assert run["loop"]["optimizer"]["kind"] == "adamw"
    assert run["data"]["batches"]["context_length"] == 512
    outcome = outcome_of(out)
    assert outcome["after"] < outcome["before"]


@pytest.mark.parametrize(("steps", "is_known"), [(1, False), (80, True)])
def test_answers_given_word_for_word_are_counted_as_generated_ones(
    folder: Path, tmp_path: Path, steps: int, is_known: bool
) -> None:
    write_rows(tmp_path / "few.jsonl", 12, lambda i: f"At {7 * i}.")
    settings = [f"loop.steps={steps}", "loop.optimizer.learning_rate=0.003", "loop.patience=0"]
    out = tmp_path / "out"
    printed = tune(folder, out, *settings, data=str(tmp_path / "few.jsonl"))
    figures = json.loads((out / "model" / "training.json").read_text())["figures"]

    model, tokenizer = model_directory.load(out)
    rows = [json.loads(line) for line in (tmp_path / "few.jsonl").read_text().splitlines()]
    with Engine(model) as engine:
        replies = Assistant(engine, tokenizer).replies(
            [[Message("user", row["prompt"])] for row in rows],
            SamplingConfig(temperature=0, max_tokens=32),
        )
    n_same = sum(
        reply.message.text == row["completion"] for reply, row in zip(replies, rows, strict=True)
    )
    n_train = len(rows) - 1  # one is kept for validation
    assert n_same - 1 <= round(figures["exact_match"] * n_train) <= n_same
    assert (figures["exact_match"] > 0.8) == is_known
    assert f"{figures['exact_match']:.0%} of the training answers" in printed.splitlines()[-1]


def test_only_answers_with_loss_are_asked_and_all_files_of_a_small_set(
    folder: Path, tmp_path: Path
) -> None:
    def row(question: str, answers: list[tuple[str, int]]) -> str:
        messages: list[dict[str, object]] = []
        for answer, weight in answers:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer, "weight": weight})
        return json.dumps({"messages": messages}) + "\n"

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text(
        "".join(row(f"a{i}?", [("wrong", 0), (f"right {i}", 1)]) for i in range(30))
    )
    (tmp_path / "data" / "b.jsonl").write_text(
        "".join(row(f"b{i}?", [(f"b {i}", 1)]) for i in range(30))
    )
    prepared = prepare(folder, tmp_path / "out", "lora.rank=4", data=str(tmp_path / "data"))
    tokenizer = prepared.tokenizer
    asked = [
        (tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:]))
        for ids, start in prepared.stage.exact_match.answers
    ]
    assert 10 < len(asked) <= 16
    assert not any(answer.startswith("wrong") for _, answer in asked)
    assert any(answer.startswith("right") and "wrong" in asked_ for asked_, answer in asked)
    assert any(answer.startswith("b ") for _, answer in asked)
