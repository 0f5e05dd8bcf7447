"""What the engine needs to know about a tokenizer to constrain replies by grammars."""

from chatwright.engine.vocabulary import Vocabulary
from chatwright.tokenizer.chat_format import END
from chatwright.tokenizer.tokenizer import Tokenizer, marker_ids


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return the bytes of all tokens, and the control tokens that end an answer."""
    control_ids: frozenset[int] = marker_ids(tokenizer) | {*tokenizer.control.all()}
    end_ids: set[int] = {tokenizer.control.end}
    if (chat_format := tokenizer.chat_format) is not None:
        ends_of_calls = chat_format.layout.separator("tool_call", END).ends
        end_ids |= {*chat_format.stop_ids} - {*ends_of_calls}
    tokens = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.vocab_size)]
    return Vocabulary(tokens, control_ids | end_ids, frozenset(end_ids))
