"""Read and write a tokenizer directory in Hugging Face's layout.

The layout is tokenizer.json, tokenizer_config.json and chat_template.jinja. Writing adds what only
other tools need: added tokens and a Jinja template. Reading refuses every file that this module
would not write, because another pre-tokenizer would silently encode texts differently.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import tokenizer_json
from chatwright.tokenizer.control import CONTROL_TOKENS, ControlIds

MAX_FILE_BYTES = 64 * 2**20

# The chat format of `chat_format.own_format` as Jinja, for other tools. Chatwright never runs it; a
# test compares its ids with those of `chat_template.render`.
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

# The same for tools whose tokenizer puts no space before a text, where ours does (`PREFIX`). Such a
# tool shows the reply with its space, so a reply that is sent back already has it.
CHAT_TEMPLATE_WITH_SPACE = CHAT_TEMPLATE_JINJA.replace(
    "message['content']", "space + message['content']"
).replace(
    "{%- for message in messages %}\n",
    "{%- for message in messages %}\n"
    "    {%- set has_space = message['role'] == 'assistant' and message['content'][:1] == ' ' %}\n"
    "    {%- set space = ' ' if message['content'] and not has_space else '' %}\n",
)

# The library's steps that add a space before every text and remove it when decoding.
PREFIX = " "
PREPEND_PREFIX = {"type": "Prepend", "prepend": PREFIX}
STRIP_PREFIX = {"type": "Strip", "content": PREFIX, "start": 1, "stop": 0}


def write(
    directory: Path, library_document: dict[str, Any], control: ControlIds, prefix: str
) -> None:
    """Write the files that transformers' AutoTokenizer opens.

    Args:
        directory: Where to write them; created if it does not exist.
        library_document: tokenizer.json without added tokens.
        control: Ids of the control tokens, which are written as added tokens.
        prefix: "" or " ", the text added before every text.
    """
    assert prefix in ("", PREFIX), "the file format knows only a space or nothing"
    directory.mkdir(parents=True, exist_ok=True)
    added = [added_token(name, control) for name in CONTROL_TOKENS]
    document = {**library_document, "added_tokens": added}
    if prefix:
        document = with_space_before(document)
    for name, data in tokenizer_files(document).items():
        (directory / name).write_bytes(data)


def with_space_before(document: dict[str, Any]) -> dict[str, Any]:
    """Return a tokenizer.json that puts a space before every text, and removes it in decoding."""
    decoder = {"type": "Sequence", "decoders": [document["decoder"], STRIP_PREFIX]}
    return document | {"normalizer": PREPEND_PREFIX, "decoder": decoder}


def tokenizer_files(document: dict[str, Any]) -> dict[str, bytes]:
    """Return file names and contents for a tokenizer.json that holds the control tokens."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": CONTROL_TOKENS["bos"],
        "eos_token": CONTROL_TOKENS["end"],
        "pad_token": CONTROL_TOKENS["pad"],
        "clean_up_tokenization_spaces": False,  # other tools would rewrite "a ." to "a."
        "added_tokens_decoder": {
            str(token["id"]): {k: v for k, v in token.items() if k != "id"}
            for token in document["added_tokens"]
        },
    }
    return {
        "tokenizer.json": to_json(document),
        "tokenizer_config.json": to_json(config),
        "chat_template.jinja": CHAT_TEMPLATE_JINJA.encode(),
    }


def with_control_tokens(document: dict[str, Any], control: ControlIds) -> dict[str, Any]:
    """Return another tool's tokenizer.json with the control tokens added to it."""
    added = [added_token(name, control) for name in CONTROL_TOKENS]
    return document | {"added_tokens": [*(document.get("added_tokens") or []), *added]}


def first_control_id(document: dict[str, Any]) -> int:
    """Return the first id of the control tokens in a tokenizer.json that has them.

    Raises InputError if they are missing or not in order.
    """
    control = list(CONTROL_TOKENS.values())
    ids = {token["content"]: token["id"] for token in tokenizer_json.added_tokens(document)}
    first = ids.get(control[0], -1)
    if [ids.get(token) for token in control] != list(range(first, first + len(control))):
        raise InputError(
            "The chat template is Chatwright's, but the tokenizer lacks its control tokens, so the "
            "files are from different models.",
            remedy="Copy all files from the same model, or name another format with --chat-format.",
            field="tokenizer.json",
        )
    return first


