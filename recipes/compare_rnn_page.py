"""The page of recipes/compare_rnn.py: a table, curves and a conclusion."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from chatwright.devices import environment
from chatwright.training.html_page import new_figure, page, to_svg


@dataclass(frozen=True)
class Result:
    """What one model reached with one context length."""

    model: str
    context: int
    parameters: int
    rate: float
    """The learning rate."""
    steps: int
    seconds_per_step: float
    loss: float
    """Validation loss in nats per character."""
    loss_by_position: list[float]
    """Validation loss of the characters in each eighth of the context."""


@dataclass(frozen=True)
class Settings:
    """How both models were trained."""

    seconds: float
    """Processor seconds of training."""
    characters_per_step: int
    rates: tuple[float, ...]
    """The learning rates that were tried."""


def write(results: list[Result], settings: Settings, out: Path) -> Path:
    """Write the results as JSON and as a page; return the path of the page."""
    out.mkdir(parents=True, exist_ok=True)
    table = {
        "seconds": settings.seconds,
        "machine": environment(),
        "results": [asdict(result) for result in results],
    }
    (out / "compare-rnn.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    rates = ", ".join(f"{rate:g}" for rate in settings.rates)
    explanation = (
        f"Each model trained for {settings.seconds:.0f} processor seconds with "
        f"{settings.characters_per_step:,} characters per step, in float32, with AdamW at the best "
        f"of {rates}. An LSTM reads one character after the other, and one vector holds everything "
        "it has read. Attention reads all positions at once and looks at any of them in one step "
        "(Vaswani et al. 2017, table 1), at a cost that grows with the square of the context."
    )
    parts = [
        f"<p>{conclusion(results)}</p>",
        f"<p>{explanation}</p>",
        curves(results),
        _html_table(results),
    ]
    path = out / "compare-rnn.html"
    path.write_text(page("An LSTM and a decoder compared", parts), encoding="utf-8")
    return path


def _html_table(results: list[Result]) -> str:
    names = ("context", "model", "parameters", "steps", "seconds per step", "loss")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td class=number>{r.context}</td><td>{r.model}</td>"
        f"<td class=number>{r.parameters:,}</td><td class=number>{r.steps:,}</td>"
        f"<td class=number>{r.seconds_per_step:.3f}</td><td class=number>{r.loss:.4f}</td></tr>"
        for r in results
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def conclusion(results: list[Result]) -> str:
    """Return what the figures say, in words."""
    longest = max(r.context for r in results)
    by_name = {r.model: r for r in results if r.context == longest}
    decoder_result = by_name["decoder"]
    lstm_result = by_name["LSTM"]
    better, worse = sorted(by_name.values(), key=lambda r: r.loss)
    gain = {name: r.loss_by_position[0] - r.loss_by_position[-1] for name, r in by_name.items()}
    return (
        f"With {longest} characters of context the {better.model} reaches {better.loss:.3f} nats "
        f"per character, the {worse.model} {worse.loss:.3f}. A step takes the decoder "
        f"{decoder_result.seconds_per_step:.3f} s and the LSTM {lstm_result.seconds_per_step:.3f} "
        f"s. From the first eighth of the context to the last, the decoder's loss falls by "
        f"{gain['decoder']:.3f}, the LSTM's by {gain['LSTM']:.3f}."
    )


def curves(results: list[Result]) -> str:
    """Draw loss and seconds per step over the context, and loss over the position, as SVG."""
    figure = new_figure(10, 3.4)
    loss_axes, seconds_axes, position_axes = figure.subplots(1, 3)
    longest = max(r.context for r in results)
    for name in ("decoder", "LSTM"):
        own = [r for r in results if r.model == name]
        contexts = [r.context for r in own]
        loss_axes.plot(contexts, [r.loss for r in own], marker="o", label=name)
        seconds_axes.plot(contexts, [r.seconds_per_step for r in own], marker="o", label=name)
        losses_of_longest = next(r for r in own if r.context == longest).loss_by_position
        n_part = len(losses_of_longest)
        positions = [(i + 0.5) * longest / n_part for i in range(n_part)]
        position_axes.plot(positions, losses_of_longest, marker=".", label=name)
    nats = "nats per character"
    loss_axes.set(title="Loss after the same time", xlabel="context", ylabel=nats, xscale="log")
    seconds_axes.set(title="Seconds per step", xlabel="context", xscale="log", ylim=(0, None))
    position_axes.set(
        title=f"Loss by position, context {longest}", xlabel="position in the context", ylabel=nats
    )
    ticks = sorted({r.context for r in results})
    for axes in (loss_axes, seconds_axes):
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    loss_axes.legend(frameon=False)
    return to_svg(figure)
