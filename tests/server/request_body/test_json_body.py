"""Bodies are read strictly: what two readers could read differently is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.server.errors import ApiError
from chatwright.server.request_body.json_body import MAX_DEPTH, is_deeper, read_json_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=4))
def test_every_object_is_read_as_the_json_library_reads_it(value: dict[str, Any]) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert read_json_object(text.encode()) == json.loads(text) == value


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a": 1, "a": 1}', "duplicate_name"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "duplicate_name"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": -Infinity}', "invalid_json"),
        (b'{"a": 1e400}', "invalid_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"a": "\\ud800"}', "invalid_text"),
        (b'{"\\udfff": 1}', "invalid_text"),
        (b'{"a": "\xff"}', "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b"", "invalid_json"),
        (b'{"a": 1} x', "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
    ],
)
def test_other_bodies_are_refused(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_json_object(body)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_the_depth_is_limited_exactly() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    assert read_json_object(nested(MAX_DEPTH))
    with pytest.raises(ApiError):
        read_json_object(nested(MAX_DEPTH + 1))
    assert not is_deeper([[1], [2, [3]]], 3)
    assert is_deeper([[1], [2, [3]]], 2)
