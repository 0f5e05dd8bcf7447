"""Decoder runs that take a second, to stop, resume and repeat many times."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.conversation import Message
from chatwright.data.encoded.corpus import encode_texts
from chatwright.data.encoded.preferences import encode_preferences
from chatwright.data.encoded.rankings import encode_rankings
from chatwright.data.encoded.rated_replies import encode_replies
from chatwright.data.rows import Location, PreferenceRow, RankedRow
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.preferences import PreferenceBatchConfig, PreferenceBatches
from chatwright.training.batches.rankings import RankingBatchConfig, RankingBatches
from chatwright.training.batches.rated_replies import RatedReplyBatches
from chatwright.training.batches.windows import WindowBatches
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stage import BatchConfig, Stage
from chatwright.training.stages.dpo import DPO, PreferenceLoss
from chatwright.training.stages.kto import KTO, ClassWeights
from chatwright.training.stages.pretrain import Pretrain
from chatwright.training.stages.reward import RankingLoss, Reward
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation, StreamValidation
from chatwright.training.watcher import Stopped, Watcher

TEXTS = [
    "the cat sat on the mat and the dog sat on the log. ",
    "a bird in the hand is worth two in the bush, they say. ",
    "every good boy deserves a treat; every cat too. ",
    "the log was wet, the mat was dry, the bird could fly. ",
]
QUESTIONS = [
    ("who sat on the mat?", "the cat."),
    ("who sat on the log?", "the dog."),
    ("what could fly?", "the bird."),
    ("was the log wet?", "yes."),
]
CPU = torch.device("cpu")
LOOP = LoopConfig(
    steps=12,
    warmup=2,
    log_every=1,
    evaluate_every=5,
    save_every=4,
    precision="float32",
    device="cpu",
    average_decay=0.9,
)
BATCHES = BatchConfig(rows=8, context_length=16)
SFT_BATCHES = BatchConfig(rows=4, context_length=48)


def character_tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer.train([*TEXTS, *(text for pair in QUESTIONS for text in pair)])


def small_model(**changes: Any) -> GPT:
    """Return an untrained decoder with n-gram tables and all kinds of dropout."""
    shape = {
        "n_layer": 1,
        "d_model": 32,
        "d_ff": 64,
        "context_length": 48,
        "dropout": 0.1,
        "ngrams": (2, 3),
        "ngram_rows": 64,
        "n_previous": 1,
        "ngram_dropout": changes.get("dropout", 0.2),
        "embedding_dropout": changes.get("dropout", 0.1),
    }
    vocab_size = character_tokenizer().vocab_size
    model = GPT(preset("nano", vocab_size=vocab_size, **(shape | changes)))
    init_weights(model, generator(1, "weights"))
    return model


def pretrain_stage(
    batches: BatchConfig = BATCHES,
    seed: int = 1,
    dtype: torch.dtype = torch.float32,
    texts: list[str] = TEXTS,
) -> Pretrain:
    tokenizer = character_tokenizer()
    corpus = encode_texts(texts, tokenizer)
    validation = encode_texts(texts[:1], tokenizer)
    return Pretrain(
        WindowBatches(corpus, tokenizer.control.bos, batches, 48, seed, CPU),
        StreamValidation(validation, batches.context_length, dtype),
        dtype,
    )


def sft_stage(batches: BatchConfig = SFT_BATCHES, seed: int = 1) -> SFT:
    tokenizer = character_tokenizer()
    conversations = [
        render([Message("user", question), Message("assistant", answer)], tokenizer)
        for question, answer in QUESTIONS
    ]
    pad = tokenizer.control.pad
    training = PackedBatches(conversations, pad, batches, 48, seed, CPU)
    validation = PackedBatches(conversations[:1], pad, batches, 48, seed, CPU)
    return SFT(training, PackedValidation(validation, torch.float32), torch.float32)


def preference_rows() -> list[PreferenceRow]:
    """Return the questions with their answer as chosen, and a longer one as rejected."""
    return [
        PreferenceRow(
            (Message("user", question),),
            (Message("assistant", answer),),
            (Message("assistant", f"{answer} {answer} they say."),),
            Location("rows.jsonl", number),
        )
        for number, (question, answer) in enumerate(QUESTIONS, 1)
    ]


def dpo_stage(kind: PreferenceLoss = "dpo", beta: float = 0.1, rows: int = 3) -> DPO:
    tokenizer = character_tokenizer()
    pairs = encode_preferences(preference_rows(), tokenizer, 64)
    config = PreferenceBatchConfig(rows=rows)
    pad = tokenizer.control.pad
    return DPO(
        PreferenceBatches(pairs, pad, config, 1, CPU),
        PreferenceBatches(pairs, pad, config, 1, CPU),
        torch.float32,
        beta,
        kind,
    )


def reward_stage(kind: RankingLoss = "all_pairs", rows: int = 3) -> Reward:
    """Return a stage that learns to score the shorter answers higher."""
    tokenizer = character_tokenizer()
    rankings = [
        RankedRow(row.prompt, (row.chosen, row.rejected), (1, 2), "", row.location)
        for row in preference_rows()
    ]
    data = encode_rankings(rankings, tokenizer, 64)
    config = RankingBatchConfig(rows=rows)
    pad = tokenizer.control.pad
    return Reward(
        RankingBatches(data, pad, config, 1, CPU),
        RankingBatches(data, pad, config, 1, CPU),
        torch.float32,
        kind,
    )


def kto_stage(
    beta: float = 0.1,
    rows: int = 3,
    weights: ClassWeights = ClassWeights(),
    accumulate: int = 2,
    ratings: tuple[bool, ...] = (True, False),
) -> KTO:
    """Return a stage that learns from the pairs of `preference_rows` as single replies."""
    tokenizer = character_tokenizer()
    thumbs = [t for row in preference_rows() for t in row.thumbs() if t.is_good in ratings]
    replies = encode_replies(thumbs, tokenizer, 64, seed=1)
    config = PreferenceBatchConfig(rows=rows, accumulate=accumulate)
    pad = tokenizer.control.pad
    return KTO(
        RatedReplyBatches(replies, pad, config, 1, CPU),
        RatedReplyBatches(replies, pad, config, 1, CPU),
        torch.float32,
        beta,
        weights,
    )


def run(
    out: Path,
    loop: LoopConfig = LOOP,
    stage: Stage[Any, Any] | None = None,
    model: Any = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
    parent: Path | None = None,
) -> Path:
    """Train and return the directory of the finished model."""
    return train(
        out,
        model or small_model(),
        stage or pretrain_stage(),
        character_tokenizer(),
        loop,
        Watcher(say=say, should_stop=should_stop),
        parent,
    )


def stop_after(steps: int) -> Callable[[], bool]:
    """Return a `should_stop` that stops a run after its first `steps` steps."""
    calls = iter(range(1, 1_000_000))
    return lambda: next(calls) >= steps


def stopped_run(out: Path, steps: int, loop: LoopConfig = LOOP, **parts: Any) -> None:
    """Start or resume a run, and stop it after `steps` more steps."""
    with pytest.raises(Stopped):
        run(out, loop, should_stop=stop_after(steps), **parts)


def with_optimizer(loop: LoopConfig, **changes: Any) -> LoopConfig:
    return replace(loop, optimizer=replace(OptimizerConfig(), **changes))


def log_of(out: Path) -> list[dict[str, Any]]:
    """Return the records of a run's metrics.jsonl."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if not k.endswith("seconds")}
    return [_without_seconds(v) for v in value] if isinstance(value, list) else value


def state_bytes(out: Path, weights: str = "model.safetensors") -> dict[str, bytes]:
    """Return the parts of a finished run that must be bit-identical in two equal runs.

    These are the finished model, the last checkpoint, and the log without its times.
    """
    last = sorted((out / "checkpoints").glob("step-*"))[-1]
    numbers = json.loads((last / "train_state.json").read_text())
    numbers.pop("environment")
    numbers, log = _without_seconds(numbers), _without_seconds(log_of(out))
    return {
        "model": (out / "model" / weights).read_bytes(),
        "weights": (last / weights).read_bytes(),
        "state": (last / "train_state.safetensors").read_bytes(),
        "numbers": json.dumps(numbers).encode(),
        "log": json.dumps(log).encode(),
    }
