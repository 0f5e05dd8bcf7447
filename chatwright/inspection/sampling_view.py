"""The distribution that tokens are drawn from, after the sampling settings."""

import numpy as np
import torch
from numpy.typing import NDArray

from chatwright.engine.messages import SamplingConfig
from chatwright.engine.sampling import adjust_logits

_NO_TOKENS = torch.empty(0, dtype=torch.int64)


def sampled_distribution(
    logits: NDArray[np.float32], sampling: SamplingConfig
) -> NDArray[np.float64]:
    """Return the probabilities that the engine draws a token from. (V,) -> (V,).

    Penalties of earlier tokens are not part of it. At temperature 0 one token has probability 1.
    """
    adjusted = adjust_logits(torch.from_numpy(logits.copy()), sampling, _NO_TOKENS, _NO_TOKENS)
    if sampling.temperature == 0.0:
        chosen = torch.zeros(len(adjusted), dtype=torch.float64)
        chosen[int(adjusted.argmax())] = 1.0
        return chosen.numpy()
    return adjusted.softmax(dim=-1).numpy()
