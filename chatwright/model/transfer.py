"""Start a model from the weights of another model with the same trunk; the heads may differ.

A classifier starts from a masked language model, a reward model from a chat model, a value model
from a reward model. The trunk (everything before the head) is copied whole. Parameters that the
source does not have keep their initial values; `copy_trunk` returns their names.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.heads import ScalarHead, is_head_parameter
from chatwright.model.model import Model

LABEL_SCORES = "label_head.labels."


@torch.no_grad()
def copy_trunk(source: Model, target: Model) -> list[str]:
    """Copy every parameter that both models have; return the names of the others in `target`.

    Head parameters are copied too where both models have the same head. Scores of labels are
    copied only if the labels and the pooler are the same.

    Raises:
        InputError: The trunks differ, so that a weight would be lost or would stay random.
    """
    source_weights = dict(source.named_parameters())
    has_same_labels = _label_settings(source) == _label_settings(target)
    not_copied: list[str] = []
    for name, parameter in target.named_parameters():
        weight = source_weights.pop(name, None)
        is_other_label = name.startswith(LABEL_SCORES) and not has_same_labels
        if weight is not None and weight.shape == parameter.shape and not is_other_label:
            parameter.copy_(weight)
            continue
        if not is_head_parameter(name):
            _require_no_effect(name, parameter, weight)
        not_copied.append(name)
    if lost := [name for name in source_weights if not is_head_parameter(name)]:
        raise _different_trunk(lost[0], tuple(source_weights[lost[0]].shape), None)
    return not_copied


def _label_settings(model: Model) -> tuple[Any, Any]:
    """Return the settings that label scores depend on: the labels and the pooler."""
    return getattr(model.config, "labels", ()), getattr(model.config, "pooler", "none")


def _require_no_effect(name: str, parameter: Tensor, weight: Tensor | None) -> None:
    """Accept a new parameter of the trunk only if it is all zeros, as new n-gram tables are."""
    if weight is not None or bool(parameter.any()):
        shape = None if weight is None else tuple(weight.shape)
        raise _different_trunk(name, shape, tuple(parameter.shape))


def _different_trunk(
    name: str, source: tuple[int, ...] | None, target: tuple[int, ...] | None
) -> InputError:
    return InputError(
        f"{name} has shape {source} in the model to start from and {target} in the new one "
        "(None: it does not exist).",
        remedy="Change only settings that no weight depends on, such as dropout or the head.",
        field=name,
        value=target,
    )


def give_scalar_head(model: GPT) -> bool:
    """Replace the head of a decoder by a scalar head of zeros, in place; the trunk stays.

    Returns False, and changes nothing, if the model already has a scalar head.
    """
    if model.scalar_head is not None:
        return False
    model.config = dataclasses.replace(model.config, head="scalar", labels=())
    model.head = None
    model.label_head = None
    model.scalar_head = ScalarHead(model.config.d_model)
    model.scalar_head.score.weight = nn.Parameter(
        torch.zeros_like(model.embedding.weight[:1], requires_grad=True)
    )
    return True
