"""Whether broken rewards trip an alarm, and healthy runs trip none.

    python benchmarks/alarms.py --seeds 0 10        # the seeds on which the limits were chosen
    python benchmarks/alarms.py --seeds 100 120     # the seeds that are reported

A small model first learns to answer "what color is the boat?" and is right about half of the time.
Then each run trains it, without a KL penalty, on one reward: `right` (healthy: the right color and
nothing else), `longer` (broken: the number of characters) or `repeat` (broken: the number of
repeated words). Even seeds train by PPO, odd seeds by GRPO. The table has one row for each run, and
the counts at its end.
"""

import argparse
import copy
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chatwright.conversation import Message
from chatwright.data.encoded.prompts import EncodedPrompts, encode_prompts
from chatwright.data.rows import Location, PromptRow
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.alarms import ADVICE, AlarmConfig, Alarms
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.prompts import PromptBatches
from chatwright.training.checks import RunFailed
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.metrics import read
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.reference import frozen_copy
from chatwright.training.reward_shaping import KLController
from chatwright.training.reward_sources import RewardConfig, Rewards, RuleSource
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollouts import RolloutConfig
from chatwright.training.stage import BatchConfig, Stage
from chatwright.training.stages.grpo import GRPO, GRPOUpdateConfig
from chatwright.training.stages.ppo import PPO, Critic, PPOUpdateConfig, new_value_head
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation

THINGS = [
    "boat",
    "door",
    "lamp",
    "hat",
    "wall",
    "cup",
    "bird",
    "coat",
    "kite",
    "book",
    "car",
    "bag",
]
COLORS = ["red", "blue", "green", "gray"]
CONTEXT = 128
N_ROLLOUT_BATCH = 40
CPU = torch.device("cpu")


def color_of(thing: str) -> str:
    """Return the color of a thing."""
    return COLORS[THINGS.index(thing) % len(COLORS)]


def answer_to(thing: str, color: str) -> str:
    """Return a reply."""
    return f"the {thing} is {color}."


def right(prompt: PromptRow, reply: Message) -> float:
    """Return 1 for the right answer and nothing else: a healthy reward."""
    return float(message_text(reply).strip() == prompt.answer)


def longer(prompt: PromptRow, reply: Message) -> float:
    """Return the number of characters: a broken reward."""
    return float(len(message_text(reply)))


def repeat(prompt: PromptRow, reply: Message) -> float:
    """Return the number of repeated words: a broken reward."""
    words = message_text(reply).split()
    return float(len(words) - len(set(words)))


REWARDS = {"right": right, "longer": longer, "repeat": repeat}
HEALTHY = ("right",)


@dataclass(frozen=True)
class Base:
    """The model that every run starts from."""

    model: GPT
    tokenizer: CharacterTokenizer
    prompts: EncodedPrompts


