"""Explain why the training loss of a run differs from its validation loss.

The two losses may count different tokens and be measured with different dropout, weights or
targets. For example, the starter's fine-tuning ends at a training loss near 0.5 and a validation
loss near 0.07. Two fifths of its training tokens with loss belong to texts, at about 1.1 nats each;
validation measures replies only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.training.run_settings import flatten


def differences(run: Mapping[str, Any]) -> list[str]:
    """Return one sentence per difference between the two losses, from the contents of run.json."""
    settings = dict(flatten(run))
    return [*_different_tokens(run), *_different_model(settings), *_different_targets(settings)]


def _different_tokens(run: Mapping[str, Any]) -> Iterator[str]:
    stage = run.get("stage", {})
    if stage.get("chat") and stage.get("data"):
        yield "Training also reads conversations (chat); validation measures texts only."
    if not stage.get("texts"):
        return
    share = _share_of_texts(stage["texts_share"], run["data"]["train"])
    yield (
        f"Training also reads texts (texts), whose tokens are {share:.0%} of the training tokens "
        "with loss. Validation measures replies only. Texts are usually harder to predict than "
        "replies, which raises the training loss."
    )


def _share_of_texts(share_of_tokens: float, train: Mapping[str, int]) -> float:
    """Return the share of texts in the tokens with loss, from their share in all tokens.

    Every token of a text has loss, but only the replies of a conversation do.
    """
    return min(1.0, share_of_tokens * train["tokens"] / max(1, train["supervised_tokens"]))


def _different_model(settings: Mapping[str, Any]) -> Iterator[str]:
    # "stage.model" repeats a part of "model", and "data" repeats "stage.batches".
    rates = [
        f"{name.removeprefix('stage.')}={value}"
        for name, value in settings.items()
        if name.endswith("dropout") and not name.startswith(("stage.model.", "data.")) and value
    ]
    if rates:
        yield (f"Dropout is active in training only ({', '.join(rates)}), and raises its loss.")
    if settings.get("loop.average_decay"):
        yield (
            "Validation measures the moving average of the weights (loop.average_decay), which is "
            "usually better than the current weights."
        )


def _different_targets(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings.get("stage.label_smoothing"):
        yield (
            "Training smooths its targets (label_smoothing), so even a perfect model has a "
            "training loss above zero. Validation does not."
        )
    if settings.get("stage.distillation.teacher"):
        yield (
            "The training loss includes the distance from the teacher (distillation). Validation "
            "measures the student alone."
        )
