"""BLiMP (Warstadt et al. 2020): choose the grammatical one of two sentences by its probability.

There are 67 files of 1,000 pairs; chance is 50 %. The test needs no chat ability, so it suits
models of a few million parameters. A sentence is scored as a whole: log p(tokens given <bos>).
There is no end token and no division by the length (the paper's "simple LM method"). Equal scores
count half.

The interval assumes independent pairs, but the pairs of a file come from one template. It is too
narrow, so do not rely on small differences between two models.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import nn

from chatwright.errors import InputError
from chatwright.evaluation.interval import Share
from chatwright.evaluation.log_likelihood import log_likelihood
from chatwright.tokenizer.tokenizer import Tokenizer

Pair = tuple[str, str]  # (good, bad)

REMEDY = "Give the path of BLiMP.zip as it was downloaded."


@dataclass(frozen=True)
class BlimpScore:
    """Accuracy by file of the archive, such as "anaphor_number_agreement"."""

    by_file: dict[str, Share]

    @property
    def overall(self) -> Share:
        """Accuracy over all files."""
        successes = sum(share.successes for share in self.by_file.values())
        return Share(successes, sum(share.n for share in self.by_file.values()))


def blimp(
    model: nn.Module,
    tokenizer: Tokenizer,
    path: Path,
    dtype: torch.dtype | None = None,
    pairs_per_file: int | None = None,
) -> BlimpScore:
    """Score every file of BLiMP.zip, or only the first `pairs_per_file` pairs of each."""
    return BlimpScore(
        {
            name: accuracy(model, tokenizer, pairs[:pairs_per_file], dtype)
            for name, pairs in read_pairs(path)
        }
    )


def accuracy(
    model: nn.Module, tokenizer: Tokenizer, pairs: list[Pair], dtype: torch.dtype | None = None
) -> Share:
    """Count the pairs whose good sentence is more probable; equal probabilities count half."""
    sentences = [sentence for pair in pairs for sentence in pair]
    rows = [[tokenizer.control.bos, *token_ids] for token_ids in tokenizer.encode_batch(sentences)]
    good, bad = log_likelihood(model, rows, dtype).view(-1, 2).unbind(dim=1)
    return Share(float((good > bad).sum() + 0.5 * (good == bad).sum()), len(pairs))


def read_pairs(path: Path) -> Iterator[tuple[str, list[Pair]]]:
    """Yield each file's name without suffix and its pairs, in alphabetical order.

    Raises:
        InputError: The file is no zip archive, holds no .jsonl file, or a line has no pair.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} is not a zip archive: {error}.", remedy=REMEDY, field=str(path)
        ) from error
    with archive:
        # The published archive was made on a Mac and has a file "__MACOSX/data/._name.jsonl", which
        # is not JSON, beside each file.
        names = sorted(
            name
            for name in archive.namelist()
            if name.endswith(".jsonl") and not PurePosixPath(name).name.startswith(".")
        )
        if not names:
            raise InputError(f"{path} holds no .jsonl file.", remedy=REMEDY, field=str(path))
        for name in names:
            lines = archive.read(name).decode("utf-8").split("\n")
            yield PurePosixPath(name).stem, _parse_pairs(lines, f"{path}, {name}")


def _parse_pairs(lines: list[str], source: str) -> list[Pair]:
    pairs: list[Pair] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pairs.append((row["sentence_good"], row["sentence_bad"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(
                f"{source}, line {number}: it has no sentence_good and sentence_bad ({error!r}).",
                remedy=REMEDY,
                field=f"{source}, line {number}",
            ) from error
    return pairs
