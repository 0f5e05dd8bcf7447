"""One round of people's preferences on an open model, with figures before and after.

    python benchmarks/real_round.py MODEL FEEDBACK WIKITEXT OUT [KEY=VALUE ...]

MODEL is a fetched model, FEEDBACK a set that `python recipes/feedback_data.py` wrote, such as
FEEDBACK/pandalm, and WIKITEXT a file of general text. Copies the model to OUT/model, runs the
recipe loop-real on train.jsonl there, and prints for the model before and after: the accuracy on
the pairs of test.jsonl, bits per byte of the text, and replies to the first ten test prompts.
KEY=VALUE are further settings of the recipe, such as improve.dpo.loop.steps=40. Writes
OUT/results.json.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import model_directory, registry
from chatwright.data.encoded.preferences import EncodedPreferences, encode_preferences
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import PreferenceRow
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.evaluation.bootstrap import ratio_interval
from chatwright.model.gpt import GPT
from chatwright.pipeline.evaluate import reply_greedily
from chatwright.pipeline.model_versions import versions_directory
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.batches.preferences import PreferenceBatchConfig, PreferenceBatches
from chatwright.training.log_probs import frozen_log_probs

N_REPLY = 10
LONGEST = 1024
"""Longest conversation of the test part, in tokens."""
TEXT_BYTES = 100_000
"""General text that bits per byte are measured on."""
WINDOW = 1024


def test_pairs(feedback: Path, tokenizer: Tokenizer) -> list[PreferenceRow]:
    """Return the pairs of the test part, without those of too long conversations."""
    path = feedback / "test.jsonl"
    rows = read_kind(PreferenceRow, path, DEFAULTS, name="preferences", remedy="").rows
    return [row for row in rows if len(encode_preferences([row], tokenizer, LONGEST))]


@torch.no_grad()
def log_probs(model: GPT, pairs: EncodedPreferences, pad: int) -> torch.Tensor:
    """Return the log-probabilities of all chosen and rejected replies, (2, number of pairs)."""
    config = PreferenceBatchConfig(rows=8)
    batches = PreferenceBatches(pairs, pad, config, 1, torch.device("cpu"))
    table = torch.empty(2, len(pairs))
    for micro in batches.all_rows():
        found = frozen_log_probs(model, micro.texts, torch.float32)
        table[:, micro.pairs] = found.view(2, -1)
    return table


def accuracy(margins: torch.Tensor, prompts: Sequence[str]) -> str:
    """Return the share of margins above 0, with an interval from resampled prompts."""
    points = (margins > 0).float() + 0.5 * (margins == 0).float()
    by_prompt: dict[str, list[float]] = {}
    for prompt, point in zip(prompts, points.tolist(), strict=True):
        by_prompt.setdefault(prompt, []).append(point)
    sums = [sum(its) for its in by_prompt.values()]
    counts = [len(its) for its in by_prompt.values()]
    low, high = ratio_interval(sums, counts)
    return f"{sum(sums) / sum(counts):.3f} ({low:.3f} to {high:.3f})"


def text_figures(model: GPT, tokenizer: Tokenizer, text: str, rows: list[PreferenceRow]) -> Any:
    """Return bits per byte of the text, and greedy replies to the first prompts."""
    prompts = list(dict.fromkeys(row.prompt for row in rows))[:N_REPLY]
    replies = reply_greedily(model, tokenizer, prompts)
    return {
        "bits_per_byte": bits_per_byte(model, tokenizer, text, WINDOW).bits_per_byte,
        "replies": [
            [message_text(prompt[-1]), message_text(reply.message)]
            for prompt, reply in zip(prompts, replies, strict=True)
        ],
    }


def main(arguments: list[str]) -> None:
    """Run the round, measure and write the results."""
    model, feedback, wikitext, out = map(Path, arguments[:4])
    out.mkdir(parents=True, exist_ok=True)
    start = out / "model"
    if not start.exists():
        shutil.copytree(model, start)
    command = [sys.executable, "-m", "chatwright", "run", "loop-real", "--from", str(start)]
    command += ["--data", str(feedback / "train.jsonl"), *arguments[4:]]
    began = time.monotonic()
    subprocess.run(command, check=True)
    results: dict[str, Any] = {"seconds": round(time.monotonic() - began)}
    versions = registry.read(versions_directory(start))
    rows = test_pairs(feedback, load_tokenizer(model))
    text = wikitext.read_text(encoding="utf-8")[:TEXT_BYTES]
    tables = {}
    for name, path in (("before", model), ("after", versions.path_of(versions.versions[-1]))):
        loaded, tokenizer = model_directory.load(path)
        pairs = encode_preferences(rows, tokenizer, LONGEST)
        tables[name] = log_probs(loaded, pairs, tokenizer.control.pad)
        results[name] = text_figures(loaded, tokenizer, text, rows)
    prompts = [row.prompt[-1].text for row in rows]
    gain = tables["after"] - tables["before"]
    results["pairs"] = len(rows)
    results["prompts"] = len(set(prompts))
    # Before the training, all implicit rewards are 0 and the accuracy is one half.
    results["implicit reward"] = accuracy(gain[0] - gain[1], prompts)
    for name, table in tables.items():
        results[f"log-probability {name}"] = accuracy(table[0] - table[1], prompts)
    printed = json.dumps(results, indent=1, ensure_ascii=False)
    (out / "results.json").write_text(printed, encoding="utf-8")
    print(printed)


if __name__ == "__main__":
    main(sys.argv[1:])
