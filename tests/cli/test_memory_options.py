"""--max-context, --max-replies and --cache-memory: shared, checked early, and obeyed."""

import io
import json
import sys
from pathlib import Path

import pytest
import typer.main

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.cli.load_model import open_assistant
from chatwright.cli.status_line import StatusLine
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline import open_engine
from chatwright.tokenizer.byte_bpe import ByteBPE
from tests.cli.conftest import Command

OPTIONS = ("--max-context", "--max-replies", "--cache-memory")
LONG_CONTEXT = 131_072


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small model whose context has 131,072 tokens."""
    tokenizer = ByteBPE.train(["the cat sat on the mat. " * 20], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, context_length=LONG_CONTEXT))
    init_weights(model, generator(0, "weights"))
    path = tmp_path_factory.mktemp("long") / "model"
    model_directory.save(path, model, tokenizer)
    return path


def test_serve_chat_and_up_have_the_same_options_with_the_same_help() -> None:
    commands = typer.main.get_command(app).commands
    texts = [
        {p.opts[0]: p.help for p in commands[name].params if p.opts[0] in OPTIONS}
        for name in ("serve", "chat", "up")
    ]
    assert texts[0].keys() == set(OPTIONS)
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("verb", ["serve", "chat", "up"])
@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--max-context", "0", "max_context"),
        ("--max-replies", "-2", "max_replies"),
        ("--cache-memory", "much", "cache_memory"),
        ("--cache-memory", "0GB", "cache_memory"),
    ],
)
def test_wrong_values_are_refused_before_the_model_is_opened(
    command: Command, verb: str, option: str, value: str, field: str, tmp_path: Path
) -> None:
    outcome = command(verb, tmp_path, option, value)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == field


def test_a_long_context_opens_with_what_fits_and_says_so_in_one_line(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_engine, "available_memory", lambda: 50_000_000)
    stream = io.StringIO()
    assistant = open_assistant(long_model, n_reply=1, status=StatusLine("Opening", stream))
    [note] = stream.getvalue().splitlines()
    assert "131,072" in note
    assert f"{assistant.engine.context_length:,}" in note
    assert 512 <= assistant.engine.context_length < LONG_CONTEXT
    assert assistant.engine.config.n_slot == 1


def test_limits_of_the_user_are_obeyed(long_model: Path) -> None:
    limits = MemoryLimits(max_context=700, max_replies=3)
    engine = open_assistant(long_model, limits).engine
    assert (engine.context_length, engine.config.n_slot) == (700, 3)
    assert engine.batch_dependence_reason == ""
    smaller = MemoryLimits(max_replies=1, cache_memory=20_000_000)
    assert open_assistant(long_model, smaller).engine.context_length < LONG_CONTEXT


def test_a_conversation_in_the_terminal_has_one_slot_and_a_server_has_eight(
    long_model: Path,
) -> None:
    limits = MemoryLimits(max_context=600)
    assert open_assistant(long_model, limits, n_reply=1).engine.config.n_slot == 1
    assert open_assistant(long_model, limits).engine.config.n_slot == 8


def test_chat_obeys_the_context_and_refuses_what_does_not_fit(
    command: Command, long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat " * 40 + "\n"))
    outcome = command("chat", long_model, "--json", "--max-context", "40", "seed=1")
    assert "error" in json.loads(outcome.out)
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat\n"))
    outcome = command("chat", long_model, "--json", "--max-context", "40", "seed=1")
    usage = json.loads(outcome.out)["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] <= 40
    outcome = command("chat", long_model, "--max-context", "200000")
    assert isinstance(outcome.error, InputError)
    assert (outcome.error.field, outcome.error.value) == ("max_context", 200_000)
    outcome = command("chat", long_model, "--max-context", "131072", "--cache-memory", "5MB")
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == "max_context"
    assert "--max-context" in outcome.error.remedy


def test_a_dependence_on_the_batch_is_said_when_several_replies_are_served(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "chatwright.engine.engine.batch_dependence_reason", lambda *_: "a difference"
    )
    limits = MemoryLimits(max_context=600)
    for n_reply, n_note in ((8, 1), (1, 0)):
        stream = io.StringIO()
        open_assistant(long_model, limits, n_reply, StatusLine("Opening", stream))
        assert len(stream.getvalue().splitlines()) == n_note
