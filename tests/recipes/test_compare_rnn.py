"""The comparison in short: equal parameters, a causal LSTM that is torch's, a page whose words are its figures."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from chatwright.devices import generator
from chatwright.model.model import count_parameters

TEXT = (
    "the cat sat on the mat and the dog sat on the log. a bird in the hand is worth two in the bush, they say. "
    * 40
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "recipes" / "compare_rnn.py"
    spec = importlib.util.spec_from_file_location("compare_rnn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_rnn"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("n_parameter", "vocab_size", "n_layer"), [(100_000, 40, 2), (800_000, 75, 2), (50_000, 500, 1)]
)
def test_the_lstm_has_as_many_parameters(
    script: ModuleType, n_parameter: int, vocab_size: int, n_layer: int
) -> None:
    assert count_parameters(
        script.lstm_of(n_parameter, vocab_size, n_layer, generator(0, "w"))
    ) == pytest.approx(n_parameter, rel=0.02)


def test_the_lstm_is_torchs_step_by_step_and_sees_no_future(script: ModuleType) -> None:
    model = script.LSTM(20, 8, 1, generator(0, "w"))
    tokens = torch.arange(12).view(2, 6)
    h = c = torch.zeros(2, 8)
    cell = torch.nn.LSTMCell(8, 8, device="meta").to_empty(device="cpu")
    cell.load_state_dict(
        {name.removesuffix("_l0"): p for name, p in model.layers.state_dict().items()}
    )
    for t in range(6):
        h, c = cell(model.embedding(tokens[:, t]), (h, c))
        torch.testing.assert_close(
            model(tokens)[:, t], h @ model.embedding.weight.T, atol=1e-5, rtol=1e-5
        )
    other = tokens.clone()
    other[:, 4] = 19
    assert torch.equal(model(tokens)[:, :4], model(other)[:, :4])


def test_the_page_says_what_was_measured(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "TOKENS_A_STEP", 64)
    monkeypatch.setattr(script, "RATES", (3e-3, 1e-2))
    results = script.compare(TEXT, [8, 32], seconds=0.4, n_layer=1, d_model=32)
    assert [(r.context, r.model) for r in results] == [
        (8, "decoder"),
        (8, "LSTM"),
        (32, "decoder"),
        (32, "LSTM"),
    ]
    for ours, theirs in zip(results[::2], results[1::2], strict=True):
        assert theirs.parameters == pytest.approx(
            ours.parameters, rel=0.05
        )  # widths are whole numbers
    assert all(r.steps > 2 and r.loss < 3.6 for r in results)  # an even guess is ln 35 = 3.56
    text = script.write(results, 0.4, tmp_path / "out").read_text()
    assert "<svg" in text
    assert script.conclusion(results) in text
    assert len(json.loads((tmp_path / "out" / "compare-rnn.json").read_text())["results"]) == 4
