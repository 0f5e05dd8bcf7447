"""Analogies: a is to b as c is to what? The word nearest to b - a + c must be the right one (Mikolov et al. 2013, "Efficient Estimation").

A question counts only where all four words have a vector; the share that does is the coverage, and a score without it says little: a small
vocabulary leaves the hard questions out. The three words of the question are never answers (otherwise c itself mostly wins).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.files import read_bytes
from chatwright.evaluation.interval import Share

QUESTIONS_AT_ONCE = 512
MOST_BYTES = 50_000_000


@dataclass(frozen=True)
class Analogies:
    by_section: Mapping[str, Share]  # of the questions whose words are all known
    n_question: int  # all, known or not

    @property
    def overall(self) -> Share:
        return Share(
            sum(share.successes for share in self.by_section.values()),
            sum(share.n for share in self.by_section.values()),
        )

    @property
    def coverage(self) -> Share:
        return Share(self.overall.n, self.n_question)


def read_questions(path: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Sections of the file word2vec ships: lines ": name", then a b c d."""
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    name = "questions"
    text = read_bytes(
        path, MOST_BYTES, "give a file of analogies, such as word2vec's questions-words.txt"
    ).decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(":"):
            name = line[1:].strip()
            continue
        if words := line.split():
            if len(words) != 4:
                raise ValueError(
                    f"{path}, line {number}: {len(words)} words, where an analogy has four. Expected lines such as "
                    '"Athens Greece Oslo Norway", with sections begun by ": name".'
                )
            sections.setdefault(name, []).append((words[0], words[1], words[2], words[3]))
    return sections


def analogies(
    matrix: Tensor,
    row_of: Mapping[str, int],
    sections: Mapping[str, Sequence[tuple[str, str, str, str]]],
) -> Analogies:
    """matrix (V, D) and which row belongs to which word; a word that is not there is tried lower-cased."""
    unit = F.normalize(matrix.detach().float())
    allowed = torch.zeros(len(unit), dtype=torch.bool, device=unit.device)
    allowed[list(row_of.values())] = True
    result = {}
    for name, questions in sections.items():
        rows = [
            found
            for question in questions
            if None not in (found := [row_of.get(w, row_of.get(w.lower())) for w in question])
        ]
        result[name] = Share(
            _right(
                unit, allowed, torch.tensor(rows, dtype=torch.long, device=unit.device).view(-1, 4)
            ),
            len(rows),
        )
    return Analogies(result, sum(map(len, sections.values())))


def _right(unit: Tensor, allowed: Tensor, rows: Tensor) -> int:
    """How many of the questions, rows (Q, 4), are answered right."""
    right = 0
    for some in rows.split(QUESTIONS_AT_ONCE):
        a, b, c, d = some.unbind(dim=1)
        similarity = (unit[b] - unit[a] + unit[c]) @ unit.T  # (Q, V)
        similarity.masked_fill_(~allowed, -torch.inf).scatter_(1, some[:, :3], -torch.inf)
        right += int((similarity.argmax(dim=1) == d).sum())
    return right
