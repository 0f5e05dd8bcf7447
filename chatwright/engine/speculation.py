"""Propose the next tokens of a reply from its own text, to be checked in one forward pass.

    text      ... the cat sat on the mat. Then the cat sat
    proposal                                               on the mat

The last tokens of the text are looked up in the text before them; what followed there is proposed.
The engine reads the proposal and samples as always, with one random number per position. It keeps
tokens as long as they equal the proposal, so a reply never changes (Leviathan et al. 2023, with the
text itself as the draft model, as in Saxena 2023). It only gets faster where a text repeats itself.
"""

from collections.abc import Sequence
from itertools import cycle, islice

N_CONTEXT = 3
"""Tokens that must occur before, in this order. Two tokens propose more, and are right less."""


class Proposer:
    """Proposes the next tokens of one text."""

    def __init__(self, n_most: int) -> None:
        """Propose up to `n_most` tokens at a time; fewer while proposals are wrong."""
        self.n_most = n_most
        self.n_next = min(2, n_most)
        self._text: list[int] = []
        self._followers: dict[tuple[int, ...], int] = {}  # tokens -> index of what followed last

    def read(self, token_ids: Sequence[int]) -> None:
        """Add tokens to the text."""
        for token_id in token_ids:
            if len(self._text) >= N_CONTEXT:
                self._followers[tuple(self._text[-N_CONTEXT:])] = len(self._text)
            self._text.append(token_id)

    @property
    def n_known(self) -> int:
        """Number of tokens that were read."""
        return len(self._text)

    def propose(self, n_most: int) -> list[int]:
        """Return the tokens that followed the last ones before, at most `n_most`.

        Where the text ends, they continue with the proposal itself: a loop goes on.
        """
        start = self._followers.get(tuple(self._text[-N_CONTEXT:]))
        if start is None:
            return []
        repeated = self._text[start:]
        return list(islice(cycle(repeated), min(self.n_next, n_most)))

    def learn(self, n_proposed: int, n_right: int) -> None:
        """Propose more after a proposal that was right, and fewer after a wrong one."""
        if n_right == n_proposed:
            self.n_next = min(2 * self.n_next, self.n_most)
        else:
            self.n_next = max(n_right, 1)
