"""Published ways of writing chat templates, each with a small tokenizer that has its tokens.

The templates in jinja/ were written for these tests, in the manner of the models they are named
after.
"""

import functools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chatwright.conversation import Message
from tests.tokenizer.example_tokenizers import write_chatml, write_json, write_llama2

JINJA = Path(__file__).with_name("jinja")
CHATML = ("<|im_start|>", "<|im_end|>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
GEMMA = ("<bos>", "<start_of_turn>", "<end_of_turn>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>")
THINK = ("<think>", "</think>")
TOOL_CALL = ("<tool_call>", "</tool_call>")


@dataclass(frozen=True)
class Case:
    """A template, and the tokenizer that it is written for."""

    special: tuple[str, ...] = ()
    """Special tokens of the tokenizer."""
    bos: str = ""
    eos: str = "</s>"
    base: str = "bytes"
    """The algorithm: "bytes" byte-level, "prefix" SentencePiece with a space before each text,
    "first" with a space before the first text only."""
    plain: tuple[str, ...] = ()
    """Added tokens that are not special."""
    flags: tuple[str, ...] = ()
    """Flags of the special tokens: "rstrip"."""
    is_refused: bool = False
    """Whether no chat format can express the template."""


CASES = {
    "yi": Case(CHATML, eos="<|im_end|>"),
    "smollm2": Case(CHATML, eos="<|im_end|>"),
    "qwen2": Case(CHATML, eos="<|im_end|>"),
    "qwen25": Case(CHATML, eos="<|im_end|>"),
    "qwen_tools": Case(CHATML, eos="<|im_end|>", plain=TOOL_CALL),
    "qwen25_math": Case(CHATML, eos="<|im_end|>"),
    "qwen3": Case(CHATML, eos="<|im_end|>", plain=THINK),
    "qwq": Case(CHATML, eos="<|im_end|>", plain=THINK),
    "smollm3": Case((*CHATML, *THINK), eos="<|im_end|>"),
    "hermes3": Case((*CHATML, "<|begin_of_text|>"), bos="<|begin_of_text|>", eos="<|im_end|>"),
    "phi3": Case((*ROLES, "<|end|>"), base="prefix", eos="<|endoftext|>", flags=("rstrip",)),
    "phi4": Case((*CHATML, "<|im_sep|>"), eos="<|im_end|>"),
    "phi4_mini": Case((*ROLES, "<|end|>"), eos="<|endoftext|>"),
    "llama2": Case(base="prefix", bos="<s>"),
    "llama3": Case(LLAMA3, bos=LLAMA3[0], eos="<|eot_id|>"),
    "llama31": Case(LLAMA3, bos=LLAMA3[0], eos="<|eot_id|>"),
    "mistral1": Case(base="prefix", bos="<s>"),
    "mistral2": Case(base="prefix", bos="<s>"),
    "mistral3": Case(("[INST]", "[/INST]"), base="first", bos="<s>"),
    "mistral_tekken": Case(("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"), bos="<s>"),
    "gemma2": Case(GEMMA, base="first", bos="<bos>", eos="<end_of_turn>"),
    "gemma3": Case(GEMMA, bos="<bos>", eos="<end_of_turn>"),
    "zephyr": Case(base="prefix"),
    "tinyllama": Case(base="prefix"),
    "stablelm2": Case(ROLES, eos="<|endoftext|>"),
    "vicuna": Case(base="prefix"),
    "alpaca": Case(base="prefix", bos="<s>"),
    "deepseek_v2": Case(DEEPSEEK[:1], bos=DEEPSEEK[0], eos=DEEPSEEK[3]),
    "deepseek_v3": Case(DEEPSEEK, bos=DEEPSEEK[0], eos=DEEPSEEK[3]),
    "deepseek_r1": Case(DEEPSEEK, bos=DEEPSEEK[0], eos=DEEPSEEK[3], plain=THINK),
    "falcon": Case(eos="<|endoftext|>", is_refused=True),
    "falcon_plain": Case(eos="<|endoftext|>"),
    "command_r": Case(
        (
            "<BOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|SYSTEM_TOKEN|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
        ),
        bos="<BOS_TOKEN>",
        eos="<|END_OF_TURN_TOKEN|>",
    ),
    "olmo": Case(eos="<|endoftext|>"),
    "tulu3": Case(base="prefix"),
    "granite3": Case(("<|start_of_role|>", "<|end_of_role|>"), eos="<|end_of_text|>"),
    "internlm2": Case(CHATML, base="prefix", bos="<s>", eos="<|im_end|>"),
    "openchat": Case(("<|end_of_turn|>",), base="prefix", bos="<s>", eos="<|end_of_turn|>"),
    "starling": Case(("<|end_of_turn|>",), base="prefix", bos="<s>", eos="<|end_of_turn|>"),
    "exaone": Case(("[|endofturn|]",), plain=("[|user|]",), eos="[|endofturn|]"),
    "chatglm2": Case(base="prefix", is_refused=True),
    "baichuan2": Case(("<reserved_106>", "<reserved_107>"), base="prefix"),
    "generation_tags": Case(CHATML, eos="<|im_end|>"),
}
TEXTS = (
    "Hi!",
    "  What is 12 + 30?\nShow the steps. \n",
    "{{ x }} {% if y %} <b>&amp;</b> \"quoted\" 'single' \\n",
    "def add(a, b):\n    return a + b\n\n\n\tif x == 1000:\n        print('hello')",
    "Zwölf Boxkämpfer jagen Viktor, it's 2024.",
    "東京は日本の首都です。 🙂 e\u0301",
    "42",
    "\n\nThe quick brown fox doesn't jump.",
    ".",
    "a" * 60,
)


def conversations(has_system: bool, count: int = 50) -> list[tuple[list[Message], bool]]:
    """Return conversations and whether each is a prompt; a third of them have a system text."""
    rng = random.Random(7)
    rows = []
    for index in range(count):
        n_question = rng.randint(1, 5)
        messages = []
        for _ in range(n_question):
            messages.append(Message("user", rng.choice(TEXTS)))
            messages.append(Message("assistant", rng.choice(TEXTS)))
        if has_system and index % 3 == 0:
            messages.insert(0, Message("system", rng.choice(TEXTS)))
        is_prompt = index % 2 == 0
        rows.append((messages[:-1] if is_prompt else messages, is_prompt))
    return rows


def write_case(directory: Path, name: str, template: str | None = None) -> Path:
    """Write the tokenizer of a case with its template, or with another template."""
    case = CASES[name]
    document = json.loads(_base(case.base))
    present = {token["content"] for token in document["added_tokens"]}
    wanted = [*case.special, *(token for token in (case.bos, case.eos) if token)]
    special = [token for token in dict.fromkeys(wanted) if token not in present]
    used = {token["id"] for token in document["added_tokens"]}
    first = max([*document["model"]["vocab"].values(), *used]) + 1
    for index, content in enumerate([*special, *case.plain]):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        token: dict[str, Any] = {"id": first + index, "content": content, **flags}
        token["special"] = content in special
        if token["special"] and content != case.bos:
            token |= dict.fromkeys(case.flags, True)
        document["added_tokens"].append(token)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "tokenizer.json", document)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": case.eos}
    settings["chat_template"] = template if template is not None else read_jinja(name)
    if case.bos:
        settings["bos_token"] = case.bos
    write_json(directory / "tokenizer_config.json", settings)
    return directory


def read_jinja(name: str) -> str:
    """Return a template as it was written, without the line end of its file."""
    return (JINJA / f"{name}.jinja").read_text(encoding="utf-8").removesuffix("\n")


@functools.cache
def _base(kind: str) -> str:
    """Return tokenizer.json of a small vocabulary."""
    with TemporaryDirectory() as temporary:
        directory = Path(temporary)
        if kind == "bytes":
            write_chatml(directory)
        else:
            write_llama2(directory)
        document = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    if kind == "bytes":
        document["added_tokens"] = []
    if kind == "first":
        metaspace = {"type": "Metaspace", "replacement": "▁", "split": False}
        document["normalizer"] = None
        document["pre_tokenizer"] = metaspace | {"prepend_scheme": "first"}
        document["decoder"] = {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        }
    return json.dumps(document)
