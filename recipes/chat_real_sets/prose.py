"""Running text for pretraining: books, textbooks, stories, speeches, a mixed corpus."""

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from chat_real_sets.cleaning import BROKEN, Dropped, clean, documents, n_word
from chat_real_sets.files import decode, read_text, tar_texts

MIN_WORDS = 60
"""A shorter document is dropped."""
# Correspondence, spam, tweets and papers are mostly addresses, headers and numbers; scripts are
# mostly stage directions.
MASC_LEFT_OUT = {"email", "spam", "twitter", "technical", "movie-script"}
BACK_MATTER = re.compile(
    r"#+ (Learning Objectives|Key Terms|References|(Suggested|Further) Readings?"
    r"|For Further Exploration|Articles|Books|Videos|Websites|Collaborative Group|Review Questions"
    r"|Thought Questions|Figuring [Ff]or Yourself|Critical Thinking Questions|Answer)"
)
# Headings that every section has, so they carry no meaning.
REPEATED_HEADINGS = {
    "# Section Summary",
    "# Introduction",
    "# Thinking Ahead",
    "# Key Concepts and Summary",
}
NO_SPACE_BEFORE = {".", ",", ":", ";", "?", "!", ")", "]", "%", "n't", "...", "'"}
NO_SPACE_AFTER = {"(", "[", "$", "#"}


