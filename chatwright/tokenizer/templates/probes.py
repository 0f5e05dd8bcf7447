"""Conversations on which a template is rendered to learn what stands between their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chatwright.conversation import Conversation, Message, Text, Thinking
from chatwright.tokenizer.templates.run_template import Job

# Words that no template holds and no filter changes.
SYSTEM, FIRST, REPLY, SECOND, ANSWER = (
    f"zq{word}qz" for word in ("Sys", "One", "Two", "Red", "Six")
)
THOUGHT, LATER_THOUGHT = "zqMuseqz", "zqMullqz"
THINKING_VARIABLES = ("enable_thinking", "thinking")
"""Variables that switch thinking in the templates of known models, for example Qwen's."""


@dataclass(frozen=True)
class Probe:
    """A conversation to render, and how."""

    messages: Conversation
    is_prompt: bool = False
    """Whether the template is to begin a reply at the end."""


QUESTION = (Message("user", FIRST),)
EXCHANGE = (*QUESTION, Message("assistant", REPLY))
LONGER = (*EXCHANGE, Message("user", SECOND))
WITH_SYSTEM = Message("system", SYSTEM)
WHOLE = (*LONGER, Message("assistant", ANSWER))
THOUGHTFUL = (
    *QUESTION,
    Message("assistant", (Thinking(THOUGHT), Text(REPLY))),
    Message("user", SECOND),
    Message("assistant", (Thinking(LATER_THOUGHT), Text(ANSWER))),
)
PROBES = {
    "question": Probe(QUESTION, is_prompt=True),
    "only question": Probe(QUESTION),
    "longer": Probe(LONGER, is_prompt=True),
    "answered": Probe(EXCHANGE),
    "whole": Probe(WHOLE),
    "system": Probe((WITH_SYSTEM, *QUESTION), is_prompt=True),
    "system longer": Probe((WITH_SYSTEM, *LONGER), is_prompt=True),
    "empty system": Probe((Message("system", ""), *QUESTION), is_prompt=True),
    "thoughtful": Probe(THOUGHTFUL),
}
"""The conversations whose texts are the words above."""
PADS = {"line ends": "\n", "spaces": " "}
N_LEFT, N_RIGHT = 3, 1
"""Numbers of characters added before and after each text, unequal to distinguish the two."""


def padded(text: str, pad: str) -> str:
    """Return a text with white space around it."""
    return pad * N_LEFT + text + pad * N_RIGHT


def _padded(messages: Conversation, pad: str, is_prompt: bool) -> Probe:
    return Probe([_with_pads(message, pad) for message in messages], is_prompt)


def _with_pads(message: Message, pad: str) -> Message:
    thinking = [part for part in message.parts if isinstance(part, Thinking)]
    return replace(message, parts=(*thinking, Text(padded(message.text, pad))))


PADDED = {
    f"{name} with {pad_name}": _padded(PROBES[name].messages, pad, PROBES[name].is_prompt)
    for pad_name, pad in PADS.items()
    for name in ("whole", "longer", "system longer", "thoughtful")
}
"""Conversations with white space around all of their texts, except thinking."""


def job_of(
    probe: Probe, special_tokens: dict[str, str], date: str, thinking: bool | None, way: str
) -> Job:
    """Return the rendering of a probe.

    Args:
        probe: The conversation.
        special_tokens: The tokenizer's special tokens by name: {"bos": "<s>", ...}.
        date: The date that the template takes for today's.
        thinking: Whether thinking is switched on; None leaves the variables undefined.
        way: How thinking is given: "field" or the tags around it, as "<think> </think>".
    """
    switches = {} if thinking is None else dict.fromkeys(THINKING_VARIABLES, thinking)
    variables = {
        **{f"{name}_token": token for name, token in special_tokens.items()},
        **switches,
        "add_generation_prompt": probe.is_prompt,
        "tools": None,
        "documents": None,
    }
    return Job(list(template_messages(probe.messages, way)), variables, date)


def template_messages(messages: Sequence[Message], way: str) -> Iterator[dict[str, str]]:
    """Yield the messages as a template reads them; see `job_of` for `way`."""
    for message in messages:
        row = {"role": message.role, "content": message.text}
        if message.thinking and way == "field":
            row["reasoning_content"] = message.thinking
        elif message.thinking and way:
            begin, end = way.split()
            row["content"] = f"{begin}\n{message.thinking}\n{end}\n\n{message.text}"
        yield row
