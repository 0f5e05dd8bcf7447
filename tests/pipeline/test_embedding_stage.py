"""`chatwright train embedding`: from an encoder of any head to a model that `embed` opens."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.checkpoint.origin import origin_of
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.prepared_stage import TrainingStage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.tokenizer import wordpiece
from chatwright.training.loop_config import LoopConfig
from chatwright.training.watcher import Watcher

QUICK = [
    "loop.steps=60",
    "loop.evaluate_every=20",
    "loop.precision=float32",
    "loop.optimizer.learning_rate=0.003",
    "batches.rows=8",
]
COLORS = {"red": "rouge", "blue": "bleu", "green": "vert", "white": "blanc", "black": "noir"}
THINGS = {"cat": "chat", "dog": "chien", "house": "maison", "tree": "arbre", "boat": "bateau"}
ROWS = [
    {"anchor": f"a {color} {thing}", "positive": f"un {THINGS[thing]} {COLORS[color]}"}
    for color in COLORS
    for thing in THINGS
]


def write_rows(file: Path, rows: list[dict[str, str]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained masked-language encoder."""
    tokenizer = wordpiece.train([text for row in ROWS for text in row.values()], 90)
    config = encoder_preset("nano", vocab_size=tokenizer.vocab_size, context_length=16)
    model = Encoder(config)
    init_weights(model, generator(0, "weights"))
    path = tmp_path_factory.mktemp("parent") / "m"
    model_directory.save(path, model, tokenizer)
    return path


def run(parent: Path, data: Path, out: Path, *settings: str) -> list[str]:
    messages: list[str] = []
    watcher = Watcher(say=messages.append, warn=messages.append)
    options = StageOptions(data=str(data), out=out, overrides=[*QUICK, *settings], parent=parent)
    prepare_stage(stage_kind("embedding"), options, watcher).run(out, watcher)
    return messages


