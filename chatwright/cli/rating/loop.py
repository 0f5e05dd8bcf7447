"""The loop of `chatwright rate`: show a prompt, read a key, write the decision."""

from chatwright.cli.rating.keys import Keys
from chatwright.cli.rating.screen import RatingScreen
from chatwright.cli.rating.session import RatingSession
from chatwright.errors import InputError

UNKNOWN = "This key does nothing here."


class RatingLoop:
    """Asks the rater about one prompt after the other."""

    def __init__(self, session: RatingSession, screen: RatingScreen, keys: Keys) -> None:
        """Use a session for the decisions, a screen for the output and keys for the input."""
        self.session = session
        self.screen = screen
        self.keys = keys
        self.picked = ""
        """The keys of an unfinished ranking of three or more replies."""

    def run(self) -> None:
        """Return when all prompts are ranked, the rater quits, or the input ends."""
        note = ""
        while not self.session.is_finished:
            self.screen.show(self.session, self.picked)
            if note:
                self.screen.note(note)
            key = self.keys.key()
            if key is None or key == "q":
                return
            note = self._handle(key)

    def _handle(self, key: str) -> str:
        """Do what a key says; return a note for the next screen."""
        try:
            return self._act(key) or ""
        except InputError as error:
            return str(error)

    def _act(self, key: str) -> str | None:
        session = self.session
        if key.isdigit() or (key == "=" and self.picked):
            return self._pick(key)
        if key == "u" and self.picked:
            self.picked = ""
            return None
        self.picked = ""
        if key == "=":
            session.tie()
        elif key == "b":
            session.tie(are_all_bad=True)
        elif key == "s":
            session.skip()
        elif key == "u":
            session.undo()
            return "Undone."
        elif key == "r":
            session.reason = (self.keys.line("reason: ") or "").strip()
        elif key == "c":
            return self._correct()
        else:
            return UNKNOWN
        return None

    def _pick(self, key: str) -> str | None:
        """Add a key to the ranking; of two replies the better one is enough."""
        n_reply = len(self.session.shown)
        if key == "=":
            if self.picked.endswith("="):
                return UNKNOWN
            self.picked += key
            return None
        if not 1 <= int(key) <= n_reply or key in self.picked:
            return UNKNOWN
        self.picked += key
        n_picked = sum(character.isdigit() for character in self.picked)
        if n_picked < n_reply and n_reply > 2:
            return None
        ranks = ranks_of(self.picked, n_reply)
        self.picked = ""
        self.session.rank(ranks)
        return None

    def _correct(self) -> str:
        number = self.keys.line(f"Which reply do you correct, 1 to {len(self.session.shown)}? ")
        if number is None or not number.strip().isdigit():
            return "Nothing was corrected."
        index = int(number)
        if not 1 <= index <= len(self.session.shown):
            return UNKNOWN
        old = self.session.shown[index - 1].message.text
        text = self.keys.line("better: ", old)
        if text is None or text.strip() == old.strip():
            return "Nothing was corrected."
        self.session.correct(index, text)
        return "The better reply is saved. Now rank the replies."


def ranks_of(picked: str, n_reply: int) -> list[int]:
    """Return the rank of each reply from the typed order, best first.

    "2=31" gives [2, 1, 1]; of two replies, "1" gives [1, 2].
    """
    ranks = [0] * n_reply
    rank, is_tied = 0, False
    for character in picked:
        if character == "=":
            is_tied = True
            continue
        rank += not is_tied
        is_tied = False
        ranks[int(character) - 1] = rank
    return [value or rank + 1 for value in ranks]
