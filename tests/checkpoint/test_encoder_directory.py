"""A saved encoder comes back to the bit and opens in transformers as the family it has the shape of, labels included."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20
NARROW: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "head_dim": 16,
    "d_model": 32,
    "d_ff": 40,
    "context_length": 30,
}
SHAPES: dict[str, dict[str, Any]] = {
    "bert-base": NARROW,
    "roberta-base": NARROW | {"position_offset": 258},
    "distilbert": NARROW,
    "albert-base": NARROW | {"embedding_size": 8},
    "mobilebert": NARROW | {"head_dim": 8, "embedding_size": 8, "bottleneck": 16},
}


def saved(path: Path, size: str, **changes: Any) -> Encoder:
    tokenizer = ByteBPE.train([TEXT], 300)
    model = Encoder(encoder_preset(size, **(changes | {"vocab_size": tokenizer.vocab_size})))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
    model_directory.save(path, model.eval(), tokenizer)
    return model


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("head", ["masked_lm", "labels"])
@pytest.mark.parametrize("size", SHAPES)
def test_the_directory_opens_in_transformers_with_equal_logits(
    tmp_path: Path, size: str, head: str
) -> None:
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

    labels = ("bad", "good", "neither") if head == "labels" else ()
    changes = SHAPES[size] | {"head": head, "labels": labels}
    if (
        "position_offset" in changes
    ):  # this family counts positions from the padding's id, which ours says when it is saved
        changes["position_offset"] = ByteBPE.train([TEXT], 300).control.pad + 1
    model = saved(tmp_path / "m", size, **changes)
    theirs, report = (
        AutoModelForMaskedLM if head == "masked_lm" else AutoModelForSequenceClassification
    ).from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids, lengths = torch.tensor([[70, 80, 90, 100, 110], [75, 85, 95, 0, 0]]), torch.tensor([5, 3])
    exists = torch.arange(5) < lengths[:, None]
    with torch.no_grad():
        ours, logits = (
            model(ids, masks.padding(lengths, 5)),
            theirs(input_ids=ids, attention_mask=exists.long()).logits,
        )
    if head == "labels":
        torch.testing.assert_close(ours, logits, atol=1e-5, rtol=1e-4)
        assert theirs.config.id2label == {0: "bad", 1: "good", 2: "neither"}
    else:
        torch.testing.assert_close(ours[exists], logits[exists], atol=1e-5, rtol=1e-4)
    again, _ = model_directory.load(tmp_path / "m", kind=Encoder)
    assert again.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True)
    )


def test_a_shape_of_our_own_says_its_labels_too(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "nano", head="labels", labels=("ham", "spam"))
    table = json.loads((tmp_path / "m" / "config.json").read_text())
    assert table["id2label"] == {"0": "ham", "1": "spam"}
    assert table["model_type"] == "chatwright"
    again, _ = model_directory.load(tmp_path / "m", kind=Encoder)
    assert again.config == model.config


def test_an_encoder_does_not_converse(tmp_path: Path) -> None:
    saved(tmp_path / "m", "nano")
    with pytest.raises(
        ValueError,
        match="holds a model of the kind 'encoder', which cannot do this; what can is called GPT. What it can do: "
        "chatwright classify .*m",
    ):
        model_directory.load(tmp_path / "m")
