"""Split feedback into a part to train on and a part to judge by; no prompt is in both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import directory
from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply
from chatwright.data.readers.feedback_json import message_to_json
from chatwright.data.snapshot import write_snapshot
from chatwright.data.split import choose_validation, partition


@dataclass(frozen=True)
class FeedbackParts:
    """Feedback for training, and feedback on other prompts for judging."""

    training: tuple[Feedback, ...]
    judging: tuple[Feedback, ...]


def split_feedback(feedback: Sequence[Feedback], judging_share: float) -> FeedbackParts:
    """Keep about `judging_share` of the feedback for judging; 0 keeps none."""
    if not judging_share:
        return FeedbackParts(tuple(feedback), ())
    keys = [prompt_key(item.prompt) for item in feedback]
    kept = choose_validation(keys, [1] * len(keys), judging_share)
    training, judging = partition(feedback, kept)
    return FeedbackParts(tuple(training), tuple(judging))


def prompt_key(prompt: Sequence[Message]) -> str:
    """Return a text that is equal for equal prompts."""
    return json.dumps([message_to_json(message) for message in prompt], sort_keys=True)


def replies_of(item: Feedback) -> tuple[RatedReply, ...]:
    """Return the replies that a piece of feedback is about."""
    return item.replies if isinstance(item, Ranking) else (item.reply,)


def write_part(path: Path, feedback: Sequence[Feedback]) -> None:
    """Write one part as a snapshot, unless it was written before."""
    if not path.exists():
        write_snapshot(path, feedback)


def write_prompts(path: Path, feedback: Sequence[Feedback]) -> int:
    """Write each prompt of the feedback once, as rows of prompts; return their number.

    A written correction is the answer that rules may compare with.
    """
    answers: dict[str, str] = {}
    for item in feedback:
        if isinstance(item, Correction):
            answers[prompt_key(item.prompt)] = item.better.text
    prompts = {prompt_key(item.prompt): item.prompt for item in feedback}
    lines = []
    for key, prompt in prompts.items():
        row: dict[str, object] = {"prompt": [message_to_json(message) for message in prompt]}
        if key in answers:
            row["answer"] = answers[key]
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    directory.write_text(path, "".join(lines))
    return len(prompts)
