"""The Hugging Face layout of a tokenizer directory: tokenizer.json, tokenizer_config.json, chat_template.jinja.

Writing adds what other tools need and we do not (added tokens, a Jinja template). Reading refuses everything that is not
byte for byte the kind of file we write: another pre-tokenizer would encode the same text differently without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds

MAX_FILE_BYTES = 64 * 2**20

# The chat format of `chat_template.py` again, for tools that render with Jinja; a test holds the two equal. Never run by Chatwright.
# Some tools call the role "tool" that we call "result".
CHAT_TEMPLATE_JINJA = """\
{{- '<|bos|>' }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
        {{- '<|system|>' + message['content'] + '<|end|>' }}
    {%- elif message['role'] == 'user' %}
        {{- '<|user|>' + message['content'] + '<|end_of_question|>' }}
    {%- elif message['role'] == 'assistant' %}
        {{- '<|assistant|>' + message['content'] + '<|end|>' }}
    {%- elif message['role'] == 'command' %}
        {{- '<|assistant|><|command|>' + message['content'] + '<EOC>' }}
    {%- elif message['role'] == 'result' or message['role'] == 'tool' %}
        {{- '<|result|>' + message['content'] + '<|end|>' }}
    {%- else %}
        {{- raise_exception('unknown role: ' + message['role']) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}
"""


# How the library says that a space goes before every text and is taken off again.
PREFIX = " "
PREPEND = {"type": "Prepend", "prepend": PREFIX}
TAKE_OFF = {"type": "Strip", "content": PREFIX, "start": 1, "stop": 0}


def write(
    directory: Path, library_document: dict[str, Any], control: ControlIds, prefix: str
) -> None:
    """Write what transformers' AutoTokenizer opens, control tokens included."""
    assert prefix in ("", PREFIX), "the file format knows a space or nothing"
    directory.mkdir(parents=True, exist_ok=True)
    added = [added_token(name, control) for name in CONTROL_TOKENS]
    document = {**library_document, "added_tokens": added}
    if prefix:
        document |= {
            "normalizer": PREPEND,
            "decoder": {"type": "Sequence", "decoders": [library_document["decoder"], TAKE_OFF]},
        }
    for name, data in files_of(document).items():
        (directory / name).write_bytes(data)


def files_of(document: dict[str, Any]) -> dict[str, bytes]:
    """The files beside a tokenizer.json that has our control tokens among its added ones, and itself."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": CONTROL_TOKENS["bos"],
        "eos_token": CONTROL_TOKENS["end"],
        "pad_token": CONTROL_TOKENS["pad"],
        "clean_up_tokenization_spaces": False,  # the default of other tools rewrites "a ." to "a."
        "added_tokens_decoder": {
            str(token["id"]): {k: v for k, v in token.items() if k != "id"}
            for token in document["added_tokens"]
        },
    }
    return {
        "tokenizer.json": as_json(document),
        "tokenizer_config.json": as_json(config),
        "chat_template.jinja": CHAT_TEMPLATE_JINJA.encode(),
    }


def with_control(document: dict[str, Any], control: ControlIds) -> dict[str, Any]:
    """Another tool's tokenizer.json with our ten control tokens after its own."""
    return document | {
        "added_tokens": [
            *(document.get("added_tokens") or []),
            *(added_token(name, control) for name in CONTROL_TOKENS),
        ]
    }


def added_token(name: str, control: ControlIds) -> dict[str, Any]:
    return {
        "id": getattr(control, name),
        "content": CONTROL_TOKENS[name],
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def as_json(document: Any) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def read(directory: Path, pre_tokenizer: Any, alphabet: list[str]) -> tuple[dict[str, Any], str]:
    """The library's document without its added tokens, and the prefix; or a ValueError saying why this file is not ours."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: give a directory written by save()")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(
            f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB, which no tokenizer of ours is: save the tokenizer again"
        )
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}): copy or save the tokenizer again"
        ) from None
    cause = why_not_ours(document, pre_tokenizer, alphabet)
    if cause:
        raise ValueError(
            f"{path}: {cause}. Only a tokenizer saved by chatwright can be opened here; save or train it again"
        )
    has_prefix = document.get("normalizer") == PREPEND
    own = {"added_tokens": []} | (
        {"normalizer": None, "decoder": document["decoder"]["decoders"][0]} if has_prefix else {}
    )
    return {**document, **own}, PREFIX if has_prefix else ""


def why_not_ours(document: Any, pre_tokenizer: Any, alphabet: list[str]) -> str | None:
    model = document.get("model") if isinstance(document, dict) else None
    if (
        not isinstance(model, dict)
        or model.get("type") != "BPE"
        or not isinstance(model.get("vocab"), dict)
    ):
        return "it is not a BPE tokenizer"
    normalizer, decoder = document.get("normalizer"), document.get("decoder")
    takes_off = isinstance(decoder, dict) and decoder.get("decoders", [])[1:] == [TAKE_OFF]
    if normalizer is not None and not (normalizer == PREPEND and takes_off):
        return "it has a normalizer, so decode(encode(text)) would not give the text back"
    if document.get("pre_tokenizer") != pre_tokenizer:
        return "its pre-tokenizer is not ours"
    vocab = model["vocab"]
    ids = list(vocab.values())
    if any(type(token_id) is not int for token_id in ids) or sorted(ids) != list(range(len(ids))):
        return f"the ids of its {len(ids)} vocabulary entries are not 0 to {len(ids) - 1}"
    if not set(alphabet) <= set(vocab) or not set("".join(vocab)) <= set(alphabet):
        return "its vocabulary is not byte-level"
    control = ControlIds.after_text(len(vocab))
    added = document.get("added_tokens")
    if added != [added_token(name, control) for name in CONTROL_TOKENS]:
        return f"its added tokens are not the {len(CONTROL_TOKENS)} control tokens with ids {control.bos} to {control.result}"
    return None
