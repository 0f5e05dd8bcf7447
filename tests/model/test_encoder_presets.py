"""The published shapes have the published sizes, counted against transformers without allocating a weight."""

from typing import Any

import pytest
import torch

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
@pytest.mark.parametrize("task", ["masked-lm", "classify"])
def test_published_shapes_have_as_many_weights_as_in_transformers(name: str, task: str) -> None:
    import transformers

    prefix, settings = PUBLISHED[name]
    head, labels = (
        ("ForMaskedLM", ()) if task == "masked-lm" else ("ForSequenceClassification", ("no", "yes"))
    )
    with torch.device("meta"):
        theirs = getattr(transformers, prefix + head)(
            getattr(transformers, f"{prefix}Config")(**settings)
        )
        ours = Encoder(encoder_preset(name, task=task, labels=labels))
    assert count_parameters(ours) == sum(p.numel() for p in theirs.parameters())


def test_one_dial_gives_growing_models() -> None:
    with torch.device("meta"):
        sizes = [
            count_parameters(Encoder(encoder_preset(name, vocab_size=8192)))
            for name in ("nano", "tiny", "small", "medium")
        ]
    assert sizes == sorted(sizes)


def test_an_unknown_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no such shape of an encoder. Choose one of nano"):
        encoder_preset("bert-huge")
    assert set(ENCODER_PRESETS) >= PUBLISHED.keys()
