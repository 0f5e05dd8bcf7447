"""Render a chat template on given conversations: a program for a process of its own.

It reads a JSON object from standard input and writes one to standard output, and needs no other
module of Chatwright. The template sees values of minijinja only, never a Python object, and each
rendering ends when its fuel is used up. `run_template.py` starts the program and ends it if it
takes too much time or memory.

    {"template": "...", "memory": bytes,
     "jobs": [{"messages": [...], "variables": {...}, "date": "2026-11-29"}]}
    -> {"results": [{"text": "..."} or {"error": "..."}]}
"""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from typing import Any

import psutil

FUEL = 1_000_000
"""Instructions of a rendering; the templates of known models take some thousands."""
MAX_TEXT = 1_000_000
"""Longest rendered text, in characters."""
GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")
"""Marks what the model writes, for training with transformers; it renders nothing."""


def limit_memory(n_byte: int) -> None:
    """Limit this process's memory where the system can; elsewhere only the parent watches it."""
    if not hasattr(psutil, "RLIMIT_AS"):  # Windows and macOS
        return
    process = psutil.Process()
    process.rlimit(psutil.RLIMIT_AS, (n_byte, n_byte))
    process.rlimit(psutil.RLIMIT_CORE, (0, 0))


def raise_exception(message: object = "") -> None:
    """Refuse to render, as templates do for conversations that the model was not trained on."""
    raise ValueError(f"the template refuses it: {message}")


def to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as transformers' filter `tojson` does: HTML is not escaped."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=tuple(separators) if separators else None,
        sort_keys=sort_keys,
    )


def python_text(value: object) -> object:
    """Write true and false as Python does. minijinja writes the other values alike."""
    return str(value) if isinstance(value, bool) else NotImplemented


def render(template: str, job: dict[str, Any]) -> str:
    """Render the template on one conversation."""
    from minijinja import Environment

    now = datetime.fromisoformat(job["date"])
    environment = Environment(
        debug=False,
        fuel=FUEL,
        trim_blocks=True,
        lstrip_blocks=True,
        pycompat=True,
        filters={"tojson": to_json},
        finalizer=python_text,
    )
    environment.add_global("raise_exception", raise_exception)
    environment.add_global("strftime_now", lambda pattern: now.strftime(pattern))
    # Values that a template writes down are minijinja's own; arguments of `render_str` would be
    # Python objects with their methods. The line end after the block is not rendered.
    messages = json.dumps(job["messages"], ensure_ascii=False)
    source = f"{{% set messages = {messages} %}}\n{template}"
    text = environment.render_str(source, None, **job["variables"])
    if len(text) > MAX_TEXT:
        raise ValueError("the rendered text is too long")
    return text


def result_of(template: str, job: dict[str, Any]) -> dict[str, str]:
    """Return the rendered text of a job, or what went wrong."""
    try:
        return {"text": render(template, job)}
    except Exception as error:
        first_line = str(error).partition("\n")[0]  # the lines after it show the template
        return {"error": first_line[:300]}


def main() -> None:
    """Render all jobs."""
    request = json.load(sys.stdin)
    limit_memory(request["memory"])
    template = GENERATION.sub(_without_generation, request["template"])
    first, *others = request["jobs"]
    results = [result_of(template, first)]
    # A template that fails for the first conversation is of no use: do not try it on the others.
    has_failed = "error" in results[0]
    results += results * len(others) if has_failed else [result_of(template, job) for job in others]
    sys.stdout.write(json.dumps({"results": results}))


def _without_generation(tag: re.Match[str]) -> str:
    name = "endif" if tag[2] else "if true"
    return f"{{%{tag[1]} {name} {tag[3]}%}}"


if __name__ == "__main__":
    main()
