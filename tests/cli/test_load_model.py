"""Models are loaded with the name that tells the user which one answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import directory, model_directory, run_directory
from chatwright.cli.load_model import model_name, open_tokenizer, read_sampling
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.words import WordTokenizer


def test_an_unfinished_run_is_named_with_its_newest_checkpoint(tmp_path: Path) -> None:
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    model, run = GPT(preset("nano", vocab_size=tokenizer.vocab_size)), tmp_path / "run"
    run.mkdir()
    (run / run_directory.RUN_FILE).write_text("{}")
    for step in (2, 4):
        with directory.atomic_directory(run_directory.checkpoint_path(run, step)) as checkpoint:
            model_directory.write(checkpoint, model, tokenizer)
            (checkpoint / run_directory.STATE_FILE).write_text("{}")
    name = model_name(run, model_directory.find(run))
    assert name.startswith(str(run))
    assert "step-00000004" in name
    model_directory.save(run / "model", model, tokenizer)
    assert model_name(run, model_directory.find(run)) == str(run)


def test_a_tokenizer_is_opened_with_or_without_a_model(tmp_path: Path) -> None:
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    model_directory.save(tmp_path / "model", model, tokenizer)
    assert open_tokenizer(tmp_path / "model").vocab_size == tokenizer.vocab_size
    words = WordTokenizer.train(["the cat sat"] * 3, 100)
    (tmp_path / "words").mkdir()
    words.save(tmp_path / "words")
    assert open_tokenizer(tmp_path / "words").vocab_size == words.vocab_size
    with pytest.raises(ValueError, match="nothing"):
        open_tokenizer(tmp_path / "nothing")


@pytest.mark.parametrize(("settings", "field"), [(["n=2"], "n"), (["best_of=3"], "best_of")])
def test_several_replies_are_refused_on_the_command_line(settings: list[str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sampling(settings)
    assert caught.value.field == field


def test_opening_a_model_in_the_terminal_does_not_import_the_server_or_the_store() -> None:
    """They take as long as half of torch."""
    code = (
        "import sys, chatwright.cli.load_model; "
        "print([name for name in ('fastapi', 'sqlalchemy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
