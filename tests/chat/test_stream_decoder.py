"""Streamed text equals text decoded at once, wherever the bytes are split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.chat.stream_decoder import StopWatcher, StreamDecoder
from chatwright.tokenizer.byte_bpe import ByteBPE

PIECES = st.lists(st.binary(min_size=1, max_size=5), max_size=12)


class BytePieces:
    """A tokenizer whose tokens are any bytes."""

    prefix = ""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def token_bytes(self, token_id: int) -> bytes:
        return self.pieces[token_id]


def stream(pieces: list[bytes]) -> list[str]:
    decoder = StreamDecoder(BytePieces(pieces))  # type: ignore[arg-type]
    return [*(decoder.push(number) for number in range(len(pieces))), decoder.finish()]


@given(st.text(max_size=20), st.data())
def test_a_text_split_anywhere_streams_without_incomplete_characters(
    text: str, data: st.DataObject
) -> None:
    raw = text.encode("utf-8", errors="ignore")
    text = raw.decode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)))))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    streamed = stream(pieces)
    assert "".join(streamed) == text
    assert (
        "\N{REPLACEMENT CHARACTER}" not in "".join(streamed) or "\N{REPLACEMENT CHARACTER}" in text
    )
    assert streamed[-1] == ""
    assert all(text.startswith("".join(streamed[:n])) for n in range(len(streamed)))


@given(PIECES)
def test_streaming_any_bytes_equals_decoding_them_at_once(pieces: list[bytes]) -> None:
    assert "".join(stream(pieces)) == b"".join(pieces).decode("utf-8", errors="replace")


def test_a_character_appears_with_its_last_byte() -> None:
    euro = "€".encode()
    assert stream([b"a", euro[:1], euro[1:2], euro[2:], b""]) == ["a", "", "", "€", "", ""]


def text_passed_on(watcher: StopWatcher, pieces: list[str]) -> str:
    return "".join(watcher.push(piece) for piece in pieces) + watcher.finish()


@given(
    st.text("ab#", max_size=20),
    st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3),
    st.data(),
)
def test_a_stop_text_split_anywhere_is_found_and_not_shown(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    watcher = StopWatcher(stops)
    shown = text_passed_on(watcher, pieces)
    if watcher.found:
        assert watcher.found in stops
        assert text.startswith(shown + watcher.found)
    else:
        assert shown == text
        assert not any(stop in text for stop in stops)
    # The stop text that is complete first ends the text. It may have begun inside the text that
    # was held back as the possible start of a longer stop text.
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if ends:
        assert len(shown) + len(watcher.found) >= min(ends) - max(map(len, stops))


def test_text_that_may_begin_a_stop_text_is_held_back_until_the_next_piece_decides() -> None:
    watcher = StopWatcher(["END", "ENEMY"])
    assert [
        watcher.push(piece) for piece in ("the E", "N", "d of", " it EN", "D and more", "x")
    ] == ["the ", "", "ENd of", " it ", "", ""]
    assert watcher.found == "END"
    waiting = StopWatcher(["END"])
    assert (waiting.push("the EN"), waiting.finish()) == ("the ", "EN")


@pytest.mark.parametrize("prefix", ["", " "])
@pytest.mark.parametrize("text", ["the größe 🙂 of the café — ok", "  two spaces", "🙂", ""])
def test_streaming_equals_decoding_with_the_tokenizer(prefix: str, text: str) -> None:
    tokenizer = ByteBPE.train(
        ["the cat and the hat", "größe und übermut, naïve café"] * 20, vocab_size=300, prefix=prefix
    )
    token_ids = tokenizer.encode(text)
    decoder = StreamDecoder(tokenizer)
    assert (
        "".join(decoder.push(token_id) for token_id in token_ids) + decoder.finish()
        == tokenizer.decode(token_ids)
        == text
    )


def test_a_continuation_keeps_its_first_space() -> None:
    tokenizer = ByteBPE.train(["the cat and the hat"] * 20, vocab_size=300, prefix=" ")
    decoder = StreamDecoder(tokenizer, is_opening=False)
    assert "".join(map(decoder.push, tokenizer.encode("the hat"))) == " the hat"
