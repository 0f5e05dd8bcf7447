"""Repeat cached, preempted, adapter, constrained and tool-calling replies in a fresh process.

Usage: python benchmarks/replay_kinds.py MODEL OUT [--each 120] [--slots 4] [--quantum 8]

MODEL is a model directory with a chat format that calls tools. Three users ask for replies at the
same time, so the engine preempts replies of one user to let another have a turn. Each kind is
counted from what really happened, not from what was asked for. OUT receives the receipts, a random
adapter of MODEL, and kinds.json. Then `chatwright replay`, a fresh process with only OUT's
receipts, MODEL and the adapter, repeats each reply. At the end one receipt of each kind is replayed
with the next seed; kinds.json counts how many of these replies are reported as different.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replay import SCHEMA, WORDS, replay

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, ReplyEvent
from chatwright.chat.reply_form import ReplyForm
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message, ToolDefinition
from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Constraint, SamplingConfig
from chatwright.engine.scheduled_reply import State
from chatwright.model import lora
from chatwright.pipeline.adapter_factors import read_adapter
from chatwright.pipeline.reply_dependencies import reply_dependencies
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.reply_receipt import receipt_of

KINDS = ("cached", "preempted", "adapter", "constrained", "tool call")
ADAPTER = "random"
PLACES = ["the sea", "the town", "a ship", "the salt market"]
TOOLS = tuple(
    ToolDefinition(
        name,
        {
            "type": "object",
            "properties": {"text": {"type": "string", "enum": PLACES}},
            "required": ["text"],
            "additionalProperties": False,
        },
    )
    for name in ("LOOK", "ASK")
)
AT_ONCE = 24
"""Replies that wait or are generated at a time."""


@dataclass
class Asked:
    """One reply that is asked for."""

    number: int
    events: Iterator[ReplyEvent]
    adapter: str
    form: ReplyForm
    finished: Finished | None = None
    is_preempted: bool = False

    def kinds(self) -> list[str]:
        """Return the kinds that the reply is, by what happened."""
        assert self.finished is not None, "the reply has ended"
        facts = {
            "cached": self.finished.usage.cached_tokens > 0,
            "preempted": self.is_preempted,
            "adapter": bool(self.adapter),
            "constrained": self.form.constraint is not None,
            "tool call": bool(self.finished.message.tool_calls),
        }
        return [kind for kind, holds in facts.items() if holds]


def conversation(number: int) -> list[Message]:
    """Return a conversation; some begin as others do, so that their prefix is cached."""
    draw, shared = random.Random(number), random.Random(number % 2)
    first = " ".join(shared.choices(WORDS, k=24))
    beginning = [Message("user", first), Message("assistant", "Yes.")] if number % 4 else []
    return [*beginning, Message("user", " ".join(draw.choices(WORDS, k=10)))]


def form_of(number: int) -> ReplyForm:
    """Return what reply `number` may be: any text, an object of a schema, or a tool call."""
    if number % 4 == 1:
        return ReplyForm(Constraint("json_schema", json.dumps(SCHEMA)))
    if number % 4 == 2:
        return ReplyForm(tools=TOOLS, tool_choice="required", max_calls=1)
    return ReplyForm()


def make_adapter(model: Path, out: Path) -> Path:
    """Write an adapter of the model with random matrices."""
    loaded, tokenizer = model_directory.load(model)
    lora.attach(loaded, lora.LoRAConfig(rank=4), generator(1, "adapter"))
    for seed, layer in enumerate(lora.lora_layers(loaded).values()):
        layer.lora_b.data.normal_(0.0, 0.05, generator=generator(seed, "adapter"))
    model_directory.save(out, loaded, tokenizer, base=model_directory.base_of(loaded, model))
    return out


def serve(model: Path, adapter: Path, config: EngineConfig, each: int) -> list[Asked]:
    """Generate replies until there are `each` of every kind."""
    loaded, tokenizer = model_directory.load(model)
    weights = model_directory.weights_hash(model)
    done: list[Asked] = []
    live: list[Asked] = []
    counts: Counter[str] = Counter()
    number = 0
    with Engine(loaded, config) as engine:
        engine.load_adapter(ADAPTER, read_adapter(adapter, loaded, weights).factors)
        # A reply without a new event yields `Waiting`, so `next` below takes one step at most.
        plain = Assistant(engine, tokenizer, reports_waiting=True)
        adapted = plain.with_adapter(ADAPTER)
        while live or not _is_enough(counts, each):
            while len(live) < AT_ONCE and not _is_enough(counts, each):
                live.append(ask(adapted if number % 3 == 0 else plain, number))
                number += 1
            for one in list(live):
                event = next(one.events)
                if isinstance(event, Finished):
                    assert event.reason != "failed", event.error
                    one.finished = event
                    live.remove(one)
                    done.append(one)
                    counts.update(one.kinds())
            waiting = [
                reply for reply in engine.scheduler.waiting if reply.state is State.PREEMPTED
            ]
            preempted = {reply.sampling.seed for reply in waiting}
            for one in live:
                one.is_preempted |= one.number in preempted
    return sorted(done, key=lambda one: one.number)


def _is_enough(counts: Counter[str], each: int) -> bool:
    return all(counts[kind] >= each for kind in KINDS)


def ask(assistant: Assistant, number: int) -> Asked:
    """Ask for reply `number`, whose seed is its number."""
    draw = random.Random(number)
    sampling = SamplingConfig(
        seed=number,
        temperature=draw.choice([0.0, 0.7, 1.0, 1.3]),
        top_p=draw.choice([1.0, 0.9]),
        top_k=draw.choice([0, 20]),
        repetition_penalty=draw.choice([1.0, 1.2]),
        max_tokens=draw.randint(24, 60),
    )
    form = form_of(number)
    user = f"user {draw.randrange(3)}"
    events = assistant.reply(conversation(number), sampling, form=form, user=user)
    return Asked(number, events, assistant.adapter, form)


def receipts_of(model: Path, adapter: Path, done: list[Asked]) -> list[dict[str, Any]]:
    """Return the receipts of the replies, with token ids, as the server writes them."""
    facts = reply_dependencies(model)
    identity = ModelIdentity(
        weights=facts.weights,
        tokenizer=facts.tokenizer,
        build=facts.build,
        batch_dependence_reason="",
    )
    loaded, _ = model_directory.load(model)
    with_adapter = replace(identity, adapter=read_adapter(adapter, loaded, facts.weights).weights)
    found = []
    for one in done:
        assert one.finished is not None, "the reply has ended"
        of_model = with_adapter if one.adapter else identity
        found.append(receipt_of(of_model, one.finished, 0.0).to_json(is_full=True))
    return found


def main() -> None:
    """Serve, replay, and plant one difference for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=120, help="replies of each kind at least")
    parser.add_argument("--slots", type=int, default=4, help="replies generated together")
    parser.add_argument(
        "--quantum", type=int, default=8, help="tokens before another user may take the slot"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    config = EngineConfig(
        n_slot=given.slots,
        quantum=given.quantum,
        prefix_cache_bytes=200_000_000,
        speculative_tokens=7,
    )
    began = time.monotonic()
    adapter = make_adapter(given.model, given.out / "adapter")
    done = serve(given.model, adapter, config, given.each)
    receipts = receipts_of(given.model, adapter, done)
    served = time.monotonic()
    options = ("--adapter", f"{ADAPTER}={adapter}")
    results = replay(given.model, write(given.out / "receipts.jsonl", receipts), *options)
    summary: dict[str, Any] = {"replies": len(done), "same": sum(one["same"] for one in results)}
    changed = []
    for kind in KINDS:
        numbers = [index for index, one in enumerate(done) if kind in one.kinds()]
        same = sum(results[index]["same"] for index in numbers)
        summary[kind] = {"replies": len(numbers), "same": same}
        # A seed decides nothing where the reply is greedy or the grammar leaves no choice.
        drawn = next(i for i in numbers if _sampling(receipts[i])["temperature"] > 1)
        changed.append(json.loads(json.dumps(receipts[drawn])))
        _sampling(changed[-1])["seed"] += 1
    results = replay(given.model, write(given.out / "changed.jsonl", changed), *options)
    summary["changed seed, reported"] = {"of": len(changed), "different": _n_different(results)}
    summary["seconds"] = {
        "served": round(served - began, 1),
        "all": round(time.monotonic() - began, 1),
    }
    text = json.dumps(summary, indent=1)
    (given.out / "kinds.json").write_text(text, encoding="utf-8")
    print(text)


def write(file: Path, receipts: list[dict[str, Any]]) -> Path:
    """Write receipts, one in each line."""
    file.write_text("".join(json.dumps(one) + "\n" for one in receipts), encoding="utf-8")
    return file


def _n_different(results: list[dict[str, Any]]) -> int:
    return sum(not one["same"] for one in results)


def _sampling(receipt: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = receipt["requests"][0]["request"]["sampling"]
    return found


if __name__ == "__main__":
    main()
