"""The request of /v1/completions: prompts as texts or token ids, and how to continue them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from chatwright.errors import InputError
from chatwright.server.completions_api.token_text import text_of
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import Text
from chatwright.server.request_body.response_format import GrammarFormat
from chatwright.server.request_body.sampling_request import SamplingRequest
from chatwright.tokenizer.tokenizer import Tokenizer

MAX_PROMPTS = 64
MAX_PROMPT_TOKENS = 200_000

TokenId = Annotated[int, Field(ge=0)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_TOKENS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS)]
ManyTokenIds = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS)]


class TextRequest(SamplingRequest):
    """The body of a request, within every limit."""

    prompt: Text | Texts | TokenIds | ManyTokenIds
    max_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    grammar: GrammarFormat | None = None
    """What the continuation may be. Not OpenAI's."""
    return_token_ids: bool = False
    """Whether log-probabilities also list each token with its id and its alternatives' ids."""

    @model_validator(mode="after")
    def fields_agree(self) -> TextRequest:
        """Refuse requests that have no answer."""
        if not self.max_tokens and not self.echo:
            raise ValueError("max_tokens: 0 returns nothing: add echo: true to score the prompt")
        if self.return_token_ids and self.logprobs is None:
            raise ValueError("return_token_ids needs logprobs")
        return self

    @property
    def token_limit(self) -> int | None:
        """Maximum number of tokens in a reply; None if nothing is sampled."""
        return self.max_tokens or None

    @property
    def n_alternative(self) -> int:
        """Number of most probable tokens to return with each token."""
        return self.logprobs or 0

    @property
    def scores_prompt(self) -> bool:
        """Whether the log-probabilities of the prompt are returned."""
        return self.echo and self.logprobs is not None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts, as texts or as token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if texts := [part for part in self.prompt if isinstance(part, str)]:
            return texts
        if ids := [part for part in self.prompt if isinstance(part, int)]:
            return [ids]
        return [part for part in self.prompt if isinstance(part, list)]


@dataclass(frozen=True)
class Prompt:
    """A prompt as the model reads it."""

    token_ids: Sequence[int]
    text: str
    n_added: int
    """Number of tokens at the beginning that are not the client's: the <bos> token of a text."""


def encode_prompts(request: TextRequest, tokenizer: Tokenizer) -> list[Prompt]:
    """Return the prompts as token ids; ApiError for a text or an id that the tokenizer lacks.

    Text never becomes a control token. Ids are read as they are, without a <bos> token.
    """
    return [_encode(prompt, tokenizer) for prompt in request.prompts]


def _encode(prompt: str | list[int], tokenizer: Tokenizer) -> Prompt:
    if isinstance(prompt, str):
        try:
            return Prompt([tokenizer.control.bos, *tokenizer.encode(prompt)], prompt, 1)
        except InputError as error:
            raise ApiError(400, str(error), code="invalid_value", param="prompt") from None
    for token_id in prompt:
        if token_id >= tokenizer.vocab_size:
            message = f"token id {token_id} is outside the model's {tokenizer.vocab_size} ids"
            raise ApiError(400, message, code="invalid_value", param="prompt")
    return Prompt(prompt, text_of(tokenizer, prompt), 0)
