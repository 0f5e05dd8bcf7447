"""Small models with known or random weights, and ways to run them."""

from collections.abc import Callable, Iterator

import pytest
import torch

from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset


@pytest.fixture
def make_model() -> Callable[..., GPT]:
    def make(**changes: object) -> GPT:
        model = GPT(preset("nano", **{"vocab_size": 61, "context_length": 64, **changes}))
        init_weights(model, generator(0, "weights"))
        with torch.no_grad():  # 0.02 gives almost even logits; ten times that gives opinions
            for parameter in model.parameters():
                if parameter.ndim > 1 and parameter.requires_grad:
                    parameter.mul_(5.0)
            for name, parameter in model.named_parameters():
                if name.startswith(
                    ("ngrams.", "previous.")
                ):  # 0 at the start, and a table of zeros would prove nothing
                    parameter.normal_(generator=generator(1, name))
        return model

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread and lose tenfold where another process wants that core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
