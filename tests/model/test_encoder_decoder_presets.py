"""The shapes by name have the parameters their papers print."""

import pytest
import torch

from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.model import count_parameters


# Table 3 of Vaswani et al. 2017, with its shared vocabulary of 37,000 (section 5.1); the paper rounds to the million.
@pytest.mark.parametrize(("size", "millions"), [("vaswani-base", 65), ("vaswani-big", 213)])
def test_the_published_shapes_have_the_published_numbers_of_parameters(
    size: str, millions: float
) -> None:
    with torch.device("meta"):
        found = count_parameters(EncoderDecoder(encoder_decoder_preset(size, vocab_size=37_000)))
    assert found / 1e6 == pytest.approx(millions, rel=0.03)


def test_the_dial_turns_one_way() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(EncoderDecoder(encoder_decoder_preset(name, vocab_size=8192)))
            for name in ("nano", "tiny", "small")
        ]
    assert sizes == sorted(sizes)
    assert sizes[1] > 2 * sizes[0]


def test_an_unknown_shape_is_said() -> None:
    with pytest.raises(
        ValueError,
        match="size = 'huge': no such shape of an encoder-decoder. Choose one of nano, tiny, small, vaswani-base",
    ):
        encoder_decoder_preset("huge")
