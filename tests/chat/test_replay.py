"""A reply is repeated from its receipt alone, bit for bit; planted differences are found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.receipt import Receipt, ids_sha256, message_sha256
from chatwright.chat.replay import replay
from chatwright.chat.reply_events import Finished
from chatwright.chat.reply_form import ReplyForm
from chatwright.conversation import Message, ToolCall, ToolDefinition
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Constraint, SamplingConfig
from chatwright.errors import InputError
from tests.server.byte_model import byte_model
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model
from tests.tokenizer.templates.cases import write_case
from tests.tokenizer.templates.test_published_templates import open_case

BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}
PRESENT = {"weights": "w", "tokenizer": "t", "build": {"source": "s"}}


def sampling(seed: int) -> SamplingConfig:
    """Settings that differ in every way that decides bytes."""
    return SamplingConfig(
        seed=seed,
        max_tokens=4 + seed % 20,
        temperature=(seed % 4) / 2,
        top_k=seed % 7,
        top_p=1.0 if seed % 3 else 0.8,
        repetition_penalty=1.0 if seed % 5 else 1.3,
        logit_bias=BIAS if seed % 6 else {},
        stop=("ab",) if seed % 2 else (),
    )


def receipt_of(finished: Finished) -> Receipt:
    receipt = Receipt(
        weights="w",
        adapter="",
        tokenizer="t",
        build={"source": "s"},
        is_batch_invariant=True,
        requests=finished.requests,
        reason=finished.reason,
        message_sha256=message_sha256(finished.message),
    )
    return Receipt.from_json(json.loads(json.dumps(receipt.to_json(is_full=True))))


@pytest.fixture(scope="module")
def receipts() -> list[Receipt]:
    """Receipts of replies that were generated together, with a prefix cache and tools."""

    class Echo:
        def run(self, call: ToolCall) -> str:
            return call.arguments[:3].replace('"', "a").replace("{", "b").replace("t", "c")

    with Engine(small_model(), EngineConfig(n_slot=8, prefill_tokens=16)) as engine:
        assistant = Assistant(engine, TOKENIZER, Echo())
        conversations = [[Message("user", "abc def gh"[: 1 + seed % 10])] for seed in range(40)]
        finished = assistant.replies(conversations, [sampling(seed) for seed in range(40)])
        # These begin with a tool call, and continue with its result.
        forced = SamplingConfig(seed=5, max_tokens=9, logit_bias={TOKENIZER.control.command: 3.0})
        finished += assistant.replies(conversations[:8], forced)
        form = ReplyForm(Constraint("regex", "[a-h]{3,20}"))
        for seed in range(8):
            *_, last = assistant.reply(conversations[seed], sampling(seed), form=form)
            assert isinstance(last, Finished)
            finished.append(last)
    assert any(len(one.requests) > 1 for one in finished)
    assert {one.reason for one in finished} >= {"stop", "length"}
    return [receipt_of(one) for one in finished]


@pytest.mark.parametrize("n_slot", [1, 5])
def test_every_reply_is_repeated_by_an_engine_that_knows_only_the_receipt(
    receipts: list[Receipt], n_slot: int
) -> None:
    with Engine(small_model(), EngineConfig(n_slot=n_slot, prefill_tokens=7)) as engine:
        results = replay(receipts, engine, TOKENIZER, PRESENT)
    assert [(result.is_same, result.causes) for result in results] == [(True, ())] * len(receipts)


def test_calls_of_tools_are_repeated(tmp_path: Path) -> None:
    tokenizer = open_case(write_case(tmp_path, "qwen_tools"))
    model = byte_model(tokenizer)
    clock = ToolDefinition("clock", {"type": "object", "additionalProperties": False})
    form = ReplyForm(tools=(clock,), tool_choice="required", max_calls=2)
    with Engine(model, EngineConfig(n_slot=2)) as engine:
        assistant = Assistant(engine, tokenizer)
        *_, finished = assistant.reply(
            [Message("user", "time?")], SamplingConfig(seed=1, max_tokens=90), form=form
        )
        assert isinstance(finished, Finished)
        assert finished.message.tool_calls
        [result] = replay([receipt_of(finished)], engine, tokenizer, PRESENT)
    assert (result.is_same, result.causes) == (True, ())


def test_other_weights_are_reported(receipts: list[Receipt]) -> None:
    model = small_model()
    weight = next(model.blocks[0].attention.parameters())
    weight.data[0, 0] += 0.5
    with Engine(model, EngineConfig(n_slot=4)) as engine:
        results = replay(receipts, engine, TOKENIZER, {**PRESENT, "weights": "other"})
    assert any(not result.is_same for result in results)
    assert all(len(result.causes) == 1 for result in results)


def test_a_changed_seed_is_reported_and_nothing_else_is_blamed(receipts: list[Receipt]) -> None:
    hot = [receipt for receipt in receipts if receipt.requests[0].request.sampling.temperature]
    changed = []
    for receipt in hot:
        first, *rest = receipt.requests
        settings = replace(first.request.sampling, seed=first.request.sampling.seed + 1)
        other = replace(first, request=replace(first.request, sampling=settings))
        changed.append(replace(receipt, requests=(other, *rest)))
    with Engine(small_model(), EngineConfig(n_slot=8)) as engine:
        results = replay(changed, engine, TOKENIZER, PRESENT)
    different = [result for result in results if not result.is_same]
    assert len(different) > len(hot) // 2
    assert not any(result.causes for result in different)


def test_a_changed_message_is_reported(receipts: list[Receipt]) -> None:
    changed = replace(receipts[0], message_sha256="0" * 64)
    with Engine(small_model(), EngineConfig(n_slot=1)) as engine:
        [result] = replay([changed], engine, TOKENIZER, PRESENT)
    assert len(result.differences) == 1


def test_a_short_receipt_holds_hashes_and_cannot_be_replayed(receipts: list[Receipt]) -> None:
    [item] = receipts[0].to_json(is_full=False)["requests"]
    prompt = receipts[0].requests[0].request.token_ids
    assert item["prompt_sha256"] == ids_sha256(prompt)
    assert "token_ids" not in item
    assert "request" not in item
    with pytest.raises(InputError) as caught:
        Receipt.from_json(receipts[0].to_json(is_full=False))
    assert caught.value.field == "receipt"


@pytest.mark.parametrize("damage", [{}, {"format": 2}, {"requests": [{"request": 1}]}, []])
def test_something_else_is_no_receipt(receipts: list[Receipt], damage: object) -> None:
    whole = receipts[0].to_json(is_full=True)
    data = {**whole, **damage} if isinstance(damage, dict) and damage else damage
    with pytest.raises(InputError):
        Receipt.from_json(data)
