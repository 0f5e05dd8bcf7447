"""Products with 8- and 4-bit weights equal slow ones, and a row does not depend on other rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.engine.batch_invariance import find_difference
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.formats import (
    BASE,
    FORMATS,
    LARGEST,
    Int4Weight,
    Int8Weight,
    SplitInt8Weight,
    weight_format,
)
from chatwright.engine.forward import Forward
from chatwright.engine.invariance_cache import describe_proof
from chatwright.engine.messages import Request, RequestId, SamplingConfig, TokenSampled
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.linear import Joining, Linear
from chatwright.model.packed_weight import FusedActivation, PackedWeight, activate
from chatwright.model.quantized_weight import BLOCKS, QuantizedWeight
from tests.quantize_blocks import quantize

MakeModel = Callable[..., GPT]

SHAPES = [(96, 64), (77, 96), (192, 576), (65, 288)]  # (out, in)
SMALL = ["int8", "int4"]
GROUPS_OF_32 = [name for name, (n_weight, _) in BLOCKS.items() if n_weight == 32]


def quantized(weight: Tensor, number_type: str) -> QuantizedWeight:
    return QuantizedWeight(number_type, torch.from_numpy(quantize(weight.numpy(), number_type)))


def pack(name: str, weight: Tensor) -> PackedWeight:
    """Pack a weight in a format, or in gguf as a number type of a GGUF file."""
    if name in BLOCKS:
        return FORMATS["gguf"].pack_quantized(quantized(weight, name))
    return FORMATS[name].pack(weight)


def keep_quantized(model: GPT, number_type: str) -> GPT:
    """Quantize the layers of the blocks, as if the model came from a GGUF file."""
    for name, module in model.named_modules():
        if isinstance(module, Linear) and name.startswith("blocks."):
            module.keep_quantized(quantized(module.weight.detach(), number_type))
    return model


@pytest.fixture(autouse=True)
def _has_kernels() -> None:
    if any(one.obstacle() for one in FORMATS.values()):
        pytest.skip("this machine has no kernels for 4- and 8-bit weights")


def draw(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(0, name))


@pytest.mark.parametrize(("n_out", "n_in"), [*SHAPES, (33, 83)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_int8_equals_integer_arithmetic(n_out: int, n_in: int, has_bias: bool) -> None:
    weight, x = draw(n_out, n_in, name="w"), draw(9, n_in)
    bias = draw(n_out, name="bias") if has_bias else None
    weight[3] = 0.0
    x[2] = 0.0
    x[3] *= 1e-20
    x[4, 0] = 1e4  # an outlier makes the steps of its own row larger, and of no other
    w_scales = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-30) / 127
    x_scales = x.abs().amax(dim=1, keepdim=True).clamp(min=1e-30) / LARGEST
    w_integers, x_integers = (weight / w_scales).round().long(), (x / x_scales).round().long()
    assert x_integers.abs().max() <= LARGEST
    exact = (x_integers @ w_integers.T).double() * w_scales.T.double() * x_scales.double()
    expected = exact if bias is None else exact + bias.double()
    packed = Int8Weight(weight)
    assert packed.nbytes < weight.nbytes / 3 or n_in < 100
    actual = packed.matmul(x, bias, "none")
    scale = expected.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(
        actual.double() / scale, expected / scale, atol=1e-6, rtol=1e-6, msg="float32 rounding only"
    )


def test_the_largest_int8_inputs_do_not_overflow() -> None:
    """Without VNNI, pairs of products are added in 16 bits; 8-bit inputs would overflow there."""
    weight, x = torch.ones(32, 256), torch.ones(2, 256)
    weight[1] = -1.0
    x[1] = 1 / LARGEST * (BASE - 1)  # the low digit has its largest value
    out = Int8Weight(weight).matmul(x, None, "none")
    torch.testing.assert_close(out[0, :2], torch.tensor([256.0, -256.0]), rtol=1e-6, atol=0)
    torch.testing.assert_close(out[1], weight.sum(1) * x[1, 0], rtol=1e-5, atol=0)


@pytest.mark.parametrize(("n_out", "n_in"), SHAPES)
def test_int4_equals_the_dequantized_weight(n_out: int, n_in: int) -> None:
    weight, x = draw(n_out, n_in, name="w"), draw(9, n_in)
    low, high = (f(weight.view(n_out, -1, 32), -1) for f in (torch.amin, torch.amax))
    packed = Int4Weight.rounded(weight)
    pairs = packed.scales_and_offsets[:, :n_out].float()  # (groups, out, 2)
    scales, offsets = pairs[..., 0].T[..., None], pairs[..., 1].T[..., None]
    codes = ((weight.view(n_out, -1, 32) - offsets) / scales).round().clamp(-8, 7)
    dequantized = (codes * scales + offsets).view(n_out, n_in)
    assert (dequantized - weight).abs().max() <= 0.54 * ((high - low) / 15).max(), "half a step"
    expected = x.bfloat16().float() @ dequantized.T
    assert (packed.matmul(x, None, "none") - expected).abs().max() < 0.004 * expected.abs().max()
    assert packed.nbytes < weight.nbytes / 5 * (-(-n_out // 32) * 32 / n_out)


@pytest.mark.parametrize(
    ("number_type", "n_out", "n_in"),
    [(name, *shape) for name in GROUPS_OF_32 for shape in SHAPES]
    + [("Q4_K", 96, 256), ("Q4_K", 77, 512)],
)
def test_gguf_equals_the_values_of_the_file(number_type: str, n_out: int, n_in: int) -> None:
    weight, x = quantized(draw(n_out, n_in, name="w"), number_type), draw(9, n_in)
    bias = draw(n_out, name="bias")
    packed = FORMATS["gguf"].pack_quantized(weight)
    expected = x.bfloat16().float() @ weight.values().T
    for out in (packed.matmul(x, None, "none"), packed.matmul(x, bias, "none") - bias):
        assert (out - expected).abs().max() < 0.008 * expected.abs().max()
    assert packed.nbytes < weight.values().nbytes / (2.4 if number_type == "Q8_0" else 5) * (
        -(-n_out // 32) * 32 / n_out
    )


def test_int4_keeps_weights_that_were_published_in_groups_of_16_steps() -> None:
    codes = torch.randint(0, 16, (64, 4, 32), generator=generator(0, "codes"))
    codes[..., 0], codes[..., 1] = 0, 15
    steps = 2.0 ** torch.randint(-6, -2, (64, 4, 1), generator=generator(0, "steps"))
    weight = ((codes - 8) * steps).view(64, 128)
    x = torch.eye(128)
    assert torch.equal(Int4Weight.rounded(weight).matmul(x, None, "none"), weight.T)


@pytest.mark.parametrize("name", [*SMALL, *GROUPS_OF_32])
@pytest.mark.parametrize(("n_out", "n_in"), SHAPES)
@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
def test_a_row_does_not_depend_on_the_other_rows(
    name: str, n_out: int, n_in: int, activation: FusedActivation
) -> None:
    packed = pack(name, draw(n_out, n_in, name="w"))
    x, bias = draw(300, n_in), draw(n_out, name="bias")
    whole = packed.matmul(x, bias, activation)
    plain = packed.matmul(x, bias, "none")
    torch.testing.assert_close(whole, activate(plain, activation), rtol=1e-5, atol=1e-6)
    for start, count in ((0, 1), (299, 1), (1, 2), (7, 3), (8, 9), (0, 17), (30, 33), (3, 129)):
        rows = packed.matmul(x[start : start + count], bias, activation)
        assert torch.equal(rows, whole[start : start + count]), count


@pytest.mark.parametrize("name", [*SMALL, *GROUPS_OF_32])
def test_replies_are_the_same_alone_and_in_a_batch(make_model: MakeModel, name: str) -> None:
    model = make_model(n_layer=2, d_model=64, d_ff=96, context_length=200)
    if name in BLOCKS:
        model, name = keep_quantized(model, name), "gguf"
    prompts = [[i + 1, *range(1, 3 * i + 2)] for i in range(6)]
    sampling = [SamplingConfig(seed=i, max_tokens=8) for i in range(6)]

    def run(n_slot: int) -> list[list[tuple[int, float]]]:
        config = EngineConfig(n_slot=n_slot, prefill_tokens=7 * n_slot, weights=name)
        with Engine(model, config) as engine:
            assert engine.batch_dependence_reason == ""
            replies: dict[RequestId, list[tuple[int, float]]] = {
                engine.submit(Request(prompt, one)): []
                for prompt, one in zip(prompts, sampling, strict=True)
            }
            while engine.has_work:
                for event in engine.step():
                    if isinstance(event, TokenSampled):
                        replies[event.request_id].append((event.token_id, event.log_prob))
            return list(replies.values())

    assert run(1) == run(5)


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_near_those_of_float32(make_model: MakeModel, name: str) -> None:
    model = make_model(n_layer=2, d_model=64, d_ff=96)
    texts = [list(range(1, 30))]
    with Forward(model) as forward:
        expected = forward.logits(texts, [0])
    with Forward(model, weight_format=weight_format(name)) as forward:
        error = (forward.logits(texts, [0]) - expected).norm() / expected.norm()
    assert 1e-4 < error < {"int8": 0.02, "int4": 0.3}[name]


@pytest.mark.parametrize("number_type", GROUPS_OF_32)
def test_gguf_logits_are_near_those_of_the_values(make_model: MakeModel, number_type: str) -> None:
    model = keep_quantized(make_model(n_layer=2, d_model=64, d_ff=96), number_type)
    texts = [list(range(1, 30))]
    with Forward(model) as forward:
        expected = forward.logits(texts, [0])
    with torch.no_grad():
        torch.testing.assert_close(model(torch.tensor(texts))[:, -1], expected)
    with Forward(model, weight_format=weight_format("gguf")) as forward:
        error = (forward.logits(texts, [0]) - expected).norm() / expected.norm()
    assert 1e-4 < error < 0.02


def test_a_layer_with_two_number_types_is_packed_in_parts(make_model: MakeModel) -> None:
    model = keep_quantized(make_model(n_layer=1, d_model=64, d_ff=96), "Q4_0")
    attention = model.blocks[0].attention
    assert isinstance(attention, Joining)
    attention.value.keep_quantized(quantized(attention.value.inference_weight(), "Q8_0"))
    texts = [list(range(1, 30))]
    with Forward(model) as forward:
        expected = forward.logits(texts, [0])
    with Forward(model, False, weight_format=weight_format("gguf")) as forward:
        assert attention.joined is None
        error = (forward.logits(texts, [0]) - expected).norm() / expected.norm()
    assert 1e-4 < error < 0.02


def test_gguf_is_int8_for_a_model_without_quantized_weights(make_model: MakeModel) -> None:
    logits = []
    for name in ("int8", "gguf"):
        with Forward(make_model(), weight_format=weight_format(name)) as forward:
            logits.append(forward.logits([[1, 2, 3]], [0]))
    assert torch.equal(*logits)


def test_the_check_covers_every_kind_of_packed_weight(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers of one shape may be packed in different ways; a fault in one way is found."""
    model = keep_quantized(make_model(n_layer=3, d_model=64, d_ff=96), "Q4_0")
    down = model.blocks[2].feed_forward.down
    assert isinstance(down, Linear)
    down.keep_quantized(quantized(down.inference_weight(), "Q8_0"))
    with Forward(model, weight_format=weight_format("gguf")) as forward:
        assert find_difference(forward) == ""
        proof = str(describe_proof(forward))
        assert isinstance(down.packed, SplitInt8Weight)

        def depends_on_rows(rows: Tensor) -> Tensor:
            return rows.new_full((len(rows), 64), len(rows))

        monkeypatch.setattr(down.packed, "product", depends_on_rows)
        assert "blocks.2.feed_forward.down" in find_difference(forward)
    with Forward(
        keep_quantized(make_model(n_layer=3, d_model=64, d_ff=96), "Q4_0"),
        weight_format=weight_format("gguf"),
    ) as forward:
        assert str(describe_proof(forward)) != proof


