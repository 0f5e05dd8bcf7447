"""Label and scalar heads on a decoder and on an encoder."""

from pathlib import Path
from typing import TypeVar

import pytest
import torch

from chatwright import config
from chatwright.checkpoint import config_file, model_directory, safetensors_file
from chatwright.checkpoint.family import to_public_tensors
from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.errors import InputError
from chatwright.model import encoder, gpt, lora, masks
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.model.model import Model
from chatwright.model.presets import preset
from chatwright.tokenizer.byte_bpe import ByteBPE

M = TypeVar("M", bound=Model)
LENGTHS = torch.tensor([7, 12, 3])
LABELS = ("bad", "good", "neither")


def decoder(vocab_size: int = 97, **changes: object) -> GPT:
    model = GPT(preset("nano", vocab_size=vocab_size, **changes))
    gpt.init_weights(model, generator(0, "weights"))
    return randomize(model)


def small_encoder(**changes: object) -> Encoder:
    model = Encoder(encoder_preset("nano", vocab_size=97, **changes))
    encoder.init_weights(model, generator(0, "weights"))
    return randomize(model)


def randomize(model: M) -> M:
    """Give the zero parameters of a fresh head values, so that they change the output."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.any():
                p.uniform_(-1, 1, generator=generator(1, name))
    return model.eval()


def padded_tokens() -> torch.Tensor:
    """Draw three rows of 7, 12 and 3 tokens; the padding is token 1. (B, T)."""
    token_ids = torch.randint(2, 97, (3, 12), generator=generator(2, "tokens"))
    return token_ids.masked_fill(torch.arange(12) >= LENGTHS[:, None], 1)


@pytest.mark.parametrize(
    "changes", [{"head": "scalar"}, {"head": "labels", "labels": LABELS}], ids=str
)
def test_padding_does_not_change_the_scores_of_a_decoder(changes: dict) -> None:
    model, token_ids = decoder(**changes), padded_tokens()
    with torch.no_grad():
        padded = model(token_ids, lengths=LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = model(token_ids[row : row + 1, :length])[0]
            torch.testing.assert_close(padded[row], alone, atol=1e-5, rtol=1e-5)


def test_the_reward_is_the_value_at_the_last_token() -> None:
    model, token_ids = decoder(head="scalar"), padded_tokens()
    assert model.scalar_head is not None
    with torch.no_grad():
        values = model.scalar_head(model.hidden_states(token_ids))  # (B, T)
        assert values.shape == (3, 12)
        torch.testing.assert_close(
            model(token_ids, lengths=LENGTHS), values[torch.arange(3), LENGTHS - 1]
        )


def test_an_encoder_with_a_scalar_head_gives_one_number_per_row_with_or_without_padding() -> None:
    model, token_ids = small_encoder(head="scalar"), padded_tokens()
    with torch.no_grad():
        scores = model(token_ids, masks.padding(LENGTHS, 12))
        assert scores.shape == (3,)
        torch.testing.assert_close(scores[0], model(token_ids[:1, :7])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.uses_global_rng
def test_a_decoder_with_labels_equals_the_classifier_of_transformers() -> None:
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    model, token_ids = decoder(head="labels", labels=LABELS), padded_tokens()
    shape = config_file.public_config(decoder().config)
    not_settings = ("chatwright", "architectures", "model_type")
    settings = {name: value for name, value in shape.items() if name not in not_settings}
    reference = Qwen3ForSequenceClassification(
        Qwen3Config(**settings, num_labels=3, pad_token_id=1)
    ).eval()
    weights = to_public_tensors(
        model_directory.layout(model, "chatwright"), dict(model.named_parameters())
    )
    reference.load_state_dict({name: weight.detach() for name, weight in weights.items()})
    exists = torch.arange(12) < LENGTHS[:, None]
    with torch.no_grad():
        expected = reference(input_ids=token_ids, attention_mask=exists.long()).logits
        torch.testing.assert_close(
            model(token_ids, lengths=LENGTHS), expected, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize(
    "changes", [{"head": "scalar"}, {"head": "labels", "labels": LABELS}, {"head": "none"}], ids=str
)
def test_a_decoder_saved_with_any_head_loads_unchanged(tmp_path: Path, changes: dict) -> None:
    tokenizer = ByteBPE.train(["the cat sat on the mat. " * 20], 300)
    model = decoder(vocab_size=tokenizer.vocab_size, **changes)
    model_directory.save(tmp_path / "m", model, tokenizer)
    tensors = safetensors_file.check_header(tmp_path / "m" / "model.safetensors")
    assert ("score.weight" in tensors) == (changes["head"] != "none")
    again, _ = model_directory.load(tmp_path / "m")
    assert again.config == model.config
    token_ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(again(token_ids), model(token_ids))


def test_fresh_heads_score_zero() -> None:
    for head in ({"head": "scalar"}, {"head": "labels", "labels": LABELS}):
        model = GPT(preset("nano", vocab_size=97, **head))
        gpt.init_weights(model, generator(0, "weights"))
        assert not model(padded_tokens()).any()


def test_the_engine_refuses_a_model_without_a_language_model_head() -> None:
    with pytest.raises(InputError) as caught:
        Engine(decoder(head="scalar"))
    assert (caught.value.field, caught.value.value) == ("head", "scalar")


def test_an_adapter_without_targets_does_not_change_a_scalar_head() -> None:
    model = decoder(head="scalar")
    lora.attach(model, LoRAConfig(), generator(0, "lora"))
    assert not any("head" in name for name in lora.lora_layers(model))
    assert len(lora.lora_layers(model)) == 2 * 7, "2 blocks with 4 + 3 linear layers"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"head": "masked_lm"}, "head"),
        ({"head": "labels"}, "labels"),
        ({"labels": ("a", "b")}, "labels"),
        ({"head": "labels", "labels": ("a",)}, "labels"),
        ({"head": "labels", "labels": ("a", "a")}, "labels"),
    ],
    ids=str,
)
def test_an_impossible_head_is_refused_with_its_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        gpt.GPTConfig(vocab_size=10, **changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("task", "head"), [("masked-lm", "masked_lm"), ("classify", "labels"), ("embed", "none")]
)
def test_encoder_settings_of_earlier_versions_load(task: str, head: str) -> None:
    labels = ["a", "b"] if task == "classify" else []
    old = {
        "vocab_size": 97,
        "width": 32,
        "hidden": 48,
        "task": task,
        "labels": labels,
        "first_position": 2,
        "embedding_width": 8,
        "projects": "words",
        "neighbours": True,
        "narrow_values": False,
    }
    with pytest.warns(DeprecationWarning, match="config.json"):
        loaded = config.build(EncoderConfig, old, "config.json")
    assert loaded == EncoderConfig(
        vocab_size=97,
        d_model=32,
        d_ff=48,
        head=head,
        labels=tuple(labels),
        position_offset=2,
        embedding_size=8,
        projected="words",
        trigram_input=True,
    )
