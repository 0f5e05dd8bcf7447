"""The stage that trains a tokenizer, which learns its vocabulary from texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from chatwright.checkpoint import directory
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import ChatRow, DataError, TextRow
from chatwright.errors import InputError
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.prepared_stage import FileStage, StageInputs
from chatwright.pipeline.sentence_pairs import read_sentence_pairs, require_both_sides
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.tokenizer.words import WordTokenizer
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(ReadOptions):
    """Settings of training a tokenizer. Use the texts that the model will be trained on."""

    data: DataSources = ""
    """Texts."""
    chat: DataSources = ""
    """Conversations."""
    pairs: DataSources = ""
    """Files of sentence pairs; both sides are used."""
    source: DataSources = ""
    """Files with one sentence per line."""
    target: DataSources = ""
    """Files with the translations of the lines of `source`."""
    columns: tuple[int, int] = (1, 2)
    """Columns of source and target in tab-separated pairs, counted from 1."""
    tokens: Literal["bpe", "characters", "wordpiece", "words"] = "bpe"
    """Kind of tokens. wordpiece is for encoders, words for word vectors only."""
    vocab_size: int = 4096
    """Tokens in the vocabulary, control tokens included.

    Ignored for characters: the vocabulary then holds every character of the texts.
    """
    space_before: bool = False
    """Put a space before every text, so that a word is the same token anywhere (bpe)."""
    cased: bool = False
    """Keep capitals and accents (wordpiece)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.data or self.chat or self.pairs or self.source):
            raise InputError(
                "There is no data to learn a vocabulary from.",
                remedy="Give data (texts), chat (conversations) or pairs (sentence pairs).",
                field="data",
            )
        require_both_sides(self.source, self.target, "")


def prepare(config: TokenizerConfig, inputs: StageInputs) -> FileStage:
    """Return a stage that writes out/tokenizer."""

    def write(out: Path, watcher: Watcher) -> Path:
        settings = (config.data, config.chat, config.pairs, config.source, config.target)
        sources = [describe_source(to_data_source(value)) for value in settings if value]
        watcher.say(f"learning a vocabulary from {' and '.join(sources)}")
        skipped: list[DataError] = []
        tokenizer = _learn(config, _texts(config, skipped))
        for problem in describe_skipped(skipped):
            watcher.say(f"left out: {problem}")
        with directory.atomic_directory(out / "tokenizer") as building:
            tokenizer.save(building)
        watcher.say(f"{tokenizer.vocab_size} tokens")
        return out

    return FileStage(write)


def _learn(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    match config.tokens:
        case "characters":
            return CharacterTokenizer.train(texts)
        case "wordpiece":
            return wordpiece.train(texts, config.vocab_size, config.cased)
        case "words":
            return WordTokenizer.train(texts, config.vocab_size)
        case "bpe":
            return ByteBPE.train(texts, config.vocab_size, " " if config.space_before else "")


def _texts(config: TokenizerConfig, skipped: list[DataError]) -> Iterator[str]:
    """Yield every text of the data. `skipped` receives the errors of rows that are left out."""
    pairs = read_sentence_pairs(
        config.pairs, config.source, config.target, config.columns, config, skipped
    )
    sides = chain.from_iterable((pair.source, pair.target) for pair in pairs)
    return chain(_row_texts(config, skipped), sides)


def _row_texts(config: TokenizerConfig, skipped: list[DataError]) -> Iterator[str]:
    sources = [to_data_source(value) for value in (config.data, config.chat) if value]
    for source in sources:
        for row in read_rows(source, config, skipped):
            if isinstance(row, TextRow):
                yield row.text
            elif isinstance(row, ChatRow):
                yield from (message_text(message) for message in row.messages)
