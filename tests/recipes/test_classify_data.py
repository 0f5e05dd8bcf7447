"""No training text holds a held-out sentence; the same data give the same splits and bytes."""

import json
import lzma
import zipfile
from pathlib import Path

import classify_data
import pytest
from classify_data import convert
from classify_sets import masked_texts, tasks
from classify_sets.held_out import RUN, SHORTEST, HeldOut, letters_and_digits
from classify_sets.tasks import split_by_hash

LONG = "It 's played in the most straight faced fashion, with little humor to lighten things up"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wo n't", "won't"),
        ("It 's café-like .", "it's cafe like"),
        ("A  B\n", "ab"),
        ("½ ① x", "1 2 1 x"),
    ],
)
def test_texts_that_differ_in_spaces_and_marks_only_are_equal(one: str, other: str) -> None:
    assert letters_and_digits(one) == letters_and_digits(other)


def test_a_held_out_sentence_is_found_whole_and_in_part() -> None:
    held_out = HeldOut([LONG, "a dull, very boring film", "so so"])
    assert held_out.equals(LONG.upper())
    for text in (
        f"Before. {LONG}. After.",
        LONG.replace(" 's", "'s"),
        letters_and_digits(LONG)[5 : 5 + RUN],
        "what a dull , very boring film it is",
        "So, so!",
    ):
        assert held_out.overlaps(text), text
    for text in (
        letters_and_digits(LONG)[5 : 4 + RUN],
        "a dull and very boring film",
        "they were so so tired",
    ):
        assert not held_out.overlaps(text), text


def test_the_fast_search_finds_what_a_slow_search_finds() -> None:
    """Texts of two letters share parts of runs everywhere."""
    draws = [
        format(i * 2654435761 % 2**60, "060b").translate(str.maketrans("01", "ab"))
        for i in range(400)
    ]
    held = [text[: 10 + i % 50] for i, text in enumerate(draws[:40])]
    texts = [
        a[:25] + b[: 10 + i % 50] + c[:20]
        for i, (a, b, c) in enumerate(zip(draws[40:], draws[:40] * 9, draws[80:], strict=False))
    ]
    held_out = HeldOut(held)
    runs = {text[i : i + RUN] for text in held for i in range(len(text) - RUN + 1)}
    for text in texts:
        expected = (
            text in held
            or any(run in text for run in runs)
            or any(short in text for short in held if SHORTEST <= len(short) < RUN)
        )
        assert held_out.overlaps(text) is expected


def test_the_split_depends_on_the_letters_only() -> None:
    rows = [{"text": f"message number {i}", "label": "ham"} for i in range(4000)]
    parts = split_by_hash(rows, 0.2, 0.1)
    assert split_by_hash(rows[::-1], 0.2, 0.1) == {name: part[::-1] for name, part in parts.items()}
    assert {name: round(len(part) / 4000, 1) for name, part in parts.items()} == {
        "train": 0.7,
        "validation": 0.1,
        "test": 0.2,
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small sst2 and sentence_polarity with each fault planted once, and no other sets."""
    data = tmp_path / "data"
    (data / "sst2").mkdir(parents=True)
    (data / "nltk-corpora").mkdir()
    with lzma.open(data / "sst2" / "train.tsv.xz", "wt", encoding="utf-8") as file:
        file.write(f"a fine film\t1\nA fine film !\t1\n{LONG}\t0\nan awful , awful thing\t0\n")
    (data / "sst2" / "dev.tsv").write_text(f"{LONG}\t0\n", encoding="utf-8")
    (data / "sst2" / "test.tsv").write_text("a dull, very boring film\t0\n", encoding="utf-8")
    with zipfile.ZipFile(data / "nltk-corpora" / "sentence_polarity.zip", "w") as archive:
        archive.writestr(
            "sentence_polarity/rt-polarity.neg",
            f"a dull , very boring film . \nbad\nindeed {LONG} .\nnothing but noise here\n",
        )
        archive.writestr(
            "sentence_polarity/rt-polarity.pos",
            "an awful, awful thing\nit is a joy to watch \xe9\n".encode("latin-1"),
        )
    monkeypatch.setattr(classify_data, "TASKS", {"sentiment": tasks.sentiment})
    monkeypatch.setattr(masked_texts, "FILM_SENTENCES", masked_texts.FILM_SENTENCES[:2])
    monkeypatch.setattr(
        classify_data,
        "MASKED",
        {"films": (("sentiment",), {"film-sentences": masked_texts.film_sentences})},
    )
    return data


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_held_out_sentences_are_in_no_training_text(small: Path, tmp_path: Path) -> None:
    manifest = convert(small, tmp_path / "out")
    assert texts(tmp_path / "out/sentiment/train.jsonl") == [
        "a fine film",
        "an awful , awful thing",
    ]
    assert manifest["sentiment/train"]["dropped"] == {"duplicate": 1, "repeats a held-out row": 1}
    assert texts(tmp_path / "out/masked/films/sentiment.jsonl") == [
        "a fine film",
        "an awful , awful thing",
    ]
    assert texts(tmp_path / "out/masked/films/film-sentences.jsonl") == [
        "nothing but noise here",
        "it is a joy to watch é",
    ]
    assert manifest["masked/films/film-sentences"]["dropped"] == {
        "duplicate": 1,
        "shares text with a held-out row": 2,
        "under 3 words": 1,
    }


def test_the_same_data_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    assert convert(small, tmp_path / "a") == convert(small, tmp_path / "b")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.json*"))
    assert files
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )


def test_the_copies_of_sst2_in_sentence_polarity_are_found(shared_data: Path) -> None:
    """Most sentences of sst2 are in sentence_polarity too, with their labels."""
    held_out = HeldOut(
        row["text"] for part in ("validation", "test") for row in tasks.sentiment(shared_data)[part]
    )
    caught = [text for text in masked_texts.film_sentences(shared_data) if held_out.overlaps(text)]
    assert len(caught) > 2000
    assert not held_out.overlaps("a sentence that nobody wrote about any film in all those years")
