"""The chat format, compared with ids written by hand and with transformers' Jinja renderer."""

import warnings

import pytest

from chatwright.conversation import File, Image, Message, Text, ToolCall
from chatwright.errors import InputError
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render, render_prompt
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.tool_call_text import message_from_turn

# Characters a..f are ids 0..5; then bos 6, pad 7, end 8, system 9, user 10, end_of_question 11,
# assistant 12, command 13, end_of_command 14, result 15.
LETTERS = CharacterTokenizer("abcdef")


def conversation(*turns):
    return [message_from_turn(role, content) for role, content in turns]


def test_ids_and_loss_mask_of_a_conversation_equal_hand_written_values():
    rendered = render(
        conversation(
            ("system", "a"), ("user", "bc"), ("assistant", "de"), ("user", "f"), ("assistant", "a")
        ),
        LETTERS,
    )
    assert rendered.token_ids == [6, 9, 0, 8, 10, 1, 2, 11, 12, 3, 4, 8, 10, 5, 11, 12, 0, 8]
    assert rendered.loss_mask == [
        bool(x) for x in [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    ]


def test_ids_and_loss_mask_of_a_tool_call_and_its_result_equal_hand_written_values():
    rendered = render(
        conversation(("user", "a"), ("tool_call", "bc"), ("tool", "d"), ("assistant", "e")), LETTERS
    )
    assert rendered.token_ids == [6, 10, 0, 11, 12, 13, 1, 2, 14, 15, 3, 8, 12, 4, 8]
    assert rendered.loss_mask == [bool(x) for x in [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1]]


def test_an_answer_that_is_not_learned_is_shown_without_loss():
    turns = conversation(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    rendered = render(turns, LETTERS, learned=[True, False, True, True])
    assert rendered.token_ids == render(turns, LETTERS).token_ids
    assert rendered.loss_mask == [bool(x) for x in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]]


def test_two_tool_calls_in_a_row_each_have_their_result():
    turns = [
        ("user", "a"),
        ("tool_call", "b"),
        ("tool", "c"),
        ("tool_call", "d"),
        ("tool", "e"),
        ("assistant", "f"),
    ]
    assert render(conversation(*turns), LETTERS).token_ids == [
        6,
        10,
        0,
        11,
        12,
        13,
        1,
        14,
        15,
        2,
        8,
        12,
        13,
        3,
        14,
        15,
        4,
        8,
        12,
        5,
        8,
    ]


def test_a_prompt_ends_with_the_marker_of_an_answer():
    assert render_prompt(conversation(("user", "ab")), LETTERS) == [6, 10, 0, 1, 11, 12]
    assert render_prompt(
        conversation(("user", "a"), ("tool_call", "b"), ("tool", "")), LETTERS
    ) == [6, 10, 0, 11, 12, 13, 1, 14, 15, 8, 12]


def test_a_training_row_begins_with_its_prompt():
    turns = conversation(
        ("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("assistant", "e")
    )
    prompt = render_prompt(turns[:4], LETTERS)
    rendered = render(turns, LETTERS)
    assert rendered.token_ids[: len(prompt)] == prompt
    assert rendered.loss_mask[len(prompt) :] == [True, True]


def test_strings_of_control_tokens_in_a_message_stay_text():
    bpe = ByteBPE.train(["some text " * 10], 300)
    hostile = "".join(CONTROL_TOKENS.values())
    ids = render_prompt(conversation(("system", hostile), ("user", hostile)), bpe)
    assert [token_id for token_id in ids if token_id >= bpe.control.bos] == [
        bpe.control.bos,
        bpe.control.system,
        bpe.control.end,
        bpe.control.user,
        bpe.control.end_of_question,
        bpe.control.assistant,
    ]


OUT_OF_ORDER = [
    ([("assistant", "a")], 0, "assistant"),
    ([("user", "a"), ("user", "b")], 1, "user"),
    ([("user", "a"), ("assistant", "b"), ("assistant", "c")], 2, "assistant"),
    ([("user", "a"), ("system", "b")], 1, "system"),
    ([("system", "a"), ("assistant", "b")], 1, "assistant"),
    ([("user", "a"), ("tool", "b")], 1, "tool"),
    ([("user", "a"), ("tool_call", "b"), ("assistant", "c")], 2, "assistant"),
    ([("user", "a"), ("tool_call", "b"), ("user", "c")], 2, "user"),
    ([("user", "a"), ("robot", "b")], 1, "robot"),
]


@pytest.mark.parametrize(("turns", "index", "kind"), OUT_OF_ORDER)
@pytest.mark.parametrize("render_function", [render, render_prompt])
def test_the_error_for_a_turn_out_of_order_names_the_turn(render_function, turns, index, kind):
    with pytest.raises(InputError) as caught:
        render_function(conversation(*turns), LETTERS)
    assert caught.value.field == f"messages[{index}].role"
    assert caught.value.value == kind
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("turns", "field"),
    [
        ([], "messages"),
        ([("user", "a")], "messages"),
        ([("system", "a"), ("user", "b")], "messages"),
        ([("user", "a"), ("assistant", "")], "messages[1].content"),
        ([("user", "a"), ("tool_call", ""), ("tool", "b")], "messages[1].content"),
    ],
)
def test_training_refuses_a_conversation_without_a_complete_answer(turns, field):
    with pytest.raises(InputError) as caught:
        render(conversation(*turns), LETTERS)
    assert caught.value.field == field


def test_training_refuses_a_conversation_whose_answers_are_all_unlearned():
    turns = conversation(("user", "a"), ("assistant", "b"))
    with pytest.raises(InputError):
        render(turns, LETTERS, learned=[True, False])


@pytest.mark.parametrize(
    ("turns", "field"),
    [
        ([], "messages"),
        ([("system", "a")], "messages[0].role"),
        ([("user", "a"), ("assistant", "b")], "messages[1].role"),
        ([("user", "a"), ("tool_call", "b")], "messages[1].role"),
    ],
)
def test_a_prompt_needs_a_last_turn_to_answer(turns, field):
    with pytest.raises(InputError) as caught:
        render_prompt(conversation(*turns), LETTERS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("part", "kind"),
    [(Image(b"", "image/png"), "image"), (File("a.pdf", "application/pdf", b""), "file")],
)
def test_a_text_only_model_refuses_images_and_files(part, kind):
    turns = [Message("user", (Text("a"), part)), Message("assistant", "b")]
    for refused in (lambda: render(turns, LETTERS), lambda: render_prompt(turns[:1], LETTERS)):
        with pytest.raises(InputError) as caught:
            refused()
        assert (caught.value.field, caught.value.value) == ("messages[0].parts", kind)


def test_a_tool_call_beside_text_or_another_call_is_refused():
    call = ToolCall("", "f", {"text": "a"})
    for parts in ((Text("a"), call), (call, call)):
        with pytest.raises(InputError) as caught:
            render([Message("user", "a"), Message("assistant", parts)], LETTERS)
        assert caught.value.field == "messages[1].parts"


def test_errors_hold_no_text_of_a_message():
    with pytest.raises(InputError) as caught:
        render(conversation(("user", "abc"), ("user", "fed")), LETTERS)
    assert "abc" not in str(caught.value)
    assert "fed" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", " "])
def test_the_jinja_template_for_other_tools_gives_the_same_ids(tmp_path, prefix):
    transformers = pytest.importorskip("transformers", reason="transformers is a development extra")
    bpe = ByteBPE.train(["What is 12 + 30? The answer is 42.\n" * 20], 320, prefix)
    bpe.save(tmp_path)
    written = (
        ("system", " Be kind.\n"),
        ("user", "What is 12 + 30?"),
        ("command", "12 + 30"),
        ("result", "42\n\n"),
        ("assistant", "The answer is 42."),
        ("user", "  Thanks! {{ bos_token }} {% if %}"),
    )
    turns = conversation(*written)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
        messages = [{"role": role, "content": content} for role, content in written]
        with_prompt = reference.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        without = reference.apply_chat_template(messages[:-1], return_dict=True)["input_ids"]
    assert with_prompt == render_prompt(turns, bpe)
    assert without == render(turns[:-1], bpe).token_ids
