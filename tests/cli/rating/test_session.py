"""A rating session: undo equals never voted, nothing is lost, and a session continues."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from chatwright.cli.rating.candidate_file import append_candidates, read_candidates
from chatwright.cli.rating.keys import PipedKeys
from chatwright.cli.rating.loop import RatingLoop, ranks_of
from chatwright.cli.rating.screen import RatingScreen
from chatwright.cli.rating.session import RatingSession
from chatwright.conversation import Message
from chatwright.data.feedback_log import FeedbackLog, read_log
from chatwright.data.preferences import Correction, Ranking, RatedReply
from chatwright.data.rows import DataError
from chatwright.errors import InputError
from chatwright.pipeline.collect import Candidates

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def candidates(count: int = 3, n_reply: int = 2) -> list[Candidates]:
    return [
        Candidates(
            (Message("user", f"Question {i}?"),),
            tuple(
                RatedReply(Message("assistant", f"Answer {i}.{k}"), "ab12") for k in range(n_reply)
            ),
        )
        for i in range(count)
    ]


def session(
    folder: Path, items: list[Candidates] | None = None, rater: str = "ann"
) -> RatingSession:
    log = FeedbackLog(folder / "feedback.jsonl")
    return RatingSession(candidates() if items is None else items, log, rater, lambda: TIME)


def run(folder: Path, keys: str, items: list[Candidates] | None = None) -> RatingSession:
    rating = session(folder, items)
    screen = RatingScreen(Console(file=StringIO()))
    RatingLoop(rating, screen, PipedKeys(StringIO(keys))).run()
    return rating


def logged(folder: Path) -> bytes:
    path = folder / "feedback.jsonl"
    return path.read_bytes() if path.exists() else b""


def test_a_key_ranks_the_reply_that_is_shown_under_it(tmp_path: Path) -> None:
    rating = session(tmp_path)
    better = rating.shown[1].message
    RatingLoop(rating, RatingScreen(Console(file=StringIO())), PipedKeys(StringIO("2"))).run()
    (ranking,) = read_log(rating.log.path).feedback
    assert isinstance(ranking, Ranking)
    best = ranking.replies[ranking.ranks.index(1)]
    assert best.message == better
    assert best.weights == "ab12"
    assert (ranking.rater, ranking.time, ranking.is_simulated) == ("ann", TIME, False)


def test_the_order_on_the_screen_differs_between_prompts_and_not_between_sessions(
    tmp_path: Path,
) -> None:
    items = candidates(40)
    orders = []
    for _ in range(2):
        rating = session(tmp_path, items)
        orders.append([rating.order for rating.position in range(40)])
    assert orders[0] == orders[1]
    assert 8 < sum(order == (0, 1) for order in orders[0]) < 32


def test_equal_and_all_bad_are_ties(tmp_path: Path) -> None:
    run(tmp_path, "=b")
    tie, bad = read_log(tmp_path / "feedback.jsonl").feedback
    assert isinstance(tie, Ranking)
    assert isinstance(bad, Ranking)
    assert [tie.is_tie, tie.are_all_bad] == [True, False]
    assert [bad.is_tie, bad.are_all_bad] == [True, True]


@pytest.mark.parametrize("keys", ["1u", "rtoo long\n2u", "s1uu", "=bu", "c1\nA better one.\nu"])
def test_undo_equals_never_voted(tmp_path: Path, keys: str) -> None:
    never, undone = tmp_path / "never", tmp_path / "undone"
    for folder in (never, undone):
        folder.mkdir()
    first = "=" if keys.startswith("=") else ""
    run(never, f"{first}12")
    run(undone, f"{keys}12")
    assert logged(undone) == logged(never)


def test_undo_goes_back_several_steps_and_then_says_that_there_is_nothing(tmp_path: Path) -> None:
    rating = run(tmp_path, "12uu")
    assert logged(tmp_path) == b""
    assert rating.position == 0
    with pytest.raises(InputError):
        rating.undo()


def test_what_another_rater_wrote_since_stays(tmp_path: Path) -> None:
    rating = session(tmp_path)
    rating.rank([1, 2])
    other = session(tmp_path, rater="bob")
    other.tie()
    before = logged(tmp_path)
    with pytest.raises(InputError):
        rating.undo()
    assert logged(tmp_path) == before
    assert rating.n_ranked == 1


def test_a_killed_session_loses_nothing_and_the_next_one_continues(tmp_path: Path) -> None:
    rating = session(tmp_path)
    rating.rank([1, 2])  # nothing is closed: the process could be killed here
    whole = logged(tmp_path)
    with (tmp_path / "feedback.jsonl").open("ab") as file:
        file.write(b'{"feedback": "rank')  # a kill in the middle of a write
    after = session(tmp_path)
    assert (after.n_before, len(after.candidates)) == (1, 2)
    after.rank([2, 1])
    assert logged(tmp_path).startswith(whole)
    assert len(read_log(tmp_path / "feedback.jsonl").feedback) == 2
    assert len(session(tmp_path, rater="bob").candidates) == 3


def test_the_end_of_the_input_and_q_end_the_session(tmp_path: Path) -> None:
    assert run(tmp_path, "1").n_ranked == 1
    assert run(tmp_path, "1q1").n_ranked == 1
    assert len(read_log(tmp_path / "feedback.jsonl").feedback) == 2


def test_skipped_prompts_come_again_in_the_next_session(tmp_path: Path) -> None:
    run(tmp_path, "s12")
    assert len(session(tmp_path).candidates) == 1


def test_a_reason_belongs_to_the_next_ranking_alone(tmp_path: Path) -> None:
    run(tmp_path, "rtoo long\n12")
    assert [item.reason for item in read_log(tmp_path / "feedback.jsonl").feedback] == [
        "too long",
        "",
    ]


def test_a_correction_keeps_the_reply_and_the_better_one(tmp_path: Path) -> None:
    rating = run(tmp_path, "c2\nA better one.\n1")
    correction, ranking = read_log(tmp_path / "feedback.jsonl").feedback
    assert isinstance(correction, Correction)
    assert isinstance(ranking, Ranking)
    assert correction.better == Message("assistant", "A better one.")
    assert correction.reply in ranking.replies
    assert (rating.n_ranked, rating.n_correction) == (1, 1)


@pytest.mark.parametrize("keys", ["x", "9", "0", "c7\n", "cx\n", "c1\n\n", "u"])
def test_wrong_keys_change_nothing(tmp_path: Path, keys: str) -> None:
    rating = run(tmp_path, keys)
    assert logged(tmp_path) == b""
    assert rating.position == 0


@pytest.mark.parametrize(
    ("picked", "ranks"),
    [("213", [2, 1, 3]), ("2=31", [2, 1, 1]), ("23=1", [2, 1, 2]), ("1=2=3", [1, 1, 1])],
)
def test_ranks_of_several_replies(picked: str, ranks: list[int]) -> None:
    assert ranks_of(picked, 3) == ranks


def test_three_replies_need_three_keys(tmp_path: Path) -> None:
    items = candidates(2, n_reply=3)
    run(tmp_path, "31u" + "3=12", items)
    (ranking,) = read_log(tmp_path / "feedback.jsonl").feedback
    assert isinstance(ranking, Ranking)
    assert sorted(ranking.ranks) == [1, 1, 2]


def test_prompts_with_equal_replies_are_not_shown(tmp_path: Path) -> None:
    equal = Candidates((Message("user", "Hello"),), (RatedReply(Message("assistant", "Hi")),) * 2)
    assert len(session(tmp_path, [equal, *candidates(1)]).candidates) == 1


def test_the_file_of_candidates_keeps_them_and_survives_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    append_candidates(path, candidates(2))
    with path.open("a") as file:
        file.write('{"prompt": [{"ro')
    assert read_candidates(path) == candidates(2)
    append_candidates(path, candidates(3)[2:])
    assert read_candidates(path) == candidates(3)
    path.write_text('{"prompt": []}\n')
    with pytest.raises(DataError):
        read_candidates(path)


def test_control_characters_of_a_reply_do_not_reach_the_terminal(tmp_path: Path) -> None:
    item = Candidates(
        (Message("user", "Hello"),),
        (RatedReply(Message("assistant", "\x1b[2J")), RatedReply(Message("assistant", "Hi"))),
    )
    output = StringIO()
    RatingScreen(Console(file=output)).show(session(tmp_path, [item]), "")
    assert "\x1b" not in output.getvalue()
