"""How far two models that should be the same lie apart: the largest difference of any logit on a few prompts.

What every conversion (merging an adapter, exporting, importing) is held against. The prompts are drawn at random from the vocabulary: no text
is needed, and a difference in any weight shows in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from chatwright.devices import generator
from chatwright.model.encoder_decoder import EncoderDecoder

N_PROMPT, LONGEST = 32, 64


@dataclass(frozen=True)
class LogitGap:
    largest: float  # difference of any two logits
    scale: float  # the largest logit itself
    n_prompt: int

    @property
    def relative(self) -> float:
        return self.largest / max(1.0, self.scale)

    def __str__(self) -> str:
        return f"{self.largest:.2e} on {self.n_prompt} prompts (logits reach {self.scale:.1f})"


def random_prompts(
    vocab_size: int, context_length: int, n_prompt: int = N_PROMPT
) -> list[torch.Tensor]:
    """Rows of token ids, each (1, T), of lengths from 1 to `context_length` or LONGEST; always the same ones."""
    draws = generator(0, "prompts for logit gaps")
    longest = min(LONGEST, context_length)
    lengths = torch.linspace(1, longest, n_prompt).long().tolist()
    return [torch.randint(vocab_size, (1, length), generator=draws) for length in lengths]


@torch.no_grad()
def largest_gap(first: nn.Module, second: nn.Module, prompts: Sequence[torch.Tensor]) -> LogitGap:
    largest, scale = 0.0, 0.0
    for prompt in prompts:
        ours, theirs = _logits(first, prompt), _logits(second, prompt)  # (1, T, V)
        largest, scale = (
            max(largest, float((ours - theirs).abs().max())),
            max(scale, float(ours.abs().max())),
        )
    return LogitGap(largest, scale, len(prompts))


def _logits(model: nn.Module, prompt: torch.Tensor) -> torch.Tensor:
    """What a model makes of a prompt; one that reads a text and writes another is given it as both."""
    logits: torch.Tensor = (
        model(prompt, prompt) if isinstance(model, EncoderDecoder) else model(prompt)
    )
    return logits
