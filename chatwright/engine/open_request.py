"""A request in progress: its replies, and in which order their events are reported."""

from collections.abc import Sequence as SequenceOf

from chatwright.engine.messages import Event, RequestFinished, TokenSampled
from chatwright.engine.scheduled_reply import State
from chatwright.engine.sequence import Sequence


class OpenRequest:
    """The replies to one request.

    With best_of, events wait until all replies have ended and the best are known.
    """

    def __init__(self, sequences: SequenceOf[Sequence]) -> None:
        """Begin with all replies, none of which has ended."""
        self.sequences = list(sequences)
        sampling = sequences[0].sampling
        self._n = sampling.n
        self._chooses_best = sampling.n_generated > sampling.n
        self._held: dict[int, list[TokenSampled]] = {}  # by index, with best_of
        self._n_unreported = len(sequences)

    @property
    def is_reported(self) -> bool:
        """Whether the ends of all replies have been returned."""
        return not self._n_unreported

    def report_token(self, event: TokenSampled) -> list[Event]:
        """Return the events that a new token causes now."""
        if not self._chooses_best:
            return [event]
        self._held.setdefault(event.index, []).append(event)
        return []

    def report_end(self, sequence: Sequence) -> list[Event]:
        """Return the events that the end of a reply causes now."""
        self._n_unreported -= 1
        if not self._chooses_best:
            return [_finished(sequence, sequence.index, self.is_reported)]
        return self._best() if self.is_reported else []

    def _best(self) -> list[Event]:
        """Return the events of the n best replies: complete ones first, then by probability."""
        # Sorting is stable: equally probable replies keep their order.
        ranked = sorted(self.sequences, key=lambda s: (s.state is not State.DONE, -s.mean_log_prob))
        events: list[Event] = []
        for index, sequence in enumerate(ranked[: self._n]):
            events += (
                TokenSampled(e.request_id, index, e.token_id, e.log_prob, e.alternatives)
                for e in self._held.get(sequence.index, [])
            )
            events.append(_finished(sequence, index, index == self._n - 1))
        return events


def _finished(sequence: Sequence, index: int, is_last: bool) -> RequestFinished:
    assert sequence.reason is not None, "only an ended sequence is reported"
    return RequestFinished(
        sequence.request_id, index, sequence.reason, is_last, sequence.error, sequence.n_cached
    )
