"""A request may switch heads off: its reply changes as it should, and nothing else does."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.message_codec import request_from_json, request_to_json
from chatwright.engine.messages import (
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.head_gates import head_gates
from tests.engine.slow_generation import observed_logits

MakeModel = Callable[..., GPT]
Heads = tuple[tuple[int, int], ...]

PROMPT = list(range(1, 40))
OFF: Heads = ((0, 1), (1, 0))


def request(off: Heads = (), user: str = "", prompt: Sequence[int] = PROMPT) -> Request:
    sampling = SamplingConfig(seed=1, max_tokens=8, heads_off=off, top_log_probs=4)
    return Request(prompt, sampling, user=user)


def run(engine: Engine, requests: Sequence[Request]) -> list[list[TokenSampled]]:
    """Return the events of each reply."""
    ids = [engine.submit(request) for request in requests]
    events: dict[RequestId, list[TokenSampled]] = {request_id: [] for request_id in ids}
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenSampled):
                events[event.request_id].append(event)
            elif isinstance(event, RequestFinished):
                assert event.reason == "length", event.error
    return [events[request_id] for request_id in ids]


def values(events: list[TokenSampled]) -> list[object]:
    """Return what was sampled, with every bit of the log-probabilities."""
    return [(event.token_id, event.log_prob, event.alternatives) for event in events]


@pytest.mark.parametrize("n_proposed", [0, 4])
def test_other_requests_keep_their_bits_and_the_reply_has_those_of_being_alone(
    make_model: MakeModel, n_proposed: int
) -> None:
    mixed = [request(), request(OFF), request(((1, 1),)), request(prompt=PROMPT[::-1])]
    with Engine(make_model(), EngineConfig(n_slot=4, speculative_tokens=n_proposed)) as engine:
        together = run(engine, mixed)
        alone = [run(engine, [one])[0] for one in mixed]
    assert [values(reply) for reply in together] == [values(reply) for reply in alone]
    assert len({str(values(reply)) for reply in together}) == 4  # every choice of heads counts


def test_the_logits_are_those_of_the_model_without_these_heads(make_model: MakeModel) -> None:
    model = make_model()
    config = model.config
    gates = head_gates(config.n_layer, config.n_head, OFF, model.device)
    seen: list[Tensor] = []
    with (
        Engine(model) as engine,
        observed_logits(engine, lambda _, logits: seen.append(logits.clone())),
        torch.no_grad(),
    ):
        [reply] = run(engine, [request(OFF)])
        text = [*PROMPT, *(event.token_id for event in reply)]
        expected = model(torch.tensor([text[:-1]]), head_gates=gates)[0, len(PROMPT) - 1 :]
        others = model(torch.tensor([text[:-1]]))[0, len(PROMPT) - 1 :]
    torch.testing.assert_close(torch.stack(seen), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(torch.stack(seen), others, rtol=1e-2, atol=1e-3)


def test_saved_prefixes_are_not_used_with_other_heads(make_model: MakeModel) -> None:
    with Engine(make_model(), EngineConfig()) as engine:
        [cold], [cold_off] = run(engine, [request()]), run(engine, [request(OFF)])
    with Engine(make_model(), EngineConfig(prefix_cache_bytes=2**24)) as engine:
        replies = [run(engine, [request(off)])[0] for off in ((), OFF, (), OFF)]
        assert engine.prefixes.index.n_used > 0
    assert [values(reply) for reply in replies] == [values(cold), values(cold_off)] * 2


def test_a_head_that_does_not_exist_is_refused_and_keeps_nothing(make_model: MakeModel) -> None:
    with Engine(make_model()) as engine:
        for head in ((9, 0), (0, 99), (-1, 0)):
            with pytest.raises(InputError) as caught:
                engine.submit(request((head,)))
            assert caught.value.field == "heads_off"
        assert not engine.has_work


def test_a_request_keeps_its_heads_as_json() -> None:
    sent = request(OFF)
    assert request_from_json(request_to_json(sent)).sampling == sent.sampling
    old = request_to_json(request())
    del old["sampling"]["heads_off"]  # a receipt of an older version
    assert request_from_json(old).sampling.heads_off == ()
