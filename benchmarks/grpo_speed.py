"""Time of GRPO's generation and of a whole step: Chatwright beside TRL, on the same model.

    python benchmarks/grpo_speed.py OUT [STEPS]

TRL must be installed (`pip install trl`); it is not among Chatwright's packages. Both train a
decoder of the starter's size from the same weights on one machine: 8 prompts x 8 samples, 64 new
tokens, one update per batch, beta 0, float32. Rewards are fixed and different in every group.
Prints the median seconds of each part and its share of a step, and writes them to
OUT/grpo_speed.json. TRL's scoring counts as update: it takes no time with these rewards.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.encoded.prompts import EncodedPrompts
from chatwright.data.rows import Location, PromptRow
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.starter import pretraining_documents
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.training.alarms import AlarmConfig, Alarms
from chatwright.training.batches.prompts import PromptBatches
from chatwright.training.optim.optimizer import Optimizer, OptimizerConfig
from chatwright.training.reference import frozen_copy
from chatwright.training.reward_sources import RewardConfig, Rewards, RewardSource
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollouts import RolloutConfig
from chatwright.training.stages.grpo import GRPO, GRPOUpdateConfig
from chatwright.training.step import train_step

N_PROMPT, N_SAMPLE, N_TOKEN, PROMPT_TOKENS = 8, 8, 64, 24
VOCABULARY = 4096


def starter_sized_model(vocab_size: int) -> GPT:
    """Return a Qwen3-shaped decoder with the starter's layers, which other tools can load."""
    config = preset(
        "tiny", vocab_size=vocab_size, n_layer=4, d_model=192, n_head=3, n_kv_head=3,
        head_dim=64, d_ff=768, context_length=320,
    )  # fmt: skip
    model = GPT(config)
    init_weights(model, generator(1, "weights"))
    return model


def rewards_of(n: int) -> list[float]:
    """Return numbers from 0 to 1 that differ inside every group."""
    return [(i * 7919 % 101) / 100 for i in range(n)]


class FixedRewards:
    """Gives the same rewards whatever the replies are."""

    name = "fixed"

    def scores(self, prompts: Any, replies: Any) -> list[float]:
        """Return one number for each reply."""
        return rewards_of(len(replies))


def measure_chatwright(model: GPT, prompts: list[list[int]], tokenizer: Any, steps: int) -> Any:
    """Return median seconds of generation, scoring and update."""
    rows = [PromptRow((Message("user", str(i)),), Location("p")) for i in range(len(prompts))]
    encoded = EncodedPrompts(rows, prompts, "")
    config = RolloutConfig(prompts=N_PROMPT, samples=N_SAMPLE, reply_tokens=N_TOKEN)
    source: RewardSource = FixedRewards()
    rewards = Rewards(RewardConfig(model="fixed"), tokenizer, [source])
    stage = GRPO(
        RolloutSource(tokenizer, PromptBatches(encoded, N_PROMPT, 1), encoded, rewards, config, 1),
        frozen_copy(model),
        GRPOUpdateConfig(measured_replies=4),
        Alarms(AlarmConfig(is_on=False)),
        torch.float32,
        seed=1,
    )
    optimizer = Optimizer(
        model, OptimizerConfig(kind="adamw", learning_rate=1e-5), torch.float32, {}
    )
    optimizer.set_factor(1.0)
    model.train()
    parts: dict[str, list[float]] = {"generation": [], "scoring": [], "update": [], "whole": []}
    for step in range(steps + 1):
        if step == 1:  # the engine is open: let no reply end before its limit, as in TRL below
            engine = stage.source._engine
            assert engine is not None, "the first step opened it"
            engine.stop_ids = []
        began = time.perf_counter()
        batch = stage.next_batch(model)
        train_step(model, stage, batch, optimizer, 1.0)
        whole = time.perf_counter() - began
        generation = stage.metrics["generation_seconds"]
        scoring = stage.metrics["scoring_seconds"]
        parts["generation"].append(generation)
        parts["scoring"].append(scoring)
        parts["update"].append(whole - generation - scoring)
        parts["whole"].append(whole)
    return {name: median(values[1:]) for name, values in parts.items()}


def measure_trl(directory: Path, prompts: list[list[int]], steps: int) -> Any:
    """Return median seconds of TRL's generation and of its whole step."""
    import transformers
    import trl
    from datasets import Dataset

    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    texts = [tokenizer.decode(prompt) for prompt in prompts]
    times: dict[str, list[float]] = {"generation": [], "whole": []}

    class Timed(trl.GRPOTrainer):  # type: ignore[misc]
        def _generate(self, *args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = super()._generate(*args, **options)
            times["generation"].append(time.perf_counter() - began)
            return result

        def training_step(self, *args: Any, **options: Any) -> Any:
            now = time.perf_counter()
            if self._last_step is not None:
                times["whole"].append(now - self._last_step)
            self._last_step = now
            return super().training_step(*args, **options)

        _last_step: float | None = None

    config = trl.GRPOConfig(
        output_dir=str(directory / "trl"), per_device_train_batch_size=N_PROMPT * N_SAMPLE,
        num_generations=N_SAMPLE, max_completion_length=N_TOKEN, beta=0.0, learning_rate=1e-5,
        max_steps=steps + 2, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
        gradient_checkpointing=False, generation_kwargs={"min_new_tokens": N_TOKEN},
        disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip

    def reward(completions: Any, **_: Any) -> list[float]:
        return rewards_of(len(completions))

    data = Dataset.from_list([{"prompt": text} for text in texts])
    trainer = Timed(
        model=model, reward_funcs=reward, args=config, train_dataset=data,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    return {name: median(values[1:]) for name, values in times.items()}


def main(out: Path, steps: int) -> None:
    """Measure both, and write the medians and their ratios."""
    out.mkdir(parents=True, exist_ok=True)
    texts = [document.text for document in pretraining_documents(size=0.1)]
    tokenizer = ByteBPE.train(texts, VOCABULARY)
    model = starter_sized_model(tokenizer.vocab_size)
    model_directory.save(out / "model", model, tokenizer, {})
    prompts = [list(tokenizer.encode(text))[:PROMPT_TOKENS] for text in texts[:64]]
    ours = measure_chatwright(model, prompts, tokenizer, steps)
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "steps": steps}
    result["chatwright"] = with_shares(ours)
    print(json.dumps(result, indent=1), flush=True)
    theirs = measure_trl(out / "model", prompts, steps)
    theirs["update"] = theirs["whole"] - theirs["generation"]
    result["trl"] = with_shares(theirs)
    result["ratio"] = {name: theirs[name] / ours[name] for name in ("generation", "whole")}
    (out / "grpo_speed.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


def with_shares(seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return seconds and share of the whole step for each part."""
    return {
        name: {"seconds": round(value, 3), "share": round(value / seconds["whole"], 3)}
        for name, value in seconds.items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
