r"""Log-probabilities of a text's tokens, as /v1/completions lists them.

A token that is no whole character is written with its bytes, such as "bytes:\xc3", as in OpenAI's
API. The offset of a token is the position of its first character in the choice's text.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from chatwright.engine.messages import TokenSampled, TokenScore
from chatwright.server.completions_api.token_text import begins_document, token_text
from chatwright.tokenizer.tokenizer import Tokenizer


class TextLogProbs:
    """Writes the tokens of one text, from its beginning, in order."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Start at the beginning of the choice's text."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._n_character = 0

    def prompt(
        self, token_ids: Sequence[int], scores: Sequence[TokenScore], n_added: int
    ) -> list[dict[str, Any]]:
        """Return the tokens of an echoed prompt, without the first `n_added`.

        The prompt's first token has no log-probability, because there is no token before it.
        """
        first: dict[str, Any] = {
            "token": written(self._tokenizer, token_ids[0]),
            "log_prob": None,
            "top": None,
            "content": {**self._with_id(token_ids[0], None), "top_logprobs": []},
        }
        tokens = [first, *(self._scored(score) for score in scores)][n_added:]
        prefix = self._tokenizer.prefix.encode()
        has_text = [True] * len(token_ids)
        has_text[0] = not begins_document(self._tokenizer, token_ids)
        shown = list(zip(token_ids, has_text, strict=True))[n_added:]
        for token, (token_id, is_text) in zip(tokens, shown, strict=True):
            content = self._tokenizer.token_bytes(token_id) if is_text else b""
            token["offset"] = self._n_character
            self._read(content.removeprefix(prefix))
            prefix = b"" if content else prefix  # the tokenizer puts it before the first text
        return tokens

    def sampled(self, tokens: Sequence[TokenSampled]) -> list[dict[str, Any]]:
        """Return sampled tokens."""
        found: list[dict[str, Any]] = []
        for token in tokens:
            found.append({**self._scored(token), "offset": self._n_character})
            self._read(self._tokenizer.token_bytes(token.token_id))
        return found

    def _read(self, content: bytes) -> None:
        self._n_character += len(self._decoder.decode(content))

    def _scored(self, token: TokenScore | TokenSampled) -> dict[str, Any]:
        text = written(self._tokenizer, token.token_id)
        # The token itself is listed, too, so there may be one more than the client asked for.
        top = {written(self._tokenizer, id_): value for id_, value in token.alternatives}
        content = {
            **self._with_id(token.token_id, token.log_prob),
            "top_logprobs": [self._with_id(*alternative) for alternative in token.alternatives],
        }
        return {
            "token": text,
            "log_prob": token.log_prob,
            "top": {**top, text: token.log_prob},
            "content": content,
        }

    def _with_id(self, token_id: int, log_prob: float | None) -> dict[str, Any]:
        """Return a token as /v1/chat/completions lists it, with its id."""
        text, content = token_text(self._tokenizer, token_id)
        return {"id": token_id, "token": text, "logprob": log_prob, "bytes": content}


def written(tokenizer: Tokenizer, token_id: int) -> str:
    """Return how a token is written: its text, its bytes, or the string of a control token."""
    control = tokenizer.control.string_of(token_id)
    if control is not None:
        return control
    content = tokenizer.token_bytes(token_id)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)
