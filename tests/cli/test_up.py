"""`chatwright up` killed at any moment goes on where it was and ends with the same weights; the page is there from the start."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import directory

RECIPE = """
stages = ["world", "tokenizer", "pretrain", "sft"]
[world]
kind = "starter"
size = 0.02
[tokenizer]
data = "{world}/world/pretrain.jsonl"
vocab_size = 300
[pretrain]
data = "{world}/world/pretrain.jsonl"
chat = "{world}/world/chat.jsonl"
sample_prompts = ["Hello!"]
sample_tokens = 4
[pretrain.model]
size = "speedrun"
n_layer = 1
d_model = 32
n_head = 1
n_kv_head = 1
head_dim = 32
d_ff = 32
context_length = 512
ngrams = [2]
ngram_rows = 64
[pretrain.batches]
rows = 2
context_length = 64
[pretrain.loop]
steps = 30
log_every = 1
evaluate_every = 10
save_every = 4
[sft]
data = "{world}/world/chat.jsonl"
sample_prompts = ["Hello!"]
sample_tokens = 4
stop_prompts = 0
[sft.batches]
rows = 1
[sft.loop]
steps = 12
log_every = 1
evaluate_every = 6
save_every = 3
"""


STAGES = ("world", "tokenizer", "pretrain", "sft")
STEPS = {"pretrain": 30, "sft": 12}


class Up:
    """One call of the program, its output read line by line."""

    def __init__(self, place: Path, out: Path) -> None:
        command = [
            str(Path(sys.executable).with_name("chatwright")),
            "up",
            str(place / "r.toml"),
            "--out",
            str(out),
            "--port",
            "0",
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []

    def read_until(self, wanted: str = "", n_lines: int = 10**9) -> bool:
        """True as soon as a line begins with `wanted` or n_lines were read; False at the end of the output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if (wanted and line.startswith(wanted)) or len(self.lines) >= n_lines:
                return True
        return False

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait()


def weights(out: Path) -> list[str]:
    return [
        directory.sha256(out / stage / "model" / "model.safetensors")
        for stage in ("pretrain", "sft")
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and an uninterrupted build of it in `whole`."""
    place = tmp_path_factory.mktemp("up")
    (place / "r.toml").write_text(RECIPE)
    whole = Up(place, place / "whole")
    assert whole.read_until("ready:"), "".join(whole.lines)
    whole.end(signal.SIGTERM)
    assert whole.lines[0].startswith("the page is at http://127.0.0.1:"), (
        "the page must be there before anything is built"
    )
    return place


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "kills", [(1, 0, 1, 1), pytest.param((3, 3, 8, 6), marks=pytest.mark.full)]
)
def test_killed_in_any_stage_it_ends_with_the_same_weights(
    place: Path, kills: tuple[int, ...]
) -> None:
    """`kills` in each stage: as it begins, or in a training one at drawn steps, before and after saves alike."""
    out, choose = place / f"killed-{sum(kills)}", random.Random(sum(kills))
    for number, (stage, count) in enumerate(zip(STAGES, kills, strict=True), 1):
        for step in (
            sorted(choose.sample(range(1, STEPS[stage]), count)) if stage in STEPS else [0] * count
        ):
            run = Up(place, out)
            wanted = f"{stage} step {step}/" if step else f"[{number}/{len(STAGES)}] {stage}"
            assert run.read_until(wanted), "".join(run.lines)
            assert run.end(signal.SIGKILL) == -signal.SIGKILL
    last = Up(place, out)
    assert last.read_until("ready:"), "".join(last.lines)
    last.end(signal.SIGTERM)
    assert weights(out) == weights(place / "whole")
