"""report.html: curves, samples, checks, data and settings of a run, on one offline page."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatwright.checkpoint import json_file, run_directory
from chatwright.evaluation import model_card
from chatwright.evaluation.figures import with_interval, without_bounds
from chatwright.training import loss_comparison, metrics
from chatwright.training.figure_curves import figure_curves
from chatwright.training.html_page import label_log_axis, new_figure, page, to_svg
from chatwright.training.run_notes import OUTCOME
from chatwright.training.run_settings import flatten


def write_report(run: Path) -> Path:
    """Write run/report.html and return its path.

    Reads run/metrics.jsonl, run/run.json, run/expected.json if the recipe expects curves and, of a
    finished run, run/model/training.json.
    """
    records = metrics.read(run / "metrics.jsonl")
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))
    notes_file = run / "model" / "training.json"
    notes = json.loads(notes_file.read_text(encoding="utf-8")) if notes_file.exists() else {}
    parts = [
        "<h2>In short</h2>",
        _warning(notes),
        _table(_summary(notes)),
        *_card(run),
        "<h2>Curves</h2>",
        _curves(records),
        figure_curves(run, records),
        _loss_differences(settings),
        "<h2>Samples during training</h2>",
        _samples(records),
        "<h2>Data</h2>",
        _table(dict(flatten(settings.get("data", {})))),
        *_chosen(run),
        "<h2>Checks</h2>",
        _table(_checks(notes)),
        "<h2>Settings</h2>",
        _table(dict(flatten({k: settings[k] for k in ("model", "loop") if k in settings}))),
    ]
    path = run / "report.html"
    path.write_text(page(f"Training report: {run.name}", parts), encoding="utf-8")
    return path


def _summary(notes: Mapping[str, Any]) -> dict[str, str]:
    if not notes:
        return {"state": "not finished; the curves end at the last logged step"}
    shown = {
        "stage": notes["stage"],
        "parameters": f"{notes['parameters']:,}",
        "steps": f"{notes['steps']:,}",
        "trained tokens": f"{notes['trained_tokens']:,}",
        "training time": f"{notes['seconds'] / 60:.1f} minutes, without evaluations",
        "number format": notes["dtype"],
    }
    n_trained = notes.get("trained_parameters", notes["parameters"])
    if n_trained < notes["parameters"]:
        shown["trained parameters"] = f"{n_trained:,} (an adapter; its base is unchanged)"
    if outcome := notes.get(OUTCOME):
        name = outcome["figure"].replace("_", " ")
        shown[f"{name} before training"] = f"{outcome['before']:.4f}"
        shown[f"best {name}"] = f"{outcome['best']:.4f} at step {outcome['best_step']:,}"
    figures = notes["figures"]
    return shown | {
        name.replace("_", " "): with_interval(name, figures) for name in without_bounds(figures)
    }


def _warning(notes: Mapping[str, Any]) -> str:
    """Return why the result may not be what the user wants; "" if nothing is wrong."""
    warning = (notes.get(OUTCOME) or {}).get("warning", "")
    return f"<p><strong>{html.escape(warning)}</strong></p>" if warning else ""


def _checks(notes: Mapping[str, Any]) -> dict[str, str]:
    if not notes:
        return {}
    return {
        "loss before the first step": f"{notes['first_loss']:.4f} (checked when the run began)",
        "relative change of the weights": f"{notes['weight_change']:.4f} (not zero)",
        "supervised tokens": f"{notes['trained_tokens']:,} (not zero)",
    }


def _chosen(run: Path) -> list[str]:
    """Return a section with the settings that were chosen for model and data, if there are any."""
    file = run / run_directory.CHOICES_FILE
    if not file.is_file():
        return []
    return ["<h2>Chosen for this model and data</h2>", _table(json_file.read_object(file))]


def _card(run: Path) -> list[str]:
    """Return the model card beside the weights, if there is one."""
    file = run / run_directory.MODEL / model_card.JSON_FILE
    if not file.is_file():
        return []
    card = model_card.card_from_json(json_file.read_object(file))
    parts = [f"<h2>{html.escape(card.title)}</h2>"]
    parts += [f"<p><strong>{html.escape(warning)}</strong></p>" for warning in card.warnings]
    for table in card.tables:
        parts += [f"<h3>{html.escape(table.title)}</h3>", f"<p>{html.escape(table.note)}</p>"]
        parts.append(_columns(table.columns, table.rows))
    return parts


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = "".join(
        "<tr>" + "".join(f"<td class=number>{html.escape(text)}</td>" for text in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def _loss_differences(settings: Mapping[str, Any]) -> str:
    """Return a list of the reasons why training and validation loss differ; "" without any."""
    items = "".join(f"<li>{html.escape(text)}" for text in loss_comparison.differences(settings))
    if not items:
        return ""
    reason = "The training loss differs from the validation loss for these reasons:"
    return f"<p>{reason}</p><ul>{items}</ul>"


def _table(rows: Mapping[str, Any]) -> str:
    cells = "".join(
        f"<tr><th>{html.escape(name)}</th><td class=number>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{cells}</table>"


def _samples(records: list[dict[str, Any]]) -> str:
    """Return the samples of the first, the last and two evaluations between them."""
    with_samples = [record for record in records if record.get("samples")]
    if not with_samples:
        return "<p>There are no samples.</p>"
    n = len(with_samples)
    chosen = [with_samples[i] for i in sorted({0, n // 3, 2 * n // 3, n - 1})]
    return "".join(f"<h3>step {r['step']:,}</h3>{_sample_texts(r['samples'])}" for r in chosen)


def _sample_texts(samples: list[tuple[str, str]]) -> str:
    return "".join(
        f"<pre><b>{html.escape(prompt)}</b> {html.escape(text)}</pre>" for prompt, text in samples
    )


def _curves(records: list[dict[str, Any]]) -> str:
    """Return loss and gradient norm over the steps as one inline SVG."""
    figure = new_figure(9, 3.4)
    losses, norms = figure.subplots(1, 2)
    if points := _points(records, "loss"):
        losses.plot(*zip(*points, strict=True), label="training", linewidth=1.2)
    if points := _points(records, "validation_loss"):
        style = {"linewidth": 1.2, "marker": "o", "markersize": 3}
        losses.plot(*zip(*points, strict=True), label="validation", **style)
    losses.set(xlabel="step", ylabel="nats per token", title="Loss")
    if losses.lines:
        losses.legend(frameon=False)
    # Sparse gradients have no norm. Where all are sparse, the logged norm is 0, which a logarithmic
    # axis cannot show.
    points = [(step, norm) for step, norm in _points(records, "gradient_norm") if norm > 0]
    if points:
        norms.plot(*zip(*points, strict=True), linewidth=1.0)
    norms.set(xlabel="step", title="Norm of the gradient", yscale="log" if points else "linear")
    if points:
        label_log_axis(norms.yaxis)
    return to_svg(figure)


def _points(records: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    """Return (step, value) of all records that have the figure `name`."""
    return [(record["step"], record[name]) for record in records if name in record]
