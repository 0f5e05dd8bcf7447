"""Stored responses use bounded memory, and nobody sees those of another user."""

from typing import Any

import pytest

from chatwright.server.errors import ApiError
from chatwright.server.responses_api.store import ResponseStore, StoredResponse


def stored(name: str, user: str = "anna", size: int = 100) -> StoredResponse:
    response: dict[str, Any] = {"id": name, "text": "x" * size}
    return StoredResponse(user, response, [], [])


def test_the_response_used_least_recently_goes_first() -> None:
    store = ResponseStore(max_bytes=3 * stored("a").n_byte)
    for name in "abc":
        store.add(stored(name))
    store.get("a", "anna")
    store.add(stored("d"))
    assert store.get("a", "anna").response["id"] == "a"
    with pytest.raises(ApiError) as caught:
        store.get("b", "anna")
    assert (caught.value.status, caught.value.code) == (404, "response_not_found")


def test_memory_is_bounded_whatever_is_stored() -> None:
    store = ResponseStore(max_bytes=5_000)
    for number in range(200):
        store.add(stored(f"r{number}", size=number * 53 % 3_000))
        assert store.n_byte <= 5_000
    assert len(store) > 0
    store.add(stored("huge", size=6_000))
    assert len(store) > 0
    with pytest.raises(ApiError):
        store.get("huge", "anna")
    found = [store.get(f"r{number}", "anna") for number in range(200) if has(store, f"r{number}")]
    assert store.n_byte == sum(one.n_byte for one in found)
    for one in found:
        store.delete(one.response["id"], "anna")
    assert (store.n_byte, len(store)) == (0, 0)


def has(store: ResponseStore, name: str) -> bool:
    try:
        store.get(name, "anna")
    except ApiError:
        return False
    return True


def test_another_user_finds_nothing() -> None:
    store = ResponseStore()
    store.add(stored("a", "anna"))
    for call in (store.get, store.delete):
        with pytest.raises(ApiError) as caught:
            call("a", "bert")
        assert caught.value.status == 404
    assert store.get("a", "anna")
