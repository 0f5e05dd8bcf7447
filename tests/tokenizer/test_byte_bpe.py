"""Byte-level BPE: texts come back, saved directories open elsewhere, ids are those of an independent implementation."""

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.tokenizer import byte_bpe
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.tokenizer import load_tokenizer

TRAINING_TEXT = [
    "The quick brown fox jumps over the lazy dog. The dog doesn't mind; it's 12:30 and 2024 was long ago.\n"
    * 20,
    "def add(a, b):\n    return a + b\n\n\n\tif x == 1000:\n        print('hello world')\n" * 20,
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 東京は日本の首都です。 🙂🙂\n"
    * 20,
]

HARD_STRINGS = [
    "",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "   \n \n  x",
    " \u00a0\u2003\u200b",
    "a\x00b",
    "\x1b[31m",
    "\x1c\x1d\x85",
    "é",
    "e\u0301",
    "ﬁ ½ Ⅷ ²",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "العربية עברית हिन्दी ไทย",
    "\ufeffbom",
    "\ufffd\uffff",
    "\U0010ffff",
    "don't DON'T 'S 'll",
    "x" * 1000,
    " " * 1000,
    "\n" * 1000,
    "1234567890" * 50,
    "٣٤٥ 一二三",
    "a.b+c@mail.example.org",
    "C:\\dir\\file",
    "<|",
    "|>",
    "a .",
    "n't 's",
    "  two  spaces  ",
    "Ġ Ċ ĉ",
    "##word ▁word",
    "\u2028\u2029",
]


@pytest.fixture(scope="module")
def bpe() -> ByteBPE:
    return ByteBPE.train(TRAINING_TEXT, 400)


@pytest.fixture(scope="module")
def spaced() -> ByteBPE:
    return ByteBPE.train(TRAINING_TEXT, 400, prefix=" ")


@pytest.mark.parametrize("text", HARD_STRINGS)
def test_decode_gives_back_what_encode_took(bpe, spaced, text):
    assert bpe.decode(bpe.encode(text)) == text
    assert spaced.decode(spaced.encode(text)) == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text())
def test_decode_gives_back_any_text(bpe, text):
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert b"".join(map(bpe.token_bytes, ids)) == text.encode("utf-8")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text())
def test_a_space_before_is_encoded_and_taken_off_again(spaced, text):
    ids = spaced.encode(text)
    assert spaced.decode(ids) == text
    assert b"".join(map(spaced.token_bytes, ids)) == (b" " + text.encode("utf-8") if text else b"")


def test_with_a_space_before_a_word_is_the_same_token_wherever_it_stands(bpe, spaced):
    first, inside = "dog", "The dog"
    assert spaced.encode(first)[-1] == spaced.encode(inside)[-1]
    assert bpe.encode(first)[-1] != bpe.encode(inside)[-1]


def test_email_addresses_come_back_whole(bpe):
    text = "write to Jane.Doe+lists@mail.example.co.uk, or <x_y@z.org>."
    assert bpe.decode(bpe.encode(text)) == text


def test_every_digit_is_its_own_token():
    bpe = ByteBPE.train(["2024 2024 2024 1000 1000 " * 50], 300)
    assert [bpe.token_bytes(token_id) for token_id in bpe.encode("2024")] == [
        b"2",
        b"0",
        b"2",
        b"4",
    ]


def test_vocab_size_includes_the_control_ids(bpe):
    assert bpe.vocab_size == 400
    assert bpe.control.all() == tuple(range(390, 400))
    assert bpe.control.bos == 390
    assert bpe.control.result == 399


def test_control_ids_render_as_nothing(bpe):
    ids = bpe.encode("one")
    assert bpe.decode([bpe.control.bos, *ids, bpe.control.end]) == "one"
    assert bpe.token_bytes(bpe.control.end) == b""


def test_an_id_of_another_tokenizer_is_refused(bpe):
    with pytest.raises(ValueError, match=r"token id 400 is outside this tokenizer's 400 ids"):
        bpe.decode([400])
    with pytest.raises(ValueError, match="outside"):
        bpe.token_bytes(-1)


def test_a_lone_surrogate_is_refused_by_position(bpe):
    with pytest.raises(ValueError, match=r"lone surrogate \(U\+D800\) at character 2"):
        bpe.encode("ab\ud800")


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"vocab_size \(265\) must be at least 266"):
        ByteBPE.train(["text"], 265)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_training_on_nothing_is_an_error(texts):
    with pytest.raises(ValueError, match="no text to learn from"):
        ByteBPE.train(texts, 300)