def main() -> None:
    """Run all rewards on all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=[100, 120], metavar=("FIRST", "END"))
    parser.add_argument("--rewards", nargs="+", choices=[*REWARDS], default=[*REWARDS])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base")
        counts: Counter[str] = Counter()
        print("| reward | seed | method | stopped by | steps | tokens | reward | seconds |")
        print("|---|---|---|---|---|---|---|---|")
        for reward in arguments.rewards:
            for seed in range(*arguments.seeds):
                counts[f"{reward}: {run(base, reward, seed, Path(folder))}"] += 1
    for name, count in sorted(counts.items()):
        print(f"{name}: {count} of {arguments.seeds[1] - arguments.seeds[0]}")


def make_base(out: Path) -> Base:
    """Train a small model that is right about half of the time."""
    questions = {thing: f"what color is the {thing}?" for thing in THINGS}
    texts = [answer_to(thing, color) for thing in THINGS for color in COLORS]
    tokenizer = CharacterTokenizer.train([*texts, *questions.values()])
    rows = [
        PromptRow((Message("user", q),), Location("colors", i), answer_to(t, color_of(t)))
        for i, (t, q) in enumerate(questions.items())
    ]
    # Half of the replies have a random color, so that the model learns to be unsure. A quarter says
    # all twice: a reward can only favor what the model does now and then.
    draws = generator(1, "colors")
    conversations = []
    for _ in range(16):
        for thing, question in questions.items():
            number = int(torch.randint(2 * len(COLORS), (), generator=draws))
            color = COLORS[number] if number < len(COLORS) else color_of(thing)
            answer = answer_to(thing, color)
            if int(torch.randint(4, (), generator=draws)) == 0:
                answer = f"{answer} {answer}"
            messages = [Message("user", question), Message("assistant", answer)]
            conversations.append(render(messages, tokenizer))
    model = GPT(
        preset(
            "nano",
            vocab_size=tokenizer.vocab_size,
            n_layer=1,
            d_model=48,
            d_ff=96,
            context_length=CONTEXT,
        )
    )
    init_weights(model, generator(1, "weights"))
    pad = tokenizer.control.pad
    batches = BatchConfig(rows=16, context_length=CONTEXT)
    training = PackedBatches(conversations, pad, batches, CONTEXT, 1, CPU)
    validation = PackedBatches(conversations[:12], pad, batches, CONTEXT, 1, CPU)
    stage = SFT(training, PackedValidation(validation, torch.float32), torch.float32)
    loop = loop_config(200, 5e-3, 1)
    train(out, model, stage, tokenizer, loop)
    return Base(model, tokenizer, encode_prompts(rows, tokenizer, CONTEXT - 60))


def loop_config(steps: int, rate: float, seed: int) -> LoopConfig:
    """Return the settings of a run; nothing is evaluated before its end."""
    return LoopConfig(
        steps=steps,
        seed=seed,
        device="cpu",
        precision="float32",
        schedule="constant",
        warmup=2,
        log_every=1,
        evaluate_every=10_000,
        save_every=10_000,
        optimizer=OptimizerConfig(kind="adamw", learning_rate=rate, weight_decay=0.0),
    )


def run(base: Base, reward: str, seed: int, folder: Path) -> str:
    """Train on one reward; print a row and return "alarm" or what else ended it."""
    model = copy.deepcopy(base.model)
    method = "grpo" if seed % 2 else "ppo"
    stage = make_stage(base, model, reward, seed, method)
    out = folder / f"{reward}-{seed}"
    began = time.perf_counter()
    stopped_by = "nothing"
    try:
        train(out, model, stage, base.tokenizer, loop_config(2 * N_ROLLOUT_BATCH, 1e-3, seed))
    except RunFailed as failure:
        stopped_by = failure.check
    records = [record for record in read(out / "metrics.jsonl") if "reply_tokens" in record]
    first, last = records[0], records[-1]
    print(
        f"| {reward} | {seed} | {method} | {stopped_by} | {last['step']} "
        f"| {first['reply_tokens']:.1f}, {last['reply_tokens']:.1f} "
        f"| {first['reward']:.2f}, {last['reward']:.2f} | {time.perf_counter() - began:.0f} |",
        flush=True,
    )
    return "alarm" if stopped_by in ADVICE else f"no alarm, stopped by {stopped_by}"


def make_stage(base: Base, model: GPT, reward: str, seed: int, method: str) -> Stage[Any, Any]:
    """Return the stage of one run."""
    source = RuleSource(reward, REWARDS[reward])
    rewards = Rewards(RewardConfig(model="planted"), base.tokenizer, [source])
    rollouts = RolloutConfig(prompts=8, samples=4, reply_tokens=60)
    batches = PromptBatches(base.prompts, rollouts.prompts, seed)
    replies = RolloutSource(base.tokenizer, batches, base.prompts, rewards, rollouts, seed)
    alarms = Alarms(AlarmConfig())
    reference = frozen_copy(model)
    if method == "grpo":
        update = GRPOUpdateConfig(epochs=2)
        return GRPO(replies, reference, update, alarms, torch.float32, seed)
    return PPO(
        replies,
        reference,
        Critic(new_value_head(model.config.d_model, CPU)),
        PPOUpdateConfig(epochs=2, steps_per_epoch=1, rows=32),
        KLController(0.0, 0.0),
        alarms,
        torch.float32,
        seed,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
