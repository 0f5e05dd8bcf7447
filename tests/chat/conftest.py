"""Assistants whose replies are written down, one thread for models this small."""

from collections.abc import Callable, Iterator

import pytest
import torch

from chatwright.chat.assistant import Assistant, Tools
from chatwright.engine.engine import Engine, EngineConfig
from tests.chat.scripted import ByteTokenizer, ScriptedModel

MakeAssistant = Callable[..., Assistant]


@pytest.fixture
def make_assistant() -> MakeAssistant:
    def make(*replies: tuple[int, list[int]], context_length: int = 256, n_row: int = 4, tools: Tools | None = None) -> Assistant:
        """replies: (length of the prompt, the tokens that follow it)."""
        script = {n_prompt + place: token_id for n_prompt, token_ids in replies for place, token_id in enumerate(token_ids)}
        engine = Engine(ScriptedModel(script, context_length), EngineConfig(n_row=n_row))  # type: ignore[arg-type]
        return Assistant(engine, ByteTokenizer(), tools)  # type: ignore[arg-type]

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
