"""Every kind of training on a device that is not the CPU, stopped and gone on with, ends where the CPU ends.

The device is pretended (pretended.py): no GPU is needed, and where the memory lies is checked as a GPU checks it. How fast or exact a GPU's own
kernels are, this says nothing about."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training.watcher import Watcher

HERE = Path(__file__).parent
LOOP = 'steps = 6\nevaluate_every = 4\nprecision = "float32"\n'
LONGER = LOOP.replace("6", "12")  # a tuned model must end its replies
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
{LONGER}
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
    place = tmp_path / "data"
    place.mkdir()
    (place / "a.txt").write_text(
        "\n\n".join(
            f"the cat number {i} sat on the mat and the dog sat on the log. " * 3 for i in range(40)
        )
    )
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"cat {i}?"},
                {"role": "assistant", "content": "yes."},
            ]
        }
        for i in range(20)
    ]
    (place / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    labeled = [
        {"text": f"the {a} and the {b} are number {i}", "label": kind}
        for i in range(3)
        for kind, things in (("alive", ("cat", "dog", "bird")), ("made", ("log", "mat", "cup")))
        for a in things
        for b in things
    ]
    (place / "labels.jsonl").write_text("\n".join(map(json.dumps, labeled)))
    numbers = {"un": "one", "deux": "two", "trois": "three", "quatre": "four"}
    (place / "pairs.tsv").write_text(
        "".join(f"{a} {b}\t{numbers[a]} {numbers[b]}\n" for a in numbers for b in numbers)
    )
    return place


def losses(run: Path) -> dict[str, float]:
    return {
        f"{row['step']} {name}": row[name]
        for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        for name in ("loss", "validation_loss")
        if name in row
    }


@pytest.mark.parametrize(
    "name",
    [
        "chat",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("labels", "pairs", "words")),
    ],
)
def test_a_recipe_on_another_device_ends_where_the_cpu_ends(
    tmp_path: Path, data: Path, name: str
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPES[name])
    told = subprocess.run(
        [sys.executable, HERE / "pretended.py", recipe, tmp_path / "there", data, "3"],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-4000:]
    plan = read_recipe(recipe)
    trained = [stage.name for stage in plan.stages if stage.kind.trains]
    assert told.stdout.count("going on from step 3 of ") == len(trained)
    run_recipe(
        read_recipe(recipe, [f"{stage}.loop.log_every=1" for stage in trained]),
        tmp_path / "here",
        data,
        Watcher(),
    )
    for stage in trained:
        assert losses(tmp_path / "there" / stage) == pytest.approx(
            losses(tmp_path / "here" / stage), rel=1e-3
        ), stage


def test_the_pretended_device_tells_where_a_gpu_would() -> None:
    program = f"""
import sys, torch
sys.path.insert(0, {str(HERE)!r})
import pretended
kept = pretended.register()
here = torch.ones(3, device=pretended.NAME)
assert type(here) is pretended.Pretended and float((here + 2.0).sum()) == 9.0
for wrong in (lambda: here + torch.ones(3), lambda: torch.ones(3) + here, lambda: torch.ones(3)[here.long() > 0], lambda: here.add_(torch.ones(3))):
    try:
        wrong()
    except RuntimeError as error:
        assert "expected all tensors to be on the same device" in str(error), error
    else:
        raise SystemExit("not told")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
