"""Assistants whose replies are written down, one thread for models this small."""

from collections.abc import Callable, Iterator

import pytest
import torch

from chatwright.chat.assistant import Assistant, Tools
from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from tests.chat.scripted import ByteTokenizer, ScriptedModel

MakeAssistant = Callable[..., Assistant]


@pytest.fixture
def make_assistant() -> MakeAssistant:
    def make(
        *replies: tuple[int, list[int]],
        context_length: int = 256,
        n_slot: int = 4,
        tools: Tools | None = None,
    ) -> Assistant:
        """replies: (length of the prompt, the tokens that follow it)."""
        script = {
            n_prompt + place: token_id
            for n_prompt, token_ids in replies
            for place, token_id in enumerate(token_ids)
        }
        engine = Engine(ScriptedModel(script, context_length), EngineConfig(n_slot=n_slot))  # type: ignore[arg-type]
        return Assistant(engine, ByteTokenizer(), tools)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def real() -> Assistant:
    """A real model, untrained."""
    model = GPT(preset("nano", vocab_size=ByteTokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    return Assistant(Engine(model, EngineConfig(n_slot=3)), ByteTokenizer())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
