"""The lines that the terminal command /context shows."""

from chatwright.chat.context_meter import measure_context
from chatwright.cli.terminal.context_table import EXCERPT, context_lines, context_summary
from chatwright.conversation import Message
from tests.chat.scripted import ByteTokenizer, exchanges


def test_every_message_that_the_model_sees_has_a_line() -> None:
    """An earlier exchange has 12 + 10 tokens, the last question 122 and its answer 3.

    Of 250 tokens, 10 are kept for the reply. So five of the nine earlier exchanges fit.
    """
    conversation = [*exchanges(9), Message("user", "ab\n" * 40), Message("assistant", "x")]
    use = measure_context(conversation, ByteTokenizer(), 250, 10)  # type: ignore[arg-type]
    lines = context_lines(use)
    assert "8 messages" in lines[0]
    assert lines[1:3] == [
        "user          12 tokens  question 4",
        "assistant     10 tokens  answer 4",
    ]
    assert lines[-3] == "user         122 tokens  " + ("ab " * 40)[:EXCERPT] + "..."
    assert context_summary(use) == "context 236 of 250 tokens"
    assert lines[-1].startswith("context 236 of 250 tokens, 14 left;")
    assert "may have 1 tokens" in lines[-1]
