"""`chatwright train reward`: a planted rule is learned; random feedback leads to a warning."""

import json
import statistics
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.conversation import Message
from chatwright.data.encoded.rankings import encode_rankings_split
from chatwright.data.preferences import Ranking, RatedReply
from chatwright.data.readers.feedback_json import feedback_to_json
from chatwright.data.rows import DataError
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.evaluation.model_card import FILE, JSON_FILE, card_from_json
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.load_reward_model import load_reward_model
from chatwright.tokenizer.characters import CharacterTokenizer
from tests.pipeline.run_command import chatwright

RATERS = ("ann", "ben", "cid", "dee", "eve")
N_PROMPT = 60
QUICK = [
    "loop.steps=40", "loop.evaluate_every=20", "loop.precision=float32", "batches.rows=12",
    "loop.optimizer.learning_rate=0.01", "validation_share=0.2",
]  # fmt: skip


def rankings(is_shuffled: bool = False) -> list[Ranking]:
    """Return rankings of three replies in which the shorter ones are better, or at random."""
    draws = generator(1, "replies")
    found = []
    for number in range(N_PROMPT):
        lengths = (torch.randperm(6, generator=draws)[:3] + 1).tolist()
        ranks = [sorted(lengths).index(length) + 1 for length in lengths]
        if is_shuffled:
            ranks = (torch.randperm(3, generator=draws) + 1).tolist()
        replies = [Message("assistant", "No. " * length) for length in lengths]
        ranking = Ranking(
            prompt=(Message("user", f"Boat {number}?"),),
            rater=RATERS[number % len(RATERS)],
            time=datetime(2026, 1, 1, tzinfo=UTC),
            replies=tuple(RatedReply(reply) for reply in replies),
            ranks=tuple(ranks),
        )
        found.append(ranking)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained chat model, feedback with a rule, and feedback at random."""
    folder = tmp_path_factory.mktemp("reward")
    for name, its in (("rule", rankings()), ("random", rankings(is_shuffled=True))):
        lines = [json.dumps(feedback_to_json(ranking)) + "\n" for ranking in its]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    texts = [message.text for ranking in rankings() for message in ranking.prompt]
    tokenizer = CharacterTokenizer.train([*texts, "No. "])
    shape = {"n_layer": 1, "d_model": 32, "d_ff": 64, "context_length": 64}
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, **shape))
    init_weights(model, generator(1, "weights"))
    model_directory.save(folder / "chat", model, tokenizer)
    return folder


def train(folder: Path, out: str, *settings: str, data: str = "rule", parent: str = "chat") -> Path:
    """Train a reward model and return the directory of the run."""
    chatwright(
        "train", "reward", "--from", folder / parent, "--data", folder / f"{data}.jsonl",
        "--out", folder / out, *QUICK, *settings,
    )  # fmt: skip
    return folder / out


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    return train(folder, "whole")


def figures_of(run: Path) -> dict[str, float]:
    figures: dict[str, float] = json.loads((run / "model" / "training.json").read_text())["figures"]
    return figures


def test_a_planted_rule_is_learned_to_the_last_held_out_pair(trained: Path) -> None:
    assert figures_of(trained)["accuracy"] == 1.0
    card = card_from_json(json.loads((trained / "model" / JSON_FILE).read_text()))
    [accuracy] = [table for table in card.tables if table.title == "Accuracy"]
    [model] = [row for row in accuracy.rows if row[0] == "reward model"]
    # Three kinds of held-out rankings: of held-out prompts, by held-out raters, both. Each cell is
    # the accuracy and its interval.
    assert [cell.split()[0] for cell in model[1:]] == ["1.000", "1.000", "1.000"]
    # The rule is the length, so the baseline that knows the rule is not beaten.
    assert any("shorter wins" in warning for warning in card.warnings)
    assert not any("chance" in warning for warning in card.warnings)


def test_the_card_is_beside_the_weights_and_in_the_report(trained: Path) -> None:
    card = card_from_json(json.loads((trained / "model" / JSON_FILE).read_text()))
    markdown = (trained / "model" / FILE).read_text()
    report = (trained / "report.html").read_text()
    for table in card.tables:
        assert f"## {table.title}" in markdown
        assert f"<h3>{table.title}</h3>" in report


def test_random_feedback_stays_at_chance_and_the_card_says_so(folder: Path) -> None:
    """Control of the test above: the warning is not silent where there is nothing to learn."""
    run = train(folder, "random", data="random")
    figures = figures_of(run)
    assert figures["accuracy_low"] <= 0.5 <= figures["accuracy_high"]
    card = card_from_json(json.loads((run / "model" / JSON_FILE).read_text()))
    assert any("chance" in warning for warning in card.warnings)


@pytest.mark.parametrize("loss", ["bradley_terry", "plackett_luce"])
def test_every_loss_learns_the_rule(folder: Path, loss: str) -> None:
    assert figures_of(train(folder, loss, f"loss={loss}"))["accuracy"] == 1.0


def test_an_adapter_learns_the_rule_beside_frozen_weights(folder: Path) -> None:
    run = train(folder, "adapter", "lora.rank=4", "loop.optimizer.learning_rate=0.01")
    assert figures_of(run)["accuracy"] > 0.9
    model, _ = model_directory.load(run)
    assert lora.lora_layers(model)
    assert model.config.head == "scalar"


def test_a_merged_adapter_gives_the_same_scores(folder: Path) -> None:
    run = train(folder, "to-merge", "lora.rank=4", "loop.steps=4")
    chatwright("merge", run, folder / "merged")
    conversations = [
        [*ranking.prompt, reply.message] for ranking in rankings()[:4] for reply in ranking.replies
    ]
    unmerged = load_reward_model(run).scores(conversations)
    merged = load_reward_model(folder / "merged").scores(conversations)
    assert merged == pytest.approx(unmerged, rel=1e-3, abs=1e-3)
    assert max(unmerged) > min(unmerged)


def test_rewards_of_validation_data_have_mean_0_and_standard_deviation_1(
    folder: Path, trained: Path
) -> None:
    """The scale in the model's directory was measured with the weights in it."""
    model = load_reward_model(trained)
    # The shares of QUICK and of the stage's defaults.
    _, validation = encode_rankings_split(folder / "rule.jsonl", model.tokenizer, 64, 0.2, 0.25)
    texts = [
        reply
        for ranking in validation.rankings
        if ranking.held_out != "rater"  # training saw these prompts
        for reply in ranking.replies
    ]
    scores = model.forward.scores(texts, tokens_at_once=4096).tolist()
    rewards = [model.scale.normalized(score) for score in scores]
    assert statistics.fmean(rewards) == pytest.approx(0.0, abs=1e-3)
    assert statistics.pstdev(rewards) == pytest.approx(1.0, abs=1e-3)


