"""Tune an open model on 100 conversations by the default command, and measure what it did.

Usage: python benchmarks/fine_tune_open_model.py BASE INSTRUCTIONS.json WIKITEXT.txt OUT

BASE is an imported model. INSTRUCTIONS.json holds Alpaca rows (instruction, input, output): the
first 100 are the data, the last 20 the held-out prompts. WIKITEXT.txt is general text. OUT gets the
data, the adapter, the merged model, its exports, results.json, and replies.md with all replies.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.evaluation.bits_per_byte import bits_per_byte as score_text
from chatwright.pipeline.evaluate import reply_greedily

N_TRAIN = 100
N_HELD_OUT = 20
GENERAL_BYTES = 100_000
WINDOW = 1024
N_COMPARED = 20


def main() -> None:
    """Run every part and write results.json."""
    base, instructions, wikitext, out = map(Path, sys.argv[1:5])
    out.mkdir(parents=True)
    rows = json.loads(instructions.read_text(encoding="utf-8"))
    (out / "data").mkdir()
    (out / "data" / "train.json").write_text(json.dumps(rows[:N_TRAIN]), encoding="utf-8")
    held_out = rows[-N_HELD_OUT:]
    general = wikitext.read_text(encoding="utf-8")[:GENERAL_BYTES]

    results: dict[str, Any] = {"threads": torch.get_num_threads()}
    results["bits_per_byte_before"] = bits_per_byte(base, general)
    results["replies_before"] = replies(base, held_out)
    began = time.perf_counter()
    lines = chatwright(
        "train", "sft", "--from", base, "--data", out / "data", "--out", out / "adapter",
        "lora.rank=8",
    )  # fmt: skip
    results["seconds"] = round(time.perf_counter() - began, 1)
    results["printed"] = lines
    notes = json.loads((out / "adapter" / "model" / "training.json").read_text(encoding="utf-8"))
    results["outcome"] = notes["outcome"]
    results["merge"] = chatwright("merge", out / "adapter", out / "merged")
    results["bits_per_byte_after"] = bits_per_byte(out / "merged", general)
    results["replies_after"] = replies(out / "merged", held_out)
    (out / "replies.md").write_text(replies_table(results), encoding="utf-8")
    (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    chatwright("export", out / "merged", out / "exported")
    chatwright("export", out / "merged", out / "model.gguf", "--format", "gguf")
    results["top_tokens"] = top_tokens(out, held_out)
    (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    shown = {name: value for name, value in results.items() if not name.startswith("replies")}
    print(json.dumps(shown, indent=1))


def chatwright(*words: object) -> str:
    """Run a command in a new process and return what it printed."""
    command = [sys.executable, "-m", "chatwright", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr}")
    return done.stderr + done.stdout


def bits_per_byte(path: Path, text: str) -> float:
    """Return the bits per byte of a model on a text, in windows of WINDOW tokens."""
    model, tokenizer = model_directory.load(path)
    return score_text(model, tokenizer, text, WINDOW).bits_per_byte


def prompt_of(row: dict[str, str]) -> str:
    """Return the user's message of an Alpaca row."""
    return f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]


def replies(path: Path, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the greedy reply to each held-out prompt, beside the reference."""
    model, tokenizer = model_directory.load(path)
    prompts = [[Message("user", prompt_of(row))] for row in rows]
    answers = reply_greedily(model, tokenizer, prompts)
    return [
        {
            "prompt": prompt_of(row),
            "reply": answer.message.text,
            "reference": row["output"],
            "stopped": answer.stopped,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]


def replies_table(results: dict[str, Any]) -> str:
    """Return the replies before and after, side by side as a Markdown table."""
    lines = ["| prompt | reply before | reply after |", "|---|---|---|"]
    for before, after in zip(results["replies_before"], results["replies_after"], strict=True):
        cells = [before["prompt"], before["reply"], after["reply"]]
        shown = [cell.replace("|", "\\|").replace("\n", " ⏎ ") for cell in cells]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


@torch.no_grad()
def top_tokens(out: Path, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Return how often transformers and llama.cpp have our most probable next token."""
    from transformers import AutoModelForCausalLM

    ours, tokenizer = model_directory.load(out / "merged")
    theirs: Any = AutoModelForCausalLM.from_pretrained(out / "exported")
    prompts = [tokenizer.encode(f"{prompt_of(row)}\n{row['output']}") for row in rows[:N_COMPARED]]
    equal = total = 0
    for ids in prompts:
        tokens = torch.tensor([ids])
        same = ours(tokens).argmax(-1) == theirs(tokens).logits.argmax(-1)
        equal += int(same.sum())
        total += same.numel()
    next_ids = [int(ours(torch.tensor([ids]))[0, -1].argmax()) for ids in prompts]
    in_llama_cpp = [llama_cpp_next(out / "model.gguf", ids) for ids in prompts]
    return {
        "transformers": f"{equal} of {total} positions",
        "llama.cpp": f"{sum(a == b for a, b in zip(next_ids, in_llama_cpp, strict=True))} of "
        f"{len(prompts)} prompts",
    }


_SERVERS: dict[Path, Any] = {}


def llama_cpp_next(file: Path, ids: list[int]) -> int:
    """Return llama.cpp's most probable token after the prompt."""
    import xllamacpp

    if file not in _SERVERS:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx = 1024
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.fit_params = False
        _SERVERS[file] = xllamacpp.Server(parameters)
    request = {"prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": 2}
    answer = _SERVERS[file].handle_completions(request)
    content = answer["choices"][0]["logprobs"]["content"]
    return int(content[0]["top_logprobs"][0]["id"])


if __name__ == "__main__":
    main()
