"""What is opened is called by its name: a person must know which model answers."""

from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.cli.load_model import called
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE


def test_a_training_that_goes_on_is_called_by_its_newest_checkpoint(tmp_path: Path) -> None:
    tokenizer = ByteBPE.train(["the cat sat"], 270)
    model, run = GPT(preset("nano", vocab_size=tokenizer.vocab_size)), tmp_path / "run"
    for place in ("step-00000002", "step-00000004"):
        model_directory.save(run / "checkpoints" / place, model, tokenizer)
    assert (
        called(run, model_directory.find(run))
        == f"{run}, step-00000004 of a training that has not ended"
    )
    model_directory.save(run / "model", model, tokenizer)
    assert called(run, model_directory.find(run)) == str(run)
