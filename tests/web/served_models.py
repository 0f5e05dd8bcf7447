"""Small untrained models behind a real server, and replies that a test chooses.

A reply of `GatedModel` can pause in its middle, at a gate. `Build` reports progress as
`chatwright up` does. `EchoAssistant` repeats the question, so a test decides the reply's text.
"""

import random
import re
import string
import threading
from contextlib import ExitStack
from dataclasses import replace

from chatwright.chat.assistant import Assistant
from chatwright.chat.dialogue import CHAT_TEMPERATURE
from chatwright.chat.reply_events import Finished, TextDelta, Usage
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.build_status import BuildStatus
from chatwright.server.http_server import serve_in_thread
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.training.watcher import Progress
from tests.server.fake_assistant import FakeAssistant

TOKENIZER = CharacterTokenizer.train(
    [string.ascii_letters + string.digits + string.punctuation + " \n"]
)
LETTERS_ONLY = {
    id_: -100.0
    for id_ in range(TOKENIZER.vocab_size)
    if id_ not in TOKENIZER.encode(string.ascii_lowercase)
}
CONTEXT = 192
REPLY = 24
EVENTS_BEFORE_GATE = 8
SEEDS = (5, 6)


def make_model(seed):
    """Return a small untrained model."""
    model = GPT(
        GPTConfig(
            vocab_size=TOKENIZER.vocab_size,
            context_length=CONTEXT,
            n_layer=1,
            n_head=2,
            n_kv_head=1,
            head_dim=16,
            d_model=32,
            d_ff=64,
        )
    )
    init_weights(model, generator(seed, "init"))
    return model


def settings(sampling):
    """Return the settings, limited to a fixed number of letters and a fixed seed."""
    return replace(sampling, logit_bias=LETTERS_ONLY, seed=7, max_tokens=REPLY)


class GatedModel:
    """A real model whose replies pause in the middle while its gate is closed; it starts open."""

    tokenizer = TOKENIZER

    def __init__(self, served, twin):
        self.assistant = Assistant(served, TOKENIZER)
        self.context_length = self.assistant.context_length
        self.twin = Assistant(twin, TOKENIZER)
        self.gate = threading.Event()
        self.gate.set()

    def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
        events = self.assistant.reply(conversation, settings(sampling))
        for index, event in enumerate(events):
            if index == EVENTS_BEFORE_GATE:
                assert self.gate.wait(30), "the gate stayed closed"
            yield event

    def continue_ids(self, token_ids, sampling, **options):
        yield from self.assistant.continue_ids(token_ids, settings(sampling), **options)

    def continue_alone(self, question, begun):
        """Return the continuation of a reply without a server."""
        token_ids = render_prompt([Message("user", question)], TOKENIZER) + TOKENIZER.encode(begun)
        sampling = settings(SamplingConfig(temperature=CHAT_TEMPERATURE))
        events = self.twin.continue_ids(token_ids, sampling)
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    def reply_alone(self, *texts):
        """Return the reply to a conversation without a server."""
        roles = ["user", "assistant"] * len(texts)
        *_, finished = self.twin.reply(
            [Message(role, text) for role, text in zip(roles, texts, strict=False)],
            settings(SamplingConfig(temperature=CHAT_TEMPERATURE)),
        )
        return finished.message.text


class Build:
    """A server during a build; the test reports the progress, as `chatwright up` does."""

    def __init__(self, port=0):
        self.now = 0.0
        self.status = BuildStatus([("pretrain", 100), ("sft", 300)], clock=lambda: self.now)
        self._stack = ExitStack()
        self.service, self.address = self._stack.enter_context(
            serve_in_thread("starter", port, status=self.status.status)
        )

    def report(self, stage, step, loss=None, samples=(), seconds_per_step=1.0):
        steps = {"pretrain": 100, "sft": 300}[stage]
        self.now += 0.0 if step == 0 else seconds_per_step * (step - self._last_step)
        self._last_step = step
        evaluation = {} if loss is None else {"validation_loss": loss}
        self.status.update(
            Progress(stage, step, steps, 1.0, 1, self.now, float("nan"), evaluation, list(samples))
        )

    def publish(self, assistant, description=""):
        self.service.publish(assistant, "starter", description)

    def finish(self, assistant):
        self.publish(assistant)
        self.status.set_ready()

    def stop(self):
        self._stack.close()


class EchoAssistant(FakeAssistant):
    """Replies with the last message, in pieces that are cut at random places."""

    context_length = 4096
    answer = ""  # replaces the question, if set
    answers = None  # returns the text of the next reply, if set

    def __init__(self):
        super().__init__()
        self.thinking = []
        self.gate = None  # a semaphore: each word of a reply waits for it

    def pieces(self, text):
        """Return the text in pieces: words if there is a gate, otherwise cut at random places."""
        if self.gate is not None:
            return re.findall(r"\S+\s*", text)
        cuts = random.Random(len(text))
        found = []
        start = 0
        while start < len(text):
            end = start + cuts.randint(1, 12)
            found.append(text[start:end])
            start = end
        return found

    def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
        self.seen.append((conversation, sampling))
        self.thinking.append(thinking)
        text = (self.answers() if self.answers else self.answer) or conversation[-1].text
        for piece in self.pieces(text):
            if self.gate is not None:
                assert self.gate.acquire(timeout=30), "the gate stayed closed"
            yield TextDelta(piece)
        yield Finished("stop", Usage(len(text), len(text)), Message("assistant", text))
