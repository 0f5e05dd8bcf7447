"""Adapters of single requests: equal to the model with the adapter, the same bits in any batch."""

from collections.abc import Iterator

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, RequestFinished, SamplingConfig, TokenSampled
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.loaded_adapters import AdapterFactors
from tests.server.small_model import TOKENIZER, small_model

Factors = dict[str, AdapterFactors]
# All kinds of layers, the head too; "part" has only some of the layers that are packed as one.
TARGETS = {"all": (), "part": ("attention.query", "attention.value", "feed_forward.down", "head")}
PROMPT = [TOKENIZER.control.bos, *TOKENIZER.encode("abc def gh")]


def untied_model() -> GPT:
    model = small_model()
    assert model.head is not None
    model.head.weight = torch.nn.Parameter(model.head.weight.detach().clone())
    for parameter in model.parameters():  # an untrained model's projections are zero
        if parameter.ndim == 2:
            # The seed needs no meaning; the number of values differs from shape to shape.
            parameter.data.normal_(0.0, 0.15, generator=generator(parameter.numel(), "w"))
    return model


def adapted_model(name: str) -> GPT:
    """Return the model with the adapter, as it is trained."""
    model = untied_model()
    lora.attach(model, lora.LoRAConfig(rank=3, targets=TARGETS[name]), generator(1, name))
    for layer in lora.lora_layers(model).values():
        layer.lora_b.data.normal_(0.0, 0.2, generator=generator(layer.lora_b.numel(), name))
    return model


def factors_of(name: str) -> Factors:
    return {
        layer: AdapterFactors(one.lora_a.detach(), one.lora_b.detach(), one.scale)
        for layer, one in lora.lora_layers(adapted_model(name)).items()
    }


@pytest.fixture
def engine() -> Iterator[Engine]:
    config = EngineConfig(n_slot=6, prefill_tokens=8, prefix_cache_bytes=2**20)
    with Engine(untied_model(), config, keeps_weights=False) as engine:
        for name in TARGETS:
            engine.load_adapter(name, factors_of(name))
        yield engine


def request(adapter: str, seed: int = 0, prompt: list[int] = PROMPT) -> Request:
    sampling = SamplingConfig(seed=seed, max_tokens=8, temperature=seed / 2, top_log_probs=3)
    return Request(prompt, sampling, adapter=adapter)


def run(engine: Engine, requests: list[Request]) -> list[list[tuple[object, ...]]]:
    """Return the tokens of each request with their probabilities."""
    numbers = {engine.submit(one): number for number, one in enumerate(requests)}
    found: list[list[tuple[object, ...]]] = [[] for _ in requests]
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenSampled):
                content = (event.token_id, event.log_prob, event.alternatives)
                found[numbers[event.request_id]].append(content)
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_replies_equal_the_model_with_the_adapter(engine: Engine, name: str) -> None:
    [tokens] = run(engine, [request(name)])
    model = adapted_model(name).eval()
    ids = list(PROMPT)
    for token_id, log_prob, _ in tokens:
        with torch.no_grad():
            expected = model(torch.tensor([ids]))[0, -1].log_softmax(dim=-1)
        assert int(expected.argmax()) == token_id
        assert abs(float(expected.max()) - log_prob) < 1e-5
        ids.append(token_id)


def test_a_reply_is_the_same_alone_and_beside_other_adapters(engine: Engine) -> None:
    wanted = [
        request(adapter, seed, PROMPT[: 3 + seed])
        for seed in range(4)
        for adapter in ("", "all", "part")
    ]
    alone = [run(engine, [one])[0] for one in wanted]
    assert run(engine, wanted) == alone
    assert run(engine, wanted) == alone  # with prefixes from the cache
    assert len({tuple(tokens) for tokens in alone}) > 8, "the adapters change replies"


def test_loaded_adapters_do_not_change_the_model_itself(engine: Engine) -> None:
    wanted = [request("", seed) for seed in range(4)]
    with Engine(untied_model(), EngineConfig(n_slot=2)) as plain:
        expected = run(plain, wanted)
    assert run(engine, wanted) == expected
    mixed = run(engine, [*wanted, request("all", 1)])
    assert mixed[: len(wanted)] == expected


def test_a_prefix_of_another_adapter_is_not_used(engine: Engine) -> None:
    long = [*PROMPT, *PROMPT, *PROMPT]
    expected = run(engine, [request("part", 2, long)])
    engine.prefixes.clear()
    run(engine, [request("all", 2, long)])
    assert run(engine, [request("part", 2, long)]) == expected


def test_an_adapter_is_replaced_without_a_trace(engine: Engine) -> None:
    long = [*PROMPT, *PROMPT, *PROMPT]
    old = run(engine, [request("all", 1, long)])
    new = run(engine, [request("part", 1, long)])
    assert old != new
    engine.unload_adapter("all")
    with pytest.raises(InputError):
        engine.submit(request("all"))
    engine.load_adapter("all", factors_of("part"))
    assert run(engine, [request("all", 1, long)]) == new


def test_an_adapter_in_use_is_not_unloaded_and_names_are_checked(engine: Engine) -> None:
    request_id = engine.submit(request("all"))
    engine.step()
    for attempt in (
        lambda: engine.unload_adapter("all"),
        lambda: engine.unload_adapter("none"),
        lambda: engine.load_adapter("part", factors_of("all")),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        assert caught.value.field == "adapter"
    engine.cancel(request_id)
    assert any(isinstance(event, RequestFinished) for event in engine.step())
    engine.unload_adapter("all")
