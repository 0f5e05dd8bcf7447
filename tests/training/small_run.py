"""A training run small enough to kill, resume and repeat many times. Also a program: python small_run.py OUT STEPS [SAVE_EVERY]."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from chatwright.conversation import Message
from chatwright.data.encoded_corpus import encode_texts
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.windows import WindowBatches
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stage import BatchConfig, Stage
from chatwright.training.stages.pretrain import Pretrain
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation, StreamValidation
from chatwright.training.watcher import Watcher

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
CPU = torch.device("cpu")


def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer.train([*TEXTS, *(text for pair in QUESTIONS for text in pair)])


def model(**changes: object) -> GPT:
    small = {
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
    made = GPT(preset("nano", vocab_size=tokenizer().vocab_size, **(small | changes)))
    init_weights(made, generator(1, "weights"))
    return made


def pretrain_stage(
    batches: BatchConfig = BATCHES,
    seed: int = 1,
    dtype: torch.dtype = torch.float32,
    texts: list[str] = TEXTS,
) -> Pretrain:
    chars = tokenizer()
    return Pretrain(
        WindowBatches(encode_texts(texts, chars), chars.control.bos, batches, 48, seed, CPU),
        StreamValidation(encode_texts(texts[:1], chars), batches.context_length, dtype),
        dtype,
    )


def sft_stage(batches: BatchConfig = BatchConfig(rows=4, context_length=48), seed: int = 1) -> SFT:
    chars = tokenizer()
    rendered = [render([Message("user", q), Message("assistant", a)], chars) for q, a in QUESTIONS]
    packed, held_out = (
        PackedBatches(some, chars.control.pad, batches, 48, seed, CPU)
        for some in (rendered, rendered[:1])
    )
    return SFT(packed, PackedValidation(held_out, torch.float32), torch.float32)


def run(
    out: Path,
    loop: LoopConfig = LOOP,
    stage: Stage | None = None,
    made: GPT | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
    parent: Path | None = None,
) -> Path:
    return train(
        out,
        made or model(),
        stage or pretrain_stage(),
        tokenizer(),
        loop,
        Watcher(say=say, should_stop=should_stop),
        parent,
    )


def state_bytes(out: Path, weights: str = "model.safetensors") -> dict[str, bytes]:
    """Everything of a finished run that must be the same twice: final weights, the last checkpoint, the log without its clock."""
    import json

    last = sorted((out / "checkpoints").glob("step-*"))[-1]
    numbers = {
        k: v
        for k, v in json.loads((last / "train_state.json").read_text()).items()
        if k not in ("seconds", "environment")
    }
    log = [
        {k: v for k, v in json.loads(line).items() if k != "seconds"}
        for line in (out / "metrics.jsonl").read_text().splitlines()
    ]
    return {
        "model": (out / "model" / weights).read_bytes(),
        "weights": (last / weights).read_bytes(),
        "state": (last / "train_state.safetensors").read_bytes(),
        "numbers": json.dumps(numbers).encode(),
        "log": json.dumps(log).encode(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(
        Path(sys.argv[1]),
        replace(
            LOOP, steps=int(sys.argv[2]), save_every=int(sys.argv[3]) if len(sys.argv) > 3 else 4
        ),
    )


def with_optimizer(loop: LoopConfig, **changes: object) -> LoopConfig:
    return replace(loop, optimizer=replace(OptimizerConfig(), **changes))
