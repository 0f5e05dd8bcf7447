"""The tokenizer of a GGUF file gives the ids of the tokenizer that it was converted from."""

import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from chatwright.errors import InputError
from chatwright.tokenizer import gguf_fields, gguf_pre_tokenizer, gguf_vocabulary, imported_files
from chatwright.tokenizer.byte_bpe import ByteBPE, bytes_to_unicode
from chatwright.tokenizer.gguf_tokenizer import tokenizer_files
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer_json import MAX_ID
from tests.tokenizer.example_tokenizers import TEXT, write_chatml, write_llama2
from tests.tokenizer.gguf_examples import (
    CONTROL,
    EXAMPLES,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    Example,
    word_piece_fields,
    write_tokenizer,
)
from tests.tokenizer.hostile_strings import hostile_strings

KINDS = list(EXAMPLES)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Example]:
    """Return a function that makes an example once."""
    made: dict[str, Example] = {}

    def make(kind: str) -> Example:
        if kind not in made:
            made[kind] = EXAMPLES[kind](tmp_path_factory.mktemp(kind))
        return made[kind]

    return make


def small_fields(**changes: Any) -> dict[str, Any]:
    """Return a byte-level BPE of 256 bytes, two merges, a control token and an id without token."""
    bytes_ = bytes_to_unicode()
    tokens = [*bytes_, "th", "the", "<|end|>", "[PAD259]"]
    fields = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [NORMAL] * 258 + [CONTROL, UNUSED],
        "tokenizer.ggml.merges": ["t h", "th e"],
        "tokenizer.ggml.eos_token_id": 258,
    }
    return fields | {name.replace("__", "."): value for name, value in changes.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_strings_get_the_ids_of_the_original(
    kind: str, example: Callable[[str], Example], tmp_path: Path
) -> None:
    original = example(kind)
    tokenizer = write_tokenizer(original.fields, tmp_path)
    texts = hostile_strings(300, (*original.markers, "<|im_end|>", "<s>", "[SEP]"))
    forbidden = tokenizer.vocabulary.forbidden
    n_marked = 0
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        expected = original.encode(text)
        assert forbidden.isdisjoint(ids)
        if forbidden.isdisjoint(expected):
            assert ids == expected, ascii(text)
        else:
            n_marked += 1  # a typed control token or marker stays text in ours
    assert n_marked > 0 or not original.markers
    assert n_marked < 50


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_the_files_and_gives_the_same_ids(
    kind: str, example: Callable[[str], Example], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    original = example(kind)
    tokenizer = write_tokenizer(original.fields, tmp_path)
    reference = AutoTokenizer.from_pretrained(tmp_path)
    texts = [text for text in hostile_strings(100) if "<" not in text and "[" not in text]
    for text in texts:
        ids = reference(text, add_special_tokens=False)["input_ids"]
        assert ids == tokenizer.encode(text), ascii(text)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for name, token_id in tokenizer.vocabulary.named_ids.items():
        if f"{name}_token" in settings:
            assert getattr(reference, f"{name}_token_id") == token_id


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("llama-bpe", ["bos"], []),
        ("llama", ["bos"], []),
        ("gpt2", [], []),
        ("t5", [], ["eos"]),
        ("bert", ["cls"], ["sep"]),
    ],
)
def test_special_tokens_are_put_around_a_text(
    kind: str,
    before: list[str],
    after: list[str],
    example: Callable[[str], Example],
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = write_tokenizer(example(kind).fields, tmp_path)
    expected = [
        *map(tokenizer.special_token_id, before),
        *tokenizer.encode("the dog"),
        *map(tokenizer.special_token_id, after),
    ]
    assert AutoTokenizer.from_pretrained(tmp_path)("the dog")["input_ids"] == expected


def test_flags_of_the_file_decide_about_special_tokens_around_a_text() -> None:
    fields = small_fields(
        tokenizer__ggml__bos_token_id=258,
        tokenizer__ggml__add_bos_token=True,
        tokenizer__ggml__add_eos_token=True,
    )
    single = tokenizer_files(fields)["tokenizer.json"]["post_processor"]["single"]
    assert [next(iter(part)) for part in single] == ["SpecialToken", "Sequence", "SpecialToken"]


def test_a_chat_template_and_named_ones_are_kept() -> None:
    one = tokenizer_files(small_fields(tokenizer__chat_template="{{ x }}"))
    assert one["tokenizer_config.json"]["chat_template"] == "{{ x }}"
    fields = small_fields(tokenizer__chat_template="{{ x }}")
    fields["tokenizer.chat_template.tool_use"] = "{{ y }}"
    two = tokenizer_files(fields)["tokenizer_config.json"]["chat_template"]
    assert two == [
        {"name": "default", "template": "{{ x }}"},
        {"name": "tool_use", "template": "{{ y }}"},
    ]


def test_ids_without_a_token_are_unused(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(small_fields(), tmp_path, vocab_size=260)
    assert tokenizer.unused_ids == (259,)
    assert tokenizer.encode("the") == [257]
    assert tokenizer.special_token_id("eos") == 258


def test_an_empty_token_is_an_id_without_a_token(tmp_path: Path) -> None:
    fields = small_fields()
    fields["tokenizer.ggml.tokens"][259] = ""
    fields["tokenizer.ggml.token_type"][259] = NORMAL
    assert 259 not in write_tokenizer(fields, tmp_path).vocabulary.tokens


def test_a_token_of_two_spaces_is_ordinary_vocabulary(
    example: Callable[[str], Example], tmp_path: Path
) -> None:
    original = example("gemma")
    tokenizer = write_tokenizer(original.fields, tmp_path)
    two_spaces = original.fields["tokenizer.ggml.tokens"].index("  ")
    assert tokenizer.encode("  ") == [two_spaces]
    assert tokenizer.decode([two_spaces]) == "  "


def test_a_unigram_vocabulary_with_a_gap_never_gives_its_id(
    example: Callable[[str], Example], tmp_path: Path
) -> None:
    fields = dict(example("t5").fields)
    fields["tokenizer.ggml.tokens"] = [*fields["tokenizer.ggml.tokens"], "<last>"]
    fields["tokenizer.ggml.token_type"] = [*fields["tokenizer.ggml.token_type"], USER_DEFINED]
    fields["tokenizer.ggml.scores"] = [*fields["tokenizer.ggml.scores"], -1000.0]
    tokenizer = write_tokenizer(fields, tmp_path)
    gap = fields["tokenizer.ggml.tokens"][-2]
    assert gap.startswith("[PAD")
    assert len(fields["tokenizer.ggml.tokens"]) - 2 not in tokenizer.encode(f"a {gap}")
    assert tokenizer.encode("the dog") == example("t5").encode("the dog")


@pytest.mark.parametrize(("pieces", "expected"), [(["The", "the"], False), (["dog", "the"], True)])
def test_an_old_bert_file_is_lower_cased_if_its_vocabulary_is(
    pieces: list[str], expected: bool
) -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fields = word_piece_fields([*special, "[unused0]", *pieces, "##ing"], special)
    document = tokenizer_files(fields)["tokenizer.json"]
    assert document["normalizer"]["lowercase"] == expected
    assert document["model"]["vocab"]["##ing"] == len(special) + 3
    fields["tokenizer.ggml.normalizer.lowercase"] = not expected
    assert tokenizer_files(fields)["tokenizer.json"]["normalizer"]["lowercase"] != expected


def all_names() -> list[str]:
    """Return llama.cpp's names of pre-tokenizers for byte-level BPE."""
    table = gguf_pre_tokenizer.table()
    return [name for entry in table if not entry.escapes_spaces for name in entry.names]


def test_names_of_pre_tokenizers_are_unique() -> None:
    assert len(all_names()) == len(set(all_names())) > 80


def test_every_pre_tokenizer_can_be_used_and_loses_no_text(tmp_path: Path) -> None:
    texts = hostile_strings(60)
    for name in all_names():
        fields = small_fields(tokenizer__ggml__pre=name, tokenizer__ggml__add_bos_token=False)
        tokenizer = write_tokenizer(fields, tmp_path / name)
        normalizes = gguf_pre_tokenizer.named(name).normalizer == "NFC"
        for text in texts:
            expected = unicodedata.normalize("NFC", text) if normalizes else text
            assert tokenizer.decode(tokenizer.encode(text)) == expected, (name, ascii(text))


@pytest.mark.parametrize(
    ("pre", "text", "words"),
    [
        ("gpt-2", "it's 1234", ["it", "'s", " 1234"]),
        ("smollm", "a 1234", ["a", " ", "1", "2", "3", "4"]),
        ("qwen2", "IT'S 12", ["IT", "'S", " ", "1", "2"]),
        ("llama-bpe", "1234567", ["123", "456", "7"]),
        ("tekken", "fooBar", ["foo", "Bar"]),
        ("gpt-4o", "fooBar's 1234", ["foo", "Bar's", " ", "123", "4"]),
        ("superbpe", "1234567", ["1", "234", "567"]),
        ("afmoe", "x1234567", ["x", "1", "234", "567"]),
        ("deepseek-coder", "a  bc12", ["a", " ", " bc", "1", "2"]),
        ("deepseek-v3", "foo.Bar 1234", ["foo", ".Bar", " ", "123", "4"]),
        ("falcon", "a+b 12345", ["a", "+", "b", " ", "123", "45"]),
        ("bloom", "a, b", ["a", ",", " b"]),
        ("kimi-k2", "a中文b", ["a", "中文", "b"]),
        ("exaone-moe", "a b1", ["a b", "1"]),
        ("ufakzeka", "it's", ["it", "'s"]),
        ("laguna", "a\n\nb", ["a", "\n\n", "b"]),
        ("default", "a+b 12345", ["a", "+", "b", " ", "123", "45"]),
    ],
)
def test_a_pre_tokenizer_splits_a_text_into_words(pre: str, text: str, words: list[str]) -> None:
    """The expected words follow from llama.cpp's regular expressions by hand."""
    assert pieces_of(pre, text) == words


def pieces_of(pre: str, text: str) -> list[str]:
    """Return the words of a text before BPE."""
    document = tokenizer_files(
        small_fields(tokenizer__ggml__pre=pre, tokenizer__ggml__add_bos_token=False)
    )["tokenizer.json"]
    library = tokenizers.Tokenizer.from_str(json.dumps(document))
    assert library.pre_tokenizer is not None
    words = library.pre_tokenizer.pre_tokenize_str(text)
    byte_of = {character: byte for byte, character in enumerate(bytes_to_unicode())}
    return [bytes(byte_of[character] for character in word).decode() for word, _ in words]


def exported_fields(directory: Path) -> dict[str, Any]:
    """Return the settings that our exporter writes for a tokenizer's directory."""
    files = imported_files.read(directory)
    tokenizer = ImportedTokenizer(files)
    return gguf_vocabulary.metadata(files, tokenizer.vocab_size + 3, tokenizer.public_ids)


@pytest.mark.parametrize("kind", ["own", "chatml", "llama2", "llama-bpe", "smollm", "tekken"])
def test_an_exported_tokenizer_is_read_back_with_equal_ids(
    kind: str, example: Callable[[str], Example], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if kind in EXAMPLES:
        write_tokenizer(example(kind).fields, source)
    elif kind == "own":
        ByteBPE.train(TEXT, 400).save(source)
    else:
        {"chatml": write_chatml, "llama2": write_llama2}[kind](source)
    first = ImportedTokenizer(imported_files.read(source))
    second = write_tokenizer(exported_fields(source), tmp_path / "again")
    texts = hostile_strings(200, ("<|end|>", "<s>", "<tool_call>"))
    assert second.encode_batch(texts) == first.encode_batch(texts)
    assert second.public_ids == first.public_ids
    assert second.vocabulary.special_ids == first.vocabulary.special_ids


UNIGRAM = {
    "tokenizer.ggml.model": "t5",
    "tokenizer.ggml.tokens": ["<pad>", "</s>", "<unk>", "▁a"],
    "tokenizer.ggml.token_type": [3, 3, 2, 1],
    "tokenizer.ggml.scores": [0.0, 0.0, 0.0, -1.0],
}
# What is wrong -> settings, the wrong setting.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown model": (small_fields(tokenizer__ggml__model="rwkv"), "tokenizer.ggml.model"),
    "no model": ({"tokenizer.ggml.tokens": ["a"]}, "tokenizer.ggml.model"),
    "unknown pre": (small_fields(tokenizer__ggml__pre="qwen9"), "tokenizer.ggml.pre"),
    "pre is a number": (small_fields(tokenizer__ggml__pre=7), "tokenizer.ggml.pre"),
    "no tokens": ({"tokenizer.ggml.model": "gpt2"}, "tokenizer.ggml.tokens"),
    "tokens are text": (small_fields(tokenizer__ggml__tokens="abc"), "tokenizer.ggml.tokens"),
    "a token twice": (
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b", "a"]},
        "tokenizer.ggml.tokens",
    ),
    "a token is a number": (
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", 5]},
        "tokenizer.ggml.tokens",
    ),
    "a token is not UTF-8": (
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "\udcff"]},
        "tokenizer.ggml.tokens",
    ),
    "too many tokens": (
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a"] * (MAX_ID + 1)},
        "tokenizer.ggml.tokens",
    ),
    "types too short": (
        small_fields(tokenizer__ggml__token_type=[1] * 259),
        "tokenizer.ggml.token_type",
    ),
    "unknown type": (
        small_fields(tokenizer__ggml__token_type=[1] * 259 + [7]),
        "tokenizer.ggml.token_type[259]",
    ),
    "no merges": (
        {k: v for k, v in small_fields().items() if not k.endswith("merges")},
        "tokenizer.ggml.merges",
    ),
    "a merge of one token": (
        small_fields(tokenizer__ggml__merges=["t h", "the"]),
        "tokenizer.ggml.merges[1]",
    ),
    "a merge of unknown tokens": (
        small_fields(tokenizer__ggml__merges=["t he"]),
        "tokenizer.ggml.merges[0]",
    ),
    "id out of range": (
        small_fields(tokenizer__ggml__eos_token_id=260),
        "tokenizer.ggml.eos_token_id",
    ),
    "id of no token": (
        small_fields(tokenizer__ggml__eos_token_id=259),
        "tokenizer.ggml.eos_token_id",
    ),
    "id is true": (small_fields(tokenizer__ggml__bos_token_id=True), "tokenizer.ggml.bos_token_id"),
    "id is negative": (
        small_fields(tokenizer__ggml__eot_token_id=-1),
        "tokenizer.ggml.eot_token_id",
    ),
    "flag is a number": (
        small_fields(tokenizer__ggml__add_bos_token=1),
        "tokenizer.ggml.add_bos_token",
    ),
    "no bos": (
        small_fields(tokenizer__ggml__add_bos_token=True),
        "tokenizer.ggml.bos_token_id",
    ),
    "template is a list": (small_fields(tokenizer__chat_template=["x"]), "tokenizer.chat_template"),
    "unknown normalizer": (
        small_fields(tokenizer__chatwright__normalizer="NFKD"),
        "tokenizer.chatwright.normalizer",
    ),
    "score is NaN": (
        UNIGRAM | {"tokenizer.ggml.scores": [0.0, 0.0, 0.0, float("nan")]},
        "tokenizer.ggml.scores[3]",
    ),
    "scores too long": (
        UNIGRAM | {"tokenizer.ggml.scores": [0.0] * 5},
        "tokenizer.ggml.scores",
    ),
    "charsmap of texts": (
        UNIGRAM | {"tokenizer.ggml.precompiled_charsmap": ["x"]},
        "tokenizer.ggml.precompiled_charsmap",
    ),
    "charsmap cut off": (
        UNIGRAM | {"tokenizer.ggml.precompiled_charsmap": [255, 255, 0, 0, 1]},
        "precompiled_charsmap",
    ),
    "long pieces": (
        UNIGRAM
        | {"tokenizer.ggml.model": "llama"}
        | {"tokenizer.ggml.tokens": ["<s>", "</s>", "<unk>", "a" * 20_000]},
        "tokenizer.ggml.tokens",
    ),
    "no unknown piece": (
        {"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": ["[CLS]", "[SEP]", "▁a"]},
        "tokenizer.ggml.unknown_token_id",
    ),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_a_malformed_setting_is_refused_and_named(problem: str) -> None:
    fields, field = REFUSED[problem]
    with pytest.raises(InputError) as caught:
        tokenizer_files(fields)
    assert caught.value.field == field
    assert caught.value.remedy


def test_an_unknown_pre_tokenizer_or_kind_is_refused_with_the_known_ones() -> None:
    for name, value, known in (("pre", "qwen9", "tekken"), ("model", "plamo2", "bert")):
        with pytest.raises(InputError) as caught:
            tokenizer_files(small_fields(**{f"tokenizer__ggml__{name}": value}))
        assert caught.value.value == value
        assert known in caught.value.remedy


def test_a_missing_pre_tokenizer_is_refused() -> None:
    fields = small_fields()
    del fields["tokenizer.ggml.pre"]
    with pytest.raises(InputError) as caught:
        tokenizer_files(fields)
    assert caught.value.field == "tokenizer.ggml.pre"


def mutated(fields: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return the settings with one value, or one entry of a list, replaced by a hostile one."""
    values = [None, -1, 2**40, True, "", "x", "\udc80", float("inf"), [], {}, ["x"], [[1]], b"x"]
    fields = {k: list(v) if isinstance(v, list) else v for k, v in fields.items()}
    name = rng.choice(sorted(fields))
    if isinstance(fields[name], list) and fields[name] and rng.random() < 0.7:
        fields[name][rng.randrange(len(fields[name]))] = rng.choice(values)
    elif rng.random() < 0.3:
        del fields[name]
    else:
        fields[name] = rng.choice(values)
    return fields


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bert"])
def test_hostile_settings_end_in_an_input_error_or_a_usable_tokenizer(
    kind: str, example: Callable[[str], Example], tmp_path: Path
) -> None:
    rng = random.Random(0)
    fields = example(kind).fields
    refusals = []
    for number in range(75):
        try:
            tokenizer = write_tokenizer(mutated(fields, rng), tmp_path / str(number))
        except InputError as error:
            refusals.append(error)
        else:
            assert tokenizer.encode("the dog")
    assert len(refusals) > 25
    assert all(refusal.field for refusal in refusals)


def test_the_token_types_are_those_of_the_gguf_package() -> None:
    from gguf import TokenType

    for kind in TokenType:
        assert getattr(gguf_fields, kind.name) == kind.value
