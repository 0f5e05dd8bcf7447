"""Positive control of every method that learns from preferences: "shorter is better".

The right answer is known: the model gives three answers equally often, and each method learns to
prefer the shorter one. Within 20 steps its sampled replies must become shorter.
"""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT
from chatwright.tokenizer.tokenizer import load_tokenizer
from tests.pipeline.run_command import chatwright

pytestmark = pytest.mark.ci

ANSWERS = ("At noon.", "At noon or later.", "At noon or later or not at all.")
"""The answers of the model before training, the shortest first."""
N_PROMPT = 24
N_HELD_OUT = 8
N_SAMPLE = 8
STEPS = "loop.steps=20"
QUICK = ["loop.evaluate_every=10", "loop.precision=float32", "sample_tokens=4"]


def prompts(first: int, n: int) -> list[str]:
    return [f"When does boat {i} leave?" for i in range(first, first + n)]


TRAINING = prompts(0, N_PROMPT)
HELD_OUT = prompts(N_PROMPT, N_HELD_OUT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned model, and one file of preferences for each kind of feedback."""
    folder = tmp_path_factory.mktemp("shorter")
    chat = [{"prompt": p, "completion": a} for p in TRAINING for a in ANSWERS]
    pairs = [
        {"prompt": p, "chosen": shorter, "rejected": longer}
        for p in TRAINING
        for shorter, longer in combinations(ANSWERS, 2)
    ]
    thumbs = [
        {"prompt": p, "completion": answer, "label": answer == ANSWERS[0]}
        for p in TRAINING
        for answer in ANSWERS
    ]
    questions = [{"prompt": p} for p in TRAINING]
    files = {"chat": chat, "pairs": pairs, "thumbs": thumbs, "prompts": questions}
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "texts").mkdir()
    for i in range(8):
        text = "When does the boat leave? " + " ".join(ANSWERS)
        (folder / "texts" / f"{i}.txt").write_text(f"Boat {i}. {text}")
    tiny = ["model.n_layer=1", "model.d_model=32", "model.d_ff=64", "model.context_length=64"]
    chatwright(
        "train", "pretrain", "--data", folder / "texts", "--out", folder / "base",
        "--vocab-size", 290, "model.size=nano", *tiny, "loop.steps=3", "batches.rows=2",
        "loop.precision=float32",
    )  # fmt: skip
    chatwright(
        "train", "sft", "--from", folder / "base", "--data", folder / "chat.jsonl",
        "--out", folder / "sft", "loop.steps=250", "loop.precision=float32", "batches.rows=4",
        "loop.evaluate_every=250", "stop_prompts=4", "sample_tokens=4",
    )  # fmt: skip
    return folder


def tokens_per_reply(model_folder: Path) -> float:
    """Return the mean number of tokens of replies sampled at temperature 0.8."""
    path = model_directory.find(model_folder)
    model, _ = model_directory.load(path, kind=GPT)
    with Engine(model) as engine:
        assistant = Assistant(engine, load_tokenizer(path))
        replies = [
            reply
            for seed, prompt in enumerate(HELD_OUT)
            for reply in assistant.choices(
                [Message("user", prompt)],
                SamplingConfig(temperature=0.8, max_tokens=32, seed=seed, n=N_SAMPLE),
            )
        ]
    return sum(reply.usage.completion_tokens for reply in replies) / len(replies)


Method = Callable[[Path, Path], None]
"""Train from FOLDER/sft, with data of FOLDER, into another directory."""


def training(kind: str, data: str, *settings: str) -> Method:
    """Return the method that is one `chatwright train` command."""

    def run(folder: Path, out: Path) -> None:
        chatwright(
            "train", kind, "--from", folder / "sft", "--data", folder / data, "--out", out,
            STEPS, *QUICK, *settings,
        )  # fmt: skip

    return run


def best_of_n(folder: Path, out: Path) -> None:
    """Fine-tune on the shortest of the replies to each prompt."""
    replies = out.with_name("best")
    chatwright(
        "best-of-n", "--from", folder / "sft", "--data", folder / "prompts.jsonl",
        "--out", replies, "reward.rules.shorter=1.0", "reply_tokens=32",
    )  # fmt: skip
    chatwright(
        "train", "sft", "--from", folder / "sft", "--data", replies / "replies.jsonl",
        "--out", out, STEPS, *QUICK, "stop_prompts=4",
    )  # fmt: skip


RATE = "loop.optimizer.learning_rate=0.001"
METHODS: dict[str, Method] = {
    "dpo": training("dpo", "pairs.jsonl", RATE),
    "ipo": training("dpo", "pairs.jsonl", RATE, "loss=ipo"),
    "kto": training("dpo", "thumbs.jsonl", RATE, "loss=kto"),
    "best-of-n": best_of_n,
}


@pytest.fixture(scope="module")
def tokens_before(folder: Path) -> float:
    return tokens_per_reply(folder / "sft")


@pytest.fixture(scope="module")
def answer_tokens(folder: Path) -> list[int]:
    """The number of tokens of each answer and of the end of its turn."""
    tokenizer = load_tokenizer(model_directory.find(folder / "sft"))
    return [len(tokenizer.encode(answer)) + 1 for answer in ANSWERS]


def test_the_model_gives_all_three_answers_before_training(
    tokens_before: float, answer_tokens: list[int]
) -> None:
    """Otherwise no method could make the replies shorter, and the control would be empty."""
    assert answer_tokens[0] + 1 < tokens_before < answer_tokens[-1] - 1


@pytest.mark.parametrize("name", METHODS)
def test_the_preference_for_shorter_replies_shortens_them(
    name: str, folder: Path, tokens_before: float, answer_tokens: list[int], tmp_path: Path
) -> None:
    """The replies come at least half of the way to the shortest answer."""
    METHODS[name](folder, tmp_path / name)
    tokens_after = tokens_per_reply(tmp_path / name)
    assert tokens_after < (tokens_before + answer_tokens[0]) / 2
