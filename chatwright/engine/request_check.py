"""Refuse requests that the engine can never serve, before anything is allocated for them.

The cost of a request follows from its fields alone: prompt, longest reply, number of replies. Every
slot holds `context_length` tokens, so a request within the context is always served to its end.
"""

from chatwright.engine.messages import PromptTooLong, Request
from chatwright.errors import InputError
from chatwright.model.head_name import require_heads


def check_request(request: Request, vocab_size: int, context_length: int) -> int:
    """Return the most tokens that the reply may have.

    Args:
        request: The request.
        vocab_size: Number of the model's token ids.
        context_length: Longest text that the engine serves, in tokens.

    Raises:
        PromptTooLong: The prompt and the reply do not fit.
        InputError: The prompt is empty or cannot be scored; or the prompt, `logit_bias` or
            `banned_ids` names a token that does not exist.
    """
    n_prompt_token, sampling = len(request.token_ids), request.sampling
    if not n_prompt_token:
        raise InputError(
            "token_ids is empty, but a prompt needs at least one token.",
            remedy="Begin the prompt with the <bos> token.",
            field="token_ids",
            value=[],
        )
    room = context_length - n_prompt_token
    max_tokens = (sampling.max_tokens or 1) if request.is_sampled else 0
    if room < max_tokens:
        raise PromptTooLong(
            f"The prompt's {n_prompt_token} tokens and max_tokens = {max_tokens} do not fit the "
            f"context of {context_length} tokens.",
            remedy=f"Shorten the prompt, or set max_tokens to at most {max(room, 0)}.",
            field="max_tokens" if room > 0 else "token_ids",
            value=max_tokens if room > 0 else n_prompt_token,
        )
    ids_of_fields = {
        "token_ids": request.token_ids,
        "logit_bias": sampling.logit_bias,
        "banned_ids": request.banned_ids,
    }
    for name, token_ids in ids_of_fields.items():
        for token_id in token_ids:
            if not 0 <= token_id < vocab_size:
                raise InputError(
                    f"Token id {token_id} in {name} is outside the model's {vocab_size} ids.",
                    remedy="Use the tokenizer in the model's directory.",
                    field=name,
                    value=token_id,
                )
    if request.scores_prompt and sampling.n_generated > sampling.n:
        raise InputError(
            "The prompt is scored for each reply, but best_of leaves out some of them.",
            remedy="Score the prompt in a request without best_of.",
            field="best_of",
            value=sampling.best_of,
        )
    return (sampling.max_tokens or room) if request.is_sampled else 0


def check_heads(request: Request, n_layer: int, n_head: int) -> None:
    """Raise InputError if a head that is switched off does not exist in the model."""
    require_heads(request.sampling.heads_off, n_layer, n_head)
