"""What is read from a template, compared with separators written by hand."""

import json
from collections.abc import Callable

import pytest

from chatwright.tokenizer.format_data import FormatData
from chatwright.tokenizer.templates.compare import Abilities, conversations, require_equal_texts
from chatwright.tokenizer.templates.derive import NotExpressible, Outcomes
from chatwright.tokenizer.templates.probes import job_of
from chatwright.tokenizer.templates.read_template import read_template
from chatwright.tokenizer.templates.run_template import run_template
from tests.tokenizer.templates.cases import read_jinja

DATE = "2026-11-29"


def data_of(name: str, **special_tokens: str) -> FormatData:
    return read_template(read_jinja(name), special_tokens, DATE).data


def test_the_separators_of_chatml_equal_hand_written_ones() -> None:
    data = data_of("yi")
    assert data.layout.separators == {
        "begin>user": "<|im_start|>user\n",
        "user>prompt": "<|im_end|>\n<|im_start|>assistant\n",
        "user>end": "<|im_end|>\n",
        "user>assistant": "<|im_end|>\n<|im_start|>assistant\n",
        "assistant>user": "<|im_end|>\n<|im_start|>user\n",
        "assistant>end": "<|im_end|>\n",
        "begin>system": "<|im_start|>system\n",
        "system>user": "<|im_end|>\n<|im_start|>user\n",
    }
    assert data.layout.trims == {}
    assert (data.default_system, data.empty_system, data.system_goes_last) == ("", "text", False)


def test_the_separators_of_llama2_equal_hand_written_ones() -> None:
    data = data_of("llama2", bos="<s>", eos="</s>")
    assert data.layout.separators == {
        "begin>user": "<s>[INST] ",
        "user>prompt": " [/INST]",
        "user>end": " [/INST]",
        "user>assistant": " [/INST] ",
        "assistant>user": " </s><s>[INST] ",
        "assistant>end": " </s>",
        "begin>system": "<s>[INST] <<SYS>>\n",
        "system>user": "\n<</SYS>>\n\n",
    }
    # The system text and the first question are trimmed as one text.
    assert "system>user" not in data.layout.trims
    assert data.layout.trims["begin>user"] == ("", "whitespace")
    assert data.layout.trims["assistant>user"] == ("whitespace", "whitespace")


def test_a_system_text_in_the_last_question_is_found() -> None:
    data = data_of("mistral3", bos="<s>", eos="</s>")
    assert data.system_goes_last
    assert data.layout.separators["assistant>system"] == "</s>[INST] "
    assert data.layout.separators["system>user"] == "\n\n"


def test_thinking_is_found_with_its_switch() -> None:
    data = data_of("qwen3")
    assert data.thinking_tags == ("<think>", "</think>")
    assert data.thinking_way == "field", "the message has a field of its own for thinking"
    assert data.thinking_on == data.layout
    assert data.thinking_off is not None
    prompt = "<|im_end|>\n<|im_start|>assistant\n"
    assert data.thinking_off.separators["user>prompt"] == f"{prompt}<think>\n\n</think>\n\n"
    assert data.layout.separators["user>prompt"] == prompt
    assert data.layout.separators["user>last_thinking"] == f"{prompt}<think>\n"
    assert data.layout.separators["last_thinking>last_assistant"] == "\n</think>\n\n"
    assert "user>thinking" not in data.layout.separators
    assert data_of("yi").thinking_tags is None
    assert data_of("qwq").thinking_on is None


def test_a_difference_on_one_conversation_is_found_and_shown() -> None:
    """The format of one template is compared with another that differs in one character."""
    template = read_jinja("yi")
    changed = template.replace("assistant\\n' }}{% endif", "assistant\\n\\n' }}{% endif")
    assert changed != template
    data = data_of("yi")
    probes = conversations(Abilities(thinks=False))
    outcomes: dict[str, Outcomes] = {}
    for name, text in (("same", template), ("changed", changed)):
        jobs = [job_of(probe, {}, DATE, thinking=None, way="field") for probe in probes.values()]
        outcomes[name] = dict(zip(probes, run_template(text, jobs), strict=True))
    assert (
        len(require_equal_texts(data, probes, outcomes["same"], thinking=None)) == len(probes) > 12
    )
    with pytest.raises(NotExpressible, match="assistant"):
        require_equal_texts(data, probes, outcomes["changed"], thinking=None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("message['content'] +", "message['content'] | upper +"),
        lambda text: text.replace("message['content'] +", "message['content'] * 2 +"),
        lambda text: text.replace("message['content'] +", "message['content'][:9] +"),
        lambda text: text.replace("message['content'] +", "message['content'] ~ loop.index +"),
        lambda text: text.replace("message['content'] +", "message['content'].replace('4', '') +"),
        lambda text: text.replace(
            "message['content'] +", "message['content'] ~ message['content'][0] +"
        ),
    ],
)
def test_a_template_that_changes_texts_is_refused(change: Callable[[str], str]) -> None:
    template = read_jinja("yi")
    assert change(template) != template
    with pytest.raises(NotExpressible):
        read_template(change(template), {}, DATE)


def test_a_format_is_the_same_after_json() -> None:
    for name in ("qwen3", "llama2", "granite3"):
        data = data_of(name, bos="<s>", eos="</s>")
        assert FormatData.from_json(json.loads(json.dumps(data.to_json()))) == data


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"layout": None},
        {"layout": {"separators": {"user": "x"}, "trims": {}}},
        {"layout": {"separators": {"user>end": 3}, "trims": {}}},
        {"layout": {"separators": {}, "trims": {"user>end": ["x", None]}}},
        {"thinking_tags": ["<think>", 1]},
        {"stops": [None]},
        {"empty_system": "maybe"},
        {"system_goes_last": 1},
        {"default_system": "x" * 200_000},
        {"unknown": 1},
    ],
)
def test_a_malformed_saved_format_is_refused(change: dict[str, object]) -> None:
    saved = data_of("yi").to_json()
    with pytest.raises((TypeError, LookupError)):
        FormatData.from_json(saved | change)
