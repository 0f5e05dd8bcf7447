"""Published encoder-decoder presets have as many parameters as their paper states."""

import pytest
import torch

from chatwright.errors import InputError
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.model import count_parameters


# Vaswani et al. 2017, table 3, with the shared vocabulary of 37,000 (section 5.1). The paper rounds
# to the million.
@pytest.mark.parametrize(("size", "millions"), [("vaswani-base", 65), ("vaswani-big", 213)])
def test_the_published_presets_have_the_published_numbers_of_parameters(
    size: str, millions: float
) -> None:
    with torch.device("meta"):
        n_parameter = count_parameters(
            EncoderDecoder(encoder_decoder_preset(size, vocab_size=37_000))
        )
    assert n_parameter / 1e6 == pytest.approx(millions, rel=0.03)


def test_our_own_presets_are_ordered_by_size() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(EncoderDecoder(encoder_decoder_preset(name, vocab_size=8192)))
            for name in ("nano", "tiny", "small")
        ]
    assert sizes == sorted(sizes)
    assert sizes[1] > 2 * sizes[0]


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        encoder_decoder_preset("huge")
    assert (caught.value.field, caught.value.value) == ("size", "huge")
    assert "vaswani-base" in caught.value.remedy
