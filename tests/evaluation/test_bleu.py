"""BLEU against numbers worked out by hand, and Moses against its known cuts."""

import builtins
import math

import pytest

from chatwright.evaluation.bleu import bleu, tokenised_lowercase

TRANSLATIONS = ["the cat sat on the mat today", "a dog barks loudly at night"]
REFERENCES = ["the cat sat on a mat today", "the dog barks loudly at night"]


def test_it_is_the_formula_of_2002() -> None:
    """Matching n-grams of all: 6+5 of 7+6; 4+4 of 6+5; 2+3 of 5+4; 1+2 of 4+3. No brevity penalty: 13 words each."""
    expected = 100 * math.exp(
        sum(math.log(right / all_) for right, all_ in ((11, 13), (8, 11), (5, 9), (3, 7))) / 4
    )
    assert math.isclose(bleu(TRANSLATIONS, REFERENCES).bleu, expected, rel_tol=1e-9)
    assert math.isclose(
        tokenised_lowercase([t.upper() for t in TRANSLATIONS], REFERENCES, "en").bleu,
        expected,
        rel_tol=1e-9,
    )
    short = [TRANSLATIONS[0], "dog barks loudly at night"]  # 12 words for 13
    expected = (
        100
        * math.exp(1 - 13 / 12)
        * math.exp(
            sum(math.log(right / all_) for right, all_ in ((11, 12), (8, 10), (5, 8), (3, 6))) / 4
        )
    )
    assert math.isclose(bleu(short, REFERENCES).bleu, expected, rel_tol=1e-9)


def test_the_signature_says_how_it_was_computed() -> None:
    assert bleu(TRANSLATIONS, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    )
    assert "tok:none" in tokenised_lowercase(TRANSLATIONS, REFERENCES, "en").signature


def test_moses_makes_two_words_of_a_french_elision() -> None:
    one, other = ["l'homme va à la plage aujourd'hui ."], ["L'homme va à la plage aujourd'hui."]
    assert tokenised_lowercase(one, other, "fr").bleu == pytest.approx(100.0)
    assert bleu(one, other).bleu < 99.0
    # l' homme va à la | gare | aujourd' hui .   One wrong word of 9, in 2 of 8 pairs, 3 of 7 and 4 of 6 longer runs.
    wrong = ["l'homme va à la gare aujourd'hui."]
    expected = 100 * math.exp(sum(math.log(p) for p in (8 / 9, 6 / 8, 4 / 7, 2 / 6)) / 4)
    assert tokenised_lowercase(wrong, other, "fr").bleu == pytest.approx(expected)


def test_unequal_counts_and_a_missing_package_are_said_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        ValueError, match="2 translations and 1 references: BLEU needs one reference a translation"
    ):
        bleu(TRANSLATIONS, REFERENCES[:1])
    plain = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "sacrebleu":
            raise ModuleNotFoundError(name=name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ValueError,
        match=r"BLEU needs the package sacrebleu: pip install 'chatwright\[translation\]'",
    ):
        bleu(TRANSLATIONS, REFERENCES)
