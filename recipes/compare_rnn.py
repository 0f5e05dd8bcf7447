"""Compare torch's LSTM with a decoder at equal parameters and equal time, by context length.

    python recipes/compare_rnn.py TEXT OUT [--seconds 60] [--contexts 32 128 512]

Both models read the characters of TEXT, with the last tenth kept for validation. Both train in
float32 with AdamW at the best of several learning rates, with about the same number of parameters
and the same tokens per step. OUT/compare-rnn.html and .json hold the loss after the same number of
seconds, the seconds per step, and the loss by position in the context, which shows whether earlier
text still helps. Seconds are processor time, so other programs on the machine favor neither model.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from compare_rnn_page import Result, Settings, write
from torch import Tensor, nn

from chatwright.data.batches import Windows
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import TextRow
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENS_PER_STEP = 2048
VALIDATION_TOKENS = 65_536
RATES = (1e-3, 3e-3, 1e-2)
TRIAL_SHARE = 0.15
"""Share of the time that each learning rate is tried for first."""
N_PART = 8
"""The loss is reported for each eighth of the context."""


class LSTM(nn.Module):
    """An embedding, layers of torch's LSTM and a tied head: (B, T) ids to (B, T, V) logits.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    def __init__(self, vocab_size: int, width: int, n_layer: int, draws: torch.Generator) -> None:
        """Draw the weights from `draws`."""
        super().__init__()
        with torch.device("meta"):  # torch's own initialization draws from the global generator
            self.embedding = nn.Embedding(vocab_size, width)
            self.layers = nn.LSTM(width, width, n_layer, batch_first=True)
        self.to_empty(device="cpu")
        with torch.no_grad():
            for p in self.layers.parameters():
                p.uniform_(-1, 1, generator=draws).div_(width**0.5)
            self.embedding.weight.normal_(0, 0.02, generator=draws)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the logits of the next character at each position."""
        states, _ = self.layers(self.embedding(token_ids))
        return states @ self.embedding.weight.T


def decoder(
    vocab_size: int, context: int, n_layer: int, d_model: int, draws: torch.Generator
) -> GPT:
    """Build a decoder with random weights."""
    n_head = max(1, d_model // 32)
    config = preset(
        "tiny",
        vocab_size=vocab_size,
        context_length=context,
        n_layer=n_layer,
        d_model=d_model,
        d_ff=d_model * 8 // 3,
        n_head=n_head,
        n_kv_head=n_head,
        head_dim=32,
    )
    model = GPT(config)
    init_weights(model, draws)
    return model


def lstm_of(n_parameter: int, vocab_size: int, n_layer: int, draws: torch.Generator) -> LSTM:
    """Build the LSTM whose number of parameters, n_layer (8 w^2 + 8 w) + V w, is nearest."""
    a = 8 * n_layer
    b = 8 * n_layer + vocab_size
    width = (-b + math.sqrt(b * b + 4 * a * n_parameter)) / (2 * a)
    return LSTM(vocab_size, round(width), n_layer, draws)


def train(
    model: nn.Module, stream: Tensor, context: int, rate: float, seconds: float
) -> tuple[int, float]:
    """Train for `seconds` with a rate that falls to zero; return (steps, seconds)."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    windows = Windows(stream, context, seed=1)
    spent = 0.0
    steps = 0
    while spent < seconds:
        rows = windows.take(max(1, TOKENS_PER_STEP // context))
        began = time.process_time()
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (steps + 1) / 20) * (1 - spent / seconds)
        F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        spent += time.process_time() - began
        steps += 1
    return steps, spent


@torch.no_grad()
def losses(model: nn.Module, stream: Tensor, context: int) -> Tensor:
    """Return the mean loss by position in the context, (T,), over disjoint windows."""
    n_row = min(VALIDATION_TOKENS, len(stream) - 1) // context
    inputs = stream[: n_row * context].view(n_row, context)
    targets = stream[1 : n_row * context + 1].view(n_row, context)
    total = torch.zeros(context)
    for part, part_targets in zip(inputs.split(32), targets.split(32), strict=True):
        logits = model(part).flatten(0, 1)
        nats = F.cross_entropy(logits, part_targets.flatten(), reduction="none")
        total += nats.view_as(part).sum(dim=0)
    return total / n_row


@dataclass(frozen=True)
class Streams:
    """The characters for training and validation, as token ids."""

    train: Tensor
    validation: Tensor


def measure(
    name: str,
    make: Callable[[], nn.Module],
    streams: Streams,
    context: int,
    rate: float,
    seconds: float,
) -> Result:
    """Train a new model for `seconds` and return what it reached."""
    model = make()
    steps, spent = train(model, streams.train, context, rate, seconds)
    by_position = losses(model, streams.validation, context)
    return Result(
        model=name,
        context=context,
        parameters=count_parameters(model),
        rate=rate,
        steps=steps,
        seconds_per_step=spent / steps,
        loss=float(by_position.mean()),
        loss_by_position=[float(part.mean()) for part in by_position.chunk(N_PART)],
    )


def best_of_rates(
    name: str, make: Callable[[], nn.Module], streams: Streams, context: int, seconds: float
) -> Result:
    """Try every learning rate for a short time, then train with the best for the whole time."""
    measured = partial(measure, name, make, streams, context)
    trials = [measured(rate, seconds * TRIAL_SHARE) for rate in RATES]
    return measured(min(trials, key=lambda trial: trial.loss).rate, seconds)


def compare(
    text: str, contexts: Sequence[int], seconds: float, n_layer: int = 4, d_model: int = 128
) -> list[Result]:
    """Measure both models with each context length."""
    tokenizer = CharacterTokenizer.train([text])
    stream = torch.tensor(tokenizer.encode(text))
    n_train = len(stream) * 9 // 10
    streams = Streams(stream[:n_train], stream[n_train:])
    results = []
    for context in contexts:
        make_decoder = partial(_make_decoder, tokenizer.vocab_size, context, n_layer, d_model)
        n_parameter = count_parameters(make_decoder())
        make_lstm = partial(_make_lstm, n_parameter, tokenizer.vocab_size)
        for name, make in (("decoder", make_decoder), ("LSTM", make_lstm)):
            results.append(best_of_rates(name, make, streams, context, seconds))
            print(replace(results[-1], loss_by_position=[]), flush=True)
    return results


def _make_decoder(vocab_size: int, context: int, n_layer: int, d_model: int) -> GPT:
    return decoder(vocab_size, context, n_layer, d_model, generator(1, "weights"))


def _make_lstm(n_parameter: int, vocab_size: int) -> LSTM:
    return lstm_of(n_parameter, vocab_size, 2, generator(1, "weights"))


def main(arguments: list[str] | None = None) -> None:
    """Compare the models on the text that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32, 128, 512])
    options = parser.parse_args(arguments)
    text = "\n".join(row.text for row in read_rows(options.text) if isinstance(row, TextRow))
    results = compare(text, options.contexts, options.seconds)
    settings = Settings(options.seconds, TOKENS_PER_STEP, RATES)
    print(write(results, settings, options.out))


if __name__ == "__main__":
    main()
