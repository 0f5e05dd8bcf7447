"""The best of n replies: which is kept, what is reported, and a resumed run."""

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import ChatRow, Location, PromptRow
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline import best_of_n
from chatwright.pipeline.best_of_n import BestReply, conversation_row, read_samples, summarize
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.checks import RunFailed
from chatwright.training.rollouts import Rollout
from tests.pipeline.run_command import chatwright

TOKENIZER = CharacterTokenizer.train(
    ["when does boat 0123456789 leave? at noon. Hello! Who are you?"]
)
ROOT = Path(__file__).resolve().parents[2]
N_PROMPT = 40
QUICK = ["n=4", "reply_tokens=8"]
SHORTER = "reward.rules.shorter=1.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, whose replies end at random, and prompts."""
    folder = tmp_path_factory.mktemp("best")
    config = preset(
        "nano",
        vocab_size=TOKENIZER.vocab_size,
        n_layer=1,
        d_model=32,
        d_ff=64,
        context_length=64,
    )
    model = GPT(config)
    init_weights(model, generator(1, "weights"))
    model_directory.save(folder / "model", model, TOKENIZER)
    rows = [{"prompt": f"when does boat {i} leave?"} for i in range(N_PROMPT)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def sample(folder: Path, out: Path, *settings: str) -> dict[str, Any]:
    chatwright(
        "best-of-n", "--from", folder / "model", "--data", folder / "prompts.jsonl", "--out", out,
        *QUICK, *(settings or (SHORTER,)),
    )  # fmt: skip
    figures: dict[str, Any] = json.loads((out / "best-of-n.json").read_text())
    return figures


def samples_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()[1:]]


def test_the_kept_replies_are_those_with_the_largest_reward(folder: Path, tmp_path: Path) -> None:
    """Computed again from the samples, the slow way."""
    figures = sample(folder, tmp_path)
    samples = samples_of(tmp_path)
    assert len(samples) == N_PROMPT
    assert all(item["rewards"] == [-float(n) for n in item["tokens"]] for item in samples)
    rewards = [reward for item in samples for reward in item["rewards"]]
    assert figures["reward"] == pytest.approx(sum(rewards) / len(rewards))
    kept = [item for item in samples if item["best"] is not None]
    assert 0 < len(kept) < N_PROMPT, "an untrained model also writes only unfinished replies"
    best = [item["rewards"][item["best"]] for item in kept]
    assert figures["best_reward"] == pytest.approx(sum(best) / len(kept))
    assert figures["best_tokens"] == pytest.approx(-sum(best) / len(kept))
    assert figures["n_without_reply"] == N_PROMPT - len(kept)
    rows = list(read_rows(str(tmp_path / "replies.jsonl")))
    assert figures["kept"] == len(rows) == len(kept)
    assert all(isinstance(row, ChatRow) for row in rows)


def rollout(text: str, reason: Literal["stop", "length"] = "stop") -> Rollout:
    ids = TOKENIZER.encode(text)
    return Rollout([], ids, [0.0] * len(ids), reason)


def test_empty_and_unfinished_replies_are_never_kept() -> None:
    """Each of them has the largest reward here."""
    sampler = best_of_n.BestOfNSampler.__new__(best_of_n.BestOfNSampler)
    sampler.tokenizer = TOKENIZER
    replies = [rollout(""), rollout("noon", "length"), rollout("at"), rollout("at noon")]
    best = sampler._best(replies, [9.0, 8.0, 1.0, 2.0])
    assert (best.best, best.reward) == (3, 2.0)
    assert best.reply["content"] == "at noon"
    none = sampler._best(replies[:2], [9.0, 8.0])
    assert (none.best, none.reply, none.reward) == (None, {}, -math.inf)


def test_the_bound_of_the_divergence_equals_numbers_worked_by_hand() -> None:
    """Stiennon et al. 2020, appendix G.3: log n - (n - 1) / n."""
    best = [BestReply({}, 1, [0.0, 1.0], [3, 5])]
    assert summarize(2, best).kl_bound == pytest.approx(0.6931472 - 0.5)
    best = [BestReply({}, 0, [0.0] * 8, [1] * 8)]
    assert summarize(8, best).kl_bound == pytest.approx(2.0794415 - 0.875)


def test_the_bound_is_that_of_the_exact_distribution_of_the_best() -> None:
    """Of n replies without ties, the best has density n F^(n-1): its divergence, integrated."""
    n = 4
    steps = 200_000
    quantiles = ((i + 0.5) / steps for i in range(steps))
    exact = sum(n * u ** (n - 1) * math.log(n * u ** (n - 1)) for u in quantiles) / steps
    assert summarize(n, [BestReply({}, 0, [0.0] * n, [1] * n)]).kl_bound == pytest.approx(exact)


def test_of_equal_replies_the_first_is_kept_and_prompts_without_choice_are_counted() -> None:
    sampler = best_of_n.BestOfNSampler.__new__(best_of_n.BestOfNSampler)
    sampler.tokenizer = TOKENIZER
    replies = [rollout("at"), rollout("noon"), rollout("boat")]
    assert sampler._best(replies, [1.0, 2.0, 2.0]).best == 1
    best = [BestReply({}, 1, [1.0, 2.0, 2.0], [4, 5, 6]), BestReply({}, 0, [3.0] * 3, [7, 8, 9])]
    figures = summarize(3, best)
    assert (figures.best_tokens, figures.n_without_choice) == (6.0, 1)


