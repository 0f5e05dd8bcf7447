"""A trace equals a decoder in numpy float64 that reads the files and shares no code with ours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.forward import Forward
from chatwright.errors import InputError
from chatwright.inspection.decoder_trace import DecoderTrace, trace_decoder
from chatwright.model import attention
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.head_name import Head
from tests.inspection import numpy_decoder
from tests.server.small_model import TOKENIZER

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def model_of(n_kv_head: int, qk_norm: bool) -> GPT:
    config = GPTConfig(
        vocab_size=TOKENIZER.vocab_size,
        context_length=32,
        n_layer=3,
        n_head=4,
        n_kv_head=n_kv_head,
        head_dim=8,
        d_model=24,
        d_ff=40,
        qk_norm=qk_norm,
    )
    model = GPT(config)
    init_weights(model, generator(3, "init"))
    for parameter in model.parameters():  # projections into the residual stream begin at 0
        # The seed needs no meaning; the number of values gives layers of other shapes another one.
        parameter.data.normal_(0.0, 0.4, generator=generator(parameter.numel(), "weights"))
    return model.eval()


@pytest.fixture(params=[(4, True), (2, False), (1, True)])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model_directory.save(tmp_path / "model", model_of(*request.param), TOKENIZER)
    return tmp_path / "model"


def compare(trace: DecoderTrace, directory: Path, off: tuple[Head, ...] = ()) -> float:
    """Return the largest difference to the decoder in numpy.

    Logits: relative to the number. The residual stream: relative to its vector's largest number,
    because a component near 0 may be the difference of large ones.
    """
    logits, attention, hidden = numpy_decoder.run(directory, IDS, off)
    found = [np.abs(trace.attention(layer) - attention[layer]) for layer in range(trace.n_layer)]
    for position, expected in enumerate(logits):
        scale = np.maximum(1, np.abs(expected))
        found.append(np.abs(trace.logits(position) - expected) / scale)
    for layer, expected in enumerate(hidden):
        scale = np.maximum(1, np.abs(expected).max(axis=-1, keepdims=True))
        found.append(np.abs(trace.hidden(layer) - expected) / scale)
    return max(float(difference.max()) for difference in found)


def test_every_number_equals_the_decoder_in_numpy(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    assert compare(trace_decoder(model, IDS), directory) < 1e-5
    off = (Head(0, 1), Head(2, 3))
    assert compare(trace_decoder(model, IDS, off), directory, off) < 1e-5
    # The positive control: another head switched off is another result.
    assert compare(trace_decoder(model, IDS, (Head(0, 2), Head(2, 3))), directory, off) > 1e-3


def test_a_model_that_is_served_gives_the_same_numbers(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    with Forward(model, keeps_weights=False):
        trace = trace_decoder(model, IDS)
        assert compare(trace, directory) < 1e-5


def test_swapped_heads_are_noticed(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    query = model.blocks[0].attention.query.weight.data
    query[:16] = query[:16].reshape(2, 8, -1).flip(0).reshape(16, -1).clone()
    assert compare(trace_decoder(model, IDS), directory) > 1e-3


def test_a_head_switched_off_changes_nothing_before_its_layer(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    plain, without = trace_decoder(model, IDS), trace_decoder(model, IDS, [Head(1, 0)])
    for layer in (0, 1):
        np.testing.assert_array_equal(plain.attention(layer), without.attention(layer))
        np.testing.assert_array_equal(plain.hidden(layer), without.hidden(layer))
    assert np.abs(plain.hidden(2) - without.hidden(2)).max() > 1e-4
    np.testing.assert_array_equal(plain.hidden(2), trace_decoder(model, IDS).hidden(2))


def test_parts_of_attention_equal_the_whole_and_the_observed_one(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    trace = trace_decoder(model, IDS)
    observed: list[Tensor] = []
    stops = [block.attention.observe(observed.append) for block in model.blocks]
    trace_decoder(model, IDS)
    for stop in stops:
        stop()
    rows = list(trace.attention_from(7))
    for layer, expected in enumerate(observed):
        whole = trace.attention(layer)
        np.testing.assert_allclose(whole, expected[0], atol=1e-6)
        np.testing.assert_allclose(rows[layer], whole[:, 7], atol=1e-6)
        for head in range(4):
            part = trace.head_attention(layer, head, 5, 3)
            np.testing.assert_allclose(part, whole[head, 5:8], atol=1e-6)
    assert trace.head_attention(0, 0, 10, 99).shape == (2, 12)
    assert trace.head_attention(0, 0, 99, 1).shape == (0, 12)


def test_nothing_is_computed_that_is_not_asked_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = model_directory.load(directory)
    shapes: list[tuple[int, ...]] = []
    whole = attention.attention_weights

    def recorded(*given: Any) -> Tensor:
        weights = whole(*given)
        shapes.append(tuple(weights.shape))
        return weights

    monkeypatch.setattr(attention, "attention_weights", recorded)
    trace = trace_decoder(model, IDS)
    list(trace.attention_from(7))
    assert shapes == [(1, 4, 1, 12)] * 3
    trace.head_attention(1, 2, 4, 5)
    assert shapes[3:] == [(1, 1, 5, 12)]
    n_row = 0

    def counted(_head: object, given: tuple[Tensor]) -> None:
        nonlocal n_row
        n_row += len(given[0])

    assert model.head is not None
    model.head.register_forward_pre_hook(counted)
    scores = trace.token_scores(8)
    np.testing.assert_array_equal(scores.log_probs, trace.token_log_probs()[7:])
    assert len(scores.ranks) == 4
    assert n_row == 4 + 1 + 11 + 1  # a batch of the head has at least two rows


def test_a_window_hides_the_same_tokens_in_a_part() -> None:
    config = replace(model_of(2, False).config, window=4)
    model = GPT(config)
    init_weights(model, generator(3, "init"))
    trace = trace_decoder(model.eval(), IDS)
    assert trace.attention(0)[0, 9, 5] == 0
    for layer, rows in enumerate(trace.attention_from(9)):
        np.testing.assert_allclose(rows, trace.attention(layer)[:, 9], atol=1e-6)


def test_probabilities_and_the_lens_follow_from_the_logits(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    trace = trace_decoder(model, IDS)
    logits, _, hidden = numpy_decoder.run(directory, IDS)
    log_probs = np.log(numpy_decoder.softmax(logits))
    taken = [log_probs[position, token] for position, token in enumerate(IDS[1:])]
    np.testing.assert_allclose(trace.token_log_probs(), taken, atol=1e-5)
    order = np.argsort(-logits[5])[:4]
    best = trace.next_tokens(5, 4)
    assert [token.token_id for token in best] == order.tolist()
    np.testing.assert_allclose(
        [t.probability for t in best], np.exp(log_probs[5, order]), atol=1e-5
    )
    lens = trace.logit_lens(5, 4)
    assert len(lens) == trace.n_layer
    assert lens[-1] == best
    weights = numpy_decoder.read_safetensors(directory / "model.safetensors")
    state = numpy_decoder.rms_norm(hidden[1][5], weights["model.norm.weight"], 1e-6)
    first = np.argsort(-(state @ weights["model.embed_tokens.weight"].T))[:4]
    assert [token.token_id for token in lens[0]] == first.tolist()


def test_wrong_input_is_refused(directory: Path) -> None:
    model, _ = model_directory.load(directory)
    for ids, off, field in (
        ([], (), "token_ids"),
        ([0] * 33, (), "token_ids"),
        ([TOKENIZER.vocab_size], (), "token_ids"),
        (IDS, [Head(3, 0)], "heads_off"),
    ):
        with pytest.raises(InputError) as caught:
            trace_decoder(model, ids, off)
        assert caught.value.field == field
    with pytest.raises(InputError):
        trace_decoder(model, IDS).attention(3)
