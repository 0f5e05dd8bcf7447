"""report.html: what a run did, on one page that opens without a network: curves, samples, checks, data seen, cost."""

import html
import json
from pathlib import Path
from typing import Any

from chatwright.training import metrics
from chatwright.training.html_page import new_figure, page, to_svg


def write_report(run: Path) -> Path:
    """Write run/report.html from run/metrics.jsonl, run/run.json and, when finished, run/model/training.json."""
    records = metrics.read(run / "metrics.jsonl")
    config = json.loads((run / "run.json").read_text(encoding="utf-8"))
    notes_file = run / "model" / "training.json"
    notes = json.loads(notes_file.read_text(encoding="utf-8")) if notes_file.exists() else {}
    parts = [
        "<h2>In short</h2>",
        _table(_summary(notes)),
        "<h2>Curves</h2>",
        _curves(records),
        "<h2>Samples as it learned</h2>",
        _samples(records),
        "<h2>Data seen</h2>",
        _table(_flat(config.get("data", {}))),
        "<h2>Checks</h2>",
        _table(_checks(notes)),
        "<h2>Settings</h2>",
        _table(_flat({k: config[k] for k in ("model", "loop") if k in config})),
    ]
    path = run / "report.html"
    path.write_text(page(f"Training report: {run.name}", parts), encoding="utf-8")
    return path


def _summary(notes: dict[str, Any]) -> dict[str, Any]:
    if not notes:
        return {"state": "not finished; these are the figures so far"}
    shown = {
        "stage": notes["stage"],
        "parameters": f"{notes['parameters']:,}",
        "steps": f"{notes['steps']:,}",
        "trained tokens": f"{notes['trained_tokens']:,}",
        "training time": f"{notes['seconds'] / 60:.1f} minutes (evaluation apart)",
        "computed in": notes["dtype"],
    }
    if notes.get("trained_parameters", notes["parameters"]) < notes["parameters"]:
        shown |= {
            "trained parameters": f"{notes['trained_parameters']:,} (an adapter; the rest is its base, unchanged)"
        }
    return shown | {
        name.replace("_", " "): f"{value:.4f}" for name, value in notes["figures"].items()
    }


def _checks(notes: dict[str, Any]) -> dict[str, Any]:
    if not notes:
        return {}
    return {
        "loss before the first step": f"{notes['first_loss']:.4f} (inside its band, or the run would have failed)",
        "relative change of the weights": f"{notes['weight_change']:.4f} (zero would have failed)",
        "supervised tokens": f"{notes['trained_tokens']:,} (zero would have failed)",
    }


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


def _table(rows: dict[str, Any]) -> str:
    cells = "".join(
        f"<tr><th>{html.escape(str(k))}</th><td class=number>{html.escape(str(v))}</td></tr>"
        for k, v in rows.items()
    )
    return f"<table>{cells}</table>"


def _samples(records: list[dict[str, Any]]) -> str:
    with_samples = [r for r in records if r.get("samples")]
    if not with_samples:
        return "<p>None were taken.</p>"
    # First, middle and last ones tell the story; all of them are in metrics.jsonl.
    chosen = [
        with_samples[i]
        for i in sorted(
            {0, len(with_samples) // 3, 2 * len(with_samples) // 3, len(with_samples) - 1}
        )
    ]
    return "".join(
        f"<h3>step {r['step']:,}</h3>"
        + "".join(f"<pre><b>{html.escape(p)}</b> {html.escape(t)}</pre>" for p, t in r["samples"])
        for r in chosen
    )


def _curves(records: list[dict[str, Any]]) -> str:
    """Loss and gradient norm over steps, as one inline SVG."""
    figure = new_figure(9, 3.4)
    losses, norms = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("validation_loss", "validation")):
        points = [(r["step"], r[key]) for r in records if key in r]
        if points:
            losses.plot(
                *zip(*points, strict=True),
                label=label,
                linewidth=1.2,
                marker="o" if key != "loss" else None,
                markersize=3,
            )
    losses.set(xlabel="step", ylabel="nats per token", title="Loss")
    if losses.lines:
        losses.legend(frameon=False)
    # Of sparse gradients alone there is no norm: it stays 0, which a logarithmic axis cannot show.
    points = [(r["step"], r["gradient_norm"]) for r in records if r.get("gradient_norm", 0.0) > 0]
    if points:
        norms.plot(*zip(*points, strict=True), linewidth=1.0)
    norms.set(xlabel="step", title="Norm of the gradient", yscale="log" if points else "linear")
    return to_svg(figure)
