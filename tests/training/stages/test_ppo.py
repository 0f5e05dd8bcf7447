"""PPO against numbers worked by hand; a run is paid for shorter replies, stopped and resumed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_reinforcement import LOOP, SHORTER, ppo_stage, run_ppo, small_policy
from small_run import CPU, log_of, run, state_bytes, stopped_run

from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.lora import LoRAConfig
from chatwright.training.alarms import AlarmConfig
from chatwright.training.checks import RunFailed
from chatwright.training.log_probs import token_log_probs
from chatwright.training.reward_sources import TOKEN_RULES, RewardConfig
from chatwright.training.rollout_tables import reply_mask, texts_of
from chatwright.training.stage import Loss
from chatwright.training.stages.ppo import (
    Critic,
    PPOUpdateConfig,
    clipped_value_loss,
    new_value_head,
    token_rewards,
)


def test_the_value_loss_equals_numbers_worked_by_hand() -> None:
    """Old value 1, return 2, clip 0.2: values 1.1, 1.5 and 0.5 are clipped to 1.1, 1.2 and 0.8.

    Half the larger squared error: 0.5 x 0.9^2, 0.5 x 0.8^2 (clipped), 0.5 x 1.5^2.
    """
    values = torch.tensor([1.1, 1.5, 0.5])
    loss = clipped_value_loss(values, torch.ones(3), torch.full((3,), 2.0), 0.2)
    torch.testing.assert_close(loss, torch.tensor([0.405, 0.32, 1.125]))


def test_the_score_is_paid_at_the_last_token_and_the_divergence_at_each() -> None:
    """Ziegler et al. 2019, eq. 2, beta 0.5: r = score - 0.5 log p / p0."""
    tables = {
        "targets": torch.tensor([[-100, 5, 6, -100], [-100, 7, 8, 9]]),
        "old_log_probs": torch.tensor([[0.0, -1.0, -2.0, 0.0], [0.0, -1.0, -1.0, -1.0]]),
        "reference_log_probs": torch.tensor([[0.0, -2.0, -1.0, 0.0], [0.0, -1.0, -3.0, -1.0]]),
    }
    rewards = token_rewards(tables, [10.0, 20.0], 0.5)
    expected = torch.tensor([[0.0, -0.5, 10.5, 0.0], [0.0, 0.0, -1.0, 20.0]])
    torch.testing.assert_close(rewards, expected)


def test_before_the_first_update_all_ratios_are_1_and_the_divergence_is_0() -> None:
    model = small_policy()
    stage = ppo_stage(model)
    batch = stage.next_batch(model)
    stage.check_start(model, batch, None)
    [loss] = [stage.loss(model, micro) for micro in batch.micro_batches]
    assert loss.metrics["ratio_change"] < 1e-6
    assert loss.metrics["kl"] == 0.0
    assert loss.metrics["spread_max"] < 1e-5


def test_a_model_that_is_not_the_one_that_was_sampled_is_refused() -> None:
    model = small_policy()
    stage = ppo_stage(model)
    batch = stage.next_batch(model)
    with torch.no_grad():
        model.embedding.weight.mul_(3.0)
    with pytest.raises(RunFailed) as caught:
        stage.check_start(model, batch, None)
    assert caught.value.check == "ratio"


def test_every_reply_is_used_once_in_each_epoch() -> None:
    model = small_policy()
    stage = ppo_stage(model, PPOUpdateConfig(epochs=3, steps_per_epoch=2, rows=5))
    batches = [stage.next_batch(model) for _ in range(6)]
    n_token = int(reply_mask(stage.tables).sum())
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert first.count + second.count == n_token
    sampled = stage.tables["token_ids"]
    stage.next_batch(model)
    assert not torch.equal(stage.tables["token_ids"][:4, :8], sampled[:4, :8]), "new replies"


def test_the_gradient_is_that_of_the_formula_written_out() -> None:
    """Autograd over the formula, token by token and without a stage, gives the same gradient."""
    model = small_policy(dropout=0.0)
    stage = ppo_stage(model, PPOUpdateConfig(steps_per_epoch=1))
    batch = stage.next_batch(model)
    with torch.no_grad():
        model.embedding.weight.mul_(1.05)
    weights = [*model.parameters(), *stage.own_weights().values()]

    def gradients(total: torch.Tensor) -> list[torch.Tensor | None]:
        return list(torch.autograd.grad(total, weights, allow_unused=True))

    [micro] = batch.micro_batches
    actual = gradients(stage.loss(model, micro).sum)
    texts = texts_of(micro)
    log_probs = token_log_probs(model, texts)
    values = stage.critic.head(model.hidden_states(texts.token_ids))
    total = torch.zeros(())
    for row, column in reply_mask(micro).nonzero().tolist():
        at = {name: float(table[row, column]) for name, table in micro.items()}
        ratio = torch.exp(log_probs[row, column] - at["old_log_probs"])
        gain = torch.minimum(ratio * at["advantages"], ratio.clamp(0.8, 1.2) * at["advantages"])
        value = values[row, column]
        near = value.clamp(at["values"] - 0.2, at["values"] + 0.2)
        error = torch.maximum((value - at["returns"]) ** 2, (near - at["returns"]) ** 2)
        total = total - at["importance"] * gain + 0.1 * 0.5 * error
    for a, b in zip(actual, gradients(total), strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a.to_dense(), b.to_dense(), rtol=1e-3, atol=1e-5)


def test_a_run_resumed_between_the_updates_of_a_batch_equals_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    """Steps 1, 3 and 6 are amid the four updates of a batch of rollouts."""
    run_ppo(tmp_path / "uninterrupted")
    for steps in (1, 2, 3):
        model = small_policy()
        stopped_run(tmp_path / "resumed", steps, LOOP, stage=ppo_stage(model), model=model)
    run_ppo(tmp_path / "resumed")
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


@pytest.mark.parametrize("forgotten", ["normalizer", "kl", "n_update"])
def test_a_run_resumed_without_a_part_of_its_state_differs(
    tmp_path: Path, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control of the test above: it would notice a part of the state that is not saved."""
    loop = replace(LOOP, steps=10, evaluate_every=20)
    run_ppo(tmp_path / "uninterrupted", loop)
    model = small_policy()
    stopped_run(tmp_path / "resumed", 6, loop, stage=ppo_stage(model), model=model)
    model = small_policy()
    stage = ppo_stage(model)
    load = stage.load_state

    def load_without(state: Any) -> None:
        fresh = ppo_stage(model).state().numbers
        numbers = state.numbers | {forgotten: fresh[forgotten]}
        load(replace(state, numbers=numbers))

    monkeypatch.setattr(stage, "load_state", load_without)
    run(tmp_path / "resumed", loop, stage, model)
    resumed = state_bytes(tmp_path / "resumed")
    assert resumed["model"] != state_bytes(tmp_path / "uninterrupted")["model"]


