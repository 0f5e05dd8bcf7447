"""Choose the longest context and the number of replies for the memory that is free.

The KV cache grows with the conversations, so a plan reserves nothing. It guarantees that every
reply that was accepted can fill its context. Where the user left the choice to the program, it
first shortens the context, down to 4,096 tokens, and then lowers the number of replies. What the
replies leave, and a tenth of the free memory, is for prefixes of earlier texts (`prefix_cache.py`).
"""

import math
from dataclasses import dataclass, replace

from chatwright.errors import InputError

FREE_SHARE = 0.8
"""Share of the free memory that the cache may take if the user names no size."""
PREFIX_SHARE = 0.1
"""Share of the free memory that the prefix cache may take beside that of the replies."""
MAX_PREFIX_BYTES = 2 * 2**30
"""Largest prefix cache."""
USEFUL_CONTEXT = 4096
"""Tokens. Fewer replies at a time are better than a context shorter than this."""
SERVED_REPLIES = 8
"""Replies that a server generates together, if they fit in memory."""


@dataclass(frozen=True, kw_only=True)
class MemoryLimits:
    """Limits that the user set; None leaves the choice to the program."""

    max_context: int | None = None
    """Longest conversation in tokens, prompt and reply together."""
    max_replies: int | None = None
    """Number of replies that are generated together."""
    cache_memory: int | None = None
    """Largest size of the KV cache in bytes."""
    weights: str = "float32"
    """Format of the weights (`formats.py`): fewer bits take less memory."""

    def __post_init__(self) -> None:
        for name in ("max_context", "max_replies", "cache_memory"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = f"--{name.replace('_', '-')}"
                raise InputError(
                    f"{option} {value}: the value must be at least 1.",
                    remedy="Give a larger value, or leave the option out.",
                    field=name,
                    value=value,
                )


@dataclass(frozen=True, kw_only=True)
class TokenMemory:
    """Memory that one token of context takes."""

    cache_bytes: int
    """Bytes of its keys and values, in every reply."""
    step_bytes: int
    """Bytes of temporary tensors, once for all replies."""
    block: int
    """The cache grows by this many tokens."""

    def total(self, n_token: int, n_reply: int) -> int:
        """Compute the memory of `n_reply` texts of `n_token` tokens, in bytes."""
        n_stored = self.whole_blocks(n_token) + 1  # one position for padding
        return n_stored * (n_reply * self.cache_bytes + self.step_bytes)

    def longest_context(self, n_byte: int, n_reply: int) -> int:
        """Return how many tokens, in whole blocks, `n_reply` texts can have in this memory."""
        n_stored = n_byte // (n_reply * self.cache_bytes + self.step_bytes)
        return max(n_stored - 1, 0) // self.block * self.block

    def most_replies(self, n_byte: int, n_token: int) -> int:
        """Return how many texts of `n_token` tokens fit in this memory."""
        n_stored = self.whole_blocks(n_token) + 1
        return max(n_byte // n_stored - self.step_bytes, 0) // self.cache_bytes

    def whole_blocks(self, n_token: int) -> int:
        """Round a number of tokens up to whole blocks."""
        return -(-n_token // self.block) * self.block


@dataclass(frozen=True)
class CachePlan:
    """How long a text may be, and how many replies are generated together."""

    context_length: int
    n_slot: int
    note: str = ""
    """Why this is less than the model or the program offers; "" if it is not."""
    prefix_bytes: int = 0
    """Memory for the prefix cache, in bytes."""


def plan_cache(
    limits: MemoryLimits,
    memory: TokenMemory,
    model_context: int,
    n_reply: int,
    n_free_byte: int,
) -> CachePlan:
    """Choose a context length and a number of replies that fit in memory.

    Args:
        limits: What the user set.
        memory: What a token of context costs in this model.
        model_context: The longest text that the model can read, in tokens.
        n_reply: Number of replies, if the user sets none and they fit.
        n_free_byte: Free memory in bytes.

    Raises:
        InputError: The limits of the user do not fit in memory, or not the model.
    """
    _check_limits(limits, model_context, n_free_byte)
    budget = limits.cache_memory or int(FREE_SHARE * n_free_byte)
    plan = _plan_replies(limits, memory, model_context, n_reply, budget)
    unused = budget - memory.total(plan.context_length, plan.n_slot)
    if limits.cache_memory is None:
        unused += int(PREFIX_SHARE * n_free_byte)
    return replace(plan, prefix_bytes=min(unused, MAX_PREFIX_BYTES))


def _plan_replies(
    limits: MemoryLimits, memory: TokenMemory, model_context: int, n_reply: int, budget: int
) -> CachePlan:
    wanted = CachePlan(limits.max_context or model_context, limits.max_replies or n_reply)
    if memory.total(wanted.context_length, wanted.n_slot) <= budget:
        return wanted
    context_length, n_slot = _reduce(wanted, limits, memory, budget)
    is_useful = n_slot >= 1 and context_length >= min(memory.block, wanted.context_length)
    if not is_useful or memory.total(context_length, n_slot) > budget:
        raise _does_not_fit(limits, memory, wanted, budget)
    needed = memory.total(wanted.context_length, wanted.n_slot)
    note = (
        f"A conversation may have {context_length:,} tokens (the model reads {model_context:,}); "
        f"replies at a time: {n_slot}. The KV cache may take {gigabytes(budget)}, and "
        f"{wanted.n_slot} x {wanted.context_length:,} tokens need {gigabytes(needed)}. Change this "
        "with --max-context, --max-replies or --cache-memory."
    )
    return CachePlan(context_length, n_slot, note)


def _reduce(
    wanted: CachePlan, limits: MemoryLimits, memory: TokenMemory, budget: int
) -> tuple[int, int]:
    """Lower what the user left open until it fits; return the context and the replies."""
    context_length, n_slot = wanted.context_length, wanted.n_slot
    shortest = min(USEFUL_CONTEXT, context_length)
    if limits.max_context is None:
        context_length = min(context_length, memory.longest_context(budget, n_slot))
    if limits.max_replies is None and context_length < shortest:
        n_slot = max(memory.most_replies(budget, shortest), 1)
        context_length = min(wanted.context_length, memory.longest_context(budget, n_slot))
    elif limits.max_replies is None and limits.max_context is not None:
        n_slot = memory.most_replies(budget, context_length)
    return context_length, n_slot


def _check_limits(limits: MemoryLimits, model_context: int, n_free_byte: int) -> None:
    if limits.max_context is not None and limits.max_context > model_context:
        raise InputError(
            f"--max-context {limits.max_context}: the model reads {model_context:,} tokens.",
            remedy=f"Give at most --max-context {model_context}.",
            field="max_context",
            value=limits.max_context,
        )
    if limits.cache_memory is not None and limits.cache_memory > n_free_byte:
        raise InputError(
            f"--cache-memory {gigabytes(limits.cache_memory)}: only {gigabytes(n_free_byte)} of "
            "memory are free.",
            remedy="Give less, or close other programs.",
            field="cache_memory",
            value=limits.cache_memory,
        )


def _does_not_fit(
    limits: MemoryLimits, memory: TokenMemory, wanted: CachePlan, budget: int
) -> InputError:
    context_length, n_slot = wanted.context_length, wanted.n_slot
    if limits.max_context is None:
        context_length = min(context_length, memory.block)
    if limits.max_replies is None:
        n_slot = 1
    longest = memory.longest_context(budget, n_slot)
    remedy = "Close other programs, or use a smaller model."
    if longest and limits.max_context is not None:
        remedy = f"Give at most --max-context {longest}."
    elif fitting := memory.most_replies(budget, context_length):
        remedy = f"Give at most --max-replies {fitting}."
    elif limits.cache_memory is not None:
        megabytes = math.ceil(memory.total(context_length, n_slot) / 1e6)
        remedy = f"Give more: --cache-memory {megabytes}MB."
    named = [
        name for name in ("max_context", "max_replies", "cache_memory") if getattr(limits, name)
    ]
    field = named[0] if named else "max_context"
    return InputError(
        f"The KV cache needs {gigabytes(memory.total(context_length, n_slot))} for {n_slot:,} x "
        f"{context_length:,} tokens, and it may take {gigabytes(budget)}.",
        remedy=remedy,
        field=field,
        value=getattr(limits, field),
    )


def gigabytes(n_byte: int) -> str:
    """Write a number of bytes for people: "1.2 GB", or "350 MB" below a gigabyte."""
    return f"{n_byte / 1e9:.1f} GB" if n_byte >= 1e9 else f"{n_byte / 1e6:.0f} MB"
