"""Self-contained HTML pages with SVG plots: the format of reports."""

import html
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing matplotlib takes a second, and most commands draw nothing
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}
h1{font-size:1.5rem}
h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}
td,th{text-align:left;padding:.25rem .9rem .25rem 0;vertical-align:top;
border-bottom:1px solid #ddd}
td.number{font-variant-numeric:tabular-nums}
pre{white-space:pre-wrap;background:#f5f5f3;padding:.6rem .8rem;border-radius:6px}
svg{max-width:100%;height:auto}
"""


def page(title: str, parts: list[str]) -> str:
    """Join pieces of HTML to a page that needs no other file and no network."""
    title = html.escape(title)
    head = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    return "\n".join([f"{head}<h1>{title}</h1>", *parts])


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty matplotlib figure; width and height are in inches."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    # Fixed margins: a layout engine measures every label, which doubles the time of a plot.
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.2 / width,
        bottom=0.55 / height,
        top=1 - 0.35 / height,
        wspace=0.3,
        hspace=0.45,
    )
    return figure


def label_log_axis(axis: "Axis") -> None:
    """Label a logarithmic axis with plain numbers; powers of ten take three times as long."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))


def to_svg(figure: "Figure") -> str:
    """Return a figure as an inline SVG element, without a date, so that equal runs are equal."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
