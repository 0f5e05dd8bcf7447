"""Add an adapter's update to the weights of its base: `chatwright merge`."""

from pathlib import Path

from chatwright.checkpoint import directory, model_directory
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model import lora
from chatwright.model.model import Model
from chatwright.training.checks import RunFailed

# Largest difference of logits, relative to the largest logit. Both the merged and the unmerged
# logits differ from float64 logits by up to 1e-5 if the adapter's update is several times larger
# than the base's weights, and by 1e-7 if it is small. A wrong merge differs by far more.
TOLERANCE = 1e-4


def merge(adapter: Path, out: Path, tolerance: float = TOLERANCE) -> LogitGap:
    """Save the merged model, load it again and compare its logits with the unmerged model's.

    Args:
        adapter: The adapter's directory.
        out: The model directory to create.
        tolerance: The largest difference of the logits, relative to the largest logit.

    Raises:
        InputError: `out` exists, or `adapter` cannot be merged.
        RunFailed: The logits differ by more than the tolerance; nothing is kept.
    """
    if out.exists():
        raise InputError(
            f"{out}: already exists.",
            remedy="Give another folder for the merged model, or delete this one.",
            field="out",
            value=str(out),
        )
    unmerged, tokenizer = model_directory.load(adapter, kind=Model)
    _require_mergeable(unmerged, adapter)
    merged, _ = model_directory.load(adapter, kind=Model)
    lora.merge(merged)
    training = {
        "merged_from": model_directory.weights_hash(adapter),
        "base": model_directory.base_of(merged, adapter).sha256,
    }
    model_directory.save(out, merged, tokenizer, training)
    loaded, _ = model_directory.load(out, kind=Model)
    config = unmerged.config
    prompts = random_prompts(config.vocab_size, config.context_length)
    gap = largest_gap(unmerged, loaded, prompts)
    if not gap.relative <= tolerance:
        directory.remove(out)
        raise RunFailed(
            f"{out}: the merged model's logits differ from the unmerged model's by {gap}, more "
            f"than {tolerance:g} of the largest, so it was not kept. Use the adapter without "
            f"merging: {command_line('serve', adapter)}"
        )
    return gap


def _require_mergeable(model: Model, adapter: Path) -> None:
    adapted = lora.lora_layers(model)
    if not adapted:
        raise InputError(
            f"{adapter}: holds a whole model, not an adapter, so there is nothing to merge.",
            remedy="Use the model without merging.",
            field="adapter",
            value=str(adapter),
        )
    parameters = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    shared = [
        name
        for name, linear in adapted.items()
        if sum(parameter is linear.weight for parameter in parameters) > 1
    ]
    if shared:
        raise InputError(
            f"{adapter}: it adapts {shared[0]}, which shares its weight with the embedding. "
            "Merging would also change the embedding.",
            remedy=f"Use the adapter without merging: {command_line('serve', adapter)}",
            field="adapter",
            value=shared[0],
        )