def added_token(name: str, control: ControlIds) -> dict[str, Any]:
    """Return a control token's entry in the list `added_tokens` of tokenizer.json."""
    return {
        "id": getattr(control, name),
        "content": CONTROL_TOKENS[name],
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def to_json(document: Any) -> bytes:
    """Return a document as indented JSON in UTF-8, with a final newline."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def read(directory: Path, pre_tokenizer: Any, alphabet: list[str]) -> tuple[dict[str, Any], str]:
    """Read a tokenizer.json that `write` wrote.

    Args:
        directory: The directory that holds tokenizer.json.
        pre_tokenizer: The only pre-tokenizer that is accepted, as JSON.
        alphabet: The characters that represent the 256 bytes.

    Returns the library's document without added tokens, and the prefix. Raises InputError if the
    file is missing, damaged, or written by another tool.
    """
    path = directory / "tokenizer.json"
    document = _read_json(path)
    problem = _find_difference(document, pre_tokenizer, alphabet)
    if problem:
        raise InputError(
            f"{path}: {problem}, so Chatwright did not save this tokenizer.",
            remedy="Import the other tool's model with: chatwright import DIR OUT. "
            "If the tokenizer was saved by Chatwright, copy it again.",
            field="tokenizer.json",
        )
    has_prefix = document.get("normalizer") == PREPEND_PREFIX
    document = document | {"added_tokens": []}
    if has_prefix:
        document["normalizer"] = None
        document["decoder"] = document["decoder"]["decoders"][0]
    return document, PREFIX if has_prefix else ""


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path} is missing.",
            remedy="Give a directory that holds a saved tokenizer.",
            field="tokenizer.json",
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(
            f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB, more than any tokenizer "
            "that Chatwright saves.",
            remedy="Save the tokenizer again.",
            field="tokenizer.json",
        )
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not valid JSON ({error}).",
            remedy="Copy or save the tokenizer again.",
            field="tokenizer.json",
        ) from None


def _find_difference(document: Any, pre_tokenizer: Any, alphabet: list[str]) -> str | None:
    """Return how the document differs from a file that `write` writes, or None."""
    model = document.get("model") if isinstance(document, dict) else None
    if not isinstance(model, dict) or model.get("type") != "BPE":
        return "it is not a BPE tokenizer"
    vocab = model.get("vocab")
    if not isinstance(vocab, dict):
        return "its vocabulary is not a JSON object of tokens and ids"
    if not _decoding_inverts_encoding(document):
        return "it has a normalizer, so decode(encode(text)) would differ from the text"
    if document.get("pre_tokenizer") != pre_tokenizer:
        return "it has another pre-tokenizer"
    ids = list(vocab.values())
    if any(type(token_id) is not int for token_id in ids) or sorted(ids) != list(range(len(ids))):
        return f"the ids of its {len(ids)} vocabulary entries are not 0 to {len(ids) - 1}"
    if not set(alphabet) <= set(vocab) or not set("".join(vocab)) <= set(alphabet):
        return "its vocabulary is not byte-level"
    control = ControlIds.after_text(len(vocab))
    if document.get("added_tokens") != [added_token(name, control) for name in CONTROL_TOKENS]:
        return (
            f"its added tokens are not the {len(CONTROL_TOKENS)} control tokens "
            f"with ids {control.bos} to {control.result}"
        )
    return None


def _decoding_inverts_encoding(document: dict[str, Any]) -> bool:
    """Whether there is no normalizer, or only a prefix that the decoder removes."""
    if document.get("normalizer") is None:
        return True
    decoder = document.get("decoder")
    strips_prefix = isinstance(decoder, dict) and decoder.get("decoders", [])[1:] == [STRIP_PREFIX]
    return document["normalizer"] == PREPEND_PREFIX and strips_prefix
