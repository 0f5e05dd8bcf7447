"""Philox4x32-10: a counter-based random number generator, without state (Salmon et al. 2011).

The same (seed, position) always gives the same number. The sampler draws one number per token this
way, so a reply does not depend on the order of requests or on the other requests in the batch.
`uniform` is pure Python, some ten microseconds per number; `uniforms` computes many at once, with
numpy because its operations on a few numbers cost less than torch's. Not for cryptography.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF


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

    Rows of the (2, N) arrays are the two words of each kind: counter words 0 and 2, counter words 1
    and 3, key words 0 and 1. A product of two words fits 64 unsigned bits.
    """
    if len(seeds) == 1:  # arrays of one number would take ten times as long
        return torch.tensor([uniform(seeds[0], positions[0], samples[0])], dtype=torch.float64)
    seed_bits = np.array([seed & _LONG for seed in seeds], dtype=np.uint64)
    places = np.array(positions, dtype=np.uint64)
    even = np.stack([places & _WORD, np.array(samples, dtype=np.uint64)])
    odd = np.stack([places >> 32, np.zeros_like(places)])
    key = np.stack([seed_bits & _WORD, seed_bits >> 32])
    multipliers, steps = _column(_MULTIPLIERS), _column(_KEY_STEPS)
    for _ in range(10):
        products = (multipliers * even)[::-1]  # that of words 2 and 1 comes first
        even = (products >> 32) ^ odd ^ key
        odd = products & _WORD
        key = (key + steps) & _WORD
    bits = (even[0] >> 5) * 2**26 + (odd[0] >> 6)
    return torch.from_numpy(bits / 2**53)


def _column(words: tuple[int, int]) -> np.ndarray:
    return np.array(words, dtype=np.uint64)[:, None]
