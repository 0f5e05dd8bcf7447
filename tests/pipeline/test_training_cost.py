"""The measured cost of a row: bytes grow with the rows, and the model is unchanged."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import preset
from chatwright.pipeline.training_cost import RowCost, RunPlan, estimate, measure_row
from chatwright.training.stage import MicroBatch

LENGTH = 48


def small_model(dropout: float = 0.1) -> GPT:
    model = GPT(preset("nano", vocab_size=300, context_length=64, dropout=dropout))
    init_weights(model, generator(1, "weights"))
    return model


def rows(n: int, length: int = LENGTH) -> MicroBatch:
    ids = torch.randint(300, (n, length + 1), generator=generator(2, "ids"))
    documents = torch.zeros(n, length, dtype=torch.long)
    positions = torch.arange(length).expand(n, -1)
    return MicroBatch(ids[:, :-1], ids[:, 1:], documents, positions)


def adapted(model: GPT) -> GPT:
    lora.attach(model, LoRAConfig(rank=4, dropout=0.1), generator(1, "lora"))
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_adapter", [True, False])
def test_each_further_row_needs_as_many_bytes(dtype: torch.dtype, is_adapter: bool) -> None:
    """The first row also pays for tables of positions, so it is an upper bound."""
    model = adapted(small_model()) if is_adapter else small_model()
    one, four, seven = (measure_row(model, rows(n), dtype, seed=1) for n in (1, 4, 7))
    more = four.n_byte - one.n_byte
    assert seven.n_byte - four.n_byte == pytest.approx(more, rel=0.1)
    assert more / 3 <= one.n_byte < 1.5 * more / 3
    assert seven.n_fixed_byte == pytest.approx(one.n_fixed_byte, rel=0.05)
    assert one.seconds > 0


def test_bytes_are_at_least_those_of_the_residual_stream() -> None:
    """Each block keeps its input for the backward pass, one number for each position and width."""
    model = small_model()
    config = model.config
    cost = measure_row(model, rows(1), torch.float32, seed=1)
    assert cost.n_byte > config.n_layer * LENGTH * config.d_model * 4


def test_measuring_changes_neither_weights_nor_gradients() -> None:
    model = adapted(small_model())
    before = {name: p.clone() for name, p in model.named_parameters()}
    measure_row(model, rows(1), torch.float32, seed=1)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_an_adapter_needs_less_memory_than_all_weights() -> None:
    plan = RunPlan(
        steps=10, rows=4, rows_at_once=2, validation_rows=3, evaluations=5, sampled_tokens=16
    )
    row = RowCost(seconds=2.0, n_byte=1_000_000, n_fixed_byte=0)
    whole = estimate(small_model(), row, plan)
    part = estimate(adapted(small_model()), row, plan)
    assert part.n_byte < whole.n_byte
    assert whole.training_seconds == 80.0
    assert whole.evaluation_seconds > 5 * 3 * 2.0 * 0.3
    n_parameter = sum(p.numel() for p in small_model().parameters())
    trained_copies = whole.n_byte - (2 * 4 * n_parameter + 2 * 1_000_000 + 500e6)
    assert trained_copies == pytest.approx(5 * 4 * n_parameter)
