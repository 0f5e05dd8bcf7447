"""Encoder-decoders are loaded exactly; transformers loads those with MarianMT's settings."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tasks.translate import Translator
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. " * 20
TOKENIZER = ByteBPE.train([TEXT], 300, " ")
SMALL: dict[str, Any] = {
    "context_length": 30,
    "n_encoder_layer": 2,
    "n_decoder_layer": 3,
    "n_head": 4,
    "head_dim": 8,
    "d_model": 32,
    "d_ff": 40,
}
MARIAN: dict[str, Any] = {"position": "sinusoidal_halves", "head_bias": True}
MODERN: dict[str, Any] = {
    "norm": "rms",
    "norm_first": True,
    "position": "rotary",
    "activation": "swiglu",
    "qk_norm": True,
    "bias": False,
}


def save_encoder_decoder(path: Path, **changes: Any) -> EncoderDecoder:
    config = EncoderDecoderConfig(vocab_size=TOKENIZER.vocab_size, **(SMALL | changes))
    model = EncoderDecoder(config)
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.empty_like(parameter)
            parameter.add_(noise.uniform_(-0.3, 0.3, generator=generator(1, name)))
        if model.head.bias is not None:
            # As in a trained model, control tokens are unlikely, except for the end token.
            model.head.bias[list(TOKENIZER.control.all())] = -50.0
            model.head.bias[TOKENIZER.control.end] = 1.0
    model_directory.save(path, model.eval(), TOKENIZER)
    return model


@pytest.mark.parametrize(
    "changes", [{}, MARIAN, MODERN, {"position": "learned", "tied": False}], ids=str
)
def test_a_loaded_encoder_decoder_equals_the_saved_one(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    model = save_encoder_decoder(tmp_path / "m", **changes)
    loaded, tokenizer = model_directory.load(tmp_path / "m", kind=EncoderDecoder)
    assert loaded.config == model.config
    pairs = zip(model.parameters(), loaded.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert tokenizer.encode(TEXT) == TOKENIZER.encode(TEXT)
    source, target = torch.arange(12).view(2, 6), torch.arange(10).view(2, 5)
    with torch.no_grad():  # the logits also depend on fixed positions, which no file stores
        assert torch.equal(model(source, target), loaded(source, target))
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert (config["model_type"] == "marian") == (changes == MARIAN)


@pytest.mark.uses_global_rng
def test_transformers_gives_equal_logits_and_translations_for_a_saved_marian_model(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    model = save_encoder_decoder(tmp_path / "m", **MARIAN)
    reference = open_in_transformers(tmp_path / "m")
    texts = ["the dog sat on the mat", "the log"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    rows = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    assert rows == Translator(EncoderDecoderForward(model), TOKENIZER).encode(texts)
    lengths = torch.tensor([len(row) for row in rows])
    S, pad = int(max(lengths)), TOKENIZER.control.pad
    source = torch.tensor([row + [pad] * (S - len(row)) for row in rows])  # (B, S)
    attention_mask = (torch.arange(S) < lengths[:, None]).long()
    target = torch.arange(16).view(2, 8)
    with torch.no_grad():
        inputs = {"attention_mask": attention_mask, "decoder_input_ids": target}
        expected = reference(input_ids=source, **inputs).logits
        logits = model(source, target, masks.padding(lengths, S))
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
        generated = reference.generate(
            source, attention_mask=attention_mask, max_new_tokens=20, num_beams=1, do_sample=False
        )
    with EncoderDecoderForward(model) as forward:
        translated = Translator(forward, TOKENIZER).translate(texts, BeamConfig(width=1))
    for [best], row in zip(translated, generated.tolist(), strict=True):
        token_ids = [*best.token_ids, *[TOKENIZER.control.end] * best.ended]
        n = min(len(token_ids), 19)  # transformers forces the last of 20 tokens to be the end token
        assert row[1 : 1 + n] == token_ids[:n]


def open_in_transformers(path: Path) -> Any:
    from transformers import AutoModelForSeq2SeqLM

    model, report = AutoModelForSeq2SeqLM.from_pretrained(path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model
