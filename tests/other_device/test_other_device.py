"""Every kind of training works on a device other than the CPU, and resumes there.

The device is simulated (simulated_device.py), so no GPU is needed. Like a GPU, it refuses to mix
tensors of two devices. It does not show the speed or the precision of a GPU.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training.watcher import Watcher

PROGRAM = Path(__file__).parent / "simulated_device.py"
LOOP = 'steps = 6\nevaluate_every = 4\nprecision = "float32"\n'
# Fine-tuning fails if the model does not learn to end its replies, so it gets more steps.
LONGER_LOOP = LOOP.replace("6", "12")
CHAT = f"""
stages = ["tokenizer", "pretrain", "sft", "adapter", "student"]
[tokenizer]
data = "{{data}}/a.txt"
vocab_size = 290
[pretrain]
data = "{{data}}/a.txt"
chat = "{{data}}/chat.jsonl"
validation_share = 0.1
keep_whole = true
sample_prompts = ["the"]
sample_tokens = 5
[pretrain.model]
size = "nano"
context_length = 64
dropout = 0.1
n_previous = 2
ngrams = [2]
ngram_rows = 64
[pretrain.batches]
rows = 2
short_rows = 32
[pretrain.loop]
average_decay = 0.9
{LOOP}
[sft]
data = "{{data}}/chat.jsonl"
texts = "{{data}}/a.txt"
old_texts = "{{data}}/a.txt"
validation_share = 0.2
sample_prompts = ["Hi"]
sample_tokens = 5
stop_prompts = 2
forgetting_limit = 100.0
[sft.batches]
rows = 2
[sft.loop]
patience = 9
{LONGER_LOOP}
[adapter]
kind = "sft"
data = "{{data}}/chat.jsonl"
validation_share = 0.2
stop_prompts = 0
[adapter.lora]
rank = 2
[adapter.loop]
{LOOP}
[student]
kind = "pretrain"
from = ""
data = "{{data}}/a.txt"
validation_share = 0.1
[student.model]
size = "nano"
n_layer = 1
context_length = 64
[student.distillation]
teacher = "{{pretrain}}"
hidden_weight = 0.1
[student.batches]
rows = 2
[student.loop]
{LOOP}
"""
LABELS = f"""
stages = ["tokenizer", "masked-lm", "classify"]
[tokenizer]
data = "{{data}}/labels.jsonl"
tokens = "wordpiece"
vocab_size = 90
[masked-lm]
data = "{{data}}/labels.jsonl"
validation_share = 0.2
mask_rate = 0.3
[masked-lm.model]
size = "nano"
context_length = 16
dropout = 0.1
[masked-lm.batches]
rows = 4
[masked-lm.loop]
{LOOP}
[classify]
data = "{{data}}/labels.jsonl"
sample_texts = ["the cat and the dog"]
[classify.model]
token_dropout = 0.1
[classify.loop]
{LOOP}
"""
PAIRS = f"""
stages = ["tokenizer", "translation"]
[tokenizer]
pairs = "{{data}}/pairs.tsv"
vocab_size = 300
[translation]
pairs = "{{data}}/pairs.tsv"
sample_texts = ["un deux"]
bleu_pairs = 2
validation_share = 0.2
[translation.model]
context_length = 24
n_encoder_layer = 1
n_decoder_layer = 1
n_head = 2
head_dim = 8
d_model = 16
d_ff = 32
[translation.batches]
tokens = 96
[translation.loop]
{LOOP}
"""
WORDS = f"""
stages = ["tokenizer", "word-vectors"]
[tokenizer]
data = "{{data}}/a.txt"
tokens = "words"
vocab_size = 40
[word-vectors]
data = "{{data}}/a.txt"
validation_share = 0.2
[word-vectors.batches]
words = 64
keep = 1.0
[word-vectors.loop]
{LOOP}
"""
RECIPES = {"chat": CHAT, "labels": LABELS, "pairs": PAIRS, "words": WORDS}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with texts, conversations, labeled texts and sentence pairs."""
    folder = tmp_path / "data"
    folder.mkdir()
    texts = [
        f"the cat number {i} sat on the mat and the dog sat on the log. " * 3 for i in range(40)
    ]
    (folder / "a.txt").write_text("\n\n".join(texts))
    write_rows(folder / "chat.jsonl", [conversation(i) for i in range(20)])
    write_rows(folder / "labels.jsonl", labeled_rows())
    numbers = {"un": "one", "deux": "two", "trois": "three", "quatre": "four"}
    pairs = [f"{a} {b}\t{numbers[a]} {numbers[b]}\n" for a in numbers for b in numbers]
    (folder / "pairs.tsv").write_text("".join(pairs))
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


def conversation(number: int) -> dict[str, Any]:
    question = {"role": "user", "content": f"cat {number}?"}
    return {"messages": [question, {"role": "assistant", "content": "yes."}]}


def labeled_rows() -> list[dict[str, Any]]:
    things = {"alive": ("cat", "dog", "bird"), "made": ("log", "mat", "cup")}
    return [
        {"text": f"the {first} and the {second} are number {i}", "label": label}
        for i in range(3)
        for label, names in things.items()
        for first in names
        for second in names
    ]


def losses_of(run: Path) -> dict[str, float]:
    """Return the logged losses under keys such as "3 loss" (step and name)."""
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {
        f"{record['step']} {name}": record[name]
        for record in records
        for name in ("loss", "validation_loss")
        if name in record
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name",
    [
        "chat",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("labels", "pairs", "words")),
    ],
)
def test_losses_of_a_recipe_on_another_device_equal_those_on_the_cpu(
    tmp_path: Path, data: Path, name: str
) -> None:
    """On the simulated device each stage is stopped at step 3 and resumed; on the CPU it is not."""
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPES[name])
    on_device = tmp_path / "on device"
    on_cpu = tmp_path / "on cpu"
    process = subprocess.run(
        [sys.executable, PROGRAM, recipe, on_device, data, "3"], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
    trained = [stage.name for stage in read_recipe(recipe).stages if stage.kind.trains]
    assert process.stdout.count("resuming at step 3 of ") == len(trained)
    overrides = [f"{stage}.loop.log_every=1" for stage in trained]
    run_recipe(read_recipe(recipe, overrides), on_cpu, data, Watcher())
    for stage in trained:
        expected = pytest.approx(losses_of(on_cpu / stage), rel=1e-3)
        assert losses_of(on_device / stage) == expected, stage


def test_the_simulated_device_refuses_to_mix_its_tensors_with_tensors_on_the_cpu() -> None:
    program = f"""
import sys, torch
sys.path.insert(0, {str(PROGRAM.parent)!r})
import simulated_device

registered = simulated_device.register()
tensor = torch.ones(3, device=simulated_device.NAME)
assert type(tensor) is simulated_device.SimulatedTensor
assert float((tensor + 2.0).sum()) == 9.0
on_cpu = torch.ones(3)
for mix_devices in (
    lambda: tensor + on_cpu,
    lambda: on_cpu + tensor,
    lambda: on_cpu[tensor.long() > 0],
    lambda: tensor.add_(on_cpu),
):
    try:
        mix_devices()
    except RuntimeError as error:
        assert "expected all tensors to be on the same device" in str(error), error
    else:
        raise SystemExit("tensors on different devices were accepted")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
