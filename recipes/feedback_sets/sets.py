"""The public sets of preferences: names, folders, licenses and readers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chat_real_sets.cleaning import Dropped

from feedback_sets import readers
from feedback_sets.readers import Keyed


@dataclass(frozen=True)
class FeedbackSet:
    """A public set of preferences and what may be done with it."""

    name: str
    read: Callable[[Path, Dropped], Iterator[Keyed]]
    folder: str
    license: str
    note: str = ""
    is_unclear: bool = False
    """Whether the license is not stated."""


SETS = (
    FeedbackSet("pandalm", readers.pandalm, "pandalm", "Apache-2.0"),
    FeedbackSet(
        "hh-rlhf-helpful",
        readers.hh_rlhf,
        "hh-rlhf-helpful-oa",
        "Apache-2.0, MIT upstream",
        "which reply was chosen is inferred from the order of the replies",
    ),
    FeedbackSet(
        "fine-grained-rlhf",
        readers.fine_grained,
        "fine-grained-rlhf",
        "Apache-2.0",
        "prompts hold passages of about 450 words",
    ),
    FeedbackSet(
        "topical-chat",
        readers.topical_chat,
        "topical-chat",
        "CDLA-Sharing-1.0",
        "thumbs, about seven up for each down",
    ),
    FeedbackSet(
        "raschka",
        readers.raschka,
        "raschka-instructions",
        "Apache-2.0",
        "simulated: a program wrote a polite and a rude version",
    ),
    FeedbackSet(
        "dolly",
        readers.dolly,
        "dolly-subset",
        "CC BY-SA 3.0 upstream",
        "simulated: no person compared the replies",
    ),
    FeedbackSet(
        "llamafactory",
        readers.llamafactory,
        "llamafactory-demos",
        "not stated",
        "simulated",
        is_unclear=True,
    ),
)
LEFT_OUT = {
    "alpaca-eval-gpt4-prefs": "non-commercial, and judged by a program",
    "auto-j": "license not stated; some prompts are for adults",
    "hh-rlhf-harmless-test": "offensive",
}
"""Sets that are never read, with the reason."""
