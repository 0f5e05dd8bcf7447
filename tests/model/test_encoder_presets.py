"""Published encoder presets have as many parameters as in transformers."""

from typing import Any

import pytest
import torch

from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_presets import ENCODER_PRESETS, encoder_preset
from chatwright.model.model import count_parameters

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-tiny": (
        "Bert",
        {
            "num_hidden_layers": 2,
            "hidden_size": 128,
            "num_attention_heads": 2,
            "intermediate_size": 512,
        },
    ),
    "bert-base": ("Bert", {}),
    "bert-large": (
        "Bert",
        {
            "num_hidden_layers": 24,
            "hidden_size": 1024,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
    ),
    "roberta-base": ("Roberta", {"max_position_embeddings": 514, "type_vocab_size": 1}),
    "distilbert": ("DistilBert", {}),
    "albert-base": (
        "Albert",
        {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
    "mobilebert": ("MobileBert", {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("head", ["masked_lm", "labels"])
def test_published_presets_have_as_many_parameters_as_in_transformers(name: str, head: str) -> None:
    import transformers

    prefix, settings = PUBLISHED[name]
    suffix = "ForMaskedLM" if head == "masked_lm" else "ForSequenceClassification"
    labels = () if head == "masked_lm" else ("no", "yes")
    with torch.device("meta"):
        config = getattr(transformers, f"{prefix}Config")(**settings)
        reference = getattr(transformers, prefix + suffix)(config)
        model = Encoder(encoder_preset(name, head=head, labels=labels))
    assert count_parameters(model) == sum(p.numel() for p in reference.parameters())


def test_our_own_presets_are_ordered_by_size() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(Encoder(encoder_preset(name, vocab_size=8192)))
            for name in ("nano", "tiny", "small", "medium")
        ]
    assert sizes == sorted(sizes)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        encoder_preset("bert-huge")
    assert (caught.value.field, caught.value.value) == ("size", "bert-huge")
    assert "nano" in caught.value.remedy
    assert set(ENCODER_PRESETS) >= PUBLISHED.keys()
