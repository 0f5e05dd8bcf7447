"""Before the Transformer: torch's LSTM against our decoder, at equal parameters and equal time, as the context grows.

    python recipes/compare_rnn.py TEXT OUT [--seconds 60] [--contexts 32 128 512]

Both read characters of TEXT (the last tenth is kept for validation), both in float32 with AdamW at the best of the rates tried, both with about
the same number of parameters and the same tokens a step. OUT/compare-rnn.html and .json hold the loss after the same number of seconds,
the seconds a step takes, and the loss by place in the context: whether what was read long ago still helps. Seconds are the processor's, so that
other work on the machine does not favour one of them.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.data.batches import Windows
from chatwright.data.readers import read_rows
from chatwright.devices import environment, generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.training.html_page import new_figure, page, to_svg

TOKENS_A_STEP = 2048
VALIDATION_TOKENS = 65_536
RATES = (1e-3, 3e-3, 1e-2)
TRIAL_SHARE = 0.15  # of the time, for each rate that is tried first


class LSTM(nn.Module):
    """Embedding, layers of torch's LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of 2000), tied head. (B, T) -> (B, T, V)"""

    def __init__(self, vocab_size: int, width: int, n_layer: int, draws: torch.Generator) -> None:
        super().__init__()
        with torch.device("meta"):  # torch's own initialisation draws from the global generator
            self.embedding, self.layers = (
                nn.Embedding(vocab_size, width),
                nn.LSTM(width, width, n_layer, batch_first=True),
            )
        self.to_empty(device="cpu")
        with torch.no_grad():
            for p in self.layers.parameters():
                p.uniform_(-1, 1, generator=draws).div_(width**0.5)
            self.embedding.weight.normal_(0, 0.02, generator=draws)

    def forward(self, token_ids: Tensor) -> Tensor:
        read, _ = self.layers(self.embedding(token_ids))
        return read @ self.embedding.weight.T


@dataclass(frozen=True)
class Result:
    model: str
    context: int
    parameters: int
    rate: float
    steps: int
    seconds_a_step: float
    loss: float
    by_place: list[float]  # validation loss of the characters at each eighth of the context


