"""Rewrite a model for other tools if only Chatwright knows its shape, and check the result."""

from pathlib import Path

import torch

from chatwright.checkpoint import families
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model import standard_shape
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, count_parameters
from chatwright.tokenizer.tokenizer import Tokenizer

# Largest difference of logits, relative to the largest logit. The rewritten model computes the same
# formula in more steps, so it rounds more often.
TOLERANCE = 1e-3


def for_other_tools(model: Model, tokenizer: Tokenizer, source: Path) -> tuple[Model, list[str]]:
    """Return the model in a shape that other tools know, and what they need to know about it.

    Args:
        model: The model. It is returned unchanged if other tools know its shape, or if it cannot be
            rewritten.
        tokenizer: Its tokenizer.
        source: The model's directory, for errors.

    Raises:
        InputError: The rewritten model gives other logits.
    """
    if families.for_config(model.config) is not None:
        return model, []
    if not isinstance(model, GPT) or not standard_shape.can_rewrite(model.config):
        return model, []
    bos_id = int(tokenizer.control.bos)
    rewritten = standard_shape.rewrite(model, bos_id)
    gap = largest_gap(model, rewritten, prompts_with_bos(model, bos_id))
    if not gap.relative <= TOLERANCE:
        raise InputError(
            f"{source}: in a shape that other tools know, this model's logits differ by {gap}.",
            remedy="Train a model in that shape, for example with model.size = small.",
            field="source",
            value=str(source),
        )
    bos = tokenizer.control.string_of(bos_id)
    limit = f"the exported model is equal for texts that begin with {bos}, as conversations do"
    notes = [_note(model, rewritten, gap)]
    return rewritten, [*notes, limit] if model.config.n_previous else notes


def prompts_with_bos(model: GPT, bos_id: int) -> list[torch.Tensor]:
    """Return random prompts that begin with <bos> and do not contain it again, (1, T) each.

    The longest fills the context.
    """
    vocab_size, longest = model.config.vocab_size, model.config.context_length - 1
    prompts = random_prompts(vocab_size, longest)
    prompts.append(prompts[-1].repeat(1, -(-longest // prompts[-1].shape[1]))[:, :longest])
    other_id = (bos_id + 1) % vocab_size
    bos = torch.tensor([[bos_id]])
    return [torch.cat([bos, p.masked_fill(p == bos_id, other_id)], dim=1) for p in prompts]


def _note(model: GPT, rewritten: GPT, gap: LogitGap) -> str:
    size, new_size = (count_parameters(m) / 1e6 for m in (model, rewritten))
    return (
        f"other tools do not know this model's shape, so it is written as an equal Qwen 3 model "
        f"with {rewritten.config.n_layer} layers instead of {model.config.n_layer} and "
        f"{new_size:.1f} million parameters instead of {size:.1f}; largest logit gap {gap}"
    )
