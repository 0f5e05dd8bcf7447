"""Rollouts depend on weights, prompt and seed alone; the model is trained while they are open."""

import pytest
import torch
from small_run import QUESTIONS, character_tokenizer, small_model

from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import Request, SamplingConfig, TokenSampled
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.read_reply import reply_stop_ids
from chatwright.training.log_probs import token_log_probs
from chatwright.training.rollouts import Rollout, RolloutConfig, RolloutEngine, rollout_seed
from chatwright.training.stage import MicroBatch

TOKENIZER = character_tokenizer()
PROMPTS = [render_prompt([Message("user", question)], TOKENIZER) for question, _ in QUESTIONS]
CONFIG = RolloutConfig(prompts=4, samples=3, reply_tokens=12)


def model(**changes: object) -> GPT:
    return small_model(context_length=64, **changes)


def engine_of(model: GPT, **changes: int) -> RolloutEngine:
    config = {"prompts": 4, "samples": 3, "reply_tokens": 12} | changes
    return RolloutEngine(model, TOKENIZER, RolloutConfig(**config))


def change_weights(model: GPT) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.full_like(parameter, 0.05))


def test_replies_repeat_for_a_seed_and_differ_between_seeds_batches_and_samples() -> None:
    rollouts = engine_of(model())
    first = rollouts.sample(PROMPTS, 3, seed=1, batch=0)
    assert rollouts.sample(PROMPTS, 3, seed=1, batch=0) == first
    assert rollouts.sample(PROMPTS, 3, seed=2, batch=0) != first
    assert rollouts.sample(PROMPTS, 3, seed=1, batch=1) != first
    assert len({tuple(rollout.reply_ids) for rollout in first[0]}) == 3


@pytest.mark.parametrize("at_a_time", [1, 5, 64])
def test_a_reply_does_not_depend_on_the_others(at_a_time: int) -> None:
    together = engine_of(model()).sample(PROMPTS, 3, seed=1, batch=0)
    assert engine_of(model(), at_a_time=at_a_time).sample(PROMPTS, 3, 1, 0) == together
    assert engine_of(model()).sample(PROMPTS[:2], 2, 1, 0) == [group[:2] for group in together[:2]]


def test_rollouts_equal_the_engine_alone() -> None:
    [[rollout]] = engine_of(model()).sample(PROMPTS[:1], 1, seed=3, batch=7)
    sampling = SamplingConfig(seed=rollout_seed(3, 7, 0), max_tokens=12)
    with Engine(model()) as engine:
        engine.submit(Request(PROMPTS[0], sampling, reply_stop_ids(TOKENIZER)))
        events = []
        while engine.has_work:
            events += [event for event in engine.step() if isinstance(event, TokenSampled)]
    assert [event.token_id for event in events] == rollout.reply_ids
    assert [event.log_prob for event in events] == rollout.log_probs


@pytest.mark.parametrize("has_adapter", [False, True])
def test_the_model_trains_while_the_engine_is_open_and_refresh_shows_its_weights(
    has_adapter: bool,
) -> None:
    trained = model(dropout=0.0)
    if has_adapter:
        lora.attach(trained, LoRAConfig(rank=2), torch.Generator().manual_seed(1))
    rollouts = engine_of(trained)
    before = rollouts.sample(PROMPTS, 3, 1, 0)
    batch = MicroBatch(torch.tensor([PROMPTS[0][:-1]]), torch.tensor([PROMPTS[0][1:]]))
    token_log_probs(trained, batch).sum().backward()
    assert all(p.grad is not None for p in trained.parameters() if p.requires_grad)
    change_weights(trained)
    rollouts.refresh()
    after = rollouts.sample(PROMPTS, 3, 1, 0)
    assert after != before
    assert after == engine_of(trained).sample(PROMPTS, 3, 1, 0), "as from a new engine"


def test_the_copy_takes_the_memory_of_the_packed_weights_only() -> None:
    trained = model()
    rollouts = engine_of(trained)
    shared = rollouts.engine.forward.model
    assert shared is not trained
    for ours, theirs in zip(shared.parameters(), trained.parameters(), strict=True):
        assert ours is theirs


def test_log_probs_are_those_of_the_training_forward_within_rounding() -> None:
    trained = model()
    trained.eval()
    for group in engine_of(trained).sample(PROMPTS, 2, 1, 0):
        for rollout in group:
            ids = torch.tensor([*rollout.prompt_ids, *rollout.reply_ids])
            n_prompt_token = len(rollout.prompt_ids)
            with torch.no_grad():
                log_probs = token_log_probs(trained, MicroBatch(ids[None, :-1], ids[None, 1:]))[0]
            expected = log_probs[n_prompt_token - 1 :].double()
            torch.testing.assert_close(
                torch.tensor(rollout.log_probs, dtype=torch.float64), expected, rtol=1e-5, atol=1e-5
            )


def test_a_reply_says_whether_the_model_ended_it() -> None:
    stop_ids = reply_stop_ids(TOKENIZER)
    replies = [r for group in engine_of(model()).sample(PROMPTS, 3, 1, 0) for r in group]
    for rollout in replies:
        assert (rollout.reason == "stop") == (rollout.reply_ids[-1] in stop_ids)
        assert rollout.reason == "stop" or len(rollout.reply_ids) == 12
    assert {rollout.reason for rollout in replies} == {"stop", "length"}


def test_the_message_of_a_rollout_is_its_text() -> None:
    ids = [*TOKENIZER.encode("the cat."), TOKENIZER.control.end]
    rollout = Rollout(PROMPTS[0], ids, [0.0] * len(ids), "stop")
    assert rollout.message(TOKENIZER) == Message("assistant", "the cat.")
