"""Word analogies: a is to b as c is to what? (Mikolov et al. 2013, "Efficient Estimation").

The answer is right if the word nearest to b - a + c is the expected one. The three words of a
question are never answers; otherwise c itself would usually be the nearest.

Only questions whose four words all have a vector count. Their share is the coverage. A score with
low coverage says little: a small vocabulary leaves out the hard questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.readers.files import read_bytes
from chatwright.errors import InputError
from chatwright.evaluation.interval import Share

Question = tuple[str, str, str, str]

QUESTIONS_PER_BATCH = 512
MAX_FILE_BYTES = 50_000_000


@dataclass(frozen=True)
class Analogies:
    """Scores by section of the questions' file."""

    by_section: Mapping[str, Share]
    """Right answers among the questions whose words all have a vector."""
    n_question: int
    """Number of all questions, with and without vectors."""

    @property
    def overall(self) -> Share:
        """Right answers over all sections."""
        successes = sum(share.successes for share in self.by_section.values())
        return Share(successes, sum(share.n for share in self.by_section.values()))

    @property
    def coverage(self) -> Share:
        """Share of the questions whose words all have a vector."""
        return Share(self.overall.n, self.n_question)


def read_questions(path: Path) -> dict[str, list[Question]]:
    """Read the questions of a file like word2vec's questions-words.txt, by section.

    A line ": name" begins a section; every other line holds four words.

    Raises:
        InputError: A line has not exactly four words, or the file cannot be read.
    """
    sections: dict[str, list[Question]] = {}
    section = "questions"
    advice = "give a file of analogies, such as word2vec's questions-words.txt"
    text = read_bytes(path, MAX_FILE_BYTES, advice).decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.split()
        if not words:
            continue
        if len(words) != 4:
            raise InputError(
                f"{path}, line {number}: an analogy has four words, this line has {len(words)}.",
                remedy='Write lines such as "Athens Greece Oslo Norway", and sections as ": name".',
                field=f"{path}, line {number}",
                value=line,
            )
        sections.setdefault(section, []).append((words[0], words[1], words[2], words[3]))
    return sections


def analogies(
    matrix: Tensor,
    row_of: Mapping[str, int],
    sections: Mapping[str, Sequence[Question]],
) -> Analogies:
    """Answer the questions with word vectors.

    Args:
        matrix: (V, D), the vectors.
        row_of: Row of each word in `matrix`. A missing word is looked up in lower case.
        sections: The questions of each section.
    """
    unit = F.normalize(matrix.detach().float())
    is_word = torch.zeros(len(unit), dtype=torch.bool, device=unit.device)
    is_word[list(row_of.values())] = True
    by_section: dict[str, Share] = {}
    for name, questions in sections.items():
        rows = [
            question_rows
            for question in questions
            if None
            not in (question_rows := [row_of.get(w, row_of.get(w.lower())) for w in question])
        ]
        indices = torch.tensor(rows, dtype=torch.long, device=unit.device).view(-1, 4)
        by_section[name] = Share(_count_right(unit, is_word, indices), len(rows))
    return Analogies(by_section, sum(map(len, sections.values())))


def _count_right(unit: Tensor, is_word: Tensor, questions: Tensor) -> int:
    """Count the right answers. Each of the Q questions is four rows of `unit`: (Q, 4)."""
    n_right = 0
    for batch in questions.split(QUESTIONS_PER_BATCH):
        a, b, c, expected = batch.unbind(dim=1)
        similarity = (unit[b] - unit[a] + unit[c]) @ unit.T  # (Q, V)
        similarity.masked_fill_(~is_word, -torch.inf).scatter_(1, batch[:, :3], -torch.inf)
        n_right += int((similarity.argmax(dim=1) == expected).sum())
    return n_right
