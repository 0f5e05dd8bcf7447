"""Philox4x32-10: a counter-based random number generator, without state (Salmon et al. 2011).

The same (seed, position) always gives the same number. The sampler draws one number per token this
way, so a reply does not depend on the order of requests or on the other requests in the batch.
`uniform` is pure Python, some ten microseconds per number; `uniforms` computes many at once. Not
for cryptography.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Compute four random 32-bit words from a counter of four words and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0 = _MULTIPLIERS[0] * c0
        product1 = _MULTIPLIERS[1] * c2
        c0 = (product1 >> 32) ^ c1 ^ k0
        c1 = product1 & _WORD
        c2 = (product0 >> 32) ^ c3 ^ k1
        c3 = product0 & _WORD
        k0 = (k0 + _KEY_STEPS[0]) & _WORD
        k1 = (k1 + _KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def uniform(seed: int, position: int, sample: int = 0) -> float:
    """Draw a number in [0, 1) with 53 random bits for the token at `position`.

    `sample` is the index of the reply if a request asks for several replies.
    """
    counter = (position & _WORD, position >> 32, sample, 0)
    key = (seed & _WORD, seed >> 32 & _WORD)
    words = philox4x32(counter, key)
    return ((words[0] >> 5) * 2**26 + (words[1] >> 6)) / 2**53


def uniforms(seeds: Sequence[int], positions: Sequence[int], samples: Sequence[int]) -> Tensor:
    """Return `uniform` of each (seed, position, sample), (N,) in float64.

    The words are 64-bit integers. A product of two words may exceed 63 bits; two's complement keeps
    its bits, and the masks remove the sign.
    """
    c0, c1 = _words(positions)
    c2 = torch.tensor(samples, dtype=torch.int64) & _WORD
    c3 = torch.zeros_like(c2)
    k0, k1 = _words(seeds)
    for _ in range(10):
        product0 = _MULTIPLIERS[0] * c0
        product1 = _MULTIPLIERS[1] * c2
        c0 = ((product1 >> 32) & _WORD) ^ c1 ^ k0
        c1 = product1 & _WORD
        c2 = ((product0 >> 32) & _WORD) ^ c3 ^ k1
        c3 = product0 & _WORD
        k0 = (k0 + _KEY_STEPS[0]) & _WORD
        k1 = (k1 + _KEY_STEPS[1]) & _WORD
    return ((c0 >> 5) * 2**26 + (c1 >> 6)).double() / 2**53


def _words(numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the lower and the upper 32 bits of 64-bit numbers, signed or unsigned."""
    low = torch.tensor([number & _WORD for number in numbers], dtype=torch.int64)
    high = torch.tensor([number >> 32 & _WORD for number in numbers], dtype=torch.int64)
    return low, high
