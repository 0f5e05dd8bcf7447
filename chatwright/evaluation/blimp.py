"""BLiMP (Warstadt et al. 2020): does the model find the grammatical one of two nearly equal sentences more probable?

67 files of 1,000 pairs; chance is 50 %. It needs no chat ability, which makes it the best held-out measure of a model of a few
million parameters. A sentence is scored whole: log p(tokens given <|bos|>), without an end token, and not divided by its
length (the "simple LM method" of the paper). Equal scores count half (7 of the
67,000 pairs are the same sentence twice). The interval takes pairs as independent; the pairs of one
file come from one template, so read the differences between files, not the last digit of the total.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import nn

from chatwright.evaluation.interval import Share
from chatwright.evaluation.log_likelihood import log_likelihood
from chatwright.tokenizer.tokenizer import Tokenizer

Pair = tuple[str, str]  # (good, bad)


@dataclass(frozen=True)
class BlimpScore:
    by_file: dict[
        str, Share
    ]  # "anaphor_number_agreement" -> share of pairs in which the good sentence won

    @property
    def overall(self) -> Share:
        return Share(
            sum(share.successes for share in self.by_file.values()),
            sum(share.n for share in self.by_file.values()),
        )


def blimp(
    model: nn.Module,
    tokenizer: Tokenizer,
    path: Path,
    dtype: torch.dtype | None = None,
    pairs_per_file: int | None = None,
) -> BlimpScore:
    """Accuracy for every file of BLiMP.zip; `pairs_per_file` takes only the first so many of each, for a quick look."""
    return BlimpScore(
        {
            name: accuracy(model, tokenizer, pairs[:pairs_per_file], dtype)
            for name, pairs in read_pairs(path)
        }
    )


def accuracy(
    model: nn.Module, tokenizer: Tokenizer, pairs: list[Pair], dtype: torch.dtype | None = None
) -> Share:
    sentences = [sentence for pair in pairs for sentence in pair]
    rows = [[tokenizer.control.bos, *token_ids] for token_ids in tokenizer.encode_batch(sentences)]
    good, bad = log_likelihood(model, rows, dtype).view(-1, 2).unbind(dim=1)
    return Share(float((good > bad).sum() + 0.5 * (good == bad).sum()), len(pairs))


def read_pairs(path: Path) -> Iterator[tuple[str, list[Pair]]]:
    """(file name without its ending, pairs), in alphabetical order."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is not a zip archive ({error}); give the path of BLiMP.zip as it was downloaded"
        ) from error
    with archive:
        # The published archive was packed on a Mac: beside each file lies a "__MACOSX/data/._name.jsonl" that is no JSON.
        names = sorted(
            name
            for name in archive.namelist()
            if name.endswith(".jsonl") and not PurePosixPath(name).name.startswith(".")
        )
        if not names:
            raise ValueError(
                f"{path} holds no .jsonl file; give the path of BLiMP.zip as it was downloaded"
            )
        for name in names:
            pairs: list[Pair] = []
            for number, line in enumerate(archive.read(name).decode("utf-8").split("\n"), start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    pairs.append((row["sentence_good"], row["sentence_bad"]))
                except (json.JSONDecodeError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"{path}, {name}, line {number}: expected sentence_good and sentence_bad ({error!r})"
                    ) from error
            yield PurePosixPath(name).stem, pairs
