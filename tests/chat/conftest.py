"""Assistants with scripted replies; one thread, as these models are small."""

from collections.abc import Callable, Iterator

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.chat.tools import Tools
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
        """Script the tokens that follow a prompt of a given length."""
        script = {
            n_prompt_token + index: token_id
            for n_prompt_token, token_ids in replies
            for index, token_id in enumerate(token_ids)
        }
        engine = Engine(ScriptedModel(script, context_length), EngineConfig(n_slot=n_slot))
        return Assistant(engine, ByteTokenizer(), tools)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def untrained() -> Assistant:
    """An assistant with a small GPT that was initialized and not trained."""
    model = GPT(preset("nano", vocab_size=ByteTokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    return Assistant(Engine(model, EngineConfig(n_slot=3)), ByteTokenizer())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
