"""Make an adapter part of its base's weights: what `chatwright merge` does."""

from pathlib import Path

from chatwright.checkpoint import directory, model_directory
from chatwright.evaluation.logit_gap import LogitGap, largest_gap, random_prompts
from chatwright.model import lora
from chatwright.model.model import Model
from chatwright.training.checks import RunFailed

# Of the largest logit. Held against float64, merged and unmerged lie equally far from the truth: up to 1e-5 where an adapter is several times
# its base's size, 1e-7 where it is small. A wrong merge is off by far more than this.
TOLERANCE = 1e-4


def merge(adapter: Path, out: Path, tolerance: float = TOLERANCE) -> LogitGap:
    """Write the merged model to `out`, open it again and hold it against the unmerged one. Above the tolerance nothing is left behind."""
    if out.exists():
        raise ValueError(
            f"{out}: is there already. Give another folder for the merged model, or delete this one."
        )
    unmerged, tokenizer = model_directory.load(adapter, kind=Model)
    if not lora.lora_layers(unmerged):
        raise ValueError(
            f"{adapter}: holds a whole model, no adapter, so there is nothing to merge. Use it as it is."
        )
    merged, _ = model_directory.load(adapter, kind=Model)
    lora.merge(merged)
    model_directory.save(
        out,
        merged,
        tokenizer,
        {
            "merged_from": model_directory.weights_hash(adapter),
            "base": model_directory.base_of(merged, adapter).sha256,
        },
    )
    gap = largest_gap(
        unmerged,
        model_directory.load(out, kind=Model)[0],
        random_prompts(unmerged.config.vocab_size, unmerged.config.context_length),
    )
    if not gap.relative <= tolerance:
        directory.remove(out)
        raise RunFailed(
            f"{out}: the merged model's logits differ from the unmerged ones by {gap}, more than {tolerance:g} of the largest, so it was "
            "not kept. Serve the adapter as it is (chatwright serve), which needs no merging."
        )
    return gap
