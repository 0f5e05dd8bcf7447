"""`chatwright eval` prints each figure on one line, with its interval where it has one."""

from chatwright.cli.evaluate import figure_lines


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
