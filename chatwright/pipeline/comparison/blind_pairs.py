"""Write the compared replies as blind pairs, which `chatwright rate` shows to people.

One JSON line for each pair: {"prompt": [messages], "replies": [{"message": ..., "weights": ...}]}.
The order of the two replies is random, and the hash of the weights says afterwards which is which.
Equal replies are left out: they are ties.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import directory
from chatwright.data.readers.feedback_json import message_to_json
from chatwright.data.rows import PromptRow
from chatwright.devices import generator
from chatwright.pipeline.comparison.samples import Replies, SampledReply


def write_blind_pairs(
    path: Path,
    prompts: Sequence[PromptRow],
    replies: tuple[Replies, Replies],
    weights: tuple[str, str],
    seed: int = 0,
) -> int:
    """Write the pairs of different replies and return their number.

    Samples come in turn: first one pair of every prompt, so that a rater who stops early has seen
    many prompts.
    """
    lines: list[str] = []
    draws = generator(seed, "order of blind pairs")
    for k in range(len(replies[0][0])):
        for prompt, first, second in zip(prompts, *replies, strict=True):
            pair = [_reply(first[k], weights[0]), _reply(second[k], weights[1])]
            if torch.rand((), generator=draws) < 0.5:
                pair.reverse()
            if first[k].message != second[k].message:
                messages = [message_to_json(message) for message in prompt.messages]
                lines.append(json.dumps({"prompt": messages, "replies": pair}, ensure_ascii=False))
    directory.write_text(path, "".join(f"{line}\n" for line in lines))
    return len(lines)


def _reply(reply: SampledReply, weights: str) -> dict[str, Any]:
    return {"message": message_to_json(reply.message), "weights": weights}
