"""Texts to translations: each text gets its own, in order, whatever is translated beside it; nothing is cut unseen."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tasks.translate import Translator
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXTS = ["the cat sat on the mat", "a dog", "", "the dog sat on the log and the cat", "mat"]
TOKENIZER = ByteBPE.train([*TEXTS * 3], 290, " ")


def make(**changes: object) -> Translator:
    model = EncoderDecoder(
        EncoderDecoderConfig(
            vocab_size=TOKENIZER.vocab_size,
            context_length=32,
            n_encoder_layer=1,
            n_decoder_layer=1,
            n_head=2,
            head_dim=8,
            d_model=16,
            d_ff=32,
            **changes,
        )
    )
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        model.embedding.weight.mul_(4.0)
    return Translator(EncoderDecoderForward(model), TOKENIZER)


@pytest.mark.parametrize("config", [BeamConfig(width=1), BeamConfig(width=3, n_best=2)], ids=str)
def test_alone_equals_among_others_in_their_order(
    config: BeamConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = make()
    together = translator.translate(TEXTS, config)
    assert together == [translator.translate([text], config)[0] for text in TEXTS]
    monkeypatch.setattr("chatwright.tasks.translate.ROWS_AT_ONCE", 4)
    assert translator.translate(TEXTS, config) == together
    assert [len(found) for found in together] == [config.n_best if text else 1 for text in TEXTS]
    assert together[2][0].text == ""
    assert together[0][0].score >= together[0][-1].score


def test_a_model_with_a_start_of_its_own_begins_with_it() -> None:
    other = make(start_id=TOKENIZER.control.pad)
    seen = []
    embed = other.forward.model._embed
    other.forward.model._embed = lambda ids, *rest: seen.append(ids) or embed(ids, *rest)  # type: ignore[method-assign]
    other.translate(["mat"], BeamConfig(width=1))
    assert seen[1].tolist() == [[TOKENIZER.control.pad]]


def test_no_control_token_is_written_and_text_is_that_of_the_ids() -> None:
    translator, control = make(), TOKENIZER.control
    for [found] in translator.translate(TEXTS, BeamConfig(width=4)):
        assert not set(found.token_ids) & set(control.all())
        assert found.text == TOKENIZER.decode(found.token_ids).strip()


def test_what_a_person_wrote_never_becomes_a_control_token() -> None:
    [ids] = make().read(["<|end|> <|bos|>"])
    assert not set(ids[:-1]) & set(TOKENIZER.control.all())
    assert ids[-1] == TOKENIZER.control.end


def test_a_text_too_long_is_refused_before_anything_is_translated() -> None:
    with pytest.raises(
        ValueError,
        match="text 2 has .* tokens and this model reads at most 32: give it sentence by sentence",
    ):
        make().translate(["mat", "xyzzy " * 20])
