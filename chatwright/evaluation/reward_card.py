"""The card of a reward model: its accuracy beside baselines, calibration, length, raters' noise."""

import math
from collections.abc import Sequence

from chatwright.data.encoded.rankings import EncodedRanking, EncodedRankings, HeldOut
from chatwright.evaluation.bag_of_words import BagOfWords
from chatwright.evaluation.calibration import calibration, expected_calibration_error
from chatwright.evaluation.correlation import pearson, spearman
from chatwright.evaluation.model_card import CardTable, ModelCard
from chatwright.evaluation.noise_ceiling import NoiseCeiling, noise_ceiling
from chatwright.evaluation.ranked_pairs import (
    RankedPairs,
    ReplyScores,
    ranked_pairs,
    scores_of_texts,
)
from chatwright.evaluation.win_rate import WinRate

GROUPS: dict[str, tuple[HeldOut, ...]] = {
    "held-out prompts": ("prompt", "both"),
    "held-out raters": ("rater", "both"),
    "both held out": ("both",),
}
"""Groups of validation rankings, by what training never saw of them."""
PROMPTS = "held-out prompts"
MODEL = "reward model"
N_MARGIN_GROUP = 4
NOT_MEASURABLE = "not measurable from this feedback"


def reward_card(
    training: EncodedRankings, validation: EncodedRankings, scores: ReplyScores
) -> ModelCard:
    """Measure a reward model on rankings that it was not trained on.

    Args:
        training: The rankings of the training data, for the bag-of-words baseline.
        validation: The held-out rankings.
        scores: The model's score of every reply of `validation`.
    """
    rankings = validation.rankings
    all_scores = {MODEL: scores, **baseline_scores(training.rankings, rankings)}
    chosen = _members(rankings, PROMPTS)
    pairs = {name: _pairs_of(rankings, its, chosen) for name, its in all_scores.items()}
    ceiling = noise_ceiling([*training.rankings, *rankings])
    tables = [
        _accuracy_table(rankings, all_scores),
        _gain_table(pairs),
        _ceiling_table(pairs[MODEL].accuracy, ceiling),
        _margin_table(pairs[MODEL]),
        _calibration_table(pairs[MODEL]),
        _length_table(rankings, scores, chosen),
        _data_table(training, validation),
    ]
    return ModelCard("Reward model", tables, _warnings(pairs))


def baseline_scores(
    training: Sequence[EncodedRanking], rankings: Sequence[EncodedRanking]
) -> dict[str, ReplyScores]:
    """Return the scores that three baselines give to the replies of `rankings`."""
    texts = [(r.texts[better], r.texts[worse]) for r in training for better, worse in r.pairs()]
    words = BagOfWords(texts)
    return {
        "longer wins": scores_of_texts(rankings, len),
        "shorter wins": scores_of_texts(rankings, lambda text: -len(text)),
        "bag of words": scores_of_texts(rankings, words.score),
    }


def _members(rankings: Sequence[EncodedRanking], group: str) -> list[int]:
    return [i for i, ranking in enumerate(rankings) if ranking.held_out in GROUPS[group]]


def _pairs_of(
    rankings: Sequence[EncodedRanking], scores: ReplyScores, chosen: Sequence[int]
) -> RankedPairs:
    return ranked_pairs([rankings[i] for i in chosen], [scores[i] for i in chosen])


def _accuracy_table(
    rankings: Sequence[EncodedRanking], all_scores: dict[str, ReplyScores]
) -> CardTable:
    groups = {name: _members(rankings, name) for name in GROUPS}
    rows = [
        [name, *(_accuracy(rankings, scores, chosen) for chosen in groups.values())]
        for name, scores in all_scores.items()
    ]
    return CardTable(
        "Accuracy",
        ["scores by", *groups],
        rows,
        "Share of the pairs in which the preferred reply has the higher score, with its 95 % "
        "interval from resampled prompts. 0.5 is chance; equal scores count half.",
    )


def _accuracy(
    rankings: Sequence[EncodedRanking], scores: ReplyScores, chosen: Sequence[int]
) -> str:
    pairs = _pairs_of(rankings, scores, chosen)
    if not len(pairs):
        return NOT_MEASURABLE
    found = pairs.accuracy
    return (
        f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}; {len(pairs)} pairs of "
        f"{found.n_prompt} prompts)"
    )


