"""What a person sees when something is wrong: one line with the cause and the remedy, the right exit status, and nothing lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.cli import app
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["chatwright", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        app.main()
    return int(left.value.code or 0), capsys.readouterr().err.strip().splitlines()[-1]


BAD_DATA = {
    "empty": ("a.txt", b"", r"a\.txt.*empty"),
    "binary": ("a.txt", b"\x00\x01\x02" * 50, r"a\.txt.*(binary|NUL)"),
    "invalid utf-8": ("a.txt", b"fine\nthen \xff\xfe not\n", r"a\.txt, line 2.*UTF-8"),
    "long line": (
        "a.jsonl",
        b'{"text": "' + b"x" * (17 * 2**20) + b'"}',
        r"a\.jsonl, line 1.*(long|limit)",
    ),
    "missing column": ("a.jsonl", b'{"body": "hello"}\n', r"a\.jsonl, line 1.*body"),
    "not json": ("a.jsonl", b'{"text": "ok"}\n{"text": \n', r"a\.jsonl, line 2.*JSON"),
    "no rows for the stage": ("a.jsonl", json.dumps(CHAT).encode(), r"no text rows.*sft"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_text_is_named_and_nothing_is_left_behind(
    tmp_path: Path, name: str, capsys, monkeypatch
) -> None:
    file, content, expected = BAD_DATA[name]
    (tmp_path / file).write_bytes(content)
    status, line = run(
        capsys,
        monkeypatch,
        "train",
        "pretrain",
        "--data",
        tmp_path / file,
        "--out",
        tmp_path / "run",
        "--smoke",
    )
    assert status == 2
    assert re.search(expected, line, flags=re.S), line
    assert "Traceback" not in line
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"messages": [{"role": "user", "content": "Hi"}]}], "answer"),
        ([{"messages": [{"role": "assistant", "content": "Hi"}]}], "turn 0"),
        ([{"messages": []}], "empty|no "),
        ([{"messages": [{"role": "wizard", "content": "Hi"}]}], "wizard"),
    ],
    ids=["without an answer", "answer first", "no turns", "unknown role"],
)
def test_bad_conversations_are_named_by_data_check(
    tmp_path: Path, rows: list, expected: str, capsys, monkeypatch
) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in [CHAT, *rows]))
    monkeypatch.setattr(sys, "argv", ["chatwright", "data", "check", str(tmp_path / "a.jsonl")])
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"line 2.*({expected})", shown), shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["loop.stepz=3"], r"unknown key 'stepz'.*Did you mean 'steps'|loop.*stepz"),
        (["loop.steps=-3"], r"steps \(-3\) must be at least 1"),
        (["loop.steps=many"], r"loop\.steps = 'many'"),
        (["nonsense"], "expected key=value"),
        (["model.size=enormous"], "no such shape. Choose one of"),
        (["model.n_layers=2"], r"model: unknown key 'n_layers'\. Did you mean 'n_layer'"),
        (["model.d_model=abc"], r"model: d_model = 'abc': .*Correct the value"),
        (["model.size=gpt3"], "parameters needs .* GB of memory.*Choose a smaller size"),
        (
            ["batches.rows=7", "batches.accumulate=2"],
            r"rows \(7\) must be a positive multiple of accumulate \(2\)",
        ),
        (["loop.device=cuda"], "sees no GPU"),
    ],
)
def test_bad_settings_name_field_value_and_remedy(
    tmp_path: Path, arguments: list[str], expected: str, capsys, monkeypatch
) -> None:
    if "cuda" in arguments[0] and __import__("torch").cuda.is_available():
        pytest.skip("this machine has a GPU")
    (tmp_path / "a.txt").write_text("the cat sat on the mat. " * 200)
    status, line = run(
        capsys,
        monkeypatch,
        "train",
        "pretrain",
        "--data",
        tmp_path / "a.txt",
        "--out",
        tmp_path / "run",
        *arguments,
    )
    assert status == 2
    assert re.search(expected, line), line


@pytest.mark.parametrize(
    ("verb", "text", "key", "wrong"),
    [
        ("translation", "one\tun\n", "n_encoder_layer", "n_layer"),
        ("classify", "text\tlabel\na\tb\n", "n_layer", "n_layers"),
        ("masked-lm", "the cat sat", "n_head", "n_heads"),
    ],
)
def test_wrong_settings_of_any_model_are_named_before_anything_is_learned(
    tmp_path: Path, verb: str, text: str, key: str, wrong: str, capsys, monkeypatch
) -> None:
    (tmp_path / "a.tsv").write_text(text * 50)
    status, line = run(
        capsys,
        monkeypatch,
        "train",
        verb,
        "--data",
        tmp_path / "a.tsv",
        "--out",
        tmp_path / "run",
        f"model.{wrong}=2",
    )
    assert (status, f"model: unknown key {wrong!r}. Did you mean {key!r}?" in line) == (2, True), (
        line
    )
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_do_this_says_what_it_can(tmp_path: Path, capsys, monkeypatch) -> None:
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    for model, verb in (
        (EncoderDecoder(encoder_decoder_preset("nano", vocab_size=270)), "translate"),
        (GPT(preset("nano", vocab_size=270)), "chat"),
    ):
        model_directory.save(tmp_path / verb, model, tokenizer)
        asked = {
            "translate": ["chat", tmp_path / verb],
            "chat": ["translate", tmp_path / verb, "A text."],
        }[verb]
        status, line = run(capsys, monkeypatch, *asked)
        assert status == 2
        assert line.endswith(f"What it can do: chatwright {verb} {tmp_path / verb}"), line


def test_recipes_are_checked_before_anything_runs(tmp_path: Path, capsys, monkeypatch) -> None:
    recipe = tmp_path / "r.toml"
    for text, expected in {
        "stages = 3": "stages must be a list",
        'stages = ["fly"]': "unknown kind 'fly'",
        "[": "not valid TOML",
        'stages = ["pretrain"]\n[pretrain]\ndata = "x"\nstepz = 1': "unknown key 'stepz'",
        'stages = ["pretrain"]\n[sft]\ndata = "x"': "belongs to no stage",
        'stages = ["tokenizer"]\n[tokenizer]\ndata = "{data}"': "give it with --data PATH",
        'stages = ["tokenizer"]\n[tokenizer]\ndata = "/nowhere"': "no such file or folder",
    }.items():
        recipe.write_text(text)
        status, line = run(capsys, monkeypatch, "run", recipe, "--out", tmp_path / "out")
        assert status == 2, line
        assert expected in line
    assert list((tmp_path / "out").glob("*/model")) == []


def test_a_bug_says_that_it_is_one(capsys, monkeypatch) -> None:
    monkeypatch.setattr(app, "app", lambda standalone_mode: {}["missing"])
    status, line = run(capsys, monkeypatch, "doctor")
    assert status == 70
    assert (
        line
        == "error: a bug in Chatwright (KeyError). Please report the lines above together with: chatwright doctor"
    )


def test_sigterm_saves_and_the_same_command_goes_on_to_the_same_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 400)
    program = [
        sys.executable,
        "-m",
        "chatwright",
        "train",
        "pretrain",
        "--data",
        str(tmp_path / "a.txt"),
        "--json",
    ]
    settings = [
        "--vocab-size",
        "280",
        "model.size=nano",
        "model.context_length=32",
        "loop.steps=60",
        "loop.evaluate_every=50",
        "loop.log_every=1",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*program, "--out", str(tmp_path / "whole"), *settings],
        check=True,
        capture_output=True,
        env=environment,
    )
    process = subprocess.Popen(
        [*program, "--out", str(tmp_path / "cut"), *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    log = tmp_path / "cut" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 5):
        time.sleep(0.005)  # waiting for a file, not for a clock
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "The same command goes on from there" in said.strip().splitlines()[-1]
    subprocess.run(
        [*program, "--out", str(tmp_path / "cut"), *settings],
        check=True,
        capture_output=True,
        env=environment,
    )
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "cut" / "model" / name).read_bytes() == (
            tmp_path / "whole" / "model" / name
        ).read_bytes()
