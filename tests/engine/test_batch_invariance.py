"""On a CPU a reply is bit-identical alone and in any batch; compared with slow generation."""

import random
from collections import defaultdict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from chatwright.engine import batch_invariance
from chatwright.engine.batch_invariance import find_difference
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.forward import Forward
from chatwright.engine.messages import Request, RequestId, SamplingConfig, TokenSampled
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseLayerCache
from tests.engine.slow_generation import generate, next_logits, observed_logits

# Shapes that are hard for kernels: sizes that do not fill whole vector registers, odd vocabulary
# sizes, one and several key/value heads.
SHAPES: list[dict[str, object]] = [
    {},
    {"d_ff": 83, "vocab_size": 77, "n_head": 3, "n_kv_head": 3, "head_dim": 16},
    {
        "activation": "gelu",
        "norm": "layer",
        "position": "learned",
        "bias": True,
        "qk_norm": False,
        "d_ff": 83,
    },
    {
        "activation": "relu2",
        "norm_first": False,
        "position": "sinusoidal",
        "tied": False,
        "head_dim": 48,
        "n_head": 4,
        "n_kv_head": 2,
    },
    {
        "window": 9,
        "unwindowed_layers": (1,),
        "nope_layers": (1,),
        "bias": ("qkv",),
        "qk_norm": False,
    },
    {"ngrams": (2, 3), "ngram_rows": 500, "n_previous": 3, "embedding_norm": True},
    {
        "activation": "geglu",
        "sandwich_norm": True,
        "embedding_scale": True,
        "query_pre_attn_scalar": 48,
        "window": 9,
        "unwindowed_layers": (1,),
        "window_rotary_base": 100.0,
    },
]
SEVERAL_KEY_BLOCKS: dict[str, object] = {"context_length": 1100, "n_layer": 1}


def require_packed_kernels(forward: Forward) -> None:
    if not forward.has_packed_kernels:
        pytest.skip("this torch build has no packed linear kernel")


def compare_random_requests(
    engine: Engine, choose: random.Random, n_request: int, longest: int
) -> int:
    """Submit random prompts at random times, cancel some, compare all logits with slow generation.

    Returns the number of comparisons.
    """
    prompts: dict[RequestId, list[int]] = {}
    observed: dict[RequestId, list[Tensor]] = defaultdict(list)
    replies: dict[RequestId, list[int]] = defaultdict(list)
    with observed_logits(engine, lambda s, logits: observed[s.request_id].append(logits.clone())):
        while len(prompts) < n_request or engine.has_work:
            while len(prompts) < n_request and choose.random() < 0.4:
                request = random_request(engine, choose, longest)
                prompts[engine.submit(request)] = list(request.token_ids)
            for event in engine.step():
                if isinstance(event, TokenSampled):
                    replies[event.request_id].append(event.token_id)
            if prompts and choose.random() < 0.05:
                engine.cancel(choose.choice(list(prompts)))
    n_compared = 0
    for request_id, prompt in prompts.items():
        for n_token, logits in enumerate(observed[request_id]):
            alone = next_logits(engine.forward, [*prompt, *replies[request_id][:n_token]])
            difference = (logits - alone).abs().max()
            assert torch.equal(logits, alone), (
                f"prompt of {len(prompt)}, token {n_token}: off by {difference:.2e}"
            )
            n_compared += 1
    return n_compared


def random_request(engine: Engine, choose: random.Random, longest: int) -> Request:
    n_token = choose.randint(1, longest)
    prompt = [choose.randrange(engine.vocab_size) for _ in range(n_token)]
    max_tokens = choose.randint(1, min(9, engine.context_length - n_token))
    return Request(prompt, SamplingConfig(seed=choose.randrange(2**32), max_tokens=max_tokens))


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_logits_in_a_batch_equal_those_of_slow_generation(
    make_model: Callable[..., GPT], changes: dict[str, object]
) -> None:
    for n_slot, prefill_tokens, seed in ((5, 7, 1), (3, 64, 2)):
        with Engine(
            make_model(**changes), EngineConfig(n_slot=n_slot, prefill_tokens=prefill_tokens)
        ) as engine:
            require_packed_kernels(engine.forward)
            assert engine.batch_dependence_reason == ""
            assert compare_random_requests(engine, random.Random(seed), 10, longest=40) > 20
            assert engine.n_free_slot == n_slot


