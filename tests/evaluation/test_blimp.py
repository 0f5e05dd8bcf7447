"""BLiMP: models that prefer the good or the bad sentences, ties, and invalid archives."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.evaluation.blimp import blimp, read_pairs
from chatwright.evaluation.interval import wilson
from tests.evaluation.byte_tokenizer import ByteTokenizer

PAIRS = {
    "agreement": [
        ("The cats sleep.", "The cats sleeps."),
        ("A dog barks.", "A dog bark."),
        ("We are here.", "We is here."),
    ],
    "islands": [
        ("What did he eat?", "What did he eat it?"),
        ("Who left early?", "Who left early she?"),
    ],
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "BLiMP.zip"
    with zipfile.ZipFile(path, "w") as target:
        for name, pairs in reversed(PAIRS.items()):
            rows = [
                json.dumps({"sentence_good": good, "sentence_bad": bad, "UID": name})
                for good, bad in pairs
            ]
            target.writestr(f"data/{name}.jsonl", "\n".join(rows) + "\n")
            # The published archive has files of this name, which are not JSON.
            target.writestr(f"__MACOSX/data/._{name}.jsonl", b"\x00\x05\x16\x07Mac OS X\xb0")
    return path


class MemorizingModel(nn.Module):
    """A model that knows some sentences: it adds `bonus` to the logit of their next byte."""

    def __init__(self, sentences: list[str], bonus: float) -> None:
        super().__init__()
        self.sentences = [bytes(sentence, "utf-8") for sentence in sentences]
        self.bonus = bonus

    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        logits = torch.zeros(*token_ids.shape, 258)
        for b, row in enumerate(token_ids.tolist()):
            assert row[0] == 256  # <|bos|>
            for t in range(len(row)):
                for sentence in self.sentences:
                    if sentence[:t] == bytes(i % 256 for i in row[1 : t + 1]) and t < len(sentence):
                        logits[b, t, sentence[t]] = self.bonus
        return logits


def test_a_model_that_knows_the_good_sentences_has_accuracy_1(archive: Path) -> None:
    model = MemorizingModel([good for pairs in PAIRS.values() for good, _ in pairs], 9.0)
    score = blimp(model, ByteTokenizer(), archive)
    assert {name: share.value for name, share in score.by_file.items()} == {
        "agreement": 1.0,
        "islands": 1.0,
    }
    assert score.overall.interval == wilson(5, 5)


def test_a_model_that_knows_the_bad_sentences_has_accuracy_0(archive: Path) -> None:
    model = MemorizingModel([bad for pairs in PAIRS.values() for _, bad in pairs], 9.0)
    score = blimp(model, ByteTokenizer(), archive)
    assert list(score.by_file) == ["agreement", "islands"]
    assert score.overall.value == 0.0


def test_pairs_with_equal_probabilities_count_half(tmp_path: Path) -> None:
    path = tmp_path / "ties.zip"
    with zipfile.ZipFile(path, "w") as target:
        rows = [{"sentence_good": f"abc{i}", "sentence_bad": f"xyz{i}"} for i in range(4)]
        target.writestr("x.jsonl", "\n".join(map(json.dumps, rows)))
    score = blimp(MemorizingModel([], 0.0), ByteTokenizer(), path)
    assert (score.overall.successes, score.overall.n, score.overall.value) == (2.0, 4, 0.5)


def test_pairs_per_file_takes_the_first_pairs(archive: Path) -> None:
    model = MemorizingModel(["The cats sleep."], 9.0)
    score = blimp(model, ByteTokenizer(), archive, pairs_per_file=1)
    assert {name: share.n for name, share in score.by_file.items()} == {
        "agreement": 1,
        "islands": 1,
    }


def test_a_file_that_is_no_zip_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"hello")
    with pytest.raises(InputError) as caught:
        list(read_pairs(path))
    assert caught.value.field == str(path)
    assert "BLiMP.zip" in caught.value.remedy


def test_an_archive_without_pairs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("readme.txt", "")
    with pytest.raises(InputError) as caught:
        list(read_pairs(path))
    assert caught.value.field == str(path)


def test_a_line_without_both_sentences_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.zip"
    lines = '{"sentence_good": "a", "sentence_bad": "b"}\n{"sentence_good": "a"}\n'
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("data/x.jsonl", lines)
    with pytest.raises(InputError) as caught:
        list(read_pairs(path))
    assert caught.value.field == f"{path}, data/x.jsonl, line 2"


def test_the_published_archive_has_67_files_of_1000_pairs(shared_data: Path) -> None:
    files = dict(read_pairs(shared_data / "blimp" / "BLiMP.zip"))
    assert len(files) == 67
    assert {len(pairs) for pairs in files.values()} == {1000}
    # Seven published pairs have two equal sentences, so every model gets half a point for each.
    assert sum(good == bad for pairs in files.values() for good, bad in pairs) == 7
