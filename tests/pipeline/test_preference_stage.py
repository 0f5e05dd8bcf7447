"""`chatwright train dpo`: a model learns the preferred replies, whole or as an adapter."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.data.rows import DataError
from chatwright.errors import InputError
from chatwright.model import lora
from tests.pipeline.run_command import chatwright
from tests.pipeline.small_assistant import N_PROMPT, QUESTIONS, train_small_assistant, write_rows

QUICK = [
    "loop.steps=20",
    "loop.evaluate_every=10",
    "loop.precision=float32",
    "loop.optimizer.learning_rate=0.003",
    "sample_tokens=4",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives two answers equally often, and preferences for one of them."""
    folder = tmp_path_factory.mktemp("preferences")
    answers = ("At noon.", "I cannot say when.")
    train_small_assistant(folder, answers, steps=60)
    write_rows(
        folder / "pairs.jsonl",
        [{"prompt": q, "chosen": answers[0], "rejected": answers[1]} for q in QUESTIONS],
    )
    return folder


def train(folder: Path, out: str, *settings: str, data: str = "pairs.jsonl") -> dict[str, float]:
    """Train on the preferences and return the finished run's figures."""
    chatwright(
        "train", "dpo", "--from", folder / "sft", "--data", folder / data, "--out", folder / out,
        *QUICK, *settings,
    )  # fmt: skip
    notes = json.loads((folder / out / "model" / "training.json").read_text())
    figures: dict[str, float] = notes["figures"]
    return figures


def first_evaluation(run: Path) -> dict[str, float]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return next(record for record in records if "validation_loss" in record and record["step"] == 0)


def test_held_out_pairs_are_told_apart_after_training(folder: Path) -> None:
    figures = train(folder, "whole")
    assert first_evaluation(folder / "whole")["accuracy"] == 0.5
    assert figures["accuracy"] == 1.0
    assert figures["chosen_reward"] > figures["rejected_reward"]


def test_few_pairs_are_read_a_few_times(folder: Path) -> None:
    settings = [setting for setting in QUICK if not setting.startswith("loop.steps=")]
    chatwright(
        "train", "dpo", "--from", folder / "sft", "--data", folder / "pairs.jsonl",
        "--out", folder / "few", *settings,
    )  # fmt: skip
    run = json.loads((folder / "few" / "run.json").read_text())
    n_pair = run["data"]["train"]["pairs"]
    steps_per_pass = -(-n_pair // run["stage"]["batches"]["rows"])
    assert run["loop"]["steps"] <= 10 * steps_per_pass


def test_an_adapter_learns_them_beside_frozen_weights(folder: Path) -> None:
    figures = train(folder, "adapter", "lora.rank=4")
    assert figures["accuracy"] == 1.0
    model, _ = model_directory.load(folder / "adapter")
    assert lora.lora_layers(model)


def test_the_model_of_a_run_of_preferences_can_start_the_next_one(folder: Path) -> None:
    train(folder, "first")
    chatwright(
        "train", "dpo", "--from", folder / "first", "--data", folder / "pairs.jsonl",
        "--out", folder / "second", *QUICK, "loss=ipo",
    )  # fmt: skip
    assert first_evaluation(folder / "second")["accuracy"] == 0.5, "its reference is the first run"


def thumbs(folder: Path, ratings: tuple[bool, ...] = (True, False)) -> str:
    """Write ratings of the two answers of each prompt and return the name of the file."""
    answers = {True: "At noon.", False: "I cannot say when."}
    rows = [
        {"prompt": f"When does boat {i} leave?", "completion": answers[rating], "label": rating}
        for i in range(N_PROMPT)
        for rating in ratings
    ]
    name = f"thumbs{len(ratings)}.jsonl"
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def test_single_ratings_are_learned_with_kto(folder: Path) -> None:
    figures = train(folder, "kto", "loss=kto", data=thumbs(folder))
    assert first_evaluation(folder / "kto")["auc"] == 0.5
    assert figures["auc"] == 1.0
    assert figures["good_reward"] > figures["bad_reward"]


def test_pairs_are_the_same_to_kto_as_their_replies_rated_one_by_one(folder: Path) -> None:
    """Equal to the bit: a pair is one good and one bad reply."""
    from_pairs = train(folder, "kto-pairs", "loss=kto", "loop.steps=3")
    from_thumbs = train(folder, "kto-thumbs", "loss=kto", "loop.steps=3", data=thumbs(folder))
    assert from_pairs == from_thumbs


def test_single_ratings_without_kto_are_refused_and_name_the_setting(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(folder, "thumbs-dpo", data=thumbs(folder))
    assert "loss=kto" in caught.value.remedy
    assert not (folder / "thumbs-dpo" / "model").exists()


def test_conversations_instead_of_preferences_are_refused(folder: Path) -> None:
    with pytest.raises(DataError):
        train(folder, "wrong", data="chat.jsonl")
    assert not (folder / "wrong" / "model").exists()


@pytest.mark.parametrize(
    "setting",
    ["beta=0", "batches.rows=0", "loss=ppo", "good_weight=2", "bad_weight=-1", "sft_weight=-1"],
)
def test_wrong_settings_are_refused_with_a_remedy(folder: Path, setting: str) -> None:
    with pytest.raises(InputError) as caught:
        train(folder, "refused", setting)
    assert setting.split("=")[0].split(".")[-1] in str(caught.value)


def test_sft_weight_is_refused_for_single_ratings(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(folder, "refused", "sft_weight=1", "loss=kto")
    assert caught.value.field == "sft_weight"
