"""Generate samples during training, and measure figures that need generation, such as BLEU."""

from collections.abc import Sequence

import torch

from chatwright.chat.assistant import Assistant
from chatwright.conversation import Message
from chatwright.data.rows import SentencePair
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import (
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
)
from chatwright.evaluation.bleu import bleu
from chatwright.evaluation.stop_rate import stop_rate
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.gpt import GPT
from chatwright.tasks.classify import Classifier
from chatwright.tasks.translate import Translator
from chatwright.tokenizer.chat_template import Rendered, format_of
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids
from chatwright.tokenizer.tool_call_text import message_text

N_SLOT = 16
"""Number of replies generated in one batch for the stop rate."""


class Continuations:
    """Sampled continuations of a few prompts, with a fixed seed."""

    def __init__(self, tokenizer: Tokenizer, prompts: Sequence[str], n_token: int) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts
        self.n_token = n_token

    def __call__(self, model: GPT) -> list[tuple[str, str]]:
        """Return (prompt, continuation) pairs."""
        sampling = SamplingConfig(
            max_tokens=_at_most_half_the_context(self.n_token, model), temperature=0.8, seed=1
        )
        with Engine(model) as engine:
            assistant = Assistant(engine, self.tokenizer)
            return [
                (prompt, assistant.complete(prompt, sampling).message.text)
                for prompt in self.prompts
            ]


class Replies:
    """Greedy replies to a few messages."""

    def __init__(self, tokenizer: Tokenizer, prompts: Sequence[str], n_token: int) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts
        self.n_token = n_token

    def __call__(self, model: GPT) -> list[tuple[str, str]]:
        """Return (message, reply) pairs."""
        sampling = SamplingConfig(
            max_tokens=_at_most_half_the_context(self.n_token, model), temperature=0.0
        )
        conversations = [[Message("user", prompt)] for prompt in self.prompts]
        with Engine(model) as engine:
            replies = Assistant(engine, self.tokenizer).replies(conversations, sampling)
        texts = [message_text(reply.message) for reply in replies]
        return list(zip(self.prompts, texts, strict=True))


def _at_most_half_the_context(n_token: int, model: GPT) -> int:
    return min(n_token, model.config.context_length // 2)


class StopRate:
    """The share of validation questions whose greedy reply ends by itself within the limit."""

    def __init__(
        self, tokenizer: Tokenizer, conversations: Sequence[Rendered], max_tokens: int
    ) -> None:
        self.stop_ids = format_of(tokenizer).stop_ids
        self.banned_ids = unused_ids(tokenizer)
        self.max_tokens = max_tokens
        self.prompts = [
            conversation.token_ids[: conversation.answers[0][0]] for conversation in conversations
        ]

    def __call__(self, model: GPT) -> dict[str, float]:
        """Return `stop_rate` and `mean_reply_tokens`, or {} if no prompt fits the context."""
        longest = model.config.context_length - self.max_tokens
        prompts = [prompt for prompt in self.prompts if len(prompt) <= longest]
        if not prompts:
            return {}
        measured = stop_rate(lambda rows: self._generate(model, rows), prompts)
        return {"stop_rate": measured.share.value, "mean_reply_tokens": measured.mean_length}

    def _generate(
        self, model: GPT, prompts: Sequence[Sequence[int]]
    ) -> list[tuple[list[int], bool]]:
        """Return each prompt's reply and whether it ended by itself."""
        sampling = SamplingConfig(temperature=0.0, max_tokens=self.max_tokens)
        config = EngineConfig(n_slot=min(N_SLOT, len(prompts)), max_waiting=len(prompts))
        with Engine(model, config) as engine:
            ids = [
                engine.submit(Request(tuple(prompt), sampling, self.stop_ids, self.banned_ids))
                for prompt in prompts
            ]
            replies: dict[RequestId, list[int]] = {request_id: [] for request_id in ids}
            has_stopped: dict[RequestId, bool] = {}
            while engine.has_work:
                for event in engine.step():
                    if isinstance(event, TokenSampled):
                        replies[event.request_id].append(event.token_id)
                    elif isinstance(event, RequestFinished):
                        has_stopped[event.request_id] = event.reason == "stop"
        return [(replies[request_id], has_stopped[request_id]) for request_id in ids]


class ExactMatch:
    """The share of training answers that the model gives word for word when it is asked.

    Greedy decoding gives an answer word for word exactly when each of its tokens is the most
    probable one after the tokens before it. So one forward pass shows it, without generating.
    """

    def __init__(self, conversations: Sequence[Rendered]) -> None:
        """Take training conversations; of each, the first answer that is learned is asked."""
        self.answers = [
            (conversation.token_ids[:end], start)
            for conversation in conversations
            for start, end in _learned_answers(conversation)[:1]
        ]

    @torch.no_grad()
    def __call__(self, model: GPT) -> dict[str, float]:
        """Return `exact_match`, or {} if no answer fits the context."""
        matches = [
            self._matches(model, token_ids, start)
            for token_ids, start in self.answers
            if len(token_ids) <= model.config.context_length
        ]
        return {"exact_match": sum(matches) / len(matches)} if matches else {}

    @staticmethod
    def _matches(model: GPT, token_ids: Sequence[int], start: int) -> bool:
        row = torch.tensor([token_ids[:-1]], device=model.device)
        most_probable = model(row)[0, start - 1 :].argmax(dim=-1)
        return most_probable.tolist() == list(token_ids[start:])


def _learned_answers(conversation: Rendered) -> list[tuple[int, int]]:
    """Return start and end of each answer that carries loss."""
    return [answer for answer in conversation.answers if conversation.loss_mask[answer[0]]]


class PredictedLabels:
    """Predicted labels of a few texts, with their probabilities."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.texts = texts

    def __call__(self, model: Encoder) -> list[tuple[str, str]]:
        """Return (text, labels) pairs."""
        predictions = Classifier(ClassifierForward(model), self.tokenizer).predict(self.texts)
        return [(prediction.text, _listed(prediction.probabilities)) for prediction in predictions]


def _listed(probabilities: dict[str, float]) -> str:
    return ", ".join(f"{name} {probability:.2f}" for name, probability in probabilities.items())


class Translations:
    """Greedy translations of a few texts."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.texts = texts

    def __call__(self, model: EncoderDecoder) -> list[tuple[str, str]]:
        """Return (text, translation) pairs."""
        translations = translate_greedily(model, self.tokenizer, self.texts)
        return list(zip(self.texts, translations, strict=True))


class ValidationBleu:
    """BLEU of greedy translations of validation pairs."""

    def __init__(self, tokenizer: Tokenizer, pairs: Sequence[SentencePair]) -> None:
        self.tokenizer = tokenizer
        self.pairs = pairs

    def __call__(self, model: EncoderDecoder) -> dict[str, float]:
        """Return `validation_bleu`, or {} without pairs."""
        if not self.pairs:
            return {}
        sources = [pair.source for pair in self.pairs]
        translations = translate_greedily(model, self.tokenizer, sources)
        score = bleu(translations, [pair.target for pair in self.pairs])
        return {"validation_bleu": score.bleu}


def translate_greedily(
    model: EncoderDecoder, tokenizer: Tokenizer, texts: Sequence[str]
) -> list[str]:
    """Translate each text with greedy search."""
    with EncoderDecoderForward(model) as forward:
        translations = Translator(forward, tokenizer).translate(texts, BeamConfig(width=1))
        return [hypotheses[0].text for hypotheses in translations]