def test_only_the_new_reply_of_a_longer_conversation_is_learned(tmp_path: Path) -> None:
    messages = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    best = BestReply({"role": "assistant", "content": "d"}, 1, [0.0, 1.0], [1, 1])
    path = tmp_path / "rows.jsonl"
    path.write_text(conversation_row(PromptRow(messages, Location("x")), best))
    [row] = read_rows(str(path))
    assert isinstance(row, ChatRow)
    assert row.messages == (*messages, Message("assistant", "d"))
    assert [row.learned[i] for i in (1, 3)] == [False, True]


def test_a_resumed_run_samples_only_the_rest_and_equals_an_uninterrupted_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample(folder, tmp_path / "whole")
    whole = (tmp_path / "whole" / "samples.jsonl").read_bytes()
    # Killed while the third group was written: two whole groups, one prompt and a torn line.
    lines = whole.splitlines(keepends=True)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "samples.jsonl").write_bytes(b"".join(lines[:34]) + lines[34][:9])
    groups: list[int] = []
    sample_group = best_of_n.BestOfNSampler._sample_group

    def counted(self: Any, rows: Any, token_ids: Any, group: int) -> Any:
        groups.append(group)
        return sample_group(self, rows, token_ids, group)

    monkeypatch.setattr(best_of_n.BestOfNSampler, "_sample_group", counted)
    sample(folder, tmp_path / "killed")
    assert groups == [2], "the first 32 of 40 prompts were kept"
    for name in ("samples.jsonl", "replies.jsonl", "best-of-n.json"):
        resumed = (tmp_path / "killed" / name).read_bytes()
        assert resumed == (tmp_path / "whole" / name).read_bytes()
    sample(folder, tmp_path / "killed")
    assert groups == [2], "nothing is left to sample"


def test_samples_of_other_settings_are_not_continued(folder: Path, tmp_path: Path) -> None:
    sample(folder, tmp_path)
    with pytest.raises(InputError) as caught:
        sample(folder, tmp_path, SHORTER, "seed=2")
    assert caught.value.field == "--out"
    assert len(read_samples(tmp_path / "missing.jsonl", "")) == 0


def test_a_reward_that_prefers_no_reply_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        sample(folder, tmp_path, "reward.rules.format=1.0", "reward.format=json")
    assert caught.value.check == "no_choice"
    assert not (tmp_path / "replies.jsonl").exists()


def test_prompts_without_a_reply_that_is_good_enough_are_left_out(
    folder: Path, tmp_path: Path
) -> None:
    figures = sample(folder, tmp_path / "a", SHORTER, "lowest_reward=-3")
    rewards = [
        item["rewards"][item["best"]]
        for item in samples_of(tmp_path / "a")
        if item["best"] is not None
    ]
    kept = sum(reward >= -3 for reward in rewards)
    assert 0 < kept < len(rewards)
    assert figures["kept"] == kept
    with pytest.raises(RunFailed):
        sample(folder, tmp_path / "b", SHORTER, "lowest_reward=0")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ([SHORTER, "n=1"], "n"),
        ([SHORTER, "temperature=0"], "temperature"),
        (["seed=1"], "reward"),
        (["reward.rules.exact=1.0"], "answer"),
    ],
)
def test_wrong_settings_are_refused(
    folder: Path, tmp_path: Path, settings: list[str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        sample(folder, tmp_path, *settings)
    assert caught.value.field == field


def test_the_recipe_samples_and_then_learns_the_best_replies(folder: Path, tmp_path: Path) -> None:
    """Rows with the answers of an untrained model: it must repeat them to be right."""
    recipe = ROOT / "recipes" / "best-of-n.toml"
    rows = [{"prompt": f"when does boat {i} leave?", "answer": str(i % 10)} for i in range(48)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        "run", recipe, "--from", folder / "model", "--data", tmp_path / "rows.jsonl",
        "--out", tmp_path / "run", "best-of-n.reply_tokens=24", "best-of-n.n=8",
        "sft.loop.steps=2", "sft.batches.rows=2", "sft.validation_share=0.2",
        "sft.sample_tokens=4", "sft.stop_prompts=0",
    ]  # fmt: skip
    chatwright(*command)
    figures = json.loads((tmp_path / "run" / "best-of-n" / "best-of-n.json").read_text())
    assert figures["kept"] > 0
    assert figures["reward"] < figures["best_reward"] <= 1
    kept = list(read_rows(str(tmp_path / "run" / "best-of-n" / "replies.jsonl")))
    for row in kept:
        assert isinstance(row, ChatRow)
        boat = row.messages[0].text.split()[3]
        numbers = [int(n) for n in re.findall(r"\d+", message_text(row.messages[1]))]
        assert numbers[-1] == int(boat) % 10
    assert model_directory.holds_model(tmp_path / "run" / "sft")
    before = (tmp_path / "run" / "best-of-n" / "samples.jsonl").stat().st_mtime_ns
    chatwright(*command)
    after = (tmp_path / "run" / "best-of-n" / "samples.jsonl").stat().st_mtime_ns
    assert before == after, "a finished stage is skipped"
