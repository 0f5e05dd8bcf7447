"""A model gets the weights of a saved model, and a new head if the heads differ."""

from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.start_from_parent import start_from_parent
from chatwright.tokenizer.byte_bpe import ByteBPE

TOKENIZER = ByteBPE.train(["the cat sat on the mat. " * 20], 300)
TOKENS = torch.arange(12).view(2, 6)


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    model = GPT(preset("nano", vocab_size=TOKENIZER.vocab_size))
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "language_model", model, TOKENIZER)
    return tmp_path / "language_model"


def test_reward_and_value_models_start_from_a_language_model(
    language_model: Path, tmp_path: Path
) -> None:
    reward_model, fresh = start_from_parent(language_model, {"head": "scalar"}, 1, GPT)
    assert fresh == ["scalar_head.score.weight"]
    assert not reward_model(TOKENS).any(), "a fresh reward is 0 for every text"
    loaded, _ = model_directory.load(language_model)
    assert torch.equal(reward_model.hidden_states(TOKENS), loaded.hidden_states(TOKENS))

    with torch.no_grad():
        reward_model.scalar_head.score.weight.fill_(0.5)
    model_directory.save(tmp_path / "reward_model", reward_model, TOKENIZER)
    value_model, fresh = start_from_parent(tmp_path / "reward_model", {}, 2, GPT)
    assert fresh == []
    assert torch.equal(value_model(TOKENS), reward_model(TOKENS))


def test_a_classifier_starts_from_a_decoder(language_model: Path) -> None:
    changes = {"head": "labels", "labels": ("bad", "good")}
    classifier, fresh = start_from_parent(language_model, changes, 1, GPT)
    assert fresh == ["label_head.labels.weight"]
    assert torch.equal(classifier(TOKENS).softmax(-1), torch.full((2, 2), 0.5))


def test_a_changed_size_of_the_layers_is_rejected(language_model: Path) -> None:
    with pytest.raises(InputError) as caught:
        start_from_parent(language_model, {"d_ff": 64}, 1, GPT)
    assert caught.value.field == "blocks.0.feed_forward.gate.weight"
