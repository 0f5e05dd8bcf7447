"""Figures are printed with their 95 % interval where they have one."""

from chatwright.cli.figures import figure_lines, figures_in_one_line


def test_an_interval_is_printed_beside_its_figure() -> None:
    figures = {
        "accuracy": 0.5,
        "low": 0.4,
        "high": 0.6,
        "macro_f1": 0.25,
        "macro_f1_low": 0.125,
        "macro_f1_high": 0.375,
        "texts": 8,
        "f1": {"good": 0.5, "bad": 0.0},
        "stopped": {"score": 0.75, "low": 0.5, "high": 1.0, "n": 4},
    }
    assert [" ".join(line.split()) for line in figure_lines(figures)] == [
        "accuracy 0.5000 95 % interval 0.4000 to 0.6000",
        "macro_f1 0.2500 95 % interval 0.1250 to 0.3750",
        "texts 8",
        "f1.good 0.5000",
        "f1.bad 0.0000",
        "stopped.score 0.7500 95 % interval 0.5000 to 1.0000",
        "stopped.n 4",
    ]


def test_a_figure_called_low_without_an_interval_is_printed_as_it_is() -> None:
    assert [line.split() for line in figure_lines({"low": 0.5, "n": 3})] == [
        ["low", "0.5000"],
        ["n", "3"],
    ]


def test_an_evaluation_during_training_shows_the_interval_beside_its_figure() -> None:
    figures = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "macro_f1": 0.5}
    shown = figures_in_one_line(figures)
    assert shown == "accuracy 0.5000 (95 % interval 0.2500 to 0.7500)  macro f1 0.5000"
