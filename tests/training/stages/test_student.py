"""A student from every other layer of a teacher computes the same as those layers."""

from typing import Any

import pytest
import torch

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import encoder
from chatwright.model.encoder import Encoder, EncoderConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.training.stages.student import every_other_layer

TOKEN_IDS = torch.arange(30).view(2, 15)


def decoder(**changes: Any) -> GPT:
    """Return a decoder of five layers."""
    model = GPT(preset("nano", vocab_size=40, n_layer=5, **changes))
    init_weights(model, generator(0, "weights"))
    return model.eval()


def small_encoder(**changes: Any) -> Encoder:
    """Return an encoder of four layers."""
    shape = {"vocab_size": 40, "d_model": 16, "n_head": 2, "head_dim": 8, "d_ff": 16}
    model = Encoder(EncoderConfig(n_layer=4, **shape, **changes)).eval()
    encoder.init_weights(model, generator(0, "weights"))
    return model


def test_student_of_a_decoder_computes_the_same_as_the_teachers_layers() -> None:
    teacher = decoder()
    student = every_other_layer(teacher)
    assert student.config.n_layer == 3
    del teacher.blocks[3], teacher.blocks[1]
    with torch.no_grad():
        assert torch.equal(student(TOKEN_IDS), teacher(TOKEN_IDS))


def test_student_of_an_encoder_computes_the_same_as_the_teachers_layers() -> None:
    teacher = small_encoder()
    student = every_other_layer(teacher)
    del teacher.blocks[3], teacher.blocks[1]
    teacher.config = student.config
    with torch.no_grad():
        assert torch.equal(student(TOKEN_IDS), teacher(TOKEN_IDS))


def test_settings_that_list_layers_by_number_are_renumbered() -> None:
    teacher = decoder(window=4, unwindowed_layers=(0, 3, 4), nope_layers=(2,))
    student = every_other_layer(teacher)
    assert student.config.unwindowed_layers == (0, 2)
    assert student.config.nope_layers == (1,)


def test_teacher_whose_layers_share_weights_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        every_other_layer(small_encoder(n_block=1))
    assert caught.value.field == "distillation.start"
