"""Every failure ends with one line of cause and remedy, and with the right exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.cli import app
from chatwright.errors import InputError
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE
from tests.cli.conftest import Command

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}

BAD_DATA = {
    "empty": ("a.txt", b"", r"a\.txt"),
    "binary": ("a.txt", b"\x00\x01\x02" * 50, r"a\.txt"),
    "invalid utf-8": ("a.txt", b"fine\nthen \xff\xfe not\n", r"a\.txt, line 2"),
    "long line": ("a.jsonl", b'{"text": "' + b"x" * (17 * 2**20) + b'"}', r"a\.jsonl, line 1"),
    "missing column": ("a.jsonl", b'{"body": "hello"}\n', r"a\.jsonl, line 1.*body"),
    "not json": ("a.jsonl", b'{"text": "ok"}\n{"text": \n', r"a\.jsonl, line 2.*JSON"),
    "no rows for the stage": ("a.jsonl", json.dumps(CHAT).encode(), r"sft"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_text_is_named_with_file_and_line_and_leaves_nothing_behind(
    tmp_path: Path, name: str, command: Command
) -> None:
    file, content, names = BAD_DATA[name]
    (tmp_path / file).write_bytes(content)
    run = tmp_path / "run"
    outcome = command("train", "pretrain", "--data", tmp_path / file, "--out", run, "--smoke")
    assert outcome.status == 2
    assert re.search(names, str(outcome.error), flags=re.S), outcome.error
    assert "Traceback" not in outcome.err
    assert not (run / "model").exists()


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Hi"}],
        [{"role": "assistant", "content": "Hi"}],
        [],
        [{"role": "wizard", "content": "Hi"}],
    ],
    ids=["without an answer", "answer first", "no turns", "unknown role"],
)
def test_data_check_names_the_line_of_a_bad_conversation(
    tmp_path: Path, messages: list[dict[str, str]], command: Command
) -> None:
    rows = [CHAT, {"messages": messages}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = command("data", "check", tmp_path / "a.jsonl")
    assert outcome.status == 1
    assert "line 2" in " ".join(outcome.out.split())


@pytest.mark.parametrize(
    ("setting", "field", "remedy"),
    [
        ("loop.stepz=3", "loop.stepz", "loop.steps"),
        ("loop.learning_rate=0.1", "loop.learning_rate", "loop.optimizer.learning_rate"),
        ("model.n_layers=2", "model.n_layers", "model.n_layer"),
        ("size=tiny", "size", "model.size"),
        ("loop.steps=many", "loop.steps", ""),
        ("loop.device=gpu", "device", "cuda"),
    ],
)
def test_a_bad_setting_is_named_with_its_field_and_a_remedy(
    tmp_path: Path, setting: str, field: str, remedy: str, command: Command
) -> None:
    (tmp_path / "a.txt").write_text("the cat sat on the mat. " * 200)
    run = tmp_path / "run"
    outcome = command("train", "pretrain", "--data", tmp_path / "a.txt", "--out", run, setting)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == field
    assert remedy in outcome.error.remedy
    assert outcome.last_line == f"error: {outcome.error}"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (["loop.steps=-3"], ["steps", "-3"]),
        (["nonsense"], ["nonsense", "key=value"]),
        (["model.size=enormous"], ["enormous"]),
        (["model.d_model=abc"], ["d_model", "abc"]),
        (["model.size=gpt3"], ["GB", "size"]),
        (["batches.rows=7", "batches.accumulate=2"], ["rows", "7", "accumulate", "2"]),
        (["loop.device=cuda"], ["device", "cuda"]),
    ],
)
def test_a_setting_that_is_not_possible_is_an_input_error_that_names_its_value(
    tmp_path: Path, settings: list[str], names: list[str], command: Command
) -> None:
    if "cuda" in settings[0] and torch.cuda.is_available():
        pytest.skip("this machine has an NVIDIA GPU")
    (tmp_path / "a.txt").write_text("the cat sat on the mat. " * 200)
    run = tmp_path / "run"
    outcome = command("train", "pretrain", "--data", tmp_path / "a.txt", "--out", run, *settings)
    assert outcome.status == 2
    assert [name for name in names if name not in outcome.last_line] == []


@pytest.mark.parametrize(
    ("kind", "text", "key", "wrong"),
    [
        ("translation", "one\tun\n", "n_encoder_layer", "n_layer"),
        ("classify", "text\tlabel\na\tb\n", "n_layer", "n_layers"),
        ("masked-lm", "the cat sat", "n_head", "n_heads"),
    ],
)
def test_a_wrong_model_setting_is_found_before_the_vocabulary_is_learned(
    tmp_path: Path, kind: str, text: str, key: str, wrong: str, command: Command
) -> None:
    data, run = tmp_path / "a.tsv", tmp_path / "run"
    data.write_text(text * 50)
    outcome = command("train", kind, "--data", data, "--out", run, f"model.{wrong}=2")
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert wrong in outcome.error.field
    assert key in outcome.error.remedy
    assert not run.exists()


@pytest.mark.parametrize(("verb", "right_verb"), [("chat", "translate"), ("translate", "chat")])
def test_a_model_of_the_wrong_kind_is_refused_with_the_command_that_fits_it(
    tmp_path: Path, verb: str, right_verb: str, command: Command
) -> None:
    models: dict[str, Any] = {
        "translate": EncoderDecoder(encoder_decoder_preset("nano", vocab_size=270)),
        "chat": GPT(preset("nano", vocab_size=270)),
    }
    path = tmp_path / "m"
    model_directory.save(path, models[right_verb], ByteBPE.train(["the cat sat"], 270))
    outcome = command(verb, path, *(["A text."] if verb == "translate" else []))
    assert outcome.status == 2
    assert f"chatwright {right_verb} {path}" in outcome.last_line


BAD_RECIPES = {
    "stages = 3": "stages",
    'stages = ["fly"]': "fly",
    "[": "TOML",
    'stages = ["pretrain"]\n[pretrain]\ndata = "x"\nstepz = 1': "stepz",
    'stages = ["pretrain"]\n[sft]\ndata = "x"': "sft",
    'stages = ["tokenizer"]\n[tokenizer]\ndata = "{data}"': "--data PATH",
    'stages = ["tokenizer"]\n[tokenizer]\ndata = "/nowhere"': "/nowhere",
}


@pytest.mark.parametrize("text", BAD_RECIPES)
def test_a_recipe_is_checked_before_anything_runs(
    tmp_path: Path, text: str, command: Command
) -> None:
    recipe, out = tmp_path / "r.toml", tmp_path / "out"
    recipe.write_text(text)
    outcome = command("run", recipe, "--out", out)
    assert outcome.status == 2
    assert BAD_RECIPES[text] in outcome.last_line
    assert list(out.glob("*/model")) == []


def test_an_error_that_only_a_bug_can_cause_asks_for_a_report(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "app", lambda standalone_mode: {}["missing"])
    outcome = command("doctor")
    assert outcome.status == 70
    assert "KeyError" in outcome.last_line
    assert "chatwright doctor" in outcome.last_line


@pytest.mark.ci
def test_sigterm_saves_the_run_and_the_same_command_resumes_to_the_same_weights(
    tmp_path: Path,
) -> None:
    data = tmp_path / "a.txt"
    data.write_text("the cat sat on the mat and the dog sat on the log. " * 400)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(out: Path) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "chatwright", "train", "pretrain"]
        options = ["--data", str(data), "--out", str(out), "--json", "--vocab-size", "280"]
        settings = ["model.size=nano", "model.context_length=32", "loop.steps=60"]
        settings += ["loop.evaluate_every=50", "loop.log_every=1"]
        return subprocess.Popen(
            [*program, *options, *settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run_to_end(out: Path) -> None:
        process = start(out)
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_to_end(whole)
    process = start(stopped)
    log = stopped / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 5):
        time.sleep(0.005)  # wait for the log, not for a time
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    run_to_end(stopped)
    for name in ("model.safetensors", "config.json"):
        assert (stopped / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()
