"""BLEU (Papineni et al. 2002) by sacrebleu, in the two variants that papers report.

`bleu` is sacrebleu's default: cased, with its tokenizer, and with a signature of all settings (Post
2018). A language without spaces between words needs a special tokenizer.

`tokenized_lowercase_bleu` is what papers on Multi30k report: lower case, words split by Moses, then
plain BLEU. It is higher, for French by several points: Moses splits "l'homme" into two words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from chatwright.errors import InputError
from chatwright.tasks.writing_systems import unspaced_share

# fmt: off
MOSES_LANGUAGES = frozenset({
    "ca", "cs", "de", "el", "en", "es", "fi", "fr", "hu", "is", "it",
    "lt", "lv", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "ta",
})
# fmt: on

DEFAULT_TOKENIZER = "13a"
CHARACTERS = "char"
# sacrebleu's tokenizers of languages without spaces between words, and of Korean.
TOKENIZERS = {
    "zh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    "th": CHARACTERS,
    "lo": CHARACTERS,
    "km": CHARACTERS,
    "my": CHARACTERS,
    "bo": CHARACTERS,
}
# Packages that sacrebleu's tokenizer needs. They are not part of chatwright[translation].
TOKENIZER_PACKAGES = {"ja-mecab": "MeCab", "ko-mecab": "mecab_ko"}


@dataclass(frozen=True)
class Score:
    """A BLEU score."""

    bleu: float
    """From 0 to 100."""
    signature: str
    """sacrebleu's description of all settings; only scores with equal signatures compare."""
    warning: str = ""
    """Reason why the score may not be comparable with others; "" if there is none."""


def bleu(translations: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Compute cased BLEU; `language` (of the references, for example "zh") chooses the tokenizer.

    Raises:
        InputError: The numbers of translations and references differ, the language is unknown, or a
            package is missing.
    """
    tokenizer, warning = _tokenizer(references, language)
    return _score(translations, references, tokenizer, warning)


def tokenized_lowercase_bleu(
    translations: Sequence[str], references: Sequence[str], language: str
) -> Score:
    """Compute BLEU of lower-case words split by Moses.

    `language` ("de") decides how Moses splits apostrophes and abbreviations.

    Raises:
        InputError: As in `bleu`, or Moses has no rules for the language.
    """
    require_packages()
    if not has_moses_rules(language):
        raise _unknown_language(language, MOSES_LANGUAGES)
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalize = MosesPunctNormalizer(lang=base_language(language)).normalize
    tokenize = MosesTokenizer(lang=base_language(language)).tokenize

    def split(text: str) -> str:
        return tokenize(normalize(text.lower()), return_str=True, escape=False)

    return _score(list(map(split, translations)), list(map(split, references)), "none")


def has_moses_rules(language: str) -> bool:
    """Whether Moses has rules for the language, which `tokenized_lowercase_bleu` needs."""
    return base_language(language) in MOSES_LANGUAGES


def base_language(language: str) -> str:
    """Return the language without region and script: "zh-CN" and "zh_Hans" are "zh"."""
    return language.replace("_", "-").split("-")[0].lower()


def require_language(language: str) -> None:
    """Raise InputError for a language that `bleu` does not know; "" is allowed."""
    known = MOSES_LANGUAGES | TOKENIZERS.keys()
    if language and base_language(language) not in known:
        raise _unknown_language(language, known)


def _tokenizer(references: Sequence[str], language: str) -> tuple[str, str]:
    """Choose sacrebleu's tokenizer; return it with a warning about the choice."""
    if not language:
        return _tokenizer_by_script(references)
    require_language(language)
    base = base_language(language)
    tokenizer = TOKENIZERS.get(base, DEFAULT_TOKENIZER)
    package = TOKENIZER_PACKAGES.get(tokenizer)
    if package is not None and find_spec(package) is None:
        return CHARACTERS, (
            f"sacrebleu's tokenizer {tokenizer} is not installed, so characters are compared. "
            f"Install it for comparable scores: pip install 'sacrebleu[{base}]'"
        )
    return tokenizer, ""


def _tokenizer_by_script(references: Sequence[str]) -> tuple[str, str]:
    """Choose a tokenizer without knowing the language.

    13a splits at spaces. In a script without spaces a whole sentence would be one word, and equal
    texts would score 0.
    """
    if unspaced_share(references) < 0.5:
        return DEFAULT_TOKENIZER, ""
    return CHARACTERS, (
        f"sacrebleu's default tokenizer {DEFAULT_TOKENIZER} cannot split this script into words, "
        "so characters are compared. Name the language, for example --language zh."
    )


def _unknown_language(language: str, known: frozenset[str]) -> InputError:
    return InputError(
        f"language {language!r} is unknown.",
        remedy=f"Leave it out, or name the references' language: {', '.join(sorted(known))}.",
        field="--language",
        value=language,
    )


def _score(
    translations: Sequence[str], references: Sequence[str], tokenizer: str, warning: str = ""
) -> Score:
    require_packages()
    from sacrebleu.metrics.bleu import BLEU

    if len(translations) != len(references) or not translations:
        raise InputError(
            f"There are {len(translations)} translations and {len(references)} references; BLEU "
            "needs as many references as translations, and at least one.",
            remedy="Give files with the same number of lines.",
            field="references",
            value=len(references),
        )
    # `force` silences a warning about tokenized input, which is intended with tokenizer "none".
    metric = BLEU(tokenize=tokenizer, force=True)
    score = metric.corpus_score(list(translations), [list(references)]).score
    return Score(score, str(metric.get_signature()), warning)


def require_packages() -> None:
    """Raise InputError if a package for BLEU is missing."""
    try:
        import sacrebleu  # noqa: F401
        import sacremoses  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"BLEU needs the package {error.name}.",
            remedy="Install it: pip install 'chatwright[translation]'",
            field=str(error.name),
        ) from None
