"""The status that the page shows while a model is fetched and opened."""

from chatwright.server.status import Status


class OpeningStatus:
    """What is being done before the model can reply. One thread reports, the server's reads."""

    def __init__(self, name: str) -> None:
        self._status = Status(state="opening", stage=f"Opening {name}")

    def status(self) -> Status:
        """Return the status; the server calls this."""
        return self._status

    def say(self, text: str) -> None:
        """Show what is being done now."""
        self._status = Status(state="opening", stage=text[:1].upper() + text[1:])

    def downloaded(self, n_byte: int, total: int) -> None:
        """Show how much of a download is here."""
        stage = self._status.stage
        self._status = Status(state="opening", stage=stage, fraction=n_byte / total)

    def set_ready(self) -> None:
        """Report that the model can reply."""
        self._status = Status(state="ready", fraction=1.0)
