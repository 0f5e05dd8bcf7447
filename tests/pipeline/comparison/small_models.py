"""Two small untrained chat models, prompts, and replies that a test chooses itself."""

from collections.abc import Callable
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.readers.feedback_json import message_to_json
from chatwright.data.rows import Location, PromptRow
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.comparison.kept_results import KeptResults
from chatwright.pipeline.comparison.model_hash import model_hash
from chatwright.pipeline.comparison.samples import SampleConfig, reply_key
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["abcdefgh 0123456789.?+="])
SHAPE = {"n_layer": 1, "d_model": 32, "d_ff": 64, "context_length": 64, "n_head": 2}
CONFIG = SampleConfig(samples=2, max_tokens=8)


def save_model(path: Path, seed: int) -> Path:
    """Write an untrained model, whose replies are random characters."""
    model = GPT(preset("nano", vocab_size=TOKENIZER.vocab_size, **SHAPE))
    init_weights(model, generator(seed, "weights"))
    model_directory.save(path, model, TOKENIZER)
    return path


def prompts(n: int) -> list[PromptRow]:
    """Sums as prompts, half of them of the kind "even"."""
    return [
        PromptRow(
            (Message("user", f"{i}+{i}=?"),),
            Location("prompts", i),
            str(2 * i),
            ("odd", "even")[i % 2],
        )
        for i in range(n)
    ]


def keep_replies(
    out: Path,
    model: Path,
    rows: list[PromptRow],
    text: Callable[[PromptRow, int], str],
    config: SampleConfig = CONFIG,
) -> None:
    """Keep these replies as if the model had sampled them."""
    kept = KeptResults(out / "kept.jsonl")
    model_id = model_hash(model)
    for row in rows:
        for k in range(config.samples):
            reply = text(row, k)
            kept[reply_key(model_id, row, config, k)] = {
                "message": message_to_json(Message("assistant", reply)),
                "n_token": len(reply) + 1,
                "reason": "stop",
            }
