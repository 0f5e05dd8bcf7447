"""A reply alone equals the same reply in any company: bitwise, on the CPU, against the oracle that reads everything anew."""

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
from chatwright.engine.generate import generate, next_logits
from chatwright.engine.request import Request, RequestId, TokenSampled
from chatwright.engine.sampling import SamplingConfig
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseLayerCache

# Shapes on purpose awkward: hidden widths that fill no vector, odd vocabularies, one and several key heads, more than one key block.
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
]
LONG: dict[str, object] = {"context_length": 1100, "n_layer": 1}


def require_exact(forward: Forward) -> None:
    if not forward.is_exact:
        pytest.skip("this torch build has no packed linear kernel, so nothing is promised")


def run_crowd(engine: Engine, choose: random.Random, n_request: int, longest: int) -> int:
    """Random prompts arriving at random times, some cut short by cancelling; every logit compared with the oracle's. -> comparisons"""
    vocab, context = engine.vocab_size, engine.context_length
    texts: dict[RequestId, list[int]] = {}
    seen: dict[RequestId, list[Tensor]] = defaultdict(list)
    replies: dict[RequestId, list[int]] = defaultdict(list)
    stop = engine.observe_logits(
        lambda sequence, logits: seen[sequence.request_id].append(logits.clone())
    )
    while len(texts) < n_request or engine.has_work:
        while len(texts) < n_request and choose.random() < 0.4:
            prompt = [choose.randrange(vocab) for _ in range(choose.randint(1, longest))]
            max_tokens = choose.randint(1, min(9, context - len(prompt)))
            texts[
                engine.submit(
                    Request(
                        prompt, SamplingConfig(seed=choose.randrange(2**32), max_tokens=max_tokens)
                    )
                )
            ] = prompt
        for event in engine.step():
            if isinstance(event, TokenSampled):
                replies[event.request_id].append(event.token_id)
        if texts and choose.random() < 0.05:
            engine.cancel(choose.choice(list(texts)))
    stop()
    n_compared = 0
    for request_id, prompt in texts.items():
        for place, logits in enumerate(seen[request_id]):
            alone = next_logits(engine.forward, [*prompt, *replies[request_id][:place]])
            assert torch.equal(logits, alone), (
                f"prompt of {len(prompt)}, token {place}: off by {(logits - alone).abs().max():.2e}"
            )
            n_compared += 1
    return n_compared


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_logits_in_a_crowd_equal_the_oracle_s(
    make_model: Callable[..., GPT], changes: dict[str, object]
) -> None:
    for n_slot, prefill_tokens, seed in ((5, 7, 1), (3, 64, 2)):
        with Engine(
            make_model(**changes), EngineConfig(n_slot=n_slot, prefill_tokens=prefill_tokens)
        ) as engine:
            require_exact(engine.forward)
            assert engine.is_batch_invariant, engine.batch_variance
            assert run_crowd(engine, random.Random(seed), n_request=10, longest=40) > 20
            assert engine.n_free_rows == n_slot


def test_logits_in_a_crowd_equal_the_oracle_s_over_several_key_blocks(
    make_model: Callable[..., GPT],
) -> None:
    with Engine(make_model(**LONG), EngineConfig(n_slot=3, prefill_tokens=300)) as engine:
        require_exact(engine.forward)
        assert engine.is_batch_invariant, engine.batch_variance
        assert run_crowd(engine, random.Random(3), n_request=4, longest=1090) > 5


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("changes", [*SHAPES, LONG], ids=str)
def test_two_hundred_random_pairs_of_every_shape(
    make_model: Callable[..., GPT], changes: dict[str, object], threads: int
) -> None:
    before, choose, n_compared = torch.get_num_threads(), random.Random(threads), 0
    torch.set_num_threads(threads)
    try:
        model = make_model(**changes)
        while n_compared < 200:
            config = EngineConfig(
                n_slot=choose.randint(1, 12),
                prefill_tokens=choose.choice([1, 2, 5, 16, 33, 100, 400]),
            )
            with Engine(model, config) as engine:
                n_compared += run_crowd(
                    engine, choose, n_request=24, longest=min(engine.context_length - 10, 700)
                )
    finally:
        torch.set_num_threads(before)


def test_replies_equal_the_oracle_s(make_model: Callable[..., GPT]) -> None:
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


def test_packed_and_tiled_logits_are_the_model_s(make_model: Callable[..., GPT]) -> None:
    """Equality with the oracle would mean little if both computed something else than the model that was trained."""
    for changes in SHAPES:
        model = make_model(**changes).eval()
        text = list(range(20))
        with torch.no_grad():
            plain = model(torch.tensor([text]))[0, -1]
        with Forward(model) as forward:
            torch.testing.assert_close(next_logits(forward, text), plain, atol=2e-4, rtol=2e-4)


# ---- positive controls: each plants what the checks above are there to find


def test_control_the_ordinary_kernels_depend_on_company(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.engine.forward.pack_linears", lambda model: False)
    with Engine(make_model(d_ff=83)) as engine:
        assert not engine.is_batch_invariant
        assert "no kernels" in engine.batch_variance
        with pytest.raises(AssertionError, match="off by"):
            run_crowd(engine, random.Random(1), n_request=10, longest=40)


def test_control_the_self_test_finds_unpacked_linears(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "chatwright.engine.forward.pack_linears", lambda model: True
    )  # claims it and does nothing
    with Forward(make_model(d_model=192, d_ff=83)) as forward:
        assert "rows other bits" in find_difference(forward)


def test_control_the_self_test_finds_a_cache_off_by_one(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = DenseLayerCache.append

    def wrong(self: DenseLayerCache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        k, v = right(self, keys, values)
        return k.roll(1, dims=2), v

    with Forward(make_model()) as forward:
        require_exact(forward)
        assert find_difference(forward) == ""
        monkeypatch.setattr(DenseLayerCache, "append", wrong)
        assert "with a cache" in find_difference(forward)


def test_control_the_self_test_finds_attention_that_depends_on_its_neighbours(
    make_model: Callable[..., GPT], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = batch_invariance.attend_tiled

    def wrong(q: Tensor, *rest: object) -> Tensor:
        return right(q, *rest) * (1 + 1e-7 * q.shape[2])  # type: ignore[arg-type]

    with Forward(make_model()) as forward:
        require_exact(forward)
        monkeypatch.setattr(batch_invariance, "attend_tiled", wrong)
        assert "attention" in find_difference(forward)
