"""The pieces of a call's arguments join to the whole, wherever its text is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.chat.call_pieces import JsonCallPieces, TextCallPieces

# Texts that look like the end of a value or of a call, and characters that JSON escapes.
TEXTS = st.text(st.sampled_from(list('ab"\\{}[],:é\n')), max_size=8) | st.just("</tool_call>")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES = TEXTS.filter(bool)


@given(NAMES, st.dictionaries(TEXTS, VALUES, max_size=3), st.data())
def test_pieces_of_json_join_to_the_arguments(
    name: str, arguments: dict[str, object], data: st.DataObject
) -> None:
    written = json.dumps(arguments)
    whole = f'\n{{"name": {json.dumps(name)}, "arguments": {written}}}\n</tool_call>'
    follower, joined, position = JsonCallPieces(), "", 0
    while position < len(whole):
        position += data.draw(st.integers(1, 7))
        joined += follower.next_piece(whole[:position])
    assert (follower.name, joined) == (name, written)


@pytest.mark.parametrize(
    "text",
    ['{"arguments": {"a": 1}, "name": "f"}', '{"name": "f", "arguments": [1]}', '{"name": "f"}'],
)
def test_a_call_in_another_order_has_no_pieces(text: str) -> None:
    follower = JsonCallPieces()
    assert [follower.next_piece(text[:end]) for end in range(len(text) + 1)] == [""] * (
        len(text) + 1
    )
    assert follower.name == ""


def test_pieces_of_a_text_join_to_it() -> None:
    text = 'COMMAND=PRICE  a "loaf" of = bread'
    follower = TextCallPieces()
    pieces = [follower.next_piece(text[:end]) for end in range(len(text) + 1)]
    assert follower.name == "PRICE"
    assert "".join(pieces) == ' a "loaf" of = bread'
    assert TextCallPieces().next_piece("PRICE bread") == ""
