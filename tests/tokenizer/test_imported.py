"""Other tools' tokenizers: the ids transformers gives, but none of a special token's, whatever the text; saved and opened again, the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.tokenizer import imported_files
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import SETTINGS_FILE, ImportedTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer
from tests.tokenizer.example_tokenizers import (
    REAL,
    SMALL,
    hard_strings,
    write_bert,
    write_chatml,
    write_gpt2,
    write_json,
    write_llama2,
    write_unigram,
)

SPELLINGS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<s>",
    "</s>",
    "<pad>",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "<mask>",
    "<tool_call>",
    "<0x41>",
    "[INST]",
]


def make(name: str, directory: Path, request: pytest.FixtureRequest) -> Path:
    return (
        SMALL[name](directory)
        if name in SMALL
        else REAL[name](directory, request.getfixturevalue("shared_data"))
    )


def opened(directory: Path, **settings: object) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_a_thousand_hard_strings_get_the_ids_of_transformers(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import transformers

    directory = make(name, tmp_path, request)
    theirs = {
        "gpt2": transformers.GPT2Tokenizer,
        "bert": transformers.BertTokenizer,
        "gpt1": transformers.OpenAIGPTTokenizer,
    }.get(name, transformers.AutoTokenizer).from_pretrained(directory)
    texts = hard_strings()
    assert len(texts) == 1000
    for text, ids in zip(texts, opened(directory).encode_batch(texts), strict=True):
        assert ids == theirs(text, add_special_tokens=False)["input_ids"], ascii(text)


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_no_text_becomes_a_special_token_and_saved_files_open_the_same(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, saved = tmp_path / "source", tmp_path / "saved"
    source.mkdir()
    tokenizer = opened(make(name, source, request), vocab_size=200_000)
    hostile = [
        *SPELLINGS,
        *(f"a{s} {s}b" for s in SPELLINGS),
        "".join(SPELLINGS) * 50,
        *(s + t for s in SPELLINGS for t in SPELLINGS),
    ]
    encoded = tokenizer.encode_batch(hostile)
    assert all(tokenizer.vocabulary.forbidden.isdisjoint(ids) for ids in encoded)
    tokenizer.save(saved)
    again = load_tokenizer(saved)
    assert again.encode_batch([*hostile, *hard_strings(100)]) == [
        *encoded,
        *tokenizer.encode_batch(hard_strings(100)),
    ]
    assert (again.vocab_size, again.control, again.prefix) == (
        200_000,
        tokenizer.control,
        tokenizer.prefix,
    )
    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        p.name: p.read_bytes() for p in saved.iterdir() if p.name != SETTINGS_FILE
    }


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_the_library_itself_does_make_special_tokens_out_of_text(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The control: with the document as it came, typed text becomes a special token."""
    import tokenizers

    tokenizer = opened(make(name, tmp_path, request))
    as_it_came = tokenizers.Tokenizer.from_str(json.dumps(tokenizer.files.document))
    spelled = [tokenizer.vocabulary.tokens[token_id] for token_id in tokenizer.vocabulary.forbidden]
    found = {
        token_id
        for text in spelled
        for token_id in as_it_came.encode(text, add_special_tokens=False).ids
    }
    assert found >= tokenizer.vocabulary.forbidden


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_byte_level_texts_come_back(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer = opened(make(name, tmp_path, request))
    for text in hard_strings(300):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_spaces_written_as_blocks_and_bytes_for_unknown_characters_come_back(
    tmp_path: Path,
) -> None:
    tokenizer = opened(write_llama2(tmp_path))
    assert (tokenizer.prefix, tokenizer.control.bos, tokenizer.control.end) == (" ", 1, 2)
    for text in ("the quick brown fox", " lead", "two  spaces", "ж 🙂\n", "don't"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_marker_that_is_not_special_is_shown_and_cannot_be_typed(tmp_path: Path) -> None:
    tokenizer = opened(write_chatml(tmp_path))
    marker = tokenizer.vocabulary.markers["<tool_call>"]
    assert tokenizer.control.name_of(marker) is None
    assert tokenizer.decode([marker, *tokenizer.encode("x")]) == "<tool_call>x"
    assert tokenizer.decode([tokenizer.control.end]) == ""
    assert (
        tokenizer.control.string_of(tokenizer.control.end),
        tokenizer.control.string_of(marker),
    ) == ("<|im_end|>", None)


@pytest.mark.parametrize("make", [write_chatml, write_unigram])
def test_an_added_token_of_plain_words_is_vocabulary_and_keeps_its_id(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    directory = make(tmp_path)
    document = json.loads((directory / "tokenizer.json").read_text())
    last = len(opened(directory).vocabulary.tokens)
    document["added_tokens"].append(
        {
            "id": last,
            "content": "zyzzyva",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
        }
    )
    write_json(directory / "tokenizer.json", document)
    assert last in opened(directory).encode("a zyzzyva")
    from transformers import AutoTokenizer

    assert (
        opened(directory).encode("a zyzzyvas b")
        == AutoTokenizer.from_pretrained(directory)("a zyzzyvas b", add_special_tokens=False)[
            "input_ids"
        ]
    )


def test_roles_are_found_by_name(tmp_path: Path, shared_data: Path) -> None:
    for name in ("bert", "gpt2", "unigram"):
        (tmp_path / name).mkdir()
    words, bytes_ = (
        opened(write_bert(tmp_path / "bert", shared_data)),
        opened(write_gpt2(tmp_path / "gpt2", shared_data)),
    )
    pieces = opened(write_unigram(tmp_path / "unigram"))
    assert [words.special_token_id(role) for role in ("pad", "unk", "cls", "sep", "mask")] == [
        0,
        100,
        101,
        102,
        103,
    ]
    assert (words.control.bos, words.control.end, words.control.pad, words.public_ids) == (
        101,
        102,
        0,
        {"pad_token_id": 0},
    )
    assert (bytes_.control.bos, bytes_.control.end, bytes_.public_ids) == (
        50256,
        50256,
        {"bos_token_id": 50256, "eos_token_id": 50256},
    )
    assert bytes_.control.pad != bytes_.control.end
    assert (pieces.control.end, pieces.control.pad, pieces.vocabulary.unknown) == (1, 0, 2)
    assert pieces.decode(pieces.encode("the Ж dog")) == "the \N{REPLACEMENT CHARACTER} dog"
    with pytest.raises(
        ValueError, match="this tokenizer has no mask token .it has .* which this task needs"
    ):
        bytes_.special_token_id("mask")


def test_the_case_of_letters_is_what_the_files_say(tmp_path: Path, shared_data: Path) -> None:
    for name, is_lower in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        tokenizer = opened(write_bert(tmp_path / name, shared_data, do_lower_case=is_lower))
        assert (tokenizer.encode("Dog") == tokenizer.encode("dog")) == is_lower


def broken(directory: Path, **changes: object) -> Path:
    document = json.loads((write_chatml(directory) / "tokenizer.json").read_text())
    write_json(directory / "tokenizer.json", document | changes)
    return directory


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"type": "BPE"}}, "no vocabulary of a kind known here"),
        ({"model": None}, "no vocabulary of a kind known here"),
        (
            {"model": {"type": "Neural", "vocab": {"a": 0, "<|im_end|>": 1, "<|endoftext|>": 2}}},
            "cannot be used",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": -4}, "merges": []}}, "a token has no id from 0"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 10**12}, "merges": []}},
            "a token has no id from 0",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]}}, "cannot be used"),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 5}}, "cannot be used"),
        ({"added_tokens": [{"id": "1", "content": "<x>"}]}, "added_tokens is not a list of tokens"),
        ({"added_tokens": {}}, "is not in the vocabulary"),
        (
            {
                "pre_tokenizer": {
                    "type": "Split",
                    "pattern": {"Regex": "("},
                    "behavior": "Isolated",
                    "invert": False,
                }
            },
            "cannot be used",
        ),
    ],
)
def test_broken_files_are_refused_by_name(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        opened(broken(tmp_path, **changes))


def test_what_is_no_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    for name, data, message in (
        ("tokenizer.json", b"{", "not valid JSON"),
        ("tokenizer.json", b"[" * 100_000, "not valid JSON"),
        ("tokenizer.json", b"[]", "holds no JSON object"),
        ("other.txt", b"", "holds no tokenizer: expected tokenizer.json"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=message):
            imported_files.read(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    (tmp_path / "merges.txt").write_text("a b c\n")
    with pytest.raises(ValueError, match="'a b c' is no pair of tokens"):
        imported_files.read(tmp_path)


@pytest.mark.parametrize("name", [*SMALL, "gpt2"])
def test_a_tokenizer_given_our_control_tokens_converses_and_opens_elsewhere(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from transformers import AutoTokenizer

    plain = opened(make(name, tmp_path, request))
    grown = plain.with_control_tokens()
    assert grown.vocab_size == len(plain.vocabulary.tokens) + 10
    turns = [Message("user", "the <|end|> dog"), Message("assistant", "12 lazy dogs")]
    ids = render(turns, grown).token_ids
    control = grown.control
    assert isinstance(control, ControlIds)
    assert ids == [
        control.bos,
        control.user,
        *plain.encode("the <|end|> dog"),
        control.end_of_question,
        control.assistant,
        *plain.encode("12 lazy dogs"),
        control.end,
    ]
    grown.save(tmp_path / "grown")
    again = load_tokenizer(tmp_path / "grown")
    assert (render(turns, again).token_ids, again.vocab_size, again.public_ids["eos_token_id"]) == (
        ids,
        grown.vocab_size,
        control.end,
    )
    theirs = AutoTokenizer.from_pretrained(tmp_path / "grown")
    assert theirs("the dog<|end|>", add_special_tokens=False)["input_ids"] == [
        *plain.encode("the dog"),
        control.end,
    ]
