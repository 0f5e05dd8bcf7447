"""The comparison in short: equal parameters, an LSTM like torch's, a page with the figures."""

import json
from pathlib import Path

import compare_rnn
import pytest
import torch
from compare_rnn_page import Settings, conclusion, write

from chatwright.devices import generator
from chatwright.model.model import count_parameters

TEXT = (
    "the cat sat on the mat and the dog sat on the log. "
    "a bird in the hand is worth two in the bush, they say. "
) * 40


@pytest.mark.parametrize(
    ("n_parameter", "vocab_size", "n_layer"), [(100_000, 40, 2), (800_000, 75, 2), (50_000, 500, 1)]
)
def test_the_lstm_has_about_as_many_parameters_as_asked_for(
    n_parameter: int, vocab_size: int, n_layer: int
) -> None:
    model = compare_rnn.lstm_of(n_parameter, vocab_size, n_layer, generator(0, "w"))
    assert count_parameters(model) == pytest.approx(n_parameter, rel=0.02)


def test_the_lstm_equals_torchs_cell_step_by_step_and_is_causal() -> None:
    model = compare_rnn.LSTM(20, 8, 1, generator(0, "w"))
    tokens = torch.arange(12).view(2, 6)
    state = (torch.zeros(2, 8), torch.zeros(2, 8))
    cell = torch.nn.LSTMCell(8, 8, device="meta").to_empty(device="cpu")
    weights = model.layers.state_dict()
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in weights.items()})
    logits = model(tokens)
    for t in range(6):
        state = cell(model.embedding(tokens[:, t]), state)
        expected = state[0] @ model.embedding.weight.T
        torch.testing.assert_close(logits[:, t], expected, atol=1e-5, rtol=1e-5)
    other = tokens.clone()
    other[:, 4] = 19
    assert torch.equal(logits[:, :4], model(other)[:, :4])


def test_the_page_shows_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_rnn, "TOKENS_PER_STEP", 64)
    monkeypatch.setattr(compare_rnn, "RATES", (3e-3, 1e-2))
    results = compare_rnn.compare(TEXT, [8, 32], seconds=0.4, n_layer=1, d_model=32)
    assert [(r.context, r.model) for r in results] == [
        (8, "decoder"),
        (8, "LSTM"),
        (32, "decoder"),
        (32, "LSTM"),
    ]
    for decoder, lstm in zip(results[::2], results[1::2], strict=True):
        # Widths are whole numbers, so the parameters are not exactly equal.
        assert lstm.parameters == pytest.approx(decoder.parameters, rel=0.05)
    # Equal probabilities for the 35 characters would give ln 35 = 3.56.
    assert all(r.steps > 2 and r.loss < 3.6 for r in results)
    path = write(results, Settings(0.4, 64, (3e-3, 1e-2)), tmp_path / "out")
    text = path.read_text(encoding="utf-8")
    assert "<svg" in text
    assert conclusion(results) in text
    table = json.loads((tmp_path / "out" / "compare-rnn.json").read_text(encoding="utf-8"))
    assert len(table["results"]) == 4
