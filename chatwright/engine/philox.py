"""Philox4x32-10, a random number generator without a state: the same (seed, position) gives the same number, always, anywhere.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". The sampler draws one number per token from it, so the order
in which requests are served, their neighbours and their batch cannot change a reply. Pure Python: some microseconds per draw.
Not for cryptography.
"""

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1  # any 64 bits, read with or without a sign


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Four 32-bit words for a counter of four and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & _WORD,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & _WORD,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & _WORD, (k1 + _KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def uniform(seed: int, position: int, sample: int = 0) -> float:
    """A number in [0, 1) with 53 random bits, for the token at `position` of the sequence; `sample` tells the n of one request apart."""
    words = philox4x32(
        (position & _WORD, position >> 32, sample, 0), (seed & _WORD, seed >> 32 & _WORD)
    )
    return ((words[0] >> 5) * 2**26 + (words[1] >> 6)) / 2**53
