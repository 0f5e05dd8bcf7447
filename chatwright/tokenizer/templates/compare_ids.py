"""Compare the token ids of a derived chat format with those of the model's template.

At import, the chat format is derived from the model's Jinja template (`derive.py`). The
`tokenizers` library encodes what the template wrote, special tokens included, as transformers does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import tokenizers

from chatwright.tokenizer.chat_format import END, PROMPT, ChatFormat
from chatwright.tokenizer.conversation_parts import conversation_parts
from chatwright.tokenizer.encode_parts import encode_parts
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.templates.compare import Sample, difference
from chatwright.tokenizer.templates.derive import NotExpressible


def require_equal_ids(tokenizer: ImportedTokenizer, samples: Sequence[Sample]) -> None:
    """Raise NotExpressible, with the first difference, unless the ids of all samples are equal."""
    chat_format = tokenizer.chat_format
    assert chat_format is not None, "the tokenizer has the derived format"
    # These would add tokens to the encoded text, or cut it.
    switched_off = {"post_processor": None, "truncation": None, "padding": None}
    library = tokenizers.Tokenizer.from_str(json.dumps(tokenizer.files.document | switched_off))
    for sample in samples:
        expected = library.encode(sample.text, add_special_tokens=False).ids
        written = _ids(sample, tokenizer, chat_format)
        if written != expected:
            tokens = [[library.id_to_token(i) for i in ids] for ids in (expected, written)]
            raise NotExpressible(difference(sample.name, *tokens))


def _ids(sample: Sample, tokenizer: ImportedTokenizer, chat_format: ChatFormat) -> list[int]:
    ending = PROMPT if sample.probe.is_prompt else END
    parts = conversation_parts(
        sample.probe.messages, chat_format, thinking=sample.thinking, ending=ending
    )
    return [token_id for token_id, _ in encode_parts(parts, tokenizer, chat_format)]
