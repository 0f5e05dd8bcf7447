"""The grammar of a whole reply: thinking, then a text that follows a constraint, or tool calls.

Grammars are written in the notation of llguidance, which is Lark's with additions: <[7]> is the
control token with id 7, and @answer is another grammar.
"""

from __future__ import annotations

import json
from typing import Any

from chatwright.chat.reply_form import ReplyForm
from chatwright.chat.tool_grammar import calls_grammar
from chatwright.engine.messages import JSON_STYLE, Constraint
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.tokenizer import Tokenizer

ANY_TEXT = r"/(.|\n)*/"
LINE_ENDS = r"/\n{0,2}/"


def reply_constraint(
    form: ReplyForm, tokenizer: Tokenizer, thinking: bool | None = None
) -> Constraint | None:
    """Return the constraint of a whole reply; None if it may be any text.

    `thinking` is whether thinking is on in the prompt; None is the model's default. Raises
    InputError for a tool that the model's chat format cannot call.
    """
    chat_format = tokenizer.chat_format
    if chat_format is None:
        return form.constraint
    tools = calls_grammar(form, chat_format)
    thought = _thinking(chat_format, thinking)
    if tools is None and (thought is None or form.constraint is None):
        return form.constraint
    before, rules = thought or ("", "")
    answer = "@answer" if form.constraint else "TEXT"
    grammars: list[dict[str, Any]] = []
    if tools is not None:
        answer = tools.start(answer)
        rules += f"\n{tools.rules}"
    if "TEXT" in answer:
        rules += f"\nTEXT: {ANY_TEXT}"
    grammars.append({"name": "reply", "lark_grammar": f"start: {before} ({answer})\n{rules}"})
    if form.constraint:
        grammars.append({"name": "answer", **_answer(form.constraint)})
    return Constraint("lark", json.dumps({"grammars": grammars}))


def _answer(constraint: Constraint) -> dict[str, Any]:
    match constraint.kind:
        case "json_schema":
            schema = json.loads(constraint.source)
            return {"json_schema": {**schema, "x-guidance": dict(JSON_STYLE)}}
        case "regex":
            return {"lark_grammar": f"start: {_regex(constraint.source)}"}
        case "lark":
            return {"lark_grammar": constraint.source}


def _thinking(chat_format: ChatFormat, thinking: bool | None) -> tuple[str, str] | None:
    """Return how a reply that thinks begins, and the rules of this; None if it never thinks.

    The model decides whether it thinks, unless the prompt has decided.
    """
    tags = chat_format.thinking_tags
    opens_thinking = chat_format.layout_for(thinking).opens_thinking
    if tags is None or (thinking is False and not opens_thinking):
        return None
    ids = {tag: token_id for token_id, tag in chat_format.thinking_ids.items()}
    begin, end = (f"<[{ids[tag]}]>" if tag in ids else json.dumps(tag) for tag in tags)
    option = "" if tags[1] in ids else "[lazy]"  # lazy: up to the first end
    start = f"thoughts {LINE_ENDS}"
    rules = f"thoughts{option}: {ANY_TEXT} {end}"
    return (start if opens_thinking else f"({begin} {start})?"), rules


def _regex(source: str) -> str:
    """Return a regular expression as Lark writes it, between slashes."""
    escaped = source.replace("\\/", "/").replace("/", "\\/").replace("\n", "\\n")
    return f"/{escaped}/"
