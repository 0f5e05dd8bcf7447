"""A saved encoder-decoder comes back to the bit; one of the shape of 2017 opens in transformers as MarianMT and translates alike."""

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
MARIAN: dict[str, Any] = {"position": "sinusoidal_halves", "head_bias": True}
MODERN: dict[str, Any] = {
    "norm": "rms",
    "norm_first": True,
    "position": "rotary",
    "activation": "swiglu",
    "qk_norm": True,
    "bias": False,
}


def saved(path: Path, **changes: Any) -> EncoderDecoder:
    shape = {
        "context_length": 30,
        "n_encoder_layer": 2,
        "n_decoder_layer": 3,
        "n_head": 4,
        "head_dim": 8,
        "d_model": 32,
        "d_ff": 40,
    }
    model = EncoderDecoder(
        EncoderDecoderConfig(vocab_size=TOKENIZER.vocab_size, **(shape | changes))
    )
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
        if (
            model.head.bias is not None
        ):  # control ids, which ours never writes, are as unlikely as in a trained model
            model.head.bias[list(TOKENIZER.control.all())] = -50.0
            model.head.bias[TOKENIZER.control.end] = 1.0
    model_directory.save(path, model.eval(), TOKENIZER)
    return model


@pytest.mark.parametrize(
    "changes", [{}, MARIAN, MODERN, {"position": "learned", "tied": False}], ids=str
)
def test_save_and_load_are_opposites(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = saved(tmp_path / "m", **changes)
    loaded, tokenizer = model_directory.load(tmp_path / "m", kind=EncoderDecoder)
    assert loaded.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True)
    )
    assert tokenizer.encode(TEXT) == TOKENIZER.encode(TEXT)
    source, target = torch.arange(12).view(2, 6), torch.arange(10).view(2, 5)
    with torch.no_grad():
        assert torch.equal(model(source, target), loaded(source, target)), (
            "fixed positions too, which no file holds"
        )
    assert (json.loads((tmp_path / "m" / "config.json").read_text())["model_type"] == "marian") == (
        changes == MARIAN
    )


@pytest.mark.uses_global_rng
def test_it_opens_in_transformers_with_equal_logits_and_translations(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, texts = saved(tmp_path / "m", **MARIAN), ["the dog sat on the mat", "the log"]
    theirs, report = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    rows = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    assert rows == Translator(EncoderDecoderForward(model), TOKENIZER).read(texts)
    lengths = torch.tensor([len(row) for row in rows])
    source = torch.tensor(
        [row + [TOKENIZER.control.pad] * (max(lengths) - len(row)) for row in rows]
    )
    exists, target = torch.arange(source.shape[1]) < lengths[:, None], torch.arange(16).view(2, 8)
    with torch.no_grad():
        logits = theirs(
            input_ids=source, attention_mask=exists.long(), decoder_input_ids=target
        ).logits
        torch.testing.assert_close(
            model(source, target, masks.padding(lengths, source.shape[1])),
            logits,
            atol=1e-5,
            rtol=1e-4,
        )
        written = theirs.generate(
            source, attention_mask=exists.long(), max_new_tokens=20, num_beams=1, do_sample=False
        )
    with EncoderDecoderForward(model) as forward:
        for [best], row in zip(
            Translator(forward, TOKENIZER).translate(texts, BeamConfig(width=1)),
            written.tolist(),
            strict=True,
        ):
            ours = [*best.token_ids, *[TOKENIZER.control.end] * best.ended]
            n = min(len(ours), 19)  # its last token within the limit is forced to be the end
            assert row[1 : 1 + n] == ours[:n]
