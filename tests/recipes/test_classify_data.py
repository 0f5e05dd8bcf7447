"""No held-out sentence stands in training or masked-language text, splits are fixed, and the same data gives the same bytes."""

import json
import sys
import zipfile
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))  # as when the script is run

import classify_data
from classify_data import RUN, SHORTEST, HeldOut, bare, by_hash, convert

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
def test_spelling_and_tokenisation_make_no_difference(one: str, other: str) -> None:
    assert bare(one) == bare(other)


def test_a_held_out_sentence_is_found_whole_and_in_parts() -> None:
    held_out = HeldOut([LONG, "a dull, very boring film", "so so"])
    assert held_out.is_repeated_by(LONG.upper())
    for text in (
        f"Before. {LONG}. After.",
        LONG.replace(" 's", "'s"),
        bare(LONG)[5 : 5 + RUN],
        "what a dull , very boring film it is",
        "So, so!",
    ):
        assert held_out.stands_in(text), text
    for text in (bare(LONG)[5 : 4 + RUN], "a dull and very boring film", "they were so so tired"):
        assert not held_out.stands_in(text), text


def test_the_fast_search_finds_what_the_obvious_one_finds() -> None:
    """On texts of two letters, where parts of runs agree everywhere."""
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
        obvious = (
            text in held
            or any(run in text for run in runs)
            or any(short in text for short in held if SHORTEST <= len(short) < RUN)
        )
        assert held_out.stands_in(text) is obvious


def test_a_split_is_decided_by_the_letters_alone() -> None:
    rows = [{"text": f"message number {i}", "label": "ham"} for i in range(4000)]
    parts = by_hash(rows, 0.2, 0.1)
    assert by_hash(rows[::-1], 0.2, 0.1) == {name: part[::-1] for name, part in parts.items()}
    assert {name: round(len(part) / 4000, 1) for name, part in parts.items()} == {
        "train": 0.7,
        "validation": 0.1,
        "test": 0.2,
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sst2 and sentence_polarity in little, each fault planted once; the other sets are left out."""
    data = tmp_path / "data"
    (data / "sst2").mkdir(parents=True)
    (data / "nltk-corpora").mkdir()
    import lzma

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
    monkeypatch.setattr(classify_data, "TASKS", {"sentiment": classify_data.sentiment})
    monkeypatch.setattr(classify_data, "FILM_SENTENCES", classify_data.FILM_SENTENCES[:2])
    monkeypatch.setattr(
        classify_data,
        "MASKED",
        {"films": (("sentiment",), {"film-sentences": classify_data.film_sentences})},
    )
    return data


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_held_out_sentences_leave_all_training_text(small: Path, tmp_path: Path) -> None:
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


def test_the_real_sst2_is_clean_of_its_copies(shared_data: Path) -> None:
    """The published sentences of which most stand, labelled, in sentence_polarity: the filter must see nearly all of them."""
    held_out = HeldOut(
        row["text"]
        for part in ("validation", "test")
        for row in classify_data.sentiment(shared_data)[part]
    )
    caught = [
        text for text in classify_data.film_sentences(shared_data) if held_out.stands_in(text)
    ]
    assert len(caught) > 2000
    assert not held_out.stands_in("a sentence that nobody wrote about any film in all those years")