def test_an_adapter_learns_beside_frozen_weights(tmp_path: Path) -> None:
    model = small_policy()
    lora.attach(model, LoRAConfig(rank=2), generator(1, "adapter"))
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    stage = ppo_stage(model)
    assert stage.reference.embedding.weight is model.embedding.weight, "no second copy"
    for _ in range(5):
        batch = stage.next_batch(model)
        for micro in batch.micro_batches:
            stage.loss(model, micro).sum.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
                    parameter.grad = None
    assert stage.metrics["kl"] != 0.0, "the reference is the model without the adapter"
    for name, weights in frozen.items():
        assert torch.equal(weights, model.get_parameter(name))


def test_values_can_come_from_a_model_of_their_own() -> None:
    model = small_policy()
    reward = GPT(replace(model.config, head="scalar", tied=False, ngrams=(), n_previous=0))
    init_weights(reward, generator(2, "reward"))
    assert reward.scalar_head is not None
    stage = ppo_stage(model, critic=Critic(reward.scalar_head, reward))
    batch = stage.next_batch(model)
    loss: Loss = stage.loss(model, batch.micro_batches[0])
    loss.sum.backward()
    own = stage.own_weights()
    assert own["value_head.score.weight"].grad is not None
    assert own["value_model.embedding.weight"].grad is not None
    hidden = reward.hidden_states(batch.micro_batches[0]["token_ids"])
    mask = reply_mask(batch.micro_batches[0])
    expected = reward.scalar_head(hidden)[mask]
    torch.testing.assert_close(batch.micro_batches[0]["values"][mask], expected)


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> RewardConfig:
    """A broken reward: longer replies are better."""
    shorter = TOKEN_RULES["shorter"]
    broken: Callable[[Any], float] = lambda rollout: -shorter(rollout)  # noqa: E731
    monkeypatch.setitem(TOKEN_RULES, "shorter", broken)
    return SHORTER


def test_a_run_whose_reward_favors_length_stops_itself(
    tmp_path: Path, longer: RewardConfig
) -> None:
    with pytest.raises(RunFailed) as caught:
        run_ppo(tmp_path, replace(LOOP, steps=200, evaluate_every=50), alarms=AlarmConfig())
    assert caught.value.check in ("long", "stop_rate")
    assert (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "model").exists()


def test_the_same_run_goes_on_without_alarms(tmp_path: Path, longer: RewardConfig) -> None:
    model = small_policy()
    stage = ppo_stage(model, alarms=AlarmConfig(is_on=False))
    run(tmp_path, replace(LOOP, steps=40, evaluate_every=40), stage, model)
    lengths = [record["reply_tokens"] for record in log_of(tmp_path) if "reply_tokens" in record]
    assert lengths[-1] > 2 * lengths[0]


def test_a_held_out_score_that_falls_while_the_reward_rises_stops_the_run() -> None:
    model = small_policy()
    stage = ppo_stage(model, alarms=AlarmConfig(), held_out=RewardConfig(rules={"stops": 1.0}))
    figures = iter([(0.0, 0.9), (1.0, 0.7), (2.0, 0.5)])

    stage.source.evaluate(model)

    def evaluate(_: GPT) -> dict[str, float]:
        reward, score = next(figures)
        names = ("validation_reward", "held_out_score", "held_out_error")
        return dict(zip(names, (reward, score, 0.01), strict=True))

    stage.source.evaluate = evaluate  # type: ignore[method-assign]
    for step in range(2):
        stage.n_update = step
        stage.evaluate(model)
    stage.n_update = 2
    with pytest.raises(RunFailed) as caught:
        stage.evaluate(model)
    assert caught.value.check == "held_out"


def test_held_out_scores_are_measured_on_replies_to_validation_prompts() -> None:
    model = small_policy()
    stage = ppo_stage(model, held_out=RewardConfig(rules={"stops": 1.0}))
    figures = stage.evaluate(model)
    assert figures["held_out_score"] == figures["validation_stop_rate"]
    assert stage.evaluate(model) == figures, "the same seeds at every evaluation"
    assert len(stage.samples(model)) == 4


def test_new_values_are_0() -> None:
    head = new_value_head(8, CPU)
    assert not head(torch.randn(3, 8, generator=generator(1, "vectors"))).any()
