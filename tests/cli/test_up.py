"""`chatwright up` that is killed at any moment resumes and ends with the same weights."""

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
    """One call of `chatwright up`, whose output is read line by line."""

    def __init__(self, folder: Path, out: Path) -> None:
        program = [sys.executable, "-m", "chatwright", "up", str(folder / "r.toml")]
        self.process = subprocess.Popen(
            [*program, "--out", str(out), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def read_until(self, beginning: str) -> bool:
        """Read until a line begins so; return False at the end of the output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(beginning):
                return True
        return False

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait()


def weights(out: Path) -> list[str]:
    models = [out / stage / "model" / "model.safetensors" for stage in ("pretrain", "sft")]
    return [directory.sha256(model) for model in models]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and an uninterrupted build of it in `whole`."""
    folder = tmp_path_factory.mktemp("up")
    (folder / "r.toml").write_text(RECIPE)
    whole = Up(folder, folder / "whole")
    assert whole.read_until("ready:"), "".join(whole.lines)
    whole.end(signal.SIGTERM)
    first = whole.lines[0]
    assert first.startswith("the page is at http://127.0.0.1:"), "the page comes before the build"
    return folder


@pytest.mark.ci
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "kills", [(1, 0, 1, 1), pytest.param((3, 3, 8, 6), marks=pytest.mark.full)]
)
def test_a_build_killed_in_any_stage_ends_with_the_same_weights(
    folder: Path, kills: tuple[int, ...]
) -> None:
    """`kills` counts the kills in each stage.

    A training stage is killed at random steps, before and after saves; the others at their start.
    """
    out = folder / f"killed-{sum(kills)}"
    random_steps = random.Random(sum(kills))
    for number, (stage, count) in enumerate(zip(STAGES, kills, strict=True), 1):
        beginnings = [f"[{number}/{len(STAGES)}] {stage}"] * count
        if stage in STEPS:
            steps = sorted(random_steps.sample(range(1, STEPS[stage]), count))
            beginnings = [f"{stage} step {step}/" for step in steps]
        for beginning in beginnings:
            run = Up(folder, out)
            assert run.read_until(beginning), "".join(run.lines)
            assert run.end(signal.SIGKILL) == -signal.SIGKILL
    last = Up(folder, out)
    assert last.read_until("ready:"), "".join(last.lines)
    last.end(signal.SIGTERM)
    assert weights(out) == weights(folder / "whole")
