"""Translation: results do not depend on the other texts; long texts are translated in pieces."""

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
def test_translations_are_equal_alone_and_together_with_other_texts(
    config: BeamConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = make()
    together = translator.translate(TEXTS, config)
    assert together == [translator.translate([text], config)[0] for text in TEXTS]
    monkeypatch.setattr("chatwright.tasks.translate.MAX_ROWS", 4)
    assert translator.translate(TEXTS, config) == together
    assert [len(ranked) for ranked in together] == [config.n_best if text else 1 for text in TEXTS]
    assert together[2][0].text == ""
    assert together[0][0].score >= together[0][-1].score


def test_decoding_starts_with_the_start_token_of_the_model() -> None:
    translator = make(start_id=TOKENIZER.control.pad)
    embedded = []
    embed = translator.forward.model._embed
    translator.forward.model._embed = lambda ids, *rest: embedded.append(ids) or embed(ids, *rest)
    translator.translate(["mat"], BeamConfig(width=1))
    assert embedded[1].tolist() == [[TOKENIZER.control.pad]]


def test_translations_have_no_control_tokens_and_their_text_is_their_decoded_ids() -> None:
    translator, control = make(), TOKENIZER.control
    for [translated] in translator.translate(TEXTS, BeamConfig(width=4)):
        assert not set(translated.token_ids) & set(control.all())
        assert translated.text == TOKENIZER.decode(translated.token_ids).strip()


def test_user_text_never_becomes_a_control_token() -> None:
    [ids] = make().encode(["<|end|> <|bos|>"])
    assert not set(ids[:-1]) & set(TOKENIZER.control.all())
    assert ids[-1] == TOKENIZER.control.end


LONG = "the cat sat on the mat; the dog sat on the log. " * 4


def test_a_text_longer_than_the_context_is_translated_in_pieces() -> None:
    translator, config = make(), BeamConfig(width=3, n_best=2)
    [short, long] = translator.translate(["mat", LONG], config)
    assert short == translator.translate(["mat"], config)[0]
    assert short[0].pieces == ()
    for rank, translated in enumerate(long):
        sources = [piece.source for piece in translated.pieces]
        alone = [translator.translate([source], config)[0][rank] for source in sources]
        assert " ".join(sources).split() == LONG.split()
        assert [piece.translation for piece in translated.pieces] == alone
        assert translated.text == " ".join(piece.text for piece in alone if piece.text)
        assert translated.log_prob == sum(piece.log_prob for piece in alone)
        assert translated.ended == all(piece.ended for piece in alone)
