"""Characters that the terminal's encoding lacks are escaped, and JSON stays valid."""

import io
import json
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.cli.output import escape_missing_characters, print_json
from chatwright.devices import generator
from chatwright.model import encoder, encoder_decoder, gpt
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.presets import preset
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from tests.cli.conftest import Command

TEXT = "日本 is Japan 😀 “quoted” \x81"


class Cp1252(io.TextIOWrapper):
    """A terminal with Windows' Western European encoding, cp1252."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="cp1252", errors="strict")

    @property
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("cp1252", errors="replace")


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Cp1252, Cp1252]:
    """Replace stdout and stderr. Call it in the test: pytest replaces them after fixtures."""
    out, err = Cp1252(), Cp1252()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    return out, err


def test_missing_characters_are_escaped_and_json_can_be_read_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, _ = use_terminal(monkeypatch)
    escape_missing_characters()
    value = {"text": TEXT, "lone surrogate": "\ud800"}
    print_json(value)
    assert json.loads(out.text) == value
    assert "“quoted”" in out.text, "characters that the encoding has are not escaped"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of each kind, and data, all with letters that cp1252 lacks."""
    folder = tmp_path_factory.mktemp("models")
    texts = [TEXT, "a cat sat on a mat"] * 4
    bpe, pieces = ByteBPE.train(texts, 300), wordpiece.train(texts, 90)
    decoder = gpt.GPT(preset("nano", vocab_size=bpe.vocab_size))
    gpt.init_weights(decoder, generator(0, "weights"))
    model_directory.save(folder / "decoder", decoder, bpe)
    size = {"vocab_size": pieces.vocab_size, "context_length": 64}
    labels = ("悪い", "good")
    classifier = encoder.Encoder(encoder_preset("nano", head="labels", labels=labels, **size))
    encoder.init_weights(classifier, generator(0, "weights"))
    model_directory.save(folder / "classifier", classifier, pieces)
    translator = encoder_decoder.EncoderDecoder(
        encoder_decoder_preset("nano", vocab_size=bpe.vocab_size, context_length=64)
    )
    encoder_decoder.init_weights(translator, generator(0, "weights"))
    model_directory.save(folder / "translator", translator, bpe)
    (folder / "data.jsonl").write_text(json.dumps({"text": TEXT}) + "\n", encoding="utf-8")
    (folder / "悪い.jsonl").write_text('{"body": 3}\n', encoding="utf-8")
    return folder


COMMANDS = {
    "generate": ["generate", "decoder", TEXT, "max_tokens=2"],
    "classify": ["classify", "classifier", TEXT],
    "classify --json": ["classify", "classifier", TEXT, "--json"],
    "translate": ["translate", "translator", TEXT, "--beam", "1"],
    "translate --json": ["translate", "translator", TEXT, "--json", "--beam", "1"],
    "data show": ["data", "show", "data.jsonl"],
    "data check": ["data", "check", "悪い.jsonl"],
    "error": ["data", "show", "悪い.jsonl"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_fails_in_a_terminal_that_lacks_its_characters(
    name: str, models: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = use_terminal(monkeypatch)
    monkeypatch.chdir(models)
    outcome = command(*COMMANDS[name])
    assert outcome.status == {"data check": 1, "error": 2}.get(name, 0), out.text + err.text
    assert "\\u" in out.text + err.text
    if name.endswith("--json"):
        json.loads(out.text)


def test_a_chat_shows_replies_in_a_terminal_that_lacks_their_characters(
    models: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = use_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{TEXT}\n".encode()), "utf-8"))
    outcome = command("chat", models / "decoder", "max_tokens=30", "seed=1", "temperature=1")
    assert outcome.status == 0, err.text
    assert "\\ufffd" in out.text, "an untrained model writes bytes that are no characters"
