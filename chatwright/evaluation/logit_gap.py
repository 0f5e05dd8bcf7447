"""The largest difference between the logits of two models that should be equal.

It checks conversions of a model that keep its weights: export and import. The prompts are random
token ids, so no text is needed. `merge_gap.py` checks merged adapters, whose weights are rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from chatwright.devices import generator
from chatwright.model.encoder_decoder import EncoderDecoder

N_PROMPT = 32
LONGEST_PROMPT = 64


@dataclass(frozen=True)
class LogitGap:
    """The largest difference between the logits of two models."""

    largest: float
    """Largest absolute difference between logits at the same position and token."""
    scale: float
    """Largest absolute logit of the first model."""
    n_prompt: int
    """Number of prompts."""

    @property
    def relative(self) -> float:
        """The largest difference, divided by `scale` or by 1 if `scale` is smaller."""
        return self.largest / max(1.0, self.scale)

    def __str__(self) -> str:
        return f"{self.largest:.2e} on {self.n_prompt} prompts (largest logit {self.scale:.1f})"


def random_prompts(
    vocab_size: int, context_length: int, n_prompt: int = N_PROMPT
) -> list[torch.Tensor]:
    """Draw prompts of random token ids, always the same ones: (1, T) each.

    Their lengths go from 1 to LONGEST_PROMPT or the context, whichever is shorter.
    """
    random_numbers = generator(0, "prompts for logit gaps")
    longest = min(LONGEST_PROMPT, context_length)
    lengths = torch.linspace(1, longest, n_prompt).long().tolist()
    return [torch.randint(vocab_size, (1, length), generator=random_numbers) for length in lengths]


@torch.no_grad()
def largest_gap(first: nn.Module, second: nn.Module, prompts: Sequence[torch.Tensor]) -> LogitGap:
    """Compare the logits of two models on the prompts."""
    largest, scale = 0.0, 0.0
    for prompt in prompts:
        first_logits, second_logits = (
            logits_of(first, prompt),
            logits_of(second, prompt),
        )  # (1, T, V)
        largest = max(largest, float((first_logits - second_logits).abs().max()))
        scale = max(scale, float(first_logits.abs().max()))
    return LogitGap(largest, scale, len(prompts))


def logits_of(model: nn.Module, prompt: torch.Tensor) -> torch.Tensor:
    """Run a model on a prompt. An encoder-decoder gets it as the source and as the target."""
    logits: torch.Tensor = (
        model(prompt, prompt) if isinstance(model, EncoderDecoder) else model(prompt)
    )
    return logits
