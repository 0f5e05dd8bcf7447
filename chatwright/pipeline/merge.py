"""Add an adapter's update to the weights of its base: `chatwright merge`."""

from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, json_file, model_directory
from chatwright.checkpoint.origin import ORIGIN, origin_of
from chatwright.commands import command_line
from chatwright.data.readers.data_source import DataSource
from chatwright.errors import InputError
from chatwright.evaluation.merge_gap import MergeGap, merge_gap
from chatwright.model import lora
from chatwright.model.model import Model
from chatwright.pipeline.comparison_texts import comparison_prompts
from chatwright.training.checks import RunFailed


def merge(adapter: Path, out: Path, data: DataSource | None = None) -> MergeGap:
    """Save the merged model, load it again and compare its logits with the unmerged model's.

    Args:
        adapter: The adapter's directory.
        out: The model directory to create.
        data: Texts or conversations to compare on; None means packaged examples, and the samples of
            the training run.

    Raises:
        InputError: `out` exists, or `adapter` cannot be merged.
        RunFailed: The merged model differs by more than rounding; nothing is kept.
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
    prompts = comparison_prompts(tokenizer, unmerged.config.context_length, data, adapter)
    _save_merged(adapter, out)
    merged, _ = model_directory.load(out, kind=Model)
    gap = merge_gap(unmerged, merged, prompts)
    if gap.problem:
        directory.remove(out)
        raise RunFailed(
            f"{out}: the merged model differs from the unmerged one by more than rounding, so it "
            f"was not kept: {gap.problem}. Measured: {gap}. This is a bug; please report it. Until "
            f"it is corrected, use the adapter without merging: {command_line('serve', adapter)}",
            check="merge",
        )
    return gap


def _save_merged(adapter: Path, out: Path) -> None:
    merged, tokenizer = model_directory.load(adapter, kind=Model)
    lora.merge(merged)
    notes = {
        "merged_from": model_directory.weights_hash(adapter),
        "base": model_directory.base_of(merged, adapter).sha256,
        ORIGIN: origin_of(adapter),
        # The figures of a reward model hold the scale of its scores.
        "figures": _figures(adapter),
    }
    sampling = model_directory.sampling_entries(model_directory.find(adapter))
    model_directory.save(out, merged, tokenizer, notes, generation=sampling)


def _figures(adapter: Path) -> dict[str, Any]:
    """Return the figures of the run that trained the adapter; none if another tool trained it."""
    file = model_directory.find(adapter) / model_directory.TRAINING_FILE
    figures = json_file.read_object(file).get("figures") if file.is_file() else None
    return figures if isinstance(figures, dict) else {}


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
