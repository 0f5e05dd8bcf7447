"""Mixed texts and conversations stay whole, and unlearned answers are left out."""

from pathlib import Path

import torch

from chatwright.conversation import Message
from chatwright.data.encoded.conversations import encode_conversations
from chatwright.data.encoded.corpus import documents_of, encode_texts
from chatwright.data.encoded.mixture import (
    corpus_of_conversations,
    mix_in,
    sample_rows,
    with_questions_learned,
)
from chatwright.devices import generator
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render
from tests.data.letters import LETTERS, chat, write_json_lines


def test_mix_in_adds_whole_conversations_but_none_with_an_unlearned_answer() -> None:
    texts = encode_texts(["ab", "c", "def"], LETTERS)
    conversations = [
        render([Message("user", question), Message("assistant", reply)], LETTERS)
        for question, reply in ("af", "be")
    ]
    turns = [Message(("user", "assistant")[i % 2], letter) for i, letter in enumerate("abcd")]
    mistaken = render(turns, LETTERS, learned=[True, False, True, True])
    mixed = mix_in(texts, [*conversations, mistaken], LETTERS.control, generator(0, "mixture"))
    documents = sorted(tuple(part.tolist()) for part in documents_of(mixed.stream, 6))
    assert documents == sorted(
        [
            *(tuple(part.tolist()) for part in documents_of(texts.stream, 6)),
            *(tuple(conversation.token_ids) for conversation in conversations),
        ]
    )
    assert mixed.n_documents == 5
    assert mixed.sha256 != texts.sha256
    without_mistake = mix_in(texts, conversations, LETTERS.control, generator(0, "mixture"))
    assert torch.equal(mixed.stream, without_mistake.stream)


def test_with_questions_learned_gives_loss_to_all_tokens_but_unlearned_answers() -> None:
    turns = (
        Message("user", "ab"),
        Message("assistant", "cd"),
        Message("user", "e"),
        Message("assistant", "fa"),
    )
    rendered = render(turns, LETTERS, learned=[True, False, True, True])
    with_questions = with_questions_learned(rendered)
    assert with_questions.token_ids == rendered.token_ids
    without_loss = [
        token_id
        for token_id, is_learned in zip(
            with_questions.token_ids, with_questions.loss_mask, strict=True
        )
        if not is_learned
    ]
    assert without_loss == [*LETTERS.encode("cd"), LETTERS.control.end]
    assert all(with_questions_learned(render(turns, LETTERS)).loss_mask)


def test_byte_count_of_conversations_is_that_of_their_texts_alone(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [chat("größe", "ok")] * 3)
    for prefix in ("", " "):
        tokenizer = ByteBPE.train(["größe ok"] * 5, 300, prefix)
        encoded = encode_conversations(tmp_path / "a.jsonl", tokenizer, 99)
        corpus = corpus_of_conversations(encoded, tokenizer)
        assert corpus.n_bytes == 3 * len("größeok".encode())


def test_conversations_of_several_files_follow_each_other_as_documents(tmp_path: Path) -> None:
    tokenizer = ByteBPE.train(["how are you? fine, thanks."], 300)
    paths = tuple(
        write_json_lines(tmp_path / f"{name}.jsonl", [chat(f"{name}?", "né")]) for name in "ab"
    )
    corpus = corpus_of_conversations(encode_conversations(paths, tokenizer, 99), tokenizer)
    rendered = [
        render([Message("user", f"{name}?"), Message("assistant", "né")], tokenizer).token_ids
        for name in "ab"
    ]
    assert corpus.stream.tolist() == [*rendered[0], *rendered[1]]
    assert (corpus.n_documents, corpus.n_bytes) == (2, 2 * (2 + 3))


def test_sampled_rows_are_pieces_of_documents_with_about_the_requested_tokens() -> None:
    texts = encode_texts(["ab", "abcdef", "c"] * 20, LETTERS)
    pieces = {
        tuple(part.tolist())
        for document in documents_of(texts.stream, 6)
        for part in document.split(4)
    }
    chosen = sample_rows(texts, 6, 50, 4, generator(0, "again"))
    assert {tuple(row.token_ids) for row in chosen} <= pieces
    assert 50 <= sum(len(row.token_ids) for row in chosen) < 54
    assert all(all(row.loss_mask) for row in chosen)
