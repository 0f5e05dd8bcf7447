"""The report on feedback as lines of text, for the terminal and for logs."""

from __future__ import annotations

from chatwright.data.checks.show import printable
from chatwright.evaluation.feedback_quality.report import QualityReport, RaterFigures
from chatwright.evaluation.interval import Share

N_RATER_SHOWN = 30


def report_lines(report: QualityReport) -> list[str]:
    """Return the report: notes, figures, one line for each rater, and what is left out."""
    kinds = ", ".join(f"{kind}: {n:,}" for kind, n in report.n_of_kind.items())
    lines = [
        *map(printable, report.notes),
        f"{'feedback':28} {report.n:,} ({kinds})",
        f"{'ties':28} {report.n_tie:,}",
        f"{'all replies bad':28} {report.n_all_bad:,}",
        f"{'raters':28} {len(report.raters):,}",
        f"{'two raters agree':28} {_shown(report.two_raters)}",
        f"{'a rater repeats the answer':28} {_shown(report.one_rater)}",
        f"{'Krippendorff alpha':28} {_number(report.alpha)}",
        f"{'noise ceiling at most':28} {_number(report.ceiling)}",
        f"{'pairs with opposite answers':28} {report.n_disputed:,}",
        "",
        f"{'rater':24} {'feedback':>8} {'kept':>8}  gold questions; agrees with the others",
    ]
    lines += [_rater_line(figures) for figures in report.raters[:N_RATER_SHOWN]]
    if len(report.raters) > N_RATER_SHOWN:
        lines.append(f"and {len(report.raters) - N_RATER_SHOWN} more raters")
    lines += ["", f"{'to train on':28} {report.n_kept:,}"]
    lines += [f"left out: {reason:38} {n:,}" for reason, n in sorted(report.n_left_out().items())]
    return lines


def _rater_line(figures: RaterFigures) -> str:
    name = printable(figures.rater) + (" (SIMULATED)" if figures.is_simulated else "")
    shares = f"{_shown(figures.gold)}; {_shown(figures.others)}"
    return f"{name:24} {figures.n:8,} {figures.n_kept:8,}  {shares}"


def _shown(share: Share) -> str:
    return str(share) if share.n else "not measured"


def _number(value: float) -> str:
    return "not measured" if value != value else f"{value:.3f}"
