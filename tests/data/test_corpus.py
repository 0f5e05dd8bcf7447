"""Corpora: the stream by hand, the split by its laws, and every cut counted."""

import hashlib
import json

import pytest
import torch

from chatwright.conversation import Message
from chatwright.data.corpus import (
    as_documents,
    cut_after_answer,
    documents_of,
    encode_conversations,
    encode_conversations_split,
    encode_documents,
    encode_documents_split,
    encode_texts,
    mix_in,
    some_as_rendered,
    to_be_read,
)
from chatwright.data.rows import DataError
from chatwright.data.split import choose_validation
from chatwright.devices import generator
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.tool_call_text import message_from_turn

# a..f are 0..5; bos 6, end 8 (see test_chat_template).
LETTERS = CharacterTokenizer("abcdef")


def write_json_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def chat(*contents):
    return {
        "messages": [
            {"role": ("user", "assistant")[index % 2], "content": content}
            for index, content in enumerate(contents)
        ]
    }


def test_the_stream_by_hand(tmp_path):
    (tmp_path / "1.txt").write_text("ab")
    write_json_lines(tmp_path / "2.jsonl", [{"text": "c"}, chat("a", "b"), {"text": "def"}])
    corpus = encode_documents(tmp_path, LETTERS)
    assert corpus.stream.tolist() == [6, 0, 1, 8, 6, 2, 8, 6, 3, 4, 5, 8]
    assert corpus.stream.dtype == torch.int32
    assert (corpus.n_documents, corpus.n_bytes, corpus.n_rows_ignored, corpus.skipped) == (
        3,
        6,
        1,
        (),
    )
    assert encode_documents(tmp_path, LETTERS, with_control=False).stream.tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_bytes_are_counted_in_utf8_and_the_hash_is_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_text("é🙂", encoding="utf-8")
    corpus = encode_documents(tmp_path, ByteBPE.train(["text"], 266))
    assert corpus.n_bytes == 6
    assert len(corpus.stream) == 8
    assert corpus.sha256 == hashlib.sha256((6).to_bytes(8, "little") + "é🙂".encode()).hexdigest()


def test_the_hash_sees_where_documents_end():
    hashes = {
        encode_texts(texts, LETTERS).sha256
        for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])
    }
    assert len(hashes) == 4


def test_in_batches_equals_one_by_one(monkeypatch):
    monkeypatch.setattr("chatwright.data.corpus.BATCH_CHARACTERS", 5)
    texts = ["abc", "d", "ef" * 10, "a", "b"]
    expected = [token_id for text in texts for token_id in [6, *LETTERS.encode(text), 8]]
    assert encode_texts(texts, LETTERS).stream.tolist() == expected


def test_one_document_keeps_its_tail_for_validation(tmp_path):
    (tmp_path / "a.txt").write_text("abcdefabcdef" * 5)
    train, validation = encode_documents_split(tmp_path / "a.txt", LETTERS, 0.1, with_control=False)
    whole = encode_documents(tmp_path / "a.txt", LETTERS, with_control=False)
    assert torch.equal(torch.cat([train.stream, validation.stream]), whole.stream)
    assert len(validation.stream) == 6


def test_documents_are_split_whole_and_copies_stay_together(tmp_path):
    texts = [f"{'abcdef'[i % 6]}{'abcdef'[i // 6 % 6]}{'abcdef'[i // 36]}" for i in range(200)]
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts * 2])
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.1, leave_out_duplicates=False)
    assert train.n_documents + validation.n_documents == 400
    assert validation.n_documents == 40  # all of one size, so exactly a tenth fits
    kept = {tuple(row) for row in validation.stream.view(-1, 5).tolist()}
    assert not kept & {tuple(row) for row in train.stream.view(-1, 5).tolist()}
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in reversed(texts * 2)])
    _, again = encode_documents_split(tmp_path, LETTERS, 0.1, leave_out_duplicates=False)
    assert {tuple(row) for row in again.stream.view(-1, 5).tolist()} == kept


def test_repeated_documents_are_left_out_and_counted(tmp_path):
    texts = [f"{'abcdef'[i % 6]}{'abcdef'[i // 6]}" for i in range(30)]
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts * 3])
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.1)
    assert (train.n_documents + validation.n_documents, train.n_duplicates) == (30, 60)


def test_texts_that_share_a_long_run_with_validation_are_counted_and_left_out_if_asked(tmp_path):
    shared = "one two three four five six seven eight nine ten eleven twelve thirteen"
    texts = [f"document {i} begins here and {shared if i % 2 else i} ends" for i in range(40)]
    characters = CharacterTokenizer.train(texts)
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    kept, validation = encode_documents_split(tmp_path, characters, 0.2)
    clean, _ = encode_documents_split(tmp_path, characters, 0.2, leave_out_overlaps=True)
    assert validation.n_documents
    assert kept.n_overlaps == clean.n_overlaps > 0
    assert kept.n_documents - clean.n_documents == kept.n_overlaps