def test_training_twice_gives_the_same_tokenizer(bpe, tmp_path):
    bpe.save(tmp_path / "a")
    ByteBPE.train(iter(TRAINING_TEXT), 400).save(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_batch_equals_one_by_one(bpe):
    assert bpe.encode_batch(HARD_STRINGS) == [bpe.encode(text) for text in HARD_STRINGS]
    assert bpe.encode_batch([]) == []


def test_a_long_text_cut_at_safe_places_gives_the_ids_of_the_whole(bpe, monkeypatch):
    text = "".join(TRAINING_TEXT) + "\n\n  indented\n_under\n9 lives\r\nend \n\n\n'll\n" * 50
    whole = bpe._library.encode(text, add_special_tokens=False).ids
    monkeypatch.setattr(byte_bpe, "PIECE_LENGTH", 7)
    assert len(list(byte_bpe.cut(text))) > 100
    assert bpe.encode(text) == whole


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet=" \n\r\tab1_'.é\u0301東\u2028", max_size=40))
def test_cutting_anywhere_safe_changes_no_id(bpe, text):
    whole = bpe._library.encode(text, add_special_tokens=False).ids
    pieces = byte_bpe.SAFE_CUT.sub("\n\0", text).split("\0")
    assert [token_id for piece in pieces for token_id in bpe.encode(piece)] == whole


@pytest.mark.parametrize("name", ["bpe", "spaced"])
def test_save_and_load_give_the_same_tokenizer(name, tmp_path, request):
    bpe = request.getfixturevalue(name)
    bpe.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, ByteBPE)
    assert loaded.control == bpe.control
    assert loaded.prefix == bpe.prefix
    assert loaded.vocab_size == bpe.vocab_size
    assert loaded.encode_batch(HARD_STRINGS) == bpe.encode_batch(HARD_STRINGS)


@pytest.mark.parametrize("name", ["bpe", "spaced"])
def test_transformers_opens_the_directory_and_agrees(name, tmp_path, request):
    bpe = request.getfixturevalue(name)
    transformers = pytest.importorskip("transformers", reason="transformers is a development extra")
    bpe.save(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == bpe.vocab_size
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (
        bpe.control.bos,
        bpe.control.end,
        bpe.control.pad,
    )
    for text in [*HARD_STRINGS, *TRAINING_TEXT]:
        assert theirs.encode(text, add_special_tokens=False) == bpe.encode(text)
        assert theirs.decode(bpe.encode(text)) == text
    for name, text in CONTROL_TOKENS.items():
        assert theirs.convert_tokens_to_ids(text) == getattr(bpe.control, name)


def saved(bpe, path):
    bpe.save(path)
    return json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(normalizer={"type": "NFC"}), "it has a normalizer"),
        (
            lambda d: d.update(normalizer={"type": "Prepend", "prepend": " "}),
            "it has a normalizer",
        ),  # and nothing that takes it off again
        (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "its pre-tokenizer is not ours"),
        (lambda d: d["model"].update(type="WordPiece"), "not a BPE tokenizer"),
        (lambda d: d["model"]["vocab"].update(zz=9999), "are not 0 to"),
        (lambda d: d["model"]["vocab"].update({"a": "x"}), "are not 0 to"),
        (lambda d: d["added_tokens"].pop(), "its added tokens are not the 10 control tokens"),
        (
            lambda d: d["added_tokens"][2].update(id=0),
            "its added tokens are not the 10 control tokens",
        ),
        (lambda d: d["model"]["merges"].append(["nope", "nope"]), "cannot be read"),
    ],
)
def test_a_changed_tokenizer_is_refused_by_name(bpe, tmp_path, change, message):
    document = saved(bpe, tmp_path)
    change(document)
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null"])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_directory_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"holds no tokenizer: expected tokenizer\.json or characters\.json"
    ):
        load_tokenizer(tmp_path)


def test_two_tokenizers_in_one_directory_are_refused(bpe, tmp_path):
    bpe.save(tmp_path)
    (tmp_path / "characters.json").write_text('{"characters": ["a"]}')
    with pytest.raises(ValueError, match=r"both characters\.json and tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_characters_for_bytes_are_those_of_the_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(byte_bpe.bytes_to_unicode()) == sorted(ByteLevel.alphabet())
    assert len(set(byte_bpe.bytes_to_unicode())) == 256