def test_an_encoder_with_a_head_becomes_one_that_embeds(parent: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    scored = tmp_path / "scored.tsv"
    scored.write_text("a red cat\tun chat rouge\t1\na red cat\tun arbre bleu\t0\n" * 3)
    messages = run(
        parent,
        data,
        tmp_path / "run",
        "validation_share=0.2",
        f"scored={scored}",
        "model.pooling=max",
        "model.normalized_vectors=true",
    )
    assert any("20 pairs of 40 texts" in line and "24.0 passes" in line for line in messages)
    model, _ = model_directory.load(tmp_path / "run", kind=Encoder)
    config = model.config
    assert (config.head, config.pooling, config.normalized_vectors) == ("none", "max", True)
    notes = json.loads((tmp_path / "run" / "model" / "training.json").read_text())
    figures = notes["figures"]
    assert {"validation_loss", "recall_at_1", "recall_at_1_low", "spearman"} <= figures.keys()
    log = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("accuracy" in json.loads(line) for line in log)
    first = next(r for r in map(json.loads, log) if "validation_loss" in r)
    assert first["step"] == 0
    assert figures["validation_loss"] <= first["validation_loss"]


def test_trained_vectors_are_measured_by_the_suites(parent: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    run(parent, data, tmp_path / "run")
    before = evaluate(parent, "retrieval", data)
    after = evaluate(tmp_path / "run", "retrieval", data)
    assert (after["queries"], after["candidates"]) == (25, 25)
    assert after["recall_at_1"] > before["recall_at_1"] + 0.3
    assert after["low"] <= after["recall_at_1"] <= after["high"]
    assert after["recall_at_10"] >= after["recall_at_1"]
    scored = tmp_path / "scored.csv"
    lines = [
        f"{row['anchor']},{other['positive']},{int(row is other)}"
        for row in ROWS[:5]
        for other in ROWS[:5]
    ]
    scored.write_text("sentence1,sentence2,score\n" + "\n".join(lines))
    figures = evaluate(tmp_path / "run", "similarity", scored)
    assert figures["pairs"] == 25
    assert figures["coverage"] == 1.0
    assert figures["low"] <= figures["spearman"] <= figures["high"]
    assert figures["spearman"] > evaluate(parent, "similarity", scored)["spearman"]


def prepare(parent: Path, data: Path, out: Path, *settings: str) -> tuple[TrainingStage, list[str]]:
    messages: list[str] = []
    watcher = Watcher(say=messages.append, warn=messages.append)
    options = StageOptions(data=str(data), out=out, overrides=settings, parent=parent)
    return prepare_stage(stage_kind("embedding"), options, watcher), messages


def test_imported_weights_get_safe_rates_and_steps_by_passes(parent: Path, tmp_path: Path) -> None:
    rows = [{"anchor": f"a cat {i}", "positive": f"un chat {i}"} for i in range(500)]
    data = write_rows(tmp_path / "pairs.jsonl", rows)
    prepared, messages = prepare(parent, data, tmp_path / "run")
    optimizer = prepared.loop.optimizer
    assert (optimizer.kind, optimizer.learning_rate) == ("adamw", 2e-5)
    # 450 pairs in batches of 32 are 15 steps a pass.
    assert (prepared.loop.steps, prepared.loop.patience) == (75, 4)
    assert any("5.3 passes" in line for line in messages)
    given, _ = prepare(parent, data, tmp_path / "run", "loop.steps=7", "passes=1")
    assert (given.loop.steps, given.loop.optimizer.learning_rate) == (7, 2e-5)
    one, _ = prepare(parent, data, tmp_path / "run", "passes=2.2")
    assert one.loop.steps == 33
    _, messages = prepare(
        parent, data, tmp_path / "run", "loop.optimizer.learning_rate=2e-4", "loop.steps=900"
    )
    assert any("learning_rate=0.0002 is 10 times" in line for line in messages)
    assert any("reads the data 60 times" in line for line in messages)


def test_weights_that_were_trained_here_keep_the_defaults(parent: Path, tmp_path: Path) -> None:
    shutil.copytree(parent, tmp_path / "own")
    (tmp_path / "own" / "training.json").write_text('{"origin": "trained"}')
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    prepared, _ = prepare(tmp_path / "own", data, tmp_path / "run")
    assert (prepared.loop, prepared.chosen) == (LoopConfig(), {})


def test_the_model_remembers_that_its_weights_were_imported(parent: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    run(parent, data, tmp_path / "run", "loop.steps=2")
    assert origin_of(tmp_path / "run") == "imported"


def test_validation_rows_that_repeat_training_rows_are_left_out(
    parent: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS[:20])
    validation = write_rows(tmp_path / "validation.jsonl", ROWS[15:])
    short = ("loop.steps=2", "loop.evaluate_every=1")
    messages = run(parent, data, tmp_path / "a", f"validation={validation}", *short)
    assert any("validation on 5 of 10 pairs" in line for line in messages)
    messages = run(parent, data, tmp_path / "b", f"validation={data}", *short)
    assert any("all 20 validation pairs" in line for line in messages)


def test_texts_longer_than_the_model_reads_are_reported(parent: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"anchor": "a red cat " * 9, "positive": "un chat"}]
    data = write_rows(tmp_path / "pairs.jsonl", rows)
    messages = run(parent, data, tmp_path / "run", "loop.steps=2", "model.max_text_tokens=8")
    assert any("1 texts are longer than 8 tokens" in line for line in messages)


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("temperature=0", "temperature"),
        ("temperature=2", "temperature"),
        ("batches.rows=1", "batches.rows"),
        ("passes=0", "passes"),
        ("model.pooling=median", "pooling"),
        ("model.d_model=32", "embedding.weight"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(
    parent: Path, tmp_path: Path, setting: str, field: str
) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    with pytest.raises(InputError) as caught:
        run(parent, data, tmp_path / "run", setting)
    assert caught.value.field == field
