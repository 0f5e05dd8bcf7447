"""A comparison in words and tables, for the terminal and the report."""

from chatwright.evaluation.paired import PairedScores
from chatwright.evaluation.win_rate import WinRate
from chatwright.pipeline.comparison.result import RULE, Comparison

Row = tuple[str, str]


def verdict_line(comparison: Comparison) -> str:
    """Return the decision with its rule."""
    words = {"better": "the candidate is better", "worse": "the candidate is worse"}
    decision = words.get(comparison.verdict, comparison.verdict)
    return f"Verdict: {decision}. Rule: {RULE}"


def model_rows(comparison: Comparison) -> list[Row]:
    """Return both models and the judge, as (name, value)."""
    c = comparison
    return [("baseline", c.baseline), ("candidate", c.candidate), ("judge", c.judge)]


def main_rows(comparison: Comparison) -> list[Row]:
    """Return the metrics that every comparison has, as (name, value)."""
    c = comparison
    controlled = str(c.length_controlled) if c.length_controlled else "lengths hardly overlap"
    rows = [
        ("win rate of the candidate", _rate(c.win_rate)),
        ("length-controlled", controlled),
        ("prompts, comparisons", f"{c.win_rate.n_prompt:,}, {c.win_rate.n_comparison:,}"),
        ("ties", f"{c.win_rate.tie_rate:.1%}, of these {c.n_equal:,} with equal replies"),
        ("mean length, baseline", _length(c, 0)),
        ("mean length, candidate", _length(c, 1)),
        ("prompts in training data", _overlap(c)),
    ]
    if c.correctness is not None:
        rows.insert(2, ("by correctness alone", _rate(c.correctness)))
    if c.n_too_long:
        rows.append(("prompts too long", f"{c.n_too_long:,}, left out"))
    if c.n_unjudged:
        rows.append(("not judged", f"{c.n_unjudged:,} comparisons, which do not count"))
    names = {"unparsable": "unreadable answers", "order_decided": "order decided, counted as ties"}
    rows += [(names[name], f"{n:,}") for name, n in c.judge_counts.items() if name in names]
    return rows


def rate_rows(rates: dict[str, WinRate]) -> list[Row]:
    """Return win rates by name."""
    return [(name, _rate(rate)) for name, rate in rates.items()]


def capability_rows(comparison: Comparison) -> list[Row]:
    """Return skills and bits per byte before and after."""
    rows = [(name, _skill(scores)) for name, scores in comparison.skills.items()]
    if (bits := comparison.bits_per_byte) is not None:
        change = bits.change
        rows.append(
            (
                "bits per byte",
                f"{bits.before:.4f} -> {bits.after:.4f}, change {change.value:+.2%} "
                f"({change.low:+.2%} to {change.high:+.2%})",
            )
        )
    return rows


def _rate(rate: WinRate) -> str:
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _length(c: Comparison, index: int) -> str:
    lengths = c.lengths[index]
    return f"{lengths.tokens:.1f} tokens, {lengths.characters:.1f} characters"


def _overlap(c: Comparison) -> str:
    return f"{c.n_overlap:,}, left out" if c.overlap_checked else "not checked (--training-data)"


def _skill(scores: PairedScores) -> str:
    low, high = scores.interval
    return (
        f"{scores.before:.1%} -> {scores.after:.1%}, difference {100 * scores.difference:+.1f} "
        f"points ({100 * low:+.1f} to {100 * high:+.1f}), p = {scores.p_value:.3f}"
        f"{', WORSE' if scores.is_worse else ''}"
    )