def test_logits_over_several_key_blocks_equal_those_of_slow_generation(
    make_model: Callable[..., GPT],
) -> None:
    config = EngineConfig(n_slot=3, prefill_tokens=300)
    with Engine(make_model(**SEVERAL_KEY_BLOCKS), config) as engine:
        require_packed_kernels(engine.forward)
        assert engine.batch_dependence_reason == ""
        assert compare_random_requests(engine, random.Random(3), 4, longest=1090) > 5


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("changes", [*SHAPES, SEVERAL_KEY_BLOCKS], ids=str)
def test_two_hundred_random_comparisons_of_every_shape(
    make_model: Callable[..., GPT], changes: dict[str, object], threads: int
) -> None:
    n_thread = torch.get_num_threads()
    choose, n_compared = random.Random(threads), 0
    torch.set_num_threads(threads)
    try:
        model = make_model(**changes)
        while n_compared < 200:
            config = EngineConfig(
                n_slot=choose.randint(1, 12),
                prefill_tokens=choose.choice([1, 2, 5, 16, 33, 100, 400]),
            )
            with Engine(model, config) as engine:
                longest = min(engine.context_length - 10, 700)
                n_compared += compare_random_requests(engine, choose, 24, longest)
    finally:
        torch.set_num_threads(n_thread)


def test_replies_equal_those_of_slow_generation(make_model: Callable[..., GPT]) -> None:
    config = SamplingConfig(
        seed=11,
        temperature=0.9,
        top_k=20,
        top_p=0.95,
        repetition_penalty=1.1,
        frequency_penalty=0.2,
        max_tokens=12,
    )
    prompts = [[7, 8, 9], [1], list(range(30)), [5] * 17]
    with Engine(make_model(), EngineConfig(n_slot=3, prefill_tokens=8)) as engine:
        ids = [engine.submit(Request(prompt, config, stop_ids=(3,))) for prompt in prompts]
        tokens: dict[RequestId, list[int]] = defaultdict(list)
        log_probs: dict[RequestId, list[float]] = defaultdict(list)
        while engine.has_work:
            for event in engine.step():
                if isinstance(event, TokenSampled):
                    tokens[event.request_id].append(event.token_id)
                    log_probs[event.request_id].append(event.log_prob)
        for request_id, prompt in zip(ids, prompts, strict=True):
            alone = generate(engine.forward, prompt, config, stop_ids=(3,))
            assert (tokens[request_id], log_probs[request_id]) == (alone.token_ids, alone.log_probs)


def test_packed_and_tiled_logits_equal_those_of_the_plain_model(
    make_model: Callable[..., GPT],
) -> None:
    """Slow generation uses the same kernels, so it cannot find an error in them."""
    for changes in SHAPES:
        model = make_model(**changes).eval()
        text = list(range(20))
        with torch.no_grad():
            plain = model(torch.tensor([text]))[0, -1]
        with Forward(model) as forward:
            torch.testing.assert_close(next_logits(forward, text), plain, atol=2e-4, rtol=2e-4)


# Each of the following tests plants an error that a check must find.


def test_the_comparison_finds_kernels_that_depend_on_the_batch(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.engine.packed_model.pack_linears", lambda *_: False)
    with Engine(make_model(d_ff=83)) as engine:
        assert "no kernels" in engine.batch_dependence_reason
        with pytest.raises(AssertionError):
            compare_random_requests(engine, random.Random(1), 10, longest=40)


def test_find_difference_finds_unpacked_linears(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Report that the layers are packed without packing them.
    monkeypatch.setattr("chatwright.engine.packed_model.pack_linears", lambda *_: True)
    with Forward(make_model(d_model=192, d_ff=83)) as forward:
        assert "rows have different bits" in find_difference(forward)


def test_find_difference_finds_a_cache_off_by_one(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = DenseLayerCache.append

    def wrong(self: DenseLayerCache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        k, v = right(self, keys, values)
        return k.roll(1, dims=2), v

    with Forward(make_model()) as forward:
        require_packed_kernels(forward)
        assert find_difference(forward) == ""
        monkeypatch.setattr(DenseLayerCache, "append", wrong)
        assert "with a cache" in find_difference(forward)


def test_find_difference_finds_attention_that_depends_on_other_queries(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = batch_invariance.attend_tiled

    def wrong(q: Tensor, *rest: object) -> Tensor:
        return right(q, *rest) * (1 + 1e-7 * q.shape[2])  # type: ignore[arg-type]

    with Forward(make_model()) as forward:
        require_packed_kernels(forward)
        monkeypatch.setattr(batch_invariance, "attend_tiled", wrong)
        assert "attention" in find_difference(forward)