def decoder(vocab_size: int, context: int, n_layer: int, width: int, draws: torch.Generator) -> GPT:
    heads = max(1, width // 32)
    made = GPT(
        preset(
            "tiny",
            vocab_size=vocab_size,
            context_length=context,
            n_layer=n_layer,
            d_model=width,
            d_ff=width * 8 // 3,
            n_head=heads,
            n_kv_head=heads,
            head_dim=32,
        )
    )
    init_weights(made, draws)
    return made


def lstm_of(n_parameter: int, vocab_size: int, n_layer: int, draws: torch.Generator) -> LSTM:
    """The one whose number of parameters comes nearest: n_layer x (8 w^2 + 8 w) + V w."""
    a, b = 8 * n_layer, 8 * n_layer + vocab_size
    return LSTM(
        vocab_size, round((-b + math.sqrt(b * b + 4 * a * n_parameter)) / (2 * a)), n_layer, draws
    )


def train(
    model: nn.Module, stream: Tensor, context: int, rate: float, seconds: float
) -> tuple[int, float]:
    """(steps, seconds of training) with a learning rate that falls to zero as the time runs out."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    windows, spent, steps = Windows(stream, context, seed=1), 0.0, 0
    while spent < seconds:
        rows = windows.take(max(1, TOKENS_A_STEP // context))
        began = time.process_time()
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (steps + 1) / 20) * (1 - spent / seconds)
        F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        spent, steps = spent + time.process_time() - began, steps + 1
    return steps, spent


@torch.no_grad()
def losses(model: nn.Module, stream: Tensor, context: int) -> Tensor:
    """By place in the context, over windows that do not overlap. (T,)"""
    n_row = min(VALIDATION_TOKENS, len(stream) - 1) // context
    rows, targets = (
        stream[: n_row * context].view(n_row, context),
        stream[1 : n_row * context + 1].view(n_row, context),
    )
    total = torch.zeros(context)
    for some, wanted in zip(rows.split(32), targets.split(32), strict=True):
        total += (
            F.cross_entropy(model(some).flatten(0, 1), wanted.flatten(), reduction="none")
            .view_as(some)
            .sum(dim=0)
        )
    return total / n_row


def best_of_rates(
    name: str,
    make: Callable[[], nn.Module],
    train_stream: Tensor,
    valid_stream: Tensor,
    context: int,
    seconds: float,
) -> Result:
    """Try every rate for a short time, take the best for the whole time."""

    def after(rate: float, time_left: float) -> Result:
        model = make()
        steps, spent = train(model, train_stream, context, rate, time_left)
        by_place = losses(model, valid_stream, context)
        eighths = [float(part.mean()) for part in by_place.chunk(8)]
        return Result(
            name,
            context,
            count_parameters(model),
            rate,
            steps,
            spent / steps,
            float(by_place.mean()),
            eighths,
        )

    trials = [after(rate, seconds * TRIAL_SHARE) for rate in RATES]
    return after(min(trials, key=lambda trial: trial.loss).rate, seconds)


def compare(
    text: str, contexts: list[int], seconds: float, n_layer: int = 4, width: int = 128
) -> list[Result]:
    tokenizer = CharacterTokenizer.train([text])
    stream = torch.tensor(tokenizer.encode(text))
    cut = len(stream) * 9 // 10
    results = []
    for context in contexts:
        n_parameter = count_parameters(
            decoder(tokenizer.vocab_size, context, n_layer, width, generator(1, "weights"))
        )
        makers = {
            "decoder": lambda context=context: decoder(
                tokenizer.vocab_size, context, n_layer, width, generator(1, "weights")
            ),
            "LSTM": lambda n=n_parameter: lstm_of(
                n, tokenizer.vocab_size, 2, generator(1, "weights")
            ),
        }
        for name, make in makers.items():
            results.append(best_of_rates(name, make, stream[:cut], stream[cut:], context, seconds))
            print(replace(results[-1], by_place=[]), flush=True)
    return results


def write(results: list[Result], seconds: float, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    table = {
        "seconds": seconds,
        "machine": environment(),
        "results": [asdict(result) for result in results],
    }
    (out / "compare-rnn.json").write_text(json.dumps(table, indent=1))
    head = "<tr><th>context</th><th>model</th><th>parameters</th><th>steps</th><th>seconds a step</th><th>loss</th></tr>"
    rows = "".join(
        f"<tr><td class=number>{r.context}</td><td>{r.model}</td><td class=number>{r.parameters:,}</td><td class=number>{r.steps:,}</td>"
        f"<td class=number>{r.seconds_a_step:.3f}</td><td class=number>{r.loss:.4f}</td></tr>"
        for r in results
    )
    path = out / "compare-rnn.html"
    path.write_text(
        page(
            "Before the Transformer: an LSTM and a decoder",
            [
                f"<p>{conclusion(results)}</p>",
                f"<p>Each model had {seconds:.0f} processor seconds of training with {TOKENS_A_STEP:,} characters a step, in float32, with AdamW at the "
                f"best of {', '.join(f'{rate:g}' for rate in RATES)}. An LSTM reads one character after the other, so its steps are as many as the context "
                "is long; what it read stands in one vector, however long ago it was. Attention reads all places at once and looks at any of them in one "
                "step (Vaswani et al. 2017, table 1), at a cost that grows with the square of the context.</p>",
                curves(results),
                f"<table>{head}{rows}</table>",
            ],
        ),
        encoding="utf-8",
    )
    return path


def conclusion(results: list[Result]) -> str:
    """What the figures say, read off them."""
    longest = max(r.context for r in results)
    by_name = {r.model: r for r in results if r.context == longest}
    ours, theirs = by_name["decoder"], by_name["LSTM"]
    better, worse = sorted((ours, theirs), key=lambda r: r.loss)
    gains = {r.model: r.by_place[0] - r.by_place[-1] for r in (ours, theirs)}
    return (
        f"With {longest} characters of context the {better.model} reaches {better.loss:.3f} nats per character, the {worse.model} "
        f"{worse.loss:.3f}. A step takes the decoder {ours.seconds_a_step:.3f} s and the LSTM {theirs.seconds_a_step:.3f} s. From the first "
        f"eighth of the context to the last the decoder's loss falls by {gains['decoder']:.3f}, the LSTM's by {gains['LSTM']:.3f}."
    )


def curves(results: list[Result]) -> str:
    figure = new_figure(10, 3.4)
    by_loss, by_seconds, by_place = figure.subplots(1, 3)
    longest = max(r.context for r in results)
    for name in ("decoder", "LSTM"):
        own = [r for r in results if r.model == name]
        by_loss.plot([r.context for r in own], [r.loss for r in own], marker="o", label=name)
        by_seconds.plot(
            [r.context for r in own], [r.seconds_a_step for r in own], marker="o", label=name
        )
        last = next(r for r in own if r.context == longest)
        by_place.plot(
            [(i + 0.5) * longest / len(last.by_place) for i in range(len(last.by_place))],
            last.by_place,
            marker=".",
            label=name,
        )
    by_loss.set(
        title="Loss after the same time",
        xlabel="context",
        ylabel="nats per character",
        xscale="log",
    )
    by_seconds.set(title="Seconds a step", xlabel="context", xscale="log", ylim=(0, None))
    by_place.set(
        title=f"Loss by place, context {longest}",
        xlabel="place in the context",
        ylabel="nats per character",
    )
    contexts = sorted({r.context for r in results})
    for axes in (by_loss, by_seconds):
        axes.set_xticks(contexts, [str(c) for c in contexts])
        axes.minorticks_off()
    by_loss.legend(frameon=False)
    return to_svg(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32, 128, 512])
    given = parser.parse_args(arguments)
    text = "\n".join(row.text for row in read_rows(given.text))
    print(write(compare(text, given.contexts, given.seconds), given.seconds, given.out))


if __name__ == "__main__":
    main()
