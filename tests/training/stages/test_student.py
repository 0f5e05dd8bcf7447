"""Every other layer of a model is a model that computes what those layers compute."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.model import encoder
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.training.stages.student import every_other_layer

TOKENS = torch.arange(30).view(2, 15)


def teacher(**changes: object) -> GPT:
    made = GPT(preset("nano", vocab_size=40, n_layer=5, **changes))
    init_weights(made, generator(0, "weights"))
    return made.eval()


def test_it_computes_what_the_teachers_layers_compute() -> None:
    model = teacher()
    student = every_other_layer(model)
    assert student.config.n_layer == 3
    del model.blocks[3], model.blocks[1]
    with torch.no_grad():
        assert torch.equal(student(TOKENS), model(TOKENS))


def test_settings_that_name_layers_follow_them() -> None:
    student = every_other_layer(teacher(window=4, unwindowed_layers=(0, 3, 4), nope_layers=(2,)))
    assert student.config.unwindowed_layers == (0, 2)
    assert student.config.nope_layers == (1,)


def test_an_encoder_has_a_student_too() -> None:
    model = encoder.Encoder(
        encoder.EncoderConfig(vocab_size=40, n_layer=4, d_model=16, n_head=2, head_dim=8, d_ff=16)
    ).eval()
    encoder.init_weights(model, generator(0, "weights"))
    student = every_other_layer(model)
    del model.blocks[3], model.blocks[1]
    model.config = student.config
    with torch.no_grad():
        assert torch.equal(student(TOKENS), model(TOKENS))


def test_layers_that_share_their_weights_are_refused() -> None:
    shared = encoder.Encoder(
        encoder.EncoderConfig(
            vocab_size=40, n_layer=4, n_block=1, d_model=16, n_head=2, head_dim=8, d_ff=16
        )
    )
    with pytest.raises(
        ValueError, match="needs a teacher of two layers or more, each with weights of its own"
    ):
        every_other_layer(shared)
