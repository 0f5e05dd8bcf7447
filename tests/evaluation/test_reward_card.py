"""The figures of a reward model's card against numbers worked by hand and planted rules."""

import math

import pytest
import torch

from chatwright.data.encoded.rankings import EncodedRanking, EncodedRankings, HeldOut
from chatwright.devices import generator
from chatwright.evaluation.bag_of_words import PENALTY, BagOfWords
from chatwright.evaluation.calibration import calibration, expected_calibration_error
from chatwright.evaluation.correlation import pearson
from chatwright.evaluation.model_card import card_from_json
from chatwright.evaluation.noise_ceiling import noise_ceiling
from chatwright.evaluation.ranked_pairs import ranked_pairs
from chatwright.evaluation.reward_card import reward_card


def ranking(
    prompt: str, better: str, worse: str, rater: str = "", held_out: HeldOut = ""
) -> EncodedRanking:
    return EncodedRanking((), (1, 2), (better, worse), prompt, rater, held_out)


def test_a_tie_counts_half_and_every_stated_pair_counts() -> None:
    three = EncodedRanking((), (2, 1, 2), ("a", "b", "c"), "p", "")
    pairs = ranked_pairs([three, ranking("q", "d", "e")], [[1.0, 1.0, 0.0], [3.0, 4.0]])
    # b over a: equal scores; b over c: right; d over e: wrong.
    assert [pair.outcome for pair in pairs.pairs] == [0.5, 1.0, 0.0]
    assert pairs.accuracy.value == pytest.approx(0.5)
    assert pairs.accuracy.n_prompt == 2


def test_calibration_error_worked_by_hand() -> None:
    # Bins 0.5-0.75: predictions 0.6 and 0.7, one right: gap 0.15. 0.75-1: 0.9, right: gap 0.1.
    bins = calibration([0.6, 0.7, 0.9], [1.0, 0.0, 1.0], n_bin=2)
    assert [(b.n, b.accuracy) for b in bins] == [(2, 0.5), (1, 1.0)]
    # Guo et al. 2017, eq. 3: 2/3 * 0.15 + 1/3 * 0.1
    assert expected_calibration_error(bins) == pytest.approx(0.4 / 3)
    assert calibration([1.0], [1.0])[0].high == 1.0


def test_pearson_worked_by_hand() -> None:
    # Deviations (-1, 0, 1) and (-2, 1, 1): 3 / sqrt(2 * 6).
    assert pearson([1, 2, 3], [0, 3, 3]) == pytest.approx(3 / math.sqrt(12))
    assert math.isnan(pearson([1, 1], [0, 1]))


def test_the_weights_of_the_words_are_where_the_gradient_is_zero() -> None:
    """W = sum of sigmoid(-w d) d / PENALTY, with d written out for each pair."""
    pairs = [("yes yes sir", "no"), ("yes", "maybe no"), ("no sir", "yes"), ("yes", "sir")]
    model = BagOfWords(pairs)
    words = list(model.index)

    def features(text: str) -> torch.Tensor:
        counts = [text.split().count(word) for word in words]
        return torch.tensor(counts, dtype=torch.double).log1p()

    total = torch.zeros(len(words), dtype=torch.double)
    for better, worse in pairs:
        difference = features(better) - features(worse)
        total += torch.sigmoid(-(model.weights @ difference)) * difference
    torch.testing.assert_close(model.weights, total / PENALTY, rtol=1e-5, atol=1e-6)
    assert model.score("yes sir unknown") == pytest.approx(
        float(features("yes sir") @ model.weights)
    )
    assert model.score("yes") > model.score("no")


def test_the_noise_ceiling_is_that_of_the_planted_noise() -> None:
    """Two judgments of each of 4,000 pairs, each wrong with probability 0.1."""
    is_wrong = torch.rand(4000, 2, generator=generator(1, "noise")) < 0.1
    rankings = [
        ranking(str(number), *(("b", "a") if wrong else ("a", "b")))
        for number, both in enumerate(is_wrong.tolist())
        for wrong in both
    ]
    found = noise_ceiling(rankings)
    assert found.n_pair == 4000
    assert found.agreement == pytest.approx(0.82, abs=0.02)  # 0.1^2 + 0.9^2
    assert found.accuracy == pytest.approx(0.9, abs=0.02)


def test_agreement_of_three_votes_worked_by_hand() -> None:
    # Two votes for a, one for b: one of three pairs of votes agrees.
    votes = [ranking("p", "a", "b"), ranking("p", "a", "b"), ranking("p", "b", "a")]
    found = noise_ceiling(votes)
    assert found.agreement == pytest.approx(1 / 3)
    assert found.accuracy == 0.5, "no better than chance"
    assert math.isnan(noise_ceiling([ranking("p", "a", "b")]).accuracy)


def planted(n: int, held_out: HeldOut, seed: str) -> list[EncodedRanking]:
    """Replies with the word `good` are preferred; their lengths are random."""
    lengths = torch.randint(1, 9, (n, 2), generator=generator(1, seed)).tolist()
    return [
        ranking(f"{seed}{i}", "word " * a + "good", "word " * b + "poor", "", held_out)
        for i, (a, b) in enumerate(lengths)
    ]


def test_a_card_names_the_baselines_that_a_model_does_not_beat() -> None:
    training = EncodedRankings(planted(50, "", "train"), "0")
    validation = EncodedRankings(planted(60, "prompt", "held out"), "1")
    perfect = [[1.0, 0.0]] * 60
    card = reward_card(training, validation, perfect)
    assert ["bag of words" in warning for warning in card.warnings] == [True]
    chance = [[float(i % 2), 0.5] for i in range(60)]
    warnings = reward_card(training, validation, chance).warnings
    assert any("chance" in warning for warning in warnings)
    assert sum("baseline" in warning for warning in warnings) == 3
    again = card_from_json(card.to_json())
    assert again.to_markdown() == card.to_markdown()
