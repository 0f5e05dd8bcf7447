"""BLEU (Papineni et al. 2002), by sacrebleu, in the two ways the literature states it.

`bleu` is sacrebleu's own: cased, its tokeniser, with the signature that makes figures comparable (Post 2018). `tokenised_lowercase` is what
papers on Multi30k report: lower case, punctuation and words as Moses cuts them, then plain 4-gram BLEU. The second is the higher one,
for French by several points, because Moses makes two words of "l'homme".
"""

from collections.abc import Sequence
from dataclasses import dataclass

LANGUAGES = (
    "ca",
    "cs",
    "de",
    "el",
    "en",
    "es",
    "fi",
    "fr",
    "hu",
    "is",
    "it",
    "lt",
    "lv",
    "nl",
    "pl",
    "pt",
    "ro",
    "ru",
    "sk",
    "sl",
    "sv",
    "ta",
)


@dataclass(frozen=True)
class Score:
    bleu: float
    signature: str


def bleu(translations: Sequence[str], references: Sequence[str]) -> Score:
    return _scored(translations, references, tokenize="13a")


def tokenised_lowercase(
    translations: Sequence[str], references: Sequence[str], language: str
) -> Score:
    """`language` ("de") decides what Moses does to apostrophes and abbreviations."""
    require_packages()
    if language not in LANGUAGES:
        raise ValueError(
            f"language {language!r}: Moses' rules are known for {', '.join(LANGUAGES)}. Give the references' own, or leave it out."
        )
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalise, tokenise = (
        MosesPunctNormalizer(lang=language).normalize,
        MosesTokenizer(lang=language).tokenize,
    )

    def cut(text: str) -> str:
        return tokenise(normalise(text.lower()), return_str=True, escape=False)

    return _scored(
        [cut(text) for text in translations], [cut(text) for text in references], tokenize="none"
    )


def _scored(translations: Sequence[str], references: Sequence[str], tokenize: str) -> Score:
    require_packages()
    from sacrebleu.metrics.bleu import BLEU

    if len(translations) != len(references) or not translations:
        raise ValueError(
            f"{len(translations)} translations and {len(references)} references: BLEU needs one reference a translation, and at least "
            "one. Give files of equally many lines."
        )
    metric = BLEU(
        tokenize=tokenize, force=True
    )  # force: it need not warn that its input is tokenised already
    score = metric.corpus_score(list(translations), [list(references)]).score
    return Score(score, str(metric.get_signature()))


def require_packages() -> None:
    try:
        import sacrebleu
        import sacremoses  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"BLEU needs the package {error.name}: pip install 'chatwright[translation]'"
        ) from None
    assert sacrebleu.__version__
