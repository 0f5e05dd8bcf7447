"""Prompts are taken once an epoch, in an order that continues after a resume."""

from chatwright.conversation import Message
from chatwright.data.encoded.prompts import EncodedPrompts
from chatwright.data.rows import Location, PromptRow
from chatwright.training.batches.prompts import PromptBatches

ROWS = [PromptRow((Message("user", str(i)),), Location("a")) for i in range(10)]
PROMPTS = EncodedPrompts(ROWS, [[i] for i in range(10)], "")


def test_every_prompt_is_taken_once_an_epoch() -> None:
    batches = PromptBatches(PROMPTS, 5, seed=1)
    first = batches.next_indices() + batches.next_indices()
    assert sorted(first) == list(range(10))
    assert batches.next_indices() + batches.next_indices() != first


def test_a_resumed_order_continues() -> None:
    batches = PromptBatches(PROMPTS, 3, seed=1)
    batches.next_indices()
    state = batches.state_dict()
    rest = [batches.next_indices() for _ in range(6)]
    resumed = PromptBatches(PROMPTS, 3, seed=1)
    resumed.load_state_dict(state)
    assert [resumed.next_indices() for _ in range(6)] == rest
    assert resumed.n_taken == batches.n_taken == 7
