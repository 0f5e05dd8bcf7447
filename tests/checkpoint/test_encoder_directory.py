"""Encoders are loaded exactly; transformers loads them too, with equal logits and labels."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20
SMALL: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "head_dim": 16,
    "d_model": 32,
    "d_ff": 40,
    "context_length": 30,
}
SHAPES: dict[str, dict[str, Any]] = {
    "bert-base": SMALL,
    # RoBERTa's first position is the padding token's id plus one.
    "roberta-base": SMALL | {"position_offset": ByteBPE.train([TEXT], 300).control.pad + 1},
    "distilbert": SMALL,
    "albert-base": SMALL | {"embedding_size": 8},
    "mobilebert": SMALL | {"head_dim": 8, "embedding_size": 8, "bottleneck": 16},
}


def save_encoder(path: Path, size: str, **changes: Any) -> Encoder:
    tokenizer = ByteBPE.train([TEXT], 300)
    settings = changes | {"vocab_size": tokenizer.vocab_size}
    model = Encoder(encoder_preset(size, **settings))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.empty_like(parameter)
            parameter.add_(noise.uniform_(-0.3, 0.3, generator=generator(1, name)))
    model_directory.save(path, model.eval(), tokenizer)
    return model


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("head", ["masked_lm", "labels"])
@pytest.mark.parametrize("size", SHAPES)
def test_transformers_gives_equal_logits_for_a_saved_encoder(
    tmp_path: Path, size: str, head: str
) -> None:
    labels = ("bad", "good", "neither") if head == "labels" else ()
    model = save_encoder(tmp_path / "m", size, **SHAPES[size], head=head, labels=labels)
    reference = open_in_transformers(tmp_path / "m", head)
    token_ids = torch.tensor([[70, 80, 90, 100, 110], [75, 85, 95, 0, 0]])
    lengths = torch.tensor([5, 3])
    is_text = torch.arange(5) < lengths[:, None]  # (B, T), False at padding
    with torch.no_grad():
        logits = model(token_ids, masks.padding(lengths, 5))
        expected = reference(input_ids=token_ids, attention_mask=is_text.long()).logits
    if head == "labels":
        assert reference.config.id2label == {0: "bad", 1: "good", 2: "neither"}
    else:
        logits, expected = logits[is_text], expected[is_text]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    loaded, _ = model_directory.load(tmp_path / "m", kind=Encoder)
    assert loaded.config == model.config
    pairs = zip(loaded.parameters(), model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def open_in_transformers(path: Path, head: str) -> Any:
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

    classes = {"masked_lm": AutoModelForMaskedLM, "labels": AutoModelForSequenceClassification}
    model, report = classes[head].from_pretrained(path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model


def test_an_encoder_that_no_family_supports_stores_its_labels_too(tmp_path: Path) -> None:
    model = save_encoder(tmp_path / "m", "nano", head="labels", labels=("ham", "spam"))
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["id2label"] == {"0": "ham", "1": "spam"}
    assert config["model_type"] == "chatwright"
    loaded, _ = model_directory.load(tmp_path / "m", kind=Encoder)
    assert loaded.config == model.config


@pytest.mark.parametrize(("head", "verb"), [("masked_lm", "classify"), ("none", "embed")])
def test_loading_an_encoder_as_a_decoder_fails_and_suggests_its_command(
    head: str, verb: str, tmp_path: Path
) -> None:
    save_encoder(tmp_path / "m", "nano", head=head)
    with pytest.raises(InputError) as caught:
        model_directory.load(tmp_path / "m")
    assert (caught.value.field, caught.value.value) == ("model", "encoder")
    assert f"chatwright {verb} {tmp_path / 'm'}" in caught.value.remedy