class ScaledByTheBatch(Int8Weight):
    """A planted fault: all rows share one scale, as in torch's own 8-bit layers."""

    def matmul(self, rows: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        largest = rows.abs().max() / LARGEST
        return super().matmul((rows / largest).round() * largest, bias, activation)


def test_the_check_finds_a_format_that_scales_all_rows_together(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Forward(make_model(), weight_format=weight_format("int8")) as forward:
        assert find_difference(forward) == ""
    monkeypatch.setattr("chatwright.engine.formats.Int8Weight", ScaledByTheBatch)
    with Forward(make_model(), weight_format=weight_format("int8")) as forward:
        assert "rows have different bits" in find_difference(forward)


def test_the_result_of_the_check_is_kept_for_each_format(make_model: MakeModel) -> None:
    proofs = []
    for name in FORMATS:
        model = keep_quantized(make_model(), "Q8_0") if name == "gguf" else make_model()
        with Forward(model, weight_format=weight_format(name)) as forward:
            proofs.append(str(describe_proof(forward)))
    assert len(set(proofs)) == len(FORMATS)


def test_an_unknown_format_and_a_model_without_kernels_are_refused(make_model: MakeModel) -> None:
    with pytest.raises(InputError) as caught:
        weight_format("int3")
    assert (caught.value.field, caught.value.value) == ("weights", "int3")
    model = make_model().double()
    with pytest.raises(InputError) as caught:
        Forward(model, weight_format=weight_format("int8"))
    assert (caught.value.field, caught.value.value) == ("weights", "int8")
    assert caught.value.remedy
