"""Running text for pretraining: books, textbooks, children's stories, speeches, a small mixed corpus."""

import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from chat_real_sets.cleaning import BROKEN, Dropped, clean, documents, n_word
from chat_real_sets.held_out import read_text

# Correspondence, spam, tweets and papers are mostly addresses, headers and numbers; scripts are mostly stage directions.
MASC_LEFT_OUT = {"email", "spam", "twitter", "technical", "movie-script"}
BACK_MATTER = re.compile(
    r"#+ (Learning Objectives|Key Terms|References|(Suggested|Further) Readings?|For Further Exploration|Articles|Books|Videos|Websites"
    r"|Collaborative Group|Review Questions|Thought Questions|Figuring [Ff]or Yourself|Critical Thinking Questions|Answer)"
)
NO_NAMES = {
    "may",
    "out",
    "will",
    "hope",
    "mom",
    "dad",
    "mommy",
    "daddy",
    "mum",
    "mummy",
    "grandma",
    "grandpa",
}
BORDERS = {
    "# Section Summary",
    "# Introduction",
    "# Thinking Ahead",
    "# Key Concepts and Summary",
}  # on every section, so they say nothing
NO_SPACE_BEFORE = {".", ",", ":", ";", "?", "!", ")", "]", "%", "n't", "...", "'"}
NO_SPACE_AFTER = {"(", "[", "$", "#"}


def tar_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of every file in a .tar.xz, by name. Some trivia files mix cp1252 and UTF-8, so each line is asked for itself."""
    with tarfile.open(path, "r:xz") as archive:
        contents = {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    for name in sorted(contents):
        yield name, decode(contents[name])


def decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    lines = []
    for line in raw.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line.decode("cp1252", errors="replace"))
    return "\n".join(lines)


def classic_books(data: Path, dropped: Dropped) -> Iterator[str]:
    """186 books in chapters. Verse, plays, lists and tables of contents go by one rule: most of their text stands in short lines."""
    for _, text in tar_texts(data / "classic-books" / "books.tar.xz"):
        _, _, body = text.replace("\r\n", "\n").partition(
            "-------"
        )  # title, author, year stand above the dashes
        body = re.sub(
            r"(?<![A-Za-z0-9])_([^_\n]{1,400})_(?![A-Za-z0-9])", r"\1", body.replace("**", "")
        )  # _emphasis_
        body = re.sub(r"!?\[(?:Illustration[^]]*|\^?\d+)\](?:\([^)]*\))?", "", body)
        blocks = []
        for block in re.split(r"\n\s*\n", clean(body)):
            lines = [
                line
                for line in block.split("\n")
                if line and not re.fullmatch(r"[*\-_=~. ]+", line)
            ]
            if not lines:
                continue
            blocks.append(unwrapped(lines))
        for document in documents(blocks):
            if sum(len(line) for line in document.split("\n") if len(line) < 50) > 0.6 * len(
                document
            ):
                dropped["verse, play or list (short lines)"] += 1
            elif BROKEN.search(document):
                dropped["broken characters"] += 1
            elif n_word(document) < 60:
                dropped["under 60 words"] += 1
            else:
                yield document


def unwrapped(lines: list[str]) -> str:
    """Prose that was wrapped goes on in the middle of a sentence, in small letters; verse begins each line with a capital."""
    goes_on = sum(line[0].islower() for line in lines[1:])
    if median(map(len, lines)) >= 45 or goes_on >= 0.4 * (len(lines) - 1):
        return re.sub(
            r"(?<=[a-z]-) (?=[a-z])", "", " ".join(lines)
        )  # "tooth-" "ache" is tooth-ache
    return "\n".join(lines)


def openstax(data: Path, dropped: Dropped) -> Iterator[str]:
    """Three textbooks by section, without the lists of learning objectives and the holes where figures were referred to."""
    for book in ("us-history", "astronomy", "philosophy"):
        text = clean(read_text(data / "openstax" / f"{book}.txt.xz"))
        text = re.sub(
            r" ?\((?:[Ss]ee|[Ff]igure|[Tt]able|and|[;, ])*\)", "", text
        )  # "( )", "(see )"
        blocks = []
        is_back_matter = False
        raw = text.split("\n\n")
        for block, after in zip(raw, [*raw[1:], ""], strict=True):
            if block.startswith("#"):
                # Reading lists have headings of their own ("# Pluto"); real text shows by a long paragraph without an address.
                is_back_matter = bool(BACK_MATTER.match(block)) or (
                    is_back_matter and (len(after) < 250 or "http" in after)
                )
            if (
                not is_back_matter
                and "http" not in block
                and block not in BORDERS
                and not block.startswith("By the end of this section")
            ):
                blocks.append(block)
        # A heading over nothing (its section was all figures and formulas) is noise.
        full = [
            a
            for a, b in zip(blocks, [*blocks[1:], "#"], strict=True)
            if not (a.startswith("#") and b.startswith("#"))
        ]
        for document in documents(full, low=1_000):
            if n_word(document) < 60:
                dropped["under 60 words"] += 1
            else:
                yield document


def pratham_stories(data: Path, dropped: Dropped) -> Iterator[str]:
    """Children's stories; "##" marks a page, the last page is the licence."""
    for _, text in tar_texts(data / "pratham-stories" / "en.tar.xz"):
        pages = [page for page in re.split(r"(?m)^##.*$", text) if "* License:" not in page]
        story = clean("\n\n".join(page.strip().removeprefix("# ") for page in pages))
        story = re.sub(
            r"(?<![A-Za-z0-9])[_*]{1,2}([^_*\n]{1,400})[_*]{1,2}(?![A-Za-z0-9])", r"\1", story
        )
        if n_word(story) < 60:
            dropped["under 60 words"] += 1
        else:
            yield story


