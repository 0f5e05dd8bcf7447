"""Windows of a stream: shifted targets, separated documents, exact positions."""

import torch
from small_run import CPU, TEXTS, character_tokenizer

from chatwright.data.encoded.corpus import encode_texts
from chatwright.training.batches.windows import WindowBatches
from chatwright.training.stage import BatchConfig

CONFIG = BatchConfig(rows=4, context_length=24, accumulate=2)


def windows_of(texts: list[str]) -> WindowBatches:
    tokenizer = character_tokenizer()
    return WindowBatches(
        encode_texts(texts, tokenizer), tokenizer.control.bos, CONFIG, 48, seed=1, device=CPU
    )


def test_targets_are_the_next_tokens_and_the_count_is_their_number() -> None:
    batch = windows_of(TEXTS).next_batch()
    assert [micro.token_ids.shape for micro in batch.micro_batches] == [(2, 24), (2, 24)]
    assert batch.count == 4 * 24
    for micro in batch.micro_batches:
        assert torch.equal(micro.token_ids[:, 1:], micro.targets[:, :-1])


def test_documents_of_a_row_are_numbered_and_their_positions_start_at_zero() -> None:
    """Compared with a loop over the tokens of each row."""
    bos = character_tokenizer().control.bos
    n_border = 0
    for micro in windows_of(TEXTS).next_batch().micro_batches:
        for row, ids in enumerate(micro.token_ids.tolist()):
            document = 0
            position = -1
            for t, token in enumerate(ids):
                position += 1
                if token == bos:
                    document += 1
                    position = 0
                    n_border += 1
                assert micro.document_ids[row, t] == document
                assert micro.positions[row, t] == position
    assert n_border > 0


def test_stream_of_one_document_needs_no_mask() -> None:
    micro = windows_of(TEXTS[:1]).next_batch().micro_batches[0]
    assert micro.document_ids is None
    assert micro.positions is None
