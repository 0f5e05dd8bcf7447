"""Beam search equals exhaustive search, greedy search and a simple search without batches."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig, Hypothesis, beam_search
from chatwright.errors import InputError

V = 5  # tokens in the vocabulary, with START and END
START = 3
END = 4


class RandomModel:
    """A model with random next-token logits, which depend on the text and on all its tokens."""

    def __init__(self, n_text: int, width: int, seed: int = 0, end_bias: float = 0.0) -> None:
        self.seed = seed
        self.end_bias = end_bias
        self.rows: list[tuple[int, ...]] = [(text,) for text in range(n_text) for _ in range(width)]

    def logits(self, row: tuple[int, ...]) -> Tensor:
        drawn = torch.randn(V, generator=generator(self.seed, repr(row))) * 1.5
        drawn[END] += self.end_bias
        return drawn

    def next_logits(self, token_ids: Tensor) -> Tensor:
        self.rows = [
            (*row, token) for row, token in zip(self.rows, token_ids.tolist(), strict=True)
        ]
        return torch.stack([self.logits(row) for row in self.rows])

    def select(self, rows: Tensor) -> None:
        self.rows = [self.rows[i] for i in rows.tolist()]


def log_prob(text: int, tokens: Sequence[int], **settings: float) -> float:
    model, total = RandomModel(1, 1, **settings), 0.0
    for i, token in enumerate(tokens):
        logits = model.logits((text, START, *tokens[:i]))
        total += float(logits.double().log_softmax(0)[token])
    return total


def exhaustive(
    text: int, limit: int, length_penalty: float, **settings: float
) -> list[tuple[tuple[int, ...], float]]:
    """List every sequence that ends within the limit with its score, best first."""
    scored = []
    for length in range(limit):
        for body in itertools.product([t for t in range(V) if t != END], repeat=length):
            tokens = (*body, END)
            factor = ((5 + len(tokens)) / 6) ** length_penalty
            scored.append((tokens, log_prob(text, tokens, **settings) / factor))
    return sorted(scored, key=lambda item: -item[1])


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 3.0, -1.0])
@pytest.mark.parametrize("end_bias", [0.0, -3.0, 3.0])
def test_a_beam_as_wide_as_all_sequences_equals_exhaustive_search(
    length_penalty: float, end_bias: float
) -> None:
    limit, n_best = 4, 7
    width = 4**3 * V  # more than there are sequences
    found = beam_search(
        RandomModel(3, width, end_bias=end_bias),
        START,
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
        tokens += (int(RandomModel(1, 1, seed).logits((text, START, *tokens)).argmax()),)
    return tokens


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_width_one_is_greedy_search(length_penalty: float) -> None:
    for seed in range(20):
        found = beam_search(
            RandomModel(6, 1, seed),
            START,
            END,
            [9] * 6,
            BeamConfig(width=1, length_penalty=length_penalty),
        )
        assert [hypotheses[0].token_ids for hypotheses in found] == [
            greedy(text, 9, seed) for text in range(6)
        ]
        assert all(
            hypotheses[0].ended == (hypotheses[0].token_ids[-1] == END) for hypotheses in found
        )


def plain_beam_search(text: int, limit: int, config: BeamConfig, seed: int) -> list[Hypothesis]:
    """Search one text with lists instead of tensors, until `width` hypotheses are finished."""
    live, finished = [((), 0.0)], []
    for _ in range(limit):
        longer = []
        for tokens, total in live:
            logits = RandomModel(1, 1, seed).logits((text, START, *tokens))
            log_probs = logits.double().log_softmax(0).tolist()
            longer += [((*tokens, token), total + p) for token, p in enumerate(log_probs)]
        longer.sort(key=lambda item: -item[1])
        finished += [(tokens, p) for tokens, p in longer[: config.width] if tokens[-1] == END]
        live = [(tokens, p) for tokens, p in longer if tokens[-1] != END][: config.width]
        if len(finished) >= config.width:
            break
    unfinished = live[: max(0, config.n_best - len(finished))]
    hypotheses = [
        Hypothesis(tokens, p, p / ((5 + len(tokens)) / 6) ** config.length_penalty, ended)
        for group, ended in ((finished, True), (unfinished, False))
        for tokens, p in group
    ]
    return sorted(hypotheses, key=lambda h: (not h.ended, -h.score))[: config.n_best]


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
def test_batched_search_equals_plain_search_of_each_text(config: BeamConfig) -> None:
    for seed in range(12):
        limits = [8, 1, 5, 8, 2]
        found = beam_search(RandomModel(5, config.width, seed), START, END, limits, config)
        for text, hypotheses in enumerate(found):
            expected = plain_beam_search(text, limits[text], config, seed)
            assert [(h.token_ids, h.ended) for h in hypotheses] == [
                (h.token_ids, h.ended) for h in expected
            ]
            for one, other in zip(hypotheses, expected, strict=True):
                assert math.isclose(one.score, other.score, rel_tol=1e-5)


def test_the_score_of_a_finished_hypothesis_uses_its_own_length() -> None:
    """Three sequences can end, with these probabilities.

    (END): 0.4; (0, END): 0.6 * 0.5 = 0.30; (0, 1, END): 0.6 * 0.5 * 1 = 0.30.
    """
    table = {(): {0: 0.6, END: 0.4}, (0,): {1: 0.5, END: 0.5}, (0, 1): {END: 1.0}}

    class TableModel(RandomModel):
        def logits(self, row: tuple[int, ...]) -> Tensor:
            probs = table.get(row[2:], {2: 1.0})
            return torch.tensor([math.log(probs.get(token, 1e-12)) for token in range(V)])

    def best(length_penalty: float) -> tuple[int, ...]:
        config = BeamConfig(width=3, length_penalty=length_penalty)
        return beam_search(TableModel(1, 3), START, END, [5], config)[0][0].token_ids

    assert best(0.0) == (END,)  # ln 0.4 = -0.916, the others -1.204
    # -0.916, -1.204 / (7/6)^2 = -0.885 and -1.204 / (8/6)^2 = -0.677
    assert best(2.0) == (0, 1, END)


def test_texts_that_are_done_are_removed_from_the_batch() -> None:
    model = RandomModel(4, 3, end_bias=2.0)
    n_rows: list[int] = []
    next_logits = model.next_logits
    model.next_logits = lambda ids: n_rows.append(len(ids)) or next_logits(ids)
    beam_search(model, START, END, [12, 1, 12, 3], BeamConfig(width=3))
    assert n_rows[0] == 12
    assert n_rows == sorted(n_rows, reverse=True)
    assert n_rows[1] <= 9, "the text with a limit of one token is done after one step"


def test_banned_tokens_are_never_chosen_and_short_limits_give_unfinished_hypotheses() -> None:
    model, config = RandomModel(5, 4, end_bias=-9.0), BeamConfig(width=4, n_best=4)
    for hypotheses in beam_search(model, START, END, [3] * 5, config, banned=[0, 2]):
        assert {token for h in hypotheses for token in h.token_ids} <= {1, 3, END}
        assert len(hypotheses) == 4
        ended = [h.ended for h in hypotheses]
        assert ended == sorted(ended, reverse=True), "ended ones come first"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"width": 0}, "width"),
        ({"width": 2, "n_best": 3}, "n_best"),
        ({"length_penalty": float("nan")}, "length_penalty"),
    ],
)
def test_impossible_settings_are_refused_with_their_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        BeamConfig(**changes)
    assert caught.value.field == field
