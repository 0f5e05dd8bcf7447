"""Collecting replies to rank, and feedback by simulated raters, on a tiny model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.cli.rating.candidate_file import read_candidates
from chatwright.cli.rating.sources import own_prompts, sampled_candidates
from chatwright.conversation import Message
from chatwright.data.preferences import RatedReply
from chatwright.data.snapshot import read_snapshot
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.errors import InputError
from chatwright.pipeline.collect import Candidates, CollectConfig, collect
from chatwright.pipeline.simulated_feedback import SimulationConfig, simulate_feedback
from chatwright.starter import make_fact_table, write_corpus
from chatwright.starter.feedback.raters import RaterSettings
from tests.pipeline.run_command import chatwright

PROMPTS = [(Message("user", f"What is {i} + 1?"),) for i in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter run with a model that was hardly trained."""
    folder = tmp_path_factory.mktemp("starter")
    write_corpus(folder / "world" / "world", size=0.05, n_per_skill=2, n_conversations=60)
    world = folder / "world" / "world"
    chatwright(
        "train", "pretrain", "--data", world / "pretrain.jsonl", "--out", folder / "pretrain",
        "--vocab-size", 400, "model.size=nano", "model.n_layer=1", "model.d_model=32",
        "model.d_ff=64", "model.context_length=256", "loop.steps=5", "loop.precision=float32",
    )  # fmt: skip
    chatwright(
        "train", "sft", "--from", folder / "pretrain", "--data", world / "chat.jsonl",
        "--out", folder / "sft", "loop.steps=20", "loop.precision=float32", "batches.rows=4",
        "stop_prompts=2", "sample_tokens=4",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def assistant(folder: Path) -> Iterator[Assistant]:
    from chatwright.checkpoint import model_directory

    torch.manual_seed(0)
    model, tokenizer = model_directory.load(folder / "sft")
    with Engine(model, EngineConfig(n_slot=8)) as engine:
        yield Assistant(engine, tokenizer)


def test_replies_do_not_depend_on_what_is_collected_together(assistant: Assistant) -> None:
    config = CollectConfig(n_reply=3, max_tokens=8, seed=4)
    together = collect(assistant, "ab12", PROMPTS, config)
    alone = [
        collect(assistant, "ab12", [prompt], config, first=i)[0] for i, prompt in enumerate(PROMPTS)
    ]
    assert together == alone
    assert all(item.are_different for item in together)
    assert {reply.weights for item in together for reply in item.replies} == {"ab12"}


def test_greedy_replies_are_equal(assistant: Assistant) -> None:
    config = CollectConfig(temperature=0.0, max_tokens=4)
    assert not any(item.are_different for item in collect(assistant, "", PROMPTS, config))


def test_another_prompt_takes_the_place_of_one_with_equal_replies(
    folder: Path, tmp_path: Path
) -> None:
    config = CollectConfig(max_tokens=1, n_attempt=1, temperature=0.02)
    prompts = own_prompts(folder / "sft", 60, seed=0)
    cache = tmp_path / "new folder" / "replies.jsonl"
    few = sampled_candidates(folder / "sft", prompts, config, cache, 4)
    sampled = read_candidates(cache)
    assert len(sampled) > len(few) == 4  # some prompts got equal replies
    assert few == [item for item in sampled if item.are_different][:4]
    before = cache.read_bytes()
    assert sampled_candidates(folder / "sft", prompts, config, cache, 4) == few
    assert cache.read_bytes() == before
    more = sampled_candidates(folder / "sft", prompts, config, cache, 6)
    assert more[:4] == few
    assert len(more) == 6


def test_nothing_is_left_behind_where_there_is_no_model(folder: Path) -> None:
    with pytest.raises(InputError):
        chatwright("rate", folder / "world")
    assert not (folder / "world" / "feedback").exists()


def test_equal_replies_are_ranked_once() -> None:
    first, same, other = (
        RatedReply(Message("assistant", text), weights)
        for text, weights in (("Hi", "a"), ("Hi", "b"), ("Ho", "a"))
    )
    candidates = Candidates(PROMPTS[0], (first, same, other))
    assert candidates.without_equal() == Candidates(PROMPTS[0], (first, other))


def test_prompts_with_two_different_replies_of_several_are_ranked(assistant: Assistant) -> None:
    config = SimulationConfig(
        n_ranking=8, collect=CollectConfig(n_reply=6, max_tokens=1, n_attempt=1, temperature=0.02)
    )
    found = simulate_feedback(assistant, "", make_fact_table(0.05), config)
    sizes = {len(ranking.replies) for ranking in found.rankings}
    assert min(sizes) >= 2
    assert len(sizes) > 1  # as many as differ, not all six or none


def test_one_reply_is_not_enough() -> None:
    with pytest.raises(InputError):
        CollectConfig(n_reply=1)


def test_simulated_feedback_is_marked_and_repeatable(assistant: Assistant) -> None:
    table = make_fact_table(0.05)
    config = SimulationConfig(
        n_ranking=12,
        overlap=0.5,
        raters=RaterSettings(n_rater=4),
        collect=CollectConfig(max_tokens=8),
    )
    first = simulate_feedback(assistant, "ab12", table, config)
    assert first == simulate_feedback(assistant, "ab12", table, config)
    assert all(item.is_simulated for item in first.rankings)
    assert all(item.rater.startswith("simulated") for item in first.rankings)
    prompts = [item.prompt for item in first.rankings]
    assert len(set(prompts)) == 12
    assert 12 < len(prompts) < 24
    by_prompt = {
        prompt: {i.rater for i in first.rankings if i.prompt == prompt} for prompt in prompts
    }
    assert sum(map(len, by_prompt.values())) == len(prompts)  # nobody ranks a prompt twice


def test_too_few_different_replies_are_an_error(assistant: Assistant) -> None:
    config = SimulationConfig(
        n_ranking=2, collect=CollectConfig(temperature=0.0, max_tokens=2, n_attempt=1)
    )
    with pytest.raises(InputError) as caught:
        simulate_feedback(assistant, "", make_fact_table(0.05), config)
    assert caught.value.field == "n_ranking"


def test_the_command_writes_a_snapshot(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "simulated.jsonl"
    printed = chatwright("feedback", "simulate", folder / "sft", out, "--pairs", 6)
    snapshot = read_snapshot(out)
    assert snapshot.is_simulated
    assert "SIMULATED" in printed
    assert {len(item.prompt) > 0 for item in snapshot.feedback} == {True}


def test_other_models_than_the_starter_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        chatwright("feedback", "simulate", tmp_path / "a" / "b" / "c", tmp_path / "out.jsonl")
    assert caught.value.field == "DIRECTORY"


def test_rating_samples_once_and_continues(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    from chatwright.cli.rating import sources

    out = tmp_path / "feedback"

    def rate(keys: str) -> str:
        from typer.testing import CliRunner

        from chatwright.cli.app import app

        arguments = ["rate", str(folder / "sft"), "--count", "4", "--out", str(out)]
        result = CliRunner().invoke(app, [*arguments, "--rater", "ann"], input=keys)
        assert result.exception is None, result.exception
        return result.output

    rate("1=q")
    replies = (out / "replies.jsonl").read_bytes()
    monkeypatch.setattr(sources, "open_sampling_assistant", None)  # nothing is sampled again
    rate("2b")
    assert (out / "replies.jsonl").read_bytes() == replies
    snapshots = sorted(out.glob("snapshot-*.jsonl"))
    first, second = map(read_snapshot, snapshots)
    assert [len(first.feedback), len(second.feedback)] == [2, 4]
    assert second.previous == first.sha256
    assert not second.is_simulated
    rate("")  # nothing new: no further snapshot
    assert sorted(out.glob("snapshot-*.jsonl")) == snapshots


def test_prompts_come_from_a_file_and_pairs_need_no_model(folder: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "Hello there!"}) + "\n")
    out = tmp_path / "feedback"
    chatwright("rate", folder / "sft", "--prompts", prompts, "--out", out)
    row = json.loads((out / "replies.jsonl").read_text())
    assert row["prompt"][0]["content"] == "Hello there!"
    pairs = out / "replies.jsonl"
    chatwright("rate", folder / "sft", "--pairs", pairs, "--out", tmp_path / "other")
    assert not (tmp_path / "other" / "replies.jsonl").exists()
