"""A reward model scores rollouts as it scores conversations, and a run can learn from it."""

import json
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.load_reward_model import load_reward_model
from chatwright.pipeline.reward_model_source import reward_model_source
from chatwright.tokenizer.characters import CharacterTokenizer
from tests.pipeline.run_command import chatwright

CPU = torch.device("cpu")
QUESTIONS = [f"Boat {i}?" for i in range(20)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained chat model, a reward model with random weights, and prompts."""
    folder = tmp_path_factory.mktemp("source")
    tokenizer = CharacterTokenizer.train([*QUESTIONS, "No. Yes."])
    for name, head in (("chat", "language_model"), ("reward", "scalar")):
        model = GPT(
            preset(
                "nano", vocab_size=tokenizer.vocab_size, n_layer=1, d_model=32, d_ff=64,
                context_length=64, head=head,
            )
        )  # fmt: skip
        init_weights(model, generator(1, "weights"))
        if model.scalar_head is not None:
            with torch.no_grad():
                model.scalar_head.score.weight.normal_(generator=generator(1, "head"))
        model_directory.save(folder / name, model, tokenizer)
    lines = [json.dumps({"prompt": question}) + "\n" for question in QUESTIONS]
    (folder / "prompts.jsonl").write_text("".join(lines))
    return folder


def test_scores_are_those_of_the_conversations(folder: Path) -> None:
    prompts = [PromptRow((Message("user", text),), Location("p")) for text in QUESTIONS[:3]]
    replies = [Message("assistant", text) for text in ("Yes.", "No. No.", "")]
    conversations = [(*p.messages, reply) for p, reply in zip(prompts, replies, strict=True)]
    expected = load_reward_model(folder / "reward").scores(conversations)
    assert reward_model_source(folder / "reward", CPU).scores(prompts, replies) == expected
    assert len(set(expected)) == 3


@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_a_run_reads_the_scores_and_is_identified_by_the_models_weights(
    folder: Path, stage: str
) -> None:
    out = folder / stage
    chatwright(
        "train", stage, "--from", folder / "chat", "--data", folder / "prompts.jsonl",
        "--out", out, f"reward.model={folder / 'reward'}", "reward.model_weight=2.0",
        "reward.rules.stops=1.0", "loop.steps=2", "loop.precision=float32",
        "rollouts.prompts=2", "rollouts.samples=2", "rollouts.reply_tokens=8", "alarms.is_on=false",
    )  # fmt: skip
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first = next(record for record in records if "reward_model" in record)
    assert first["reward"] == pytest.approx(2 * first["reward_model"] + first["reward_stops"])
    described = json.loads((out / "run.json").read_text())["data"]["rewards"]
    assert described == {"model": reward_model_source(folder / "reward", CPU).identity}


def test_a_model_without_a_score_is_refused(folder: Path) -> None:
    with pytest.raises(InputError):
        reward_model_source(folder / "chat", CPU)
