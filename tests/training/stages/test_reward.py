"""Ranking losses against numbers worked by hand; a reward model learns what was preferred."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from small_run import (
    LOOP,
    character_tokenizer,
    log_of,
    reward_stage,
    run,
    small_model,
    with_optimizer,
)

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.model.transfer import give_scalar_head
from chatwright.training.checks import RunFailed
from chatwright.training.stages.reward import RankingLoss, loss_count, ranking_loss, reply_scores

KINDS = get_args(RankingLoss)
LEARNING = replace(
    with_optimizer(LOOP, kind="adamw", learning_rate=3e-3), steps=40, average_decay=0.0
)


def reward_model() -> GPT:
    model = small_model(context_length=64)
    give_scalar_head(model)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_the_bradley_terry_loss(kind: RankingLoss) -> None:
    # Christiano et al. 2017, eq. 1: ln(1 + exp(-(s_1 - s_2))) at differences 0, 2 and -3.
    scores = torch.tensor([[0.5, 0.5], [2.0, 0.0], [1.0, -2.0]])
    ranks = torch.tensor([[1, 2], [1, 2], [2, 1]])
    expected = torch.tensor([0.6931472, 0.1269280, 3.0485874])
    torch.testing.assert_close(ranking_loss(scores, ranks, kind), expected)


def test_rankings_of_three_equal_numbers_worked_by_hand() -> None:
    # Scores 2, 1, 0, ranked in this order: differences 1, 2, 1.
    # Pairs: 0.3132617 + 0.1269280 + 0.3132617 = 0.7534514; a third of it: 0.2511505.
    # Plackett 1975: ln((e^2 + e + 1) / e^2) + ln((e + 1) / e) = 0.4076060 + 0.3132617.
    scores, ranks = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1, 2, 3]])
    expected = {"bradley_terry": 0.7534514, "all_pairs": 0.2511505, "plackett_luce": 0.7208677}
    for kind in KINDS:
        assert float(ranking_loss(scores, ranks, kind)) == pytest.approx(expected[kind], rel=1e-6)


def test_plackett_luce_equals_the_logarithm_of_the_probability_of_the_order() -> None:
    """The probabilities of all orders, multiplied out choice by choice, sum to 1."""
    scores = torch.randn(4, generator=generator(1, "scores"), dtype=torch.double)
    total = 0.0
    for order in itertools.permutations(range(4)):
        probability = 1.0
        left = list(order)
        while left:
            probability *= float(scores[left[0]].exp() / scores[left].exp().sum())
            left.pop(0)
        ranks = torch.tensor([[order.index(i) + 1 for i in range(4)]])
        loss = float(ranking_loss(scores[None], ranks, "plackett_luce"))
        assert math.exp(-loss) == pytest.approx(probability)
        total += math.exp(-loss)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_the_replies_in_a_ranking_does_not_matter(kind: RankingLoss) -> None:
    scores = torch.randn(1, 5, generator=generator(2, "scores"))
    ranks = torch.tensor([[3, 1, 2, 2, 4]])
    expected = ranking_loss(scores, ranks, kind)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        actual = ranking_loss(scores[:, order], ranks[:, order], kind)
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_tied_and_absent_replies_are_not_compared(kind: RankingLoss) -> None:
    scores = torch.tensor([[1.0, 5.0, 5.0, 0.0]], requires_grad=True)
    # Two tied replies that beat nothing and that nothing beats are left out of a longer ranking.
    tied = ranking_loss(scores[:, 1:3], torch.tensor([[1, 1]]), kind)
    assert float(tied.detach()) == 0.0
    absent = ranking_loss(scores, torch.tensor([[1, 0, 0, 2]]), kind)
    torch.testing.assert_close(
        absent, ranking_loss(scores[:, [0, 3]], torch.tensor([[1, 2]]), kind)
    )
    [gradient] = torch.autograd.grad(absent.sum(), scores)
    assert gradient[0, 1] == gradient[0, 2] == 0.0


def test_ties_with_plackett_luce_equal_the_choices_written_out() -> None:
    # Ranks 1, 1, 2: each of the first two is chosen before the third one.
    scores, ranks = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1, 1, 2]])
    expected = math.log(1 + math.exp(2.0)) + math.log(1 + math.exp(1.0))
    assert float(ranking_loss(scores, ranks, "plackett_luce")) == pytest.approx(expected)


def test_pairs_are_counted_for_bradley_terry_and_rankings_for_the_others() -> None:
    ranks = torch.tensor([[1, 2, 3], [1, 1, 2], [2, 1, 0]])
    assert [loss_count(ranks, kind) for kind in KINDS] == [6, 3, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_loss_of_pairs_is_ln_2(kind: RankingLoss) -> None:
    model = reward_model().eval()
    stage = reward_stage(kind)
    loss = stage.check_start(model, stage.next_batch(model), None)
    assert loss == pytest.approx(math.log(2), rel=1e-6)


def test_a_model_whose_scores_are_not_fresh_is_refused_at_the_start() -> None:
    model = reward_model().eval()
    stage = reward_stage()
    with torch.no_grad():
        model.scalar_head.score.weight.fill_(1.0)
    with pytest.raises(RunFailed) as caught:
        stage.check_start(model, stage.next_batch(model), None)
    assert caught.value.check == "fresh_loss"


@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_of_a_batch_equal_those_of_single_texts_without_padding(
    kind: RankingLoss,
) -> None:
    model = reward_model().eval()
    with torch.no_grad():
        model.scalar_head.score.weight.normal_(generator=generator(3, "head"))
    stage = reward_stage(kind)
    for micro in stage.next_batch(model).micro_batches:
        scores = reply_scores(model, micro)
        for row, length in enumerate(micro.lengths.tolist()):
            alone = model(micro.token_ids[row : row + 1, :length])
            torch.testing.assert_close(scores[row : row + 1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_that_shorter_replies_are_preferred(tmp_path: Path, kind: RankingLoss) -> None:
    done = run(tmp_path / "run", LEARNING, reward_stage(kind, rows=4), reward_model())
    records = [record for record in log_of(tmp_path / "run") if "validation_loss" in record]
    assert records[0]["accuracy"] == 0.5
    assert records[-1]["accuracy"] == 1.0
    assert records[-1]["validation_loss"] < 0.5 * records[0]["validation_loss"]
    model, _ = model_directory.load(done)
    assert model.config.head == "scalar"


def test_an_adapter_of_a_reward_model_is_saved_and_loaded_with_its_score(tmp_path: Path) -> None:
    base = small_model(context_length=64)
    model_directory.save(tmp_path / "base", base, character_tokenizer())
    model, _ = model_directory.load(tmp_path / "base")
    give_scalar_head(model)
    lora.attach(model, LoRAConfig(rank=2), generator(1, "lora"))
    done = run(tmp_path / "run", LEARNING, reward_stage(rows=4), model, parent=tmp_path / "base")
    log = [record for record in log_of(tmp_path / "run") if "validation_loss" in record]
    assert log[-1]["accuracy"] == 1.0
    assert not (done / "model.safetensors").exists(), "only the adapter is stored"
    loaded, _ = model_directory.load(done)
    assert loaded.config.head == "scalar"
    model.eval()
    [micro, *_] = reward_stage(rows=4).next_batch(model).micro_batches
    assert torch.equal(reply_scores(loaded, micro), reply_scores(model, micro))
    assert float(reply_scores(loaded, micro).detach().abs().max()) > 0
