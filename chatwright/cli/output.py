"""Print text that any terminal can show, and JSON that any program can read."""

import codecs
import io
import json
import sys

ESCAPE = "chatwright-escape"


def escape_missing_characters() -> None:
    """Make both outputs escape the characters that their encoding lacks, instead of failing.

    A Windows terminal with code page 1252 has no Japanese letters, for example.
    """
    codecs.register_error(ESCAPE, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write characters as \uXXXX, as JSON does; those above U+FFFF as surrogate pairs."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return json.dumps(missing).strip('"'), error.end


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False), flush=True)
