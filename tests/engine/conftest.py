"""Fixtures for tests of the engine: small models with random weights, and one thread."""

from collections.abc import Callable, Iterator

import pytest
import torch

from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset

VOCAB_SIZE = 61


@pytest.fixture
def make_model() -> Callable[..., GPT]:
    def make(**changes: object) -> GPT:
        model = GPT(preset("nano", **{"vocab_size": VOCAB_SIZE, "context_length": 64, **changes}))
        init_weights(model, generator(0, "weights"))
        # The initial weights give almost equal logits. Larger ones make some tokens likelier.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1 and parameter.requires_grad:
                    parameter.mul_(5.0)
            for name, parameter in model.named_parameters():
                # These tables start at zero, which would hide errors in their use.
                if name.startswith(("ngrams.", "previous.")):
                    parameter.normal_(generator=generator(1, name))
        return model

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: a second one does not make small models faster."""
    n_thread = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_thread)
