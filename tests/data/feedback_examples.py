"""Short ways to write feedback in tests."""

from datetime import UTC, datetime, timedelta

from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Ranking, RatedReply, Thumb

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def question(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def reply(text: str) -> RatedReply:
    return RatedReply(Message("assistant", text), "00ff")


def ranking(
    rater: str,
    prompt: str,
    texts: tuple[str, ...] = ("good", "bad"),
    ranks: tuple[int, ...] = (1, 2),
    *,
    right: tuple[int, ...] = (),
    minute: int = 0,
    is_simulated: bool = False,
    are_all_bad: bool = False,
) -> Ranking:
    return Ranking(
        prompt=question(prompt),
        rater=rater,
        time=NOON + timedelta(minutes=minute),
        replies=tuple(reply(text) for text in texts),
        ranks=ranks,
        right_ranks=right,
        is_simulated=is_simulated,
        are_all_bad=are_all_bad,
    )


def thumb(rater: str, prompt: str, text: str, is_up: bool) -> Thumb:
    return Thumb(prompt=question(prompt), rater=rater, time=NOON, reply=reply(text), is_up=is_up)


def correction(rater: str, prompt: str, text: str, better: str) -> Correction:
    return Correction(
        prompt=question(prompt),
        rater=rater,
        time=NOON,
        reply=reply(text),
        better=Message("assistant", better),
    )
