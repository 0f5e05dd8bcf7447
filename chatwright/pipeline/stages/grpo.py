"""The stage that improves a decoder by GRPO: it compares its own replies to each prompt."""

from dataclasses import dataclass, field

from chatwright.errors import InputError
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.fine_tuned_optimizer import ADAPTER_RATES
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.reinforcement import (
    ReinforcementConfig,
    prepare_reinforcement,
)
from chatwright.training.alarms import Alarms
from chatwright.training.reference import frozen_copy
from chatwright.training.stages.grpo import GRPO, GRPOUpdateConfig


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(ReinforcementConfig):
    """Settings of group-relative policy optimization."""

    update: GRPOUpdateConfig = field(default_factory=GRPOUpdateConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rollouts.samples < 2:
            raise InputError(
                f"rollouts.samples is {self.rollouts.samples}, but a reply is compared with others "
                "to the same prompt.",
                remedy="Set rollouts.samples=8, or at least 2.",
                field="rollouts.samples",
                value=self.rollouts.samples,
            )


def prepare(config: GRPOConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare training by GRPO."""
    choices = choices_of(inputs.out, inputs.given)
    if config.lora:
        config = choices.apply(config, ADAPTER_RATES)
    prepared = prepare_reinforcement(config, inputs)
    stage = GRPO(
        prepared.source,
        frozen_copy(prepared.model),
        config.update,
        Alarms(config.alarms),
        prepared.dtype,
        config.loop.seed,
    )
    return TrainingStage(
        model=prepared.model,
        stage=stage,
        tokenizer=prepared.tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, prepared.model),
        parent=prepared.parent,
        chosen=choices.chosen,
    )
