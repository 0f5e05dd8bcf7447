"""Beam search equals exhaustive search where the beam holds everything, greedy search at width 1, and a plain search in between."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig, Hypothesis, beam_search

V, END, FIRST = 5, 4, 3


class Toy:
    """A model whose next-token logits are drawn from the text so far: anything may follow anything, and every beginning is another."""

    def __init__(self, n_text: int, width: int, seed: int = 0, end_bias: float = 0.0) -> None:
        self.seed, self.end_bias, self.calls = seed, end_bias, 0
        self.rows: list[tuple[int, ...]] = [(text,) for text in range(n_text) for _ in range(width)]

    def logits(self, row: tuple[int, ...]) -> Tensor:
        drawn = torch.randn(V, generator=generator(self.seed, repr(row))) * 1.5
        drawn[END] += self.end_bias
        return drawn

    def next_logits(self, token_ids: Tensor) -> Tensor:
        self.calls += 1
        self.rows = [
            (*row, token) for row, token in zip(self.rows, token_ids.tolist(), strict=True)
        ]
        return torch.stack([self.logits(row) for row in self.rows])

    def select(self, rows: Tensor) -> None:
        self.rows = [self.rows[i] for i in rows.tolist()]


def log_prob(text: int, tokens: Sequence[int], **toy: float) -> float:
    model, total = Toy(1, 1, **toy), 0.0
    for place, token in enumerate(tokens):
        total += float(model.logits((text, FIRST, *tokens[:place])).double().log_softmax(0)[token])
    return total


def exhaustive(
    text: int, limit: int, length_penalty: float, **toy: float
) -> list[tuple[tuple[int, ...], float]]:
    """Every text that ends within the limit, best first."""
    found = []
    for length in range(limit):
        for body in itertools.product([t for t in range(V) if t != END], repeat=length):
            tokens = (*body, END)
            found.append(
                (tokens, log_prob(text, tokens, **toy) / ((5 + len(tokens)) / 6) ** length_penalty)
            )
    return sorted(found, key=lambda item: -item[1])


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 3.0, -1.0])
@pytest.mark.parametrize("end_bias", [0.0, -3.0, 3.0])
def test_a_beam_that_holds_everything_equals_exhaustive_search(
    length_penalty: float, end_bias: float
) -> None:
    limit, width, n_best = 4, 4**3 * V, 7  # more than there are beginnings
    found = beam_search(
        Toy(3, width, end_bias=end_bias),
        FIRST,
        END,
        [limit, limit - 1, limit],
        BeamConfig(width=width, length_penalty=length_penalty, n_best=n_best),
    )
    for text, hypotheses in enumerate(found):
        expected = exhaustive(text, limit - (text == 1), length_penalty, end_bias=end_bias)[:n_best]
        assert [h.token_ids for h in hypotheses] == [tokens for tokens, _ in expected]
        for hypothesis, (tokens, score) in zip(hypotheses, expected, strict=True):
            assert math.isclose(hypothesis.score, score, rel_tol=1e-5)
            assert math.isclose(
                hypothesis.log_prob, log_prob(text, tokens, end_bias=end_bias), rel_tol=1e-5
            )
            assert hypothesis.ended


def greedy(text: int, limit: int, seed: int) -> tuple[int, ...]:
    tokens: tuple[int, ...] = ()
    while len(tokens) < limit and END not in tokens:
        tokens += (int(Toy(1, 1, seed).logits((text, FIRST, *tokens)).argmax()),)
    return tokens


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_width_one_is_greedy_search(length_penalty: float) -> None:
    for seed in range(20):
        found = beam_search(
            Toy(6, 1, seed), FIRST, END, [9] * 6, BeamConfig(width=1, length_penalty=length_penalty)
        )
        assert [hypotheses[0].token_ids for hypotheses in found] == [
            greedy(text, 9, seed) for text in range(6)
        ]
        assert all(
            hypotheses[0].ended == (hypotheses[0].token_ids[-1] == END) for hypotheses in found
        )


def plain_beam(text: int, limit: int, config: BeamConfig, seed: int) -> list[Hypothesis]:
    """One text, lists instead of tensors, no early end but the rule itself: `width` finished ones end the search."""
    live, finished = [((), 0.0)], []
    for _ in range(limit):
        longer = []
        for tokens, so_far in live:
            step = Toy(1, 1, seed).logits((text, FIRST, *tokens)).double().log_softmax(0).tolist()
            longer += [((*tokens, token), so_far + p) for token, p in enumerate(step)]
        longer.sort(key=lambda item: -item[1])
        finished += [(tokens, p) for tokens, p in longer[: config.width] if tokens[-1] == END]
        live = [(tokens, p) for tokens, p in longer if tokens[-1] != END][: config.width]
        if len(finished) >= config.width:
            break
    cut_off = live[: max(0, config.n_best - len(finished))]
    made = [
        Hypothesis(tokens, p, p / ((5 + len(tokens)) / 6) ** config.length_penalty, ended)
        for some, ended in ((finished, True), (cut_off, False))
        for tokens, p in some
    ]
    return sorted(made, key=lambda h: (not h.ended, -h.score))[: config.n_best]


@pytest.mark.parametrize(
    "config",
    [
        BeamConfig(width=2),
        BeamConfig(width=4, length_penalty=0.0, n_best=4),
        BeamConfig(width=3, length_penalty=2.5, n_best=2),
        BeamConfig(width=7, length_penalty=-0.5, n_best=3),
    ],
    ids=str,
)
def test_batched_and_with_its_early_end_it_equals_the_plain_search_of_each_text(
    config: BeamConfig,
) -> None:
    for seed in range(12):
        limits = [8, 1, 5, 8, 2]
        found = beam_search(Toy(5, config.width, seed), FIRST, END, limits, config)
        for text, hypotheses in enumerate(found):
            expected = plain_beam(text, limits[text], config, seed)
            assert [(h.token_ids, h.ended) for h in hypotheses] == [
                (h.token_ids, h.ended) for h in expected
            ]
            for one, other in zip(hypotheses, expected, strict=True):
                assert math.isclose(one.score, other.score, rel_tol=1e-5)


def test_a_finished_hypothesis_is_left_alone_and_wins_by_its_own_length() -> None:
    """Worked by hand. "end" at once has p = 0.4; "a, end" 0.6 * 0.5 = 0.30; "a, b, end" 0.6 * 0.5 * 1 = 0.30."""
    table = {(): {0: 0.6, END: 0.4}, (0,): {1: 0.5, END: 0.5}, (0, 1): {END: 1.0}}

    class ByHand(Toy):
        def logits(self, row: tuple[int, ...]) -> Tensor:
            follows = table.get(row[2:], {2: 1.0})
            return torch.tensor([math.log(follows.get(token, 1e-12)) for token in range(V)])

    def best(length_penalty: float) -> tuple[int, ...]:
        return beam_search(
            ByHand(1, 3), FIRST, END, [5], BeamConfig(width=3, length_penalty=length_penalty)
        )[0][0].token_ids

    assert best(0.0) == (END,)  # ln 0.4 = -0.916 against -1.204
    assert best(2.0) == (
        0,
        1,
        END,
    )  # -0.916 against -1.204 / (7/6)^2 = -0.885 and -1.204 / (8/6)^2 = -0.677


def test_nothing_is_computed_for_texts_that_are_done() -> None:
    toy, rows = Toy(4, 3, end_bias=2.0), []
    plain = toy.next_logits
    toy.next_logits = lambda ids: rows.append(len(ids)) or plain(ids)  # type: ignore[method-assign]
    beam_search(toy, FIRST, END, [12, 1, 12, 3], BeamConfig(width=3))
    assert rows[0] == 12
    assert rows == sorted(rows, reverse=True)
    assert rows[1] <= 9, "the text with a limit of one token is gone after it"


def test_banned_tokens_are_never_chosen_and_a_limit_too_short_gives_unfinished_ones() -> None:
    for hypotheses in beam_search(
        Toy(5, 4, end_bias=-9.0), FIRST, END, [3] * 5, BeamConfig(width=4, n_best=4), banned=[0, 2]
    ):
        assert {token for h in hypotheses for token in h.token_ids} <= {1, 3, END}
        assert len(hypotheses) == 4
        assert [h.ended for h in hypotheses] == sorted(
            (h.ended for h in hypotheses), reverse=True
        ), "ended ones first"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width \\(0\\) must be at least 1"),
        ({"width": 2, "n_best": 3}, "n_best \\(3\\)"),
    ],
)
def test_impossible_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BeamConfig(**changes)
