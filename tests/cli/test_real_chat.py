"""A published model in the terminal: its memory, and the same replies alone and in a batch."""

import runpy
import sys
from pathlib import Path

import pytest

from chatwright.cli.load_model import open_assistant
from chatwright.conversation import Message
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.messages import SamplingConfig
from chatwright.pipeline.import_export import import_model
from tests import real_models

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
MOST_BYTES = 1.5e9
"""538 MB of float32 weights, 113 MB of the embedding beside the packed head, 94 MB of cache."""
QUESTIONS = ("What is the capital of France?", "List five animals.", "Who wrote Hamlet?")

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    path = folder / "model"
    import_model(str(real_models.find(SMOLLM2, folder)), path)
    return path


def test_a_conversation_of_2048_tokens_takes_at_most_1_5_gb(model: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux, whose /proc has the peak memory of a process")
    peak_of_exchange = runpy.run_path(str(ROOT / "benchmarks" / "open_chat.py"))["peak_of_exchange"]
    program = [sys.executable, "-m", "chatwright", "chat", str(model)]
    n_token, _, peak = peak_of_exchange(program, 2048)
    assert n_token > 1900
    assert peak < MOST_BYTES


def test_replies_are_the_same_in_one_slot_in_a_batch_and_in_a_shorter_context(model: Path) -> None:
    sampling = SamplingConfig(temperature=0.3, seed=3, max_tokens=16)
    conversations = [[Message("user", question)] for question in QUESTIONS]
    replies = []
    for limits in (
        MemoryLimits(max_replies=1),
        MemoryLimits(max_replies=8),
        MemoryLimits(max_replies=2, max_context=700),
    ):
        assistant = open_assistant(model, limits)
        assert assistant.engine.batch_dependence_reason == ""
        replies.append([r.message.text for r in assistant.replies(conversations, sampling)])
    assert replies[0] == replies[1] == replies[2]
    assert len(set(replies[0])) == len(QUESTIONS)