def classic_books(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield 186 books in chapters.

    One rule drops verse, plays, lists and tables of contents: most of their text is in short lines.
    """
    for _, text in tar_texts(data / "classic-books" / "books.tar.xz"):
        for document in documents(_book_paragraphs(text)):
            lines = document.split("\n")
            if sum(len(line) for line in lines if len(line) < 50) > 0.6 * len(document):
                dropped["verse, play or list (short lines)"] += 1
            elif BROKEN.search(document):
                dropped["broken characters"] += 1
            elif n_word(document) < MIN_WORDS:
                dropped["under 60 words"] += 1
            else:
                yield document


def _book_paragraphs(text: str) -> list[str]:
    # Title, author and year are above the dashes.
    _, _, body = text.replace("\r\n", "\n").partition("-------")
    emphasis = r"(?<![A-Za-z0-9])_([^_\n]{1,400})_(?![A-Za-z0-9])"
    body = re.sub(emphasis, r"\1", body.replace("**", ""))
    body = re.sub(r"!?\[(?:Illustration[^]]*|\^?\d+)\](?:\([^)]*\))?", "", body)
    paragraphs = []
    for block in re.split(r"\n\s*\n", clean(body)):
        lines = [
            line for line in block.split("\n") if line and not re.fullmatch(r"[*\-_=~. ]+", line)
        ]
        if lines:
            paragraphs.append(unwrap(lines))
    return paragraphs


def unwrap(lines: list[str]) -> str:
    """Join the lines of a wrapped paragraph; verse keeps its lines.

    The lines of wrapped prose are long, or begin in the middle of a sentence with a small letter.
    """
    n_continued = sum(line[0].islower() for line in lines[1:])
    if median(map(len, lines)) >= 45 or n_continued >= 0.4 * (len(lines) - 1):
        return re.sub(r"(?<=[a-z]-) (?=[a-z])", "", " ".join(lines))  # "tooth-" "ache"
    return "\n".join(lines)


def openstax(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield three textbooks by section, without learning objectives and references to figures."""
    for book in ("us-history", "astronomy", "philosophy"):
        text = clean(read_text(data / "openstax" / f"{book}.txt.xz"))
        text = re.sub(r" ?\((?:[Ss]ee|[Ff]igure|[Tt]able|and|[;, ])*\)", "", text)  # "(see )"
        for document in documents(_textbook_blocks(text.split("\n\n")), low=1_000):
            if n_word(document) < MIN_WORDS:
                dropped["under 60 words"] += 1
            else:
                yield document


def _textbook_blocks(raw: list[str]) -> list[str]:
    """Headings and paragraphs of the body, without back matter and headings of nothing."""
    blocks: list[str] = []
    is_back_matter = False
    for block, after in zip(raw, [*raw[1:], ""], strict=True):
        if block.startswith("#"):
            # Reading lists have headings of their own ("# Pluto"). Body text has a long paragraph
            # without an address.
            is_list = is_back_matter and (len(after) < 250 or "http" in after)
            is_back_matter = bool(BACK_MATTER.match(block)) or is_list
        if is_back_matter or "http" in block or block in REPEATED_HEADINGS:
            continue
        if not block.startswith("By the end of this section"):
            blocks.append(block)
    # The section of a heading before another heading was all figures and formulas.
    return [
        block
        for block, after in zip(blocks, [*blocks[1:], "#"], strict=True)
        if not (block.startswith("#") and after.startswith("#"))
    ]


def pratham_stories(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield children's stories. "##" marks a page, and the last page is the license."""
    for _, text in tar_texts(data / "pratham-stories" / "en.tar.xz"):
        pages = [page for page in re.split(r"(?m)^##.*$", text) if "* License:" not in page]
        story = clean("\n\n".join(page.strip().removeprefix("# ") for page in pages))
        emphasis = r"(?<![A-Za-z0-9])[_*]{1,2}([^_*\n]{1,400})[_*]{1,2}(?![A-Za-z0-9])"
        story = re.sub(emphasis, r"\1", story)
        if n_word(story) < MIN_WORDS:
            dropped["under 60 words"] += 1
        else:
            yield story


def masc(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield the MASC corpus, joined from its tagged words."""
    with zipfile.ZipFile(data / "nltk-corpora" / "masc_tagged.zip") as archive:
        listing = archive.read("masc_tagged/categories.txt").decode("utf-8").splitlines()
        for name, category in sorted(line.rsplit(" ", 1) for line in listing if line.strip()):
            if category in MASC_LEFT_OUT:
                dropped[f"category {category}"] += 1
                continue
            text = archive.read(f"masc_tagged/{name}").decode("utf-8", errors="replace")
            yield from _usable(documents(_tagged_paragraphs(text)), dropped)


def _tagged_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a tagged text, without those that hold addresses or markup."""
    for block in re.split(r"\n\s*\n", text):
        paragraph = detokenize([token.rsplit("_", 1)[0] for token in block.split()])
        if re.search(r"http|www|@|\.com|\*{2}|_{2}|/ ?/", paragraph):
            continue
        if cleaned := clean(paragraph):
            yield cleaned


def _usable(found: Iterable[str], dropped: Dropped) -> Iterator[str]:
    for document in found:
        if n_word(document) < MIN_WORDS or BROKEN.search(document):
            dropped["under 60 words or broken"] += 1
        else:
            yield document


def detokenize(tokens: list[str]) -> str:
    """Join words and punctuation with the spaces of ordinary text."""
    text = ""
    quote_is_open = False
    joins_next = False
    for token in tokens:
        if token in ('"', "''", "``"):
            text += '"' if quote_is_open or not text or joins_next else ' "'
            quote_is_open = not quote_is_open
            joins_next = quote_is_open
            continue
        is_ending = re.fullmatch(r"'(s|re|ve|ll|d|m|S|RE|VE|LL|D|M)", token)
        if not text or joins_next or token in NO_SPACE_BEFORE or is_ending:
            text += token
        else:
            text += " " + token
        joins_next = token in NO_SPACE_AFTER
    return text


def speeches(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield State of the Union and inaugural addresses."""
    for corpus in ("state_union", "inaugural"):
        with zipfile.ZipFile(data / "nltk-corpora" / f"{corpus}.zip") as archive:
            names = [name for name in archive.namelist() if re.search(r"\d{4}-.*\.txt$", name)]
            for name in sorted(names):
                lines = clean(decode(archive.read(name))).split("\n")
                blocks = [line for line in lines if n_word(line) > 3]
                if corpus == "state_union" and blocks and blocks[0].isupper():
                    blocks = blocks[1:]  # the title, in capitals
                yield from _usable(documents(blocks), dropped)