def test_short_replies_score_higher_than_long_ones(trained: Path) -> None:
    conversations = [
        [Message("user", "Boat 7?"), Message("assistant", text)] for text in ("No. ", "No. " * 6)
    ]
    short, long = load_reward_model(trained).scores(conversations)
    assert short > long + 1.0


def test_training_a_reward_model_further_begins_with_its_own_scores(
    folder: Path, trained: Path
) -> None:
    run = train(folder, "continued", parent="whole")
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert first["step"] == 0
    assert first["accuracy"] == 1.0


@pytest.mark.parametrize("words", [("chat",), ("generate", "Hello")])
def test_talking_to_a_reward_model_is_refused_with_a_remedy(
    trained: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        chatwright(words[0], trained, *words[1:])
    assert caught.value.value == "scalar"
    assert "chatwright score" in caught.value.remedy


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_reward_model_does_not_become_a_chat_model_again(
    folder: Path, trained: Path, kind: str
) -> None:
    with pytest.raises(InputError) as caught:
        chatwright(
            "train", kind, "--from", trained, "--data", folder / "rule.jsonl",
            "--out", folder / f"{kind}-of-reward",
        )  # fmt: skip
    assert caught.value.field == "--from"


def test_a_chat_model_has_no_scores(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_reward_model(folder / "chat")
    assert "train reward" in caught.value.remedy


def test_feedback_of_ties_only_is_refused(folder: Path) -> None:
    ties = [{**feedback_to_json(ranking), "ranks": [1, 1, 1]} for ranking in rankings()[:10]]
    (folder / "ties.jsonl").write_text("".join(json.dumps(tie) + "\n" for tie in ties))
    with pytest.raises(DataError) as caught:
        train(folder, "ties-only", data="ties")
    assert caught.value.field == "ranks"


# Shares that leave no ranking for training or for validation, and a loss that does not exist.
@pytest.mark.parametrize("setting", ["rater_share=1", "validation_share=0", "loss=ppo"])
def test_wrong_settings_are_refused(folder: Path, setting: str) -> None:
    with pytest.raises(InputError) as caught:
        train(folder, "refused", setting)
    assert setting.partition("=")[0] in str(caught.value)


def test_the_command_score_prints_the_scores_of_the_model(folder: Path, trained: Path) -> None:
    ranking = rankings()[0]
    conversations = [[*ranking.prompt, reply.message] for reply in ranking.replies]
    expected = load_reward_model(trained).scores(conversations)
    (folder / "one.jsonl").write_text(json.dumps(feedback_to_json(ranking)) + "\n")
    lines = chatwright("score", trained, folder / "one.jsonl").splitlines()
    assert [line.split("\t")[0] for line in lines] == [f"{score:+.4f}" for score in expected]
    rows = chatwright("score", trained, folder / "one.jsonl", "--json").splitlines()
    assert [json.loads(row)["score"] for row in rows] == expected


def test_the_command_score_reads_rows_from_a_pipe(trained: Path) -> None:
    row = {"prompt": "Boat 7?", "chosen": "No.", "rejected": "No. No. No."}
    piped = CliRunner().invoke(app, ["score", str(trained)], input=json.dumps(row) + "\n\n")
    scores = [float(line.split("\t")[0]) for line in piped.stdout.splitlines()]
    assert len(scores) == 2
    assert scores[0] > scores[1]