def test_validation_never_takes_more_than_its_fraction():
    sizes = [1, 1000, 2, 3, 500, 4, 1, 1, 7]
    for fraction in (0.01, 0.1, 0.5):
        chosen = choose_validation([str(i) for i in range(9)], sizes, fraction)
        assert sum(
            size for size, is_chosen in zip(sizes, chosen, strict=True) if is_chosen
        ) <= fraction * sum(sizes)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_a_senseless_fraction_is_refused(tmp_path, fraction):
    (tmp_path / "a.txt").write_text("abc")
    with pytest.raises(
        ValueError, match=rf"validation_fraction \({fraction}\) must be between 0 and 1"
    ):
        encode_documents_split(tmp_path, LETTERS, fraction)


def test_wrong_kinds_of_rows_are_an_error_that_says_what_is_read(tmp_path):
    path = write_json_lines(tmp_path / "a.jsonl", [chat("a", "b")])
    with pytest.raises(DataError, match=r"no text rows among its 1 rows\. Pretraining reads \.txt"):
        encode_documents(path, LETTERS)
    path = write_json_lines(tmp_path / "a.jsonl", [{"text": "a"}])
    with pytest.raises(
        DataError, match=r"no conversations among its 1 rows\. Fine-tuning reads rows with messages"
    ):
        encode_conversations(path, LETTERS, 10)


def test_skipped_files_and_bad_rows_are_in_the_result(tmp_path):
    write_json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"text": ""}])
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="line 2: text is empty"):
        encode_documents(tmp_path, LETTERS)
    corpus = encode_documents(tmp_path, LETTERS, skip_bad_rows=True)
    assert corpus.n_documents == 1
    assert len(corpus.skipped) == 2
    assert "b.png" in corpus.skipped[0]
    assert "line 2" in corpus.skipped[1]


def test_conversations_are_rendered_by_the_one_template(tmp_path):
    path = write_json_lines(
        tmp_path / "a.jsonl", [chat("a", "bc"), {"text": "d"}, chat("d", "e", "f", "a")]
    )
    encoded = encode_conversations(path, LETTERS, 100)
    expected = [
        render([Message("user", "a"), Message("assistant", "bc")], LETTERS),
        render(
            [
                Message("user", "d"),
                Message("assistant", "e"),
                Message("user", "f"),
                Message("assistant", "a"),
            ],
            LETTERS,
        ),
    ]
    assert encoded.conversations == expected
    assert (encoded.n_cut, encoded.n_too_long, encoded.n_rows_ignored) == (0, 0, 1)
    assert encoded.n_tokens == 8 + 13
    assert encoded.n_supervised_tokens == 3 + 4


def test_long_conversations_are_cut_after_an_answer_and_counted(tmp_path):
    # <bos> <user> a <eoq> <assistant> b <end> is 7 tokens; each further exchange of one letter adds 6.
    path = write_json_lines(
        tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "b", "c", "d"), chat("a", "b" * 50)]
    )
    encoded = encode_conversations(path, LETTERS, 12)
    first = render([Message("user", "a"), Message("assistant", "b")], LETTERS)
    assert encoded.conversations == [first, first]
    assert (encoded.n_cut, encoded.n_too_long) == (1, 1)
    assert encode_conversations(path, LETTERS, 13).n_cut == 0
    with pytest.raises(
        DataError, match="none of its 3 conversations has its first answer within 6 tokens"
    ):
        encode_conversations(path, LETTERS, 6)


def test_a_cut_may_fall_after_a_command():
    turns = [
        Message("user", "a"),
        message_from_turn("command", "b"),
        message_from_turn("result", "c"),
        Message("assistant", "d"),
    ]
    rendered = render(turns, LETTERS)
    kept = cut_after_answer(rendered, len(rendered.token_ids) - 1)
    assert kept == render(turns[:2], LETTERS)


def test_the_same_question_never_stands_on_both_sides(tmp_path):
    records = [chat(question, answer) for question in "abcdef" for answer in ("aa", "bb", "cc")]
    train, validation = encode_conversations_split(
        write_json_lines(tmp_path / "a.jsonl", records), LETTERS, 20, 0.4
    )
    assert len(train.conversations) + len(validation.conversations) == 18
    assert not {row.token_ids[2] for row in train.conversations} & {
        row.token_ids[2] for row in validation.conversations
    }


