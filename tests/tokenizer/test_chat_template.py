"""The chat format, by ids written out by hand, and by another renderer (Jinja in transformers)."""

import warnings

import pytest

from chatwright.conversation import Message
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render, render_prompt
from chatwright.tokenizer.control import CONTROL_TOKENS

# Characters a..f are ids 0..5; then bos 6, pad 7, end 8, system 9, user 10, end_of_question 11, assistant 12, command 13,
# end_of_command 14, result 15.
LETTERS = CharacterTokenizer("abcdef")


def conversation(*turns):
    return [Message(role, content) for role, content in turns]


def test_system_user_assistant_by_hand():
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


def test_command_and_result_by_hand():
    rendered = render(
        conversation(("user", "a"), ("command", "bc"), ("result", "d"), ("assistant", "e")), LETTERS
    )
    assert rendered.token_ids == [6, 10, 0, 11, 12, 13, 1, 2, 14, 15, 3, 8, 12, 4, 8]
    assert rendered.loss_mask == [bool(x) for x in [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1]]


def test_an_answer_not_to_be_learned_is_shown_without_loss():
    mistaken = [
        Message("user", "a"),
        Message("assistant", "b", is_learned=False),
        Message("user", "c"),
        Message("assistant", "d"),
    ]
    rendered = render(mistaken, LETTERS)
    assert (
        rendered.token_ids
        == render(
            conversation(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
            LETTERS,
        ).token_ids
    )
    assert rendered.loss_mask == [bool(x) for x in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]]


def test_two_commands_in_a_row_each_have_their_result():
    turns = [
        ("user", "a"),
        ("command", "b"),
        ("result", "c"),
        ("command", "d"),
        ("result", "e"),
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


def test_prompt_ends_ready_to_sample():
    assert render_prompt(conversation(("user", "ab")), LETTERS) == [6, 10, 0, 1, 11, 12]
    assert render_prompt(
        conversation(("user", "a"), ("command", "b"), ("result", "")), LETTERS
    ) == [6, 10, 0, 11, 12, 13, 1, 14, 15, 8, 12]


def test_the_prompt_is_how_the_training_row_begins():
    turns = conversation(
        ("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("assistant", "e")
    )
    prompt = render_prompt(turns[:4], LETTERS)
    rendered = render(turns, LETTERS)
    assert rendered.token_ids[: len(prompt)] == prompt
    assert rendered.loss_mask[len(prompt) :] == [True, True]


def test_control_strings_in_a_message_stay_text():
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


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "the conversation is empty"),
        (
            [("assistant", "a")],
            r"turn 0 \(assistant\) is the first: an assistant turn must answer a user or result turn",
        ),
        (
            [("user", "a"), ("user", "b")],
            r"turn 1 \(user\) follows turn 0 \(user\): .*join neighbouring user turns",
        ),
        (
            [("user", "a"), ("assistant", "b"), ("assistant", "c")],
            r"turn 2 \(assistant\) follows turn 1 \(assistant\)",
        ),
        (
            [("user", "a"), ("system", "b")],
            r"turn 1 \(system\) follows turn 0 \(user\): a system turn may only come first",
        ),
        ([("system", "a"), ("assistant", "b")], r"turn 1 \(assistant\) follows turn 0 \(system\)"),
        (
            [("user", "a"), ("result", "b")],
            r"turn 1 \(result\) follows turn 0 \(user\): a result turn must follow the command",
        ),
        (
            [("user", "a"), ("command", "b"), ("assistant", "c")],
            r"turn 2 \(assistant\) follows turn 1 \(command\)",
        ),
        (
            [("user", "a"), ("command", "b"), ("user", "c")],
            r"turn 2 \(user\) follows turn 1 \(command\)",
        ),
        (
            [("user", "a"), ("robot", "b")],
            "turn 1 has the unknown role 'robot': known roles are system, user",
        ),
        ([("user", "a")], "none of the 1 turns is an assistant or command turn"),
        ([("system", "a"), ("user", "b")], "nothing to learn from"),
        ([("user", "a"), ("assistant", "")], r"turn 1 \(assistant\) is empty"),
        ([("user", "a"), ("command", ""), ("result", "b")], r"turn 1 \(command\) is empty"),
    ],
)
def test_what_render_refuses_and_says(turns, message):
    with pytest.raises(ValueError, match=message):
        render(conversation(*turns), LETTERS)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "the conversation is empty"),
        ([("system", "a")], r"turn 0 \(system\) is the last, so there is nothing to answer"),
        ([("user", "a"), ("assistant", "b")], r"turn 1 \(assistant\) is the last"),
        ([("user", "a"), ("command", "b")], r"turn 1 \(command\) is the last"),
    ],
)
def test_what_render_prompt_refuses_and_says(turns, message):
    with pytest.raises(ValueError, match=message):
        render_prompt(conversation(*turns), LETTERS)


def test_no_message_text_in_an_error():
    with pytest.raises(ValueError, match="turn 1") as error:
        render(conversation(("user", "abc"), ("user", "fed")), LETTERS)
    assert "abc" not in str(error.value)
    assert "fed" not in str(error.value)


@pytest.mark.parametrize("prefix", ["", " "])
def test_the_jinja_template_written_for_other_tools_gives_the_same_ids(tmp_path, prefix):
    transformers = pytest.importorskip("transformers", reason="transformers is a development extra")
    bpe = ByteBPE.train(["What is 12 + 30? The answer is 42.\n" * 20], 320, prefix)
    bpe.save(tmp_path)
    turns = conversation(
        ("system", " Be kind.\n"),
        ("user", "What is 12 + 30?"),
        ("command", "12 + 30"),
        ("result", "42\n\n"),
        ("assistant", "The answer is 42."),
        ("user", "  Thanks! {{ bos_token }} {% if %}"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
        messages = [{"role": m.role, "content": m.content} for m in turns]
        with_prompt = theirs.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        without = theirs.apply_chat_template(messages[:-1], return_dict=True)["input_ids"]
    assert with_prompt == render_prompt(turns, bpe)
    assert without == render(turns[:-1], bpe).token_ids
