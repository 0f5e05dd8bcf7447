"""The report shows what a run did, and opens without a network."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_encoder
from small_run import LOOP, pretrain_stage, run

from chatwright.training.report import write_report


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "run <1>"
    stage = pretrain_stage()
    stage.sampler = lambda _: [("<the>", "cat & dog")]
    run(out, replace(LOOP, steps=6), stage)
    return out


def test_report_needs_no_other_file_and_no_network(finished_run: Path) -> None:
    text = write_report(finished_run).read_text(encoding="utf-8")
    assert "<svg" in text
    for reference in ("<script", "src=", "<link", "url(http", "@import"):
        assert reference not in text


def test_report_escapes_names_and_samples(finished_run: Path) -> None:
    text = write_report(finished_run).read_text(encoding="utf-8")
    assert "run &lt;1&gt;" in text
    assert "<b>&lt;the&gt;</b> cat &amp; dog" in text


def test_report_shows_the_figures_of_the_finished_model(finished_run: Path) -> None:
    notes = json.loads((finished_run / "model" / "training.json").read_text())
    text = write_report(finished_run).read_text(encoding="utf-8")
    assert f"{notes['figures']['validation_loss']:.4f}" in text
    assert f"{notes['trained_tokens']:,}" in text
    assert f"{notes['first_loss']:.4f}" in text


def test_report_of_an_unfinished_run_has_curves_and_no_checks(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (tmp_path / "run.json").write_text("{}")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<svg" in text
    assert "weights" not in text


def labels(report: Path) -> set[str]:
    """Return the texts of the plots, which matplotlib keeps as comments beside the outlines."""
    return set(re.findall(r"<!-- (.*?) -->", report.read_text(encoding="utf-8")))


def test_report_plots_the_replies_figures_beside_the_expected_curve(tmp_path: Path) -> None:
    records = [{"step": step, "validation_reward": 0.1 * step} for step in (0, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (tmp_path / "run.json").write_text("{}")
    alone = labels(write_report(tmp_path))
    assert {"reward", "measured"} <= alone
    assert "expected" not in alone
    curve = [[0, -0.1, 0.0, 0.1], [20, 1.8, 2.0, 2.2]]
    (tmp_path / "expected.json").write_text(json.dumps({"validation_reward": {"curve": curve}}))
    assert {"measured", "expected", "expected band"} <= labels(write_report(tmp_path))


def test_samples_are_from_the_first_the_last_and_two_evaluations_between_them(
    tmp_path: Path,
) -> None:
    records: list[dict[str, Any]] = [
        {"step": step, "samples": [["prompt", f"sample {step}."]]} for step in range(9)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (tmp_path / "run.json").write_text("{}")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    shown = [step for step in range(9) if f"sample {step}." in text]
    assert shown == [0, 3, 6, 8]


def test_bounds_of_accuracy_and_macro_f1_are_shown_as_intervals(tmp_path: Path) -> None:
    """Fault: the report had the rows "accuracy low" and "accuracy high"."""
    small_encoder.run(
        tmp_path / "run", small_encoder.label_stage(), small_encoder.small_classifier(), steps=3
    )
    text = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "accuracy low" not in text
    assert text.count("95 % interval") == 2, "of accuracy and macro-F1"