def test_conversations_too_alike_to_split_are_an_error(tmp_path):
    path = write_json_lines(tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "c")])
    with pytest.raises(DataError, match="too few or too alike to keep 10% for validation"):
        encode_conversations_split(path, LETTERS, 20)


def test_a_character_the_tokenizer_lacks_is_named_with_its_place(tmp_path):
    path = write_json_lines(tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "z")])
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: the character 'z' \(U\+007A"):
        encode_conversations(path, LETTERS, 20)


def test_real_shakespeare_splits_at_nine_tenths(shared_data):
    train, validation = encode_documents_split(
        shared_data / "tinyshakespeare",
        CharacterTokenizer.train([chr(i) for i in range(128)]),
        0.1,
        with_control=False,
    )
    assert (len(train.stream), len(validation.stream)) == (1_003_854, 111_540)


def test_mixed_in_conversations_are_whole_and_nothing_else_changes(tmp_path):
    texts = encode_texts(["ab", "c", "def"], LETTERS)
    conversations = [
        render([Message("user", question), Message("assistant", reply)], LETTERS)
        for question, reply in ("af", "be")
    ]
    mistaken = render(
        [
            Message("user", "a"),
            Message("assistant", "b"),
            Message("user", "c"),
            Message("assistant", "d"),
        ],
        LETTERS,
        learned=[True, False, True, True],
    )
    mixed = mix_in(texts, [*conversations, mistaken], LETTERS.control, generator(0, "mixture"))
    cut = sorted(tuple(part.tolist()) for part in documents_of(mixed.stream, 6))
    assert cut == sorted(
        [
            *(tuple(part.tolist()) for part in documents_of(texts.stream, 6)),
            *(tuple(c.token_ids) for c in conversations),
        ]
    )
    assert mixed.n_documents == 5
    assert mixed.sha256 != texts.sha256
    assert torch.equal(
        mixed.stream, mix_in(texts, conversations, LETTERS.control, generator(0, "mixture")).stream
    )


def test_what_is_read_of_a_conversation_is_all_but_an_answer_not_to_be_learned():
    turns = (
        Message("user", "ab"),
        Message("assistant", "cd"),
        Message("user", "e"),
        Message("assistant", "fa"),
    )
    rendered = render(turns, LETTERS, learned=[True, False, True, True])
    control = LETTERS.control
    read = to_be_read(rendered)
    assert read.token_ids == rendered.token_ids
    left_out = [
        token_id
        for token_id, is_read in zip(read.token_ids, read.loss_mask, strict=True)
        if not is_read
    ]
    assert left_out == [*LETTERS.encode("cd"), control.end]
    learned = render(turns, LETTERS)
    assert all(to_be_read(learned).loss_mask)


def test_the_bytes_of_conversations_are_those_of_their_texts(tmp_path):
    write_json_lines(tmp_path / "a.jsonl", [chat("größe", "ok")] * 3)
    for prefix in ("", " "):
        tokenizer = ByteBPE.train(["größe ok"] * 5, 300, prefix)
        made = as_documents(encode_conversations(tmp_path / "a.jsonl", tokenizer, 99), tokenizer)
        assert made.n_bytes == 3 * len("größeok".encode())


def test_conversations_as_documents_are_the_rendered_rows_of_several_files_one_after_another(
    tmp_path,
):
    tokenizer = ByteBPE.train(["how are you? fine, thanks."], 300)
    places = tuple(
        write_json_lines(tmp_path / f"{name}.jsonl", [chat(f"{name}?", "né")]) for name in "ab"
    )
    made = as_documents(encode_conversations(places, tokenizer, 99), tokenizer)
    rendered = [
        render([Message("user", f"{name}?"), Message("assistant", "né")], tokenizer).token_ids
        for name in "ab"
    ]
    assert made.stream.tolist() == [*rendered[0], *rendered[1]]
    assert (made.n_documents, made.n_bytes) == (2, 2 * (2 + 3))
    with pytest.raises(DataError, match=r"a.jsonl and .*b.jsonl: no text rows among its 2 rows"):
        encode_documents(places, tokenizer)


def test_texts_read_again_are_documents_of_the_corpus_cut_to_length_and_about_as_many_tokens_as_asked():
    texts = encode_texts(["ab", "abcdef", "c"] * 20, LETTERS)
    whole = {
        tuple(part.tolist())
        for document in documents_of(texts.stream, 6)
        for part in document.split(4)
    }
    chosen = some_as_rendered(texts, 6, 50, 4, generator(0, "again"))
    assert {tuple(c.token_ids) for c in chosen} <= whole
    assert 50 <= sum(len(c.token_ids) for c in chosen) < 54
    assert all(all(c.loss_mask) for c in chosen)