def _gain_table(pairs: dict[str, RankedPairs]) -> CardTable:
    rows = []
    for name, baseline in pairs.items():
        if name != MODEL:
            gain, low, high = pairs[MODEL].gain_over(baseline)
            is_better = "yes" if low > 0 else "no"
            rows.append([name, f"{gain:+.3f}", f"{low:+.3f} to {high:+.3f}", is_better])
    columns = ["baseline", "gain in accuracy", "95 % interval", "beaten"]
    note = "On held-out prompts, both on the same pairs."
    return CardTable("Gain over baselines", columns, rows, note)


def _ceiling_table(accuracy: WinRate, ceiling: NoiseCeiling) -> CardTable:
    if not ceiling.n_pair:
        rows = [["agreement of two judgments", NOT_MEASURABLE]]
    else:
        rows = [
            ["pairs of replies judged more than once", f"{ceiling.n_pair:,}"],
            ["agreement of two judgments", f"{ceiling.agreement:.3f}"],
            ["accuracy of a perfect model (noise ceiling)", f"{ceiling.accuracy:.3f}"],
            ["accuracy of the model / noise ceiling", f"{accuracy.value / ceiling.accuracy:.3f}"],
        ]
    note = "No model can agree with raters more than their own noise allows."
    return CardTable("Noise of the raters", ["figure", "value"], rows, note)


def _margin_table(pairs: RankedPairs) -> CardTable:
    ordered = sorted(pairs.pairs, key=lambda pair: abs(pair.margin))
    rows = []
    for number in range(N_MARGIN_GROUP):
        start = number * len(ordered) // N_MARGIN_GROUP
        group = ordered[start : (number + 1) * len(ordered) // N_MARGIN_GROUP]
        if group:
            found = RankedPairs(group).accuracy
            limits = f"{abs(group[0].margin):.3f} to {abs(group[-1].margin):.3f}"
            rows.append([limits, f"{len(group)}", f"{found.value:.3f}", _interval(found)])
    columns = ["difference of scores", "pairs", "accuracy", "95 % interval"]
    note = "A useful model is right more often where its scores differ more."
    return CardTable("Accuracy by margin", columns, rows, note)


def _interval(found: WinRate) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _calibration_table(pairs: RankedPairs) -> CardTable:
    confidences = [1 / (1 + math.exp(-abs(pair.margin))) for pair in pairs.pairs]
    bins = calibration(confidences, [pair.outcome for pair in pairs.pairs])
    rows = [
        [f"{b.low:.1f} to {b.high:.1f}", f"{b.n}", f"{b.confidence:.3f}", f"{b.accuracy:.3f}"]
        for b in bins
    ]
    return CardTable(
        "Calibration",
        ["predicted probability", "pairs", "mean prediction", "accuracy"],
        rows,
        f"Expected calibration error {expected_calibration_error(bins):.3f}: the mean gap of "
        "prediction and accuracy. The predicted probability is the sigmoid of the difference of "
        "the scores.",
    )


def _length_table(
    rankings: Sequence[EncodedRanking], scores: ReplyScores, chosen: Sequence[int]
) -> CardTable:
    values = [score for i in chosen for score in scores[i]]
    lengths = [float(len(text)) for i in chosen for text in rankings[i].texts]
    ranks = spearman(values, lengths)
    low, high = ranks.interval
    rows = [
        ["Pearson", f"{pearson(values, lengths):.3f}", ""],
        ["Spearman", f"{ranks.value:.3f}", f"{low:.3f} to {high:.3f}"],
    ]
    return CardTable(
        "Correlation with length",
        ["coefficient", "value", "95 % interval"],
        rows,
        "Of the score and the number of characters of a reply. A policy that learns from a score "
        "that grows with length learns to write more.",
    )


def _data_table(training: EncodedRankings, validation: EncodedRankings) -> CardTable:
    rows = []
    for name, part in (("training", training), ("validation", validation)):
        about = part.describe()
        counts = [f"{about[key]:,}" for key in ("rankings", "pairs", "prompts", "raters")]
        rows.append([name, *counts, about["sha256"][:16]])
    columns = ["part", "rankings", "pairs", "prompts", "raters", "SHA-256"]
    return CardTable("Data", columns, rows)


def _warnings(pairs: dict[str, RankedPairs]) -> list[str]:
    found = pairs[MODEL].accuracy
    warnings = []
    if found.low <= 0.5:
        warnings.append(
            f"On held-out prompts the accuracy of {found.value:.3f} ({_interval(found)}) cannot be "
            "told from chance: this model says nothing about which reply people prefer."
        )
    for name, baseline in pairs.items():
        if name != MODEL and pairs[MODEL].gain_over(baseline)[1] <= 0:
            warnings.append(
                f"The model does not beat the baseline {name!r} on held-out prompts: "
                f"{found.value:.3f} against {baseline.accuracy.value:.3f}."
            )
    return warnings
