"""Figures are shown with their intervals, and other figures are shown unchanged."""

from chatwright.training.figure_text import figure_texts


def test_bounds_are_shown_as_the_interval_of_their_figure() -> None:
    figures = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.96, "validation_loss": 1.5}
    assert figure_texts(figures) == {
        "accuracy": "0.9000 (95 % interval 0.8000 to 0.9600)",
        "validation loss": "1.5000",
    }


def test_figures_of_a_teacher_have_their_own_intervals() -> None:
    figures = {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6}
    teacher = {f"teacher_{name}": value + 0.1 for name, value in figures.items()}
    texts = figure_texts(figures | teacher)
    assert texts["f1"] == "0.5000 (95 % interval 0.4000 to 0.6000)"
    assert texts["teacher f1"] == "0.6000 (95 % interval 0.5000 to 0.7000)"
    assert len(texts) == 2


def test_figure_whose_name_ends_like_a_bound_is_a_figure() -> None:
    assert figure_texts({"price_low": 1.0}) == {"price low": "1.0000"}
    assert figure_texts({"price": 2.0, "price_low": 1.0}).keys() == {"price", "price low"}