def tinystories(data: Path, dropped: Dropped) -> Iterator[str]:
    """The published sample is all lower-case; capitals are put back by rule (see `restore_case`), so some names stay small."""
    text = clean(read_text(data / "tinystories-sample" / "tinystories.txt.xz"))
    # Inside a story paragraphs are a blank line apart; a new story begins on the very next line.
    stories = re.split(r"(?<!\n)\n(?!\n)", text)
    named = Counter(re.findall(r"\b(?:named|name was|name is) ([a-z]{3,})\b", text))
    common = Counter(
        word
        for word in re.findall(
            r"\b(?:the|an?|her|his|my|some|very|so|to|was|were|its) ([a-z]+)\b", text
        )
    )
    anywhere = Counter(re.findall(r"[a-z]+", text))
    # "the spot", "a star": a word that usually stands behind an article is no name; nor is one that is rarely introduced as one.
    names = {
        name
        for name, n in named.items()
        if n >= 2 and n > 0.015 * anywhere[name] and common[name] < 0.15 * anywhere[name]
    }
    beside = Counter(
        b for a, b in re.findall(r"\b([a-z]+) and (?=([a-z]{3,})\b)", text) if a in names
    )  # "lily and ben"
    names |= {
        name
        for name, n in beside.items()
        if n >= 5 and n > 0.1 * anywhere[name] and common[name] < 0.15 * anywhere[name]
    }
    names -= NO_NAMES
    for story in stories:
        if n_word(story) < 40:
            dropped["under 40 words"] += 1
        elif BROKEN.search(story):
            dropped["broken characters"] += 1
        elif not story.rstrip('"').endswith((".", "!", "?")):
            dropped["cut off"] += 1
        else:
            yield restore_case(story, names)


def restore_case(text: str, names: set[str]) -> str:
    """Capitals at the start of sentences and quotations, for "I", and for words known to be names."""
    text = re.sub(r"(^|\n\n|[.!?]['\"]? +\"?|[,:] \")([a-z])", lambda m: m[1] + m[2].upper(), text)
    text = re.sub(r"(^|\n\n)\"([a-z])", lambda m: f'{m[1]}"{m[2].upper()}', text)
    text = re.sub(r"\bi(?=\b(?!-))", "I", text)
    text = re.sub(r"\b(mr|mrs|dr)(?=\.? )", lambda m: m[1].capitalize(), text)
    return re.sub(r"\b[a-z]{3,}\b", lambda m: m[0].capitalize() if m[0] in names else m[0], text)


def masc(data: Path, dropped: Dropped) -> Iterator[str]:
    """The MASC corpus, put together again from its tagged words."""
    with zipfile.ZipFile(data / "nltk-corpora" / "masc_tagged.zip") as archive:
        listing = archive.read("masc_tagged/categories.txt").decode("utf-8").splitlines()
        for name, category in sorted(line.rsplit(" ", 1) for line in listing if line.strip()):
            if category in MASC_LEFT_OUT:
                dropped[f"category {category}"] += 1
                continue
            text = archive.read(f"masc_tagged/{name}").decode("utf-8", errors="replace")
            paragraphs = (
                detokenise([token.rsplit("_", 1)[0] for token in block.split()])
                for block in re.split(r"\n\s*\n", text)
            )
            kept = [
                clean(paragraph)
                for paragraph in paragraphs
                if not re.search(r"http|www|@|\.com|\*{2}|_{2}|/ ?/", paragraph)
            ]
            for document in documents(block for block in kept if block):
                if n_word(document) < 60 or BROKEN.search(document):
                    dropped["under 60 words or broken"] += 1
                else:
                    yield document


def detokenise(tokens: list[str]) -> str:
    text = ""
    quote_is_open = glue = False
    for token in tokens:
        if token in ('"', "''", "``"):
            text += '"' if quote_is_open or not text or glue else ' "'
            quote_is_open, glue = not quote_is_open, not quote_is_open
            continue
        if (
            not text
            or glue
            or token in NO_SPACE_BEFORE
            or re.fullmatch(r"'(s|re|ve|ll|d|m|S|RE|VE|LL|D|M)", token)
        ):
            text += token
        else:
            text += " " + token
        glue = token in NO_SPACE_AFTER
    return text


def speeches(data: Path, dropped: Dropped) -> Iterator[str]:
    """State of the Union and inaugural addresses."""
    for corpus in ("state_union", "inaugural"):
        with zipfile.ZipFile(data / "nltk-corpora" / f"{corpus}.zip") as archive:
            for name in sorted(
                name for name in archive.namelist() if re.search(r"\d{4}-.*\.txt$", name)
            ):
                blocks = [
                    line
                    for line in clean(decode(archive.read(name))).split("\n")
                    if n_word(line) > 3
                ]
                if corpus == "state_union" and blocks and blocks[0].isupper():
                    blocks = blocks[1:]  # the title, in capitals
                for document in documents(blocks):
                    if n_word(document) < 60 or BROKEN.search(document):
                        dropped["under 60 words or broken"] += 1
                    else:
                        yield document
