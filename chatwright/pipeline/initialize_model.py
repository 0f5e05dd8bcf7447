"""The model a stage begins with: drawn, gone on from, made of a teacher's layers, with an adapter beside it or without."""

from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.model import count_parameters
from chatwright.model.presets import preset
from chatwright.pipeline.stage_configs import PretrainConfig, SFTConfig
from chatwright.pipeline.teacher import student_of
from chatwright.training.watcher import Watcher

Config = PretrainConfig | SFTConfig


def initialize_model(
    config: Config, vocab_size: int, parent: Path | None, watcher: Watcher
) -> tuple[GPT, Path | None]:
    """(model, the parent that its first loss must equal, if there is one)"""
    if (student := student_of(config.distillation, config.model, GPT)) is not None:
        if config.lora:
            raise ValueError(
                "lora: an adapter names the base it stands on, and a student made of its teacher's layers is no model of its own yet. "
                "Train the student first, then an adapter --from it."
            )
        return student, None
    if parent is not None:
        return _gone_on_from(parent, config, watcher), parent
    if config.lora:
        raise ValueError(
            "lora: an adapter needs a model to stand beside. Give the model to go on from (--from DIR, or from = in the recipe), "
            "or leave lora out."
        )
    changes = dict(config.model)
    model = model_directory.build(
        GPT, preset(changes.pop("size", "tiny"), **(changes | {"vocab_size": vocab_size}))
    )
    init_weights(model, generator(config.loop.seed, "weights"))
    return model, None


def _gone_on_from(parent: Path, config: Config, watcher: Watcher) -> GPT:
    """The parent's weights in a model that may differ in what no weight depends on, and beside them an adapter where one is asked for."""
    model, _ = model_directory.load(parent, changes=config.model)
    if config.lora:
        lora.attach(model, config.lora, generator(config.loop.seed, "lora"))
    if lora.lora_layers(model):
        watcher.say(
            f"training an adapter: {count_parameters(model):,} of {sum(p.numel() for p in model.parameters()):,} parameters; "
            "the rest stays as it is"
        )
    return model
