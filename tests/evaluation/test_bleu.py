"""BLEU equals numbers computed by hand, and scripts without spaces are split."""

import builtins
import math

import pytest

from chatwright.errors import InputError
from chatwright.evaluation.bleu import bleu, tokenized_lowercase_bleu

TRANSLATIONS = ["the cat sat on the mat today", "a dog barks loudly at night"]
REFERENCES = ["the cat sat on a mat today", "the dog barks loudly at night"]


def geometric_mean(*precisions: tuple[int, int]) -> float:
    return math.exp(sum(math.log(matches / n) for matches, n in precisions) / len(precisions))


def test_bleu_equals_the_formula_of_papineni_et_al() -> None:
    """Matching 1- to 4-grams of both sentences: 6+5 of 7+6, 4+4 of 6+5, 2+3 of 5+4, 1+2 of 4+3.

    There is no brevity penalty: translations and references have 13 words each.
    """
    expected = 100 * geometric_mean((11, 13), (8, 11), (5, 9), (3, 7))
    assert math.isclose(bleu(TRANSLATIONS, REFERENCES).bleu, expected, rel_tol=1e-9)
    assert math.isclose(
        tokenized_lowercase_bleu([t.upper() for t in TRANSLATIONS], REFERENCES, "en").bleu,
        expected,
        rel_tol=1e-9,
    )
    short = [TRANSLATIONS[0], "dog barks loudly at night"]  # 12 words; the references have 13
    brevity_penalty = math.exp(1 - 13 / 12)
    expected = 100 * brevity_penalty * geometric_mean((11, 12), (8, 10), (5, 8), (3, 6))
    assert math.isclose(bleu(short, REFERENCES).bleu, expected, rel_tol=1e-9)


def test_the_signature_names_the_tokenizer() -> None:
    assert bleu(TRANSLATIONS, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    )
    assert "tok:none" in tokenized_lowercase_bleu(TRANSLATIONS, REFERENCES, "en").signature


def test_moses_splits_french_words_at_an_apostrophe() -> None:
    tokenized = ["l'homme va à la plage aujourd'hui ."]
    reference = ["L'homme va à la plage aujourd'hui."]
    assert tokenized_lowercase_bleu(tokenized, reference, "fr").bleu == pytest.approx(100.0)
    assert bleu(tokenized, reference).bleu < 99.0
    # l' homme va à la gare aujourd' hui . has 9 words. The wrong word, "gare", is in 1 of the 9
    # words, 2 of the 8 pairs, 3 of the 7 triples and 4 of the 6 quadruples of words.
    wrong = ["l'homme va à la gare aujourd'hui."]
    expected = 100 * geometric_mean((8, 9), (6, 8), (4, 7), (2, 6))
    assert tokenized_lowercase_bleu(wrong, reference, "fr").bleu == pytest.approx(expected)


CHINESE = ["今天天气很好。", "我喜欢喝茶。"] * 4
UNSPACED = {
    "zh": CHINESE,
    "ja": ["今日は天気がいいです。", "お茶が好きです。"] * 4,
    "th": ["วันนี้อากาศดีมาก", "ฉันชอบดื่มชา"] * 4,
}


@pytest.mark.parametrize("language", UNSPACED)
def test_equal_texts_without_spaces_score_100(language: str) -> None:
    """The default tokenizer splits at spaces, so a text would be one word without 4-grams."""
    texts = UNSPACED[language]
    named, unnamed = bleu(texts, texts, language), bleu(texts, texts)
    assert named.bleu == pytest.approx(100.0)
    assert unnamed.bleu == pytest.approx(100.0)
    assert unnamed.warning


def test_the_language_chooses_the_tokenizer() -> None:
    assert "tok:zh" in bleu(CHINESE, CHINESE, "zh-CN").signature
    assert bleu(CHINESE, CHINESE, "zh").warning == ""
    assert "tok:char" in bleu(CHINESE, CHINESE).signature
    assert "tok:13a" in bleu(TRANSLATIONS, REFERENCES, "de").signature
    assert bleu(TRANSLATIONS, REFERENCES).warning == ""


def test_a_tokenizer_that_is_not_installed_is_replaced_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatwright.evaluation.bleu.find_spec", lambda _: None)
    score = bleu(UNSPACED["ja"], UNSPACED["ja"], "ja")
    assert "tok:char" in score.signature
    assert "sacrebleu[ja]" in score.warning


def test_an_unknown_language_is_refused() -> None:
    for compute in (bleu, tokenized_lowercase_bleu):
        with pytest.raises(InputError) as caught:
            compute(TRANSLATIONS, REFERENCES, "germn")
        assert (caught.value.field, caught.value.value) == ("--language", "germn")


def test_different_numbers_of_translations_and_references_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        bleu(TRANSLATIONS, REFERENCES[:1])
    assert (caught.value.field, caught.value.value) == ("references", 1)


def test_the_error_about_a_missing_package_names_it_and_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original_import = builtins.__import__

    def import_without_sacrebleu(name: str, *args: object, **kwargs: object) -> object:
        if name == "sacrebleu":
            raise ModuleNotFoundError(name=name)
        return original_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without_sacrebleu)
    with pytest.raises(InputError) as caught:
        bleu(TRANSLATIONS, REFERENCES)
    assert caught.value.field == "sacrebleu"
    assert "chatwright[translation]" in caught.value.remedy
