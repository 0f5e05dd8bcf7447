"""Scores of replies are bit-identical alone and together, and equal the model's own output."""

from collections.abc import Iterator

import pytest
import torch

from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.reward_forward import RewardForward
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tasks.reward import RewardModel, RewardScale
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render

WORDS = "the cat sat on the mat and the dog sat on the log. "
TOKENIZER = CharacterTokenizer.train([WORDS])
CONVERSATIONS = [
    [Message("user", WORDS[:n]), Message("assistant", (WORDS * 3)[n : 4 * n])]
    for n in (1, 2, 9, 9, 17, 30, 30, 31, 40)
]


def scored_model(**changes: object) -> GPT:
    shape = {"n_layer": 2, "d_model": 32, "d_ff": 64, "context_length": 200, "head": "scalar"}
    model = GPT(preset("nano", vocab_size=TOKENIZER.vocab_size, **(shape | changes)))
    init_weights(model, generator(1, "weights"))
    if model.scalar_head is not None:
        with torch.no_grad():
            model.scalar_head.score.weight.normal_(generator=generator(2, "score"))
    return model.eval()


@pytest.fixture
def forward() -> Iterator[RewardForward]:
    with RewardForward(scored_model()) as forward:
        yield forward


def test_scores_are_bit_identical_alone_and_together_in_any_batch(forward: RewardForward) -> None:
    model = RewardModel(forward, TOKENIZER)
    alone = [model.scores([conversation])[0] for conversation in CONVERSATIONS]
    for tokens_at_once in (1, 100, 10_000):
        assert model.scores(CONVERSATIONS, tokens_at_once) == alone
    assert model.scores(CONVERSATIONS[::-1]) == alone[::-1]
    assert len(set(alone)) > 5


def test_a_score_equals_the_output_of_the_model_without_padding(forward: RewardForward) -> None:
    scores = RewardModel(forward, TOKENIZER).scores(CONVERSATIONS)
    model = scored_model()
    for conversation, score in zip(CONVERSATIONS, scores, strict=True):
        ids = torch.tensor([render(conversation, TOKENIZER).token_ids])
        assert float(model(ids).detach()) == pytest.approx(score, rel=1e-5, abs=1e-5)


def test_normalized_scores_have_the_stated_mean_and_spread(forward: RewardForward) -> None:
    raw = torch.tensor(RewardModel(forward, TOKENIZER).scores(CONVERSATIONS))
    scale = RewardScale(float(raw.mean()), float(raw.std(correction=0)))
    normalized = torch.tensor(RewardModel(forward, TOKENIZER, scale).scores(CONVERSATIONS))
    assert float(normalized.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(normalized.std(correction=0)) == pytest.approx(1.0, rel=1e-5)


def test_an_empty_reply_has_a_score_of_its_own(forward: RewardForward) -> None:
    replies = [[Message("user", "cat"), Message("assistant", text)] for text in ("", "cat")]
    empty, other = RewardModel(forward, TOKENIZER).scores(replies)
    assert empty != other


def test_conversations_without_a_reply_or_too_long_are_refused(forward: RewardForward) -> None:
    model = RewardModel(forward, TOKENIZER)
    for wrong in ([], [Message("user", "cat")]):
        with pytest.raises(InputError):
            model.scores([wrong])
    long = [Message("user", "cat"), Message("assistant", WORDS * 5)]
    with pytest.raises(InputError) as caught:
        model.scores([long])
    assert caught.value.value == len(render(long, TOKENIZER).token_ids)


def test_a_chat_model_gives_no_scores() -> None:
    with pytest.raises(InputError) as caught:
        RewardForward(scored_model(head="language_model"))
    assert caught.value.value == "language_model"
