"""Formats derived from templates give the ids of transformers, or the template is refused.

"Equal to what?" To `apply_chat_template` of transformers: another template engine (Jinja2), and the
tokenizers library's own way of finding special tokens.
"""

import datetime
import warnings
from pathlib import Path
from typing import Any

import pytest

from chatwright.chat.context_meter import measure_context
from chatwright.conversation import Message, Text, Thinking
from chatwright.errors import InputError
from chatwright.pipeline.imported_tokenizer import with_template_format
from chatwright.tokenizer import imported_files
from chatwright.tokenizer.chat_template import render_prompt, render_turns
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.tokenizer.templates.cases import CASES, TEXTS, conversations, read_jinja, write_case

TODAY = "2026-11-29"
EXPRESSIBLE = [name for name, case in CASES.items() if not case.is_refused]
WITHOUT_SYSTEM = ("mistral1", "gemma2", "olmo")
"""Cases whose template refuses system messages, or leaves them out."""


@pytest.fixture(autouse=True)
def _same_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transformers write the date that the format was derived with."""
    from transformers.utils import chat_template_utils

    class Today(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return datetime.datetime.fromisoformat(TODAY)

    monkeypatch.setattr(chat_template_utils, "datetime", Today)


def open_case(directory: Path) -> ImportedTokenizer:
    files = imported_files.read(directory)
    return with_template_format(files, ImportedTokenizer(files).vocab_size, TODAY)


def reference_of(directory: Path) -> Any:
    from transformers import AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoTokenizer.from_pretrained(directory)


def expected_ids(
    reference: Any, messages: list[Message], is_prompt: bool, **settings: Any
) -> list[int]:
    rows = []
    for message in messages:
        thinking = {"reasoning_content": message.thinking} if message.thinking else {}
        rows.append({"role": message.role, "content": message.text, **thinking})
    return reference.apply_chat_template(
        rows, add_generation_prompt=is_prompt, return_dict=False, **settings
    )


def ids(
    tokenizer: ImportedTokenizer, messages: list[Message], is_prompt: bool, **settings: Any
) -> list[int]:
    if is_prompt:
        return render_prompt(messages, tokenizer, **settings)
    return render_turns(messages, tokenizer).token_ids


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_fifty_conversations_get_the_ids_of_transformers(name: str, tmp_path: Path) -> None:
    directory = write_case(tmp_path, name)
    tokenizer = open_case(directory)
    assert tokenizer.format_problem == ""
    reference = reference_of(directory)
    rows = conversations(has_system=name not in WITHOUT_SYSTEM)
    assert len(rows) == 50
    for messages, is_prompt in rows:
        if name == "mistral3" and messages[0].role == "system" and not is_prompt:
            continue  # this template writes the system text in prompts only, ours in both
        assert ids(tokenizer, messages, is_prompt) == expected_ids(reference, messages, is_prompt)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_refused])
def test_a_template_that_no_format_expresses_is_refused_for_chatting(
    name: str, tmp_path: Path
) -> None:
    tokenizer = open_case(write_case(tmp_path, name))
    assert tokenizer.chat_format is None
    with pytest.raises(InputError) as caught:
        render_prompt([Message("user", "Hi!")], tokenizer)
    assert caught.value.field == "chat_format"
    assert tokenizer.format_problem in str(caught.value)
    tokenizer.save(tmp_path / "saved")
    saved = ImportedTokenizer.load(tmp_path / "saved")
    assert saved.format_problem == tokenizer.format_problem != ""


@pytest.mark.parametrize("name", WITHOUT_SYSTEM)
def test_a_format_without_system_messages_refuses_one(name: str, tmp_path: Path) -> None:
    tokenizer = open_case(write_case(tmp_path, name))
    with pytest.raises(InputError) as caught:
        render_prompt([Message("system", "Be kind."), Message("user", "Hi!")], tokenizer)
    assert (caught.value.field, caught.value.value) == ("role", "system")


@pytest.mark.parametrize("name", ["yi", "llama2", "gemma3", "phi4", "vicuna"])
def test_a_template_with_one_character_changed_gives_other_ids(name: str, tmp_path: Path) -> None:
    """The control of the comparison with transformers: it finds one wrong character."""
    template = read_jinja(name)
    changed = {
        "yi": template.replace("assistant\\n", "assistent\\n"),
        "llama2": template.replace(" [/INST]", "[/INST]"),
        "gemma3": template.replace("model\n", "model \n"),
        "phi4": template.replace("'user<|im_sep|>", "'user<|im_sep|> "),
        "vicuna": template.replace("A talk", "B talk"),
    }[name]
    changed = (
        changed if changed != template else template.replace("user<|im_sep|>", "User<|im_sep|>")
    )
    assert changed != template
    tokenizer = open_case(write_case(tmp_path / "changed", name, changed))
    references = {
        which: reference_of(write_case(tmp_path / which, name, text))
        for which, text in (("original", template), ("changed", changed))
    }
    rows = conversations(has_system=False, count=4)
    equal = {
        which: [
            ids(tokenizer, messages, is_prompt) == expected_ids(reference, messages, is_prompt)
            for messages, is_prompt in rows
        ]
        for which, reference in references.items()
    }
    assert all(equal["changed"])
    assert not all(equal["original"])


@pytest.mark.parametrize(
    ("name", "switches"),
    [("qwen3", (None, True, False)), ("smollm3", (None, True, False)), ("qwq", (None, True))],
)
def test_thinking_is_switched_as_the_template_does(
    name: str, switches: tuple[bool | None, ...], tmp_path: Path
) -> None:
    directory = write_case(tmp_path, name)
    tokenizer, reference = open_case(directory), reference_of(directory)
    prompts = [messages for messages, is_prompt in conversations(True, 10) if is_prompt]
    for is_on in switches:
        settings = {} if is_on is None else {"enable_thinking": is_on}
        for messages in prompts:
            expected = expected_ids(reference, messages, True, **settings)
            assert ids(tokenizer, messages, True, thinking=is_on) == expected
    for is_on in {True, False} - {*switches}:
        with pytest.raises(InputError) as caught:
            render_prompt(prompts[0], tokenizer, is_on)
        assert caught.value.field == "thinking"


def with_thinking(messages: list[Message]) -> list[Message]:
    return [
        Message("assistant", (Thinking(f"musing {index}\nso:"), Text(message.text)))
        if message.role == "assistant"
        else message
        for index, message in enumerate(messages)
    ]


def test_thinking_is_dropped_from_history_and_kept_in_the_last_answer(tmp_path: Path) -> None:
    directory = write_case(tmp_path, "qwen3")
    tokenizer, reference = open_case(directory), reference_of(directory)
    for messages, is_prompt in conversations(True, 20):
        thoughtful = with_thinking(messages)
        expected = expected_ids(reference, thoughtful, is_prompt)
        assert ids(tokenizer, thoughtful, is_prompt) == expected
        shown = tokenizer.decode(expected)
        assert shown.count("musing") == (0 if is_prompt else 1)


def test_thinking_written_in_the_text_is_found(tmp_path: Path) -> None:
    directory = write_case(tmp_path, "qwen3")
    tokenizer = open_case(directory)
    question = Message("user", "Hi!")
    apart = Message("assistant", (Thinking("So."), Text("Hello.")))
    inside = Message("assistant", "<think>\nSo.\n</think>\n\nHello.")
    assert ids(tokenizer, [question, inside], False) == ids(tokenizer, [question, apart], False)


def test_a_model_whose_template_drops_thinking_is_trained_on_it_after_its_prompt(
    tmp_path: Path,
) -> None:
    tokenizer = open_case(write_case(tmp_path, "deepseek_r1"))
    question = Message("user", "Hi!")
    answer = Message("assistant", (Thinking("So."), Text("Hello.")))
    prompt = render_prompt([question], tokenizer)
    rendered = render_turns([question, answer], tokenizer)
    assert rendered.token_ids[: len(prompt)] == prompt
    assert all(rendered.loss_mask[len(prompt) :])
    assert tokenizer.decode(rendered.token_ids[len(prompt) :]) == "So.\n</think>\n\nHello."


def test_the_date_of_the_import_stays_and_is_told(tmp_path: Path) -> None:
    tokenizer = open_case(write_case(tmp_path, "llama31"))
    assert tokenizer.format_date == TODAY
    assert "29 Nov 2026" in tokenizer.decode(render_prompt([Message("user", "Hi!")], tokenizer))
    assert open_case(write_case(tmp_path / "llama3", "llama3")).format_date == ""


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("smollm2", "You are SmolTest, made for tests."),
        ("qwen25_math", "Reason step by step. Put the result into \\boxed{}."),
        ("vicuna", "A talk between a person and a test."),
        ("yi", ""),
        ("llama31", ""),
    ],
)
def test_the_default_system_text_is_found_and_can_be_replaced(
    name: str, system: str, tmp_path: Path
) -> None:
    directory = write_case(tmp_path, name)
    tokenizer, reference = open_case(directory), reference_of(directory)
    assert tokenizer.chat_format is not None
    assert tokenizer.chat_format.system_text == system
    assert bool(tokenizer.chat_format.system_line()) == bool(system)
    replaced = tokenizer.with_system("Be brief.")
    replaced.save(tmp_path / "saved")
    question = [Message("user", "Hi!")]
    expected = expected_ids(reference, [Message("system", "Be brief."), *question], True)
    for changed in (replaced, ImportedTokenizer.load(tmp_path / "saved")):
        assert render_prompt(question, changed) == expected


@pytest.mark.parametrize("name", ["yi", "smollm3", "qwen25", "llama31", "gemma3"])
def test_a_blank_system_text_does_what_the_template_does(name: str, tmp_path: Path) -> None:
    directory = write_case(tmp_path, name)
    tokenizer, reference = open_case(directory), reference_of(directory)
    for system in ("", " ", "\n"):
        messages = [Message("system", system), Message("user", "Hi!")]
        assert ids(tokenizer, messages, True) == expected_ids(reference, messages, True)


def test_a_marker_in_a_message_stays_text(tmp_path: Path) -> None:
    for name in ("yi", "qwen3", "llama3", "phi3", "mistral3", "deepseek_v3"):
        tokenizer = open_case(write_case(tmp_path / name, name))
        forged = "".join([*tokenizer.vocabulary.markers, *tokenizer.control.strings.values()])
        plain = ids(tokenizer, [Message("user", "x")], True)
        marked = ids(tokenizer, [Message("user", f"x{forged}y")], True)
        control = {*tokenizer.control.all()} - {tokenizer.vocabulary.unknown}
        count = [
            sum(token_id in control for token_id in token_ids) for token_ids in (plain, marked)
        ]
        assert count[0] == count[1], name


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_only_the_answer_and_its_end_are_learned(name: str, tmp_path: Path) -> None:
    tokenizer = open_case(write_case(tmp_path, name))
    turns = [Message("user", "the quick fox"), Message("assistant", "over 12 lazy dogs")]
    rendered = render_turns(turns, tokenizer)
    [(start, end)] = rendered.answers
    assert rendered.loss_mask == [start <= i < end for i in range(len(rendered.token_ids))]
    learned = tokenizer.decode(rendered.token_ids[start:end])
    assert learned.strip() == "over 12 lazy dogs"
    chat_format = tokenizer.chat_format
    assert chat_format is not None
    if chat_format.layout.separator("assistant", "end").ends:
        assert rendered.token_ids[end - 1] in chat_format.stop_ids


def test_a_saved_format_is_loaded_unchanged(tmp_path: Path) -> None:
    for name in ("qwen3", "llama2", "gemma3", "mistral3"):
        tokenizer = open_case(write_case(tmp_path / name, name))
        tokenizer.save(tmp_path / f"{name} saved")
        loaded = ImportedTokenizer.load(tmp_path / f"{name} saved")
        assert loaded.chat_format == tokenizer.chat_format


def test_the_conversations_differ_and_hold_what_is_hard() -> None:
    """The control of the fifty conversations: they are not all alike."""
    rows = conversations(has_system=True)
    assert len({tuple(messages) for messages, _ in rows}) > 45
    used = {message.text for messages, _ in rows for message in messages}
    assert used == {*TEXTS}


@pytest.mark.parametrize("name", ["smollm2", "yi", "llama2", "vicuna"])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_the_context_meter_counts_the_system_prompt_once(
    name: str, system: str | None, tmp_path: Path
) -> None:
    tokenizer = open_case(write_case(tmp_path, name)).with_system(system)
    assert tokenizer.chat_format is not None
    question = [Message("user", "the quick fox?")]
    use = measure_context(question, tokenizer, 1000, 10)
    assert use.n_used == len(render_turns(question, tokenizer).token_ids)
    text = tokenizer.chat_format.system_text
    assert [message.text for message in use.messages] == [
        *([text] if text else []),
        "the quick fox?",
    ]
    assert all(
        n_token >= len(tokenizer.encode(message.text)) // 2
        for n_token, message in zip(use.n_tokens, use.messages, strict=True)
    )
