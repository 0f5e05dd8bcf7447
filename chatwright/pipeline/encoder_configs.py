"""What a person may write in the tables of a recipe for the stages of encoders."""

from dataclasses import dataclass, field
from typing import Any

from chatwright import config as config_files
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_presets import ENCODER_PRESETS
from chatwright.pipeline.stage_configs import DataSources
from chatwright.training.batches.labels import LabelBatchConfig
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig
from chatwright.training.stages.distillation import DistillationConfig

ENCODER_TABLE = config_files.table_of(
    EncoderConfig, size=f"Preset to start from: {', '.join(ENCODER_PRESETS)}."
)


@dataclass(frozen=True, kw_only=True)
class MaskedLMConfig:
    """Learn to guess hidden tokens of plain text."""

    data: DataSources
    validation_share: float = 0.02
    mask_rate: float = 0.15  # share of the tokens to be guessed
    window: int = 0  # embeddings begin as what stands so near to each word (training/cooccurrence.py); 0: at random
    skip_bad_rows: bool = False
    model: dict[str, Any] = field(default_factory=lambda: {"size": "tiny"}, metadata=ENCODER_TABLE)
    """Shape of a new model. With --from, only what no weight depends on: dropout."""
    distillation: DistillationConfig | None = None  # learn from a teacher too
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        if not 0.0 < self.mask_rate < 1.0:
            raise ValueError(
                f"mask_rate ({self.mask_rate}) must be above 0 and below 1; 0.15 is usual"
            )
        if self.window < 0:
            raise ValueError(
                f"window ({self.window}) must be at least 0, the number of words on each side that are counted"
            )


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Learn the labels of texts, from scratch or from an encoder."""

    data: DataSources
    validation: DataSources = ""  # without any, a share of the rows is kept out of training
    validation_share: float = 0.1
    label_smoothing: float = 0.0
    skip_bad_rows: bool = False
    model: dict[str, Any] = field(default_factory=dict, metadata=ENCODER_TABLE)
    """Shape of a new model. With --from, only what no weight depends on, and the pooler."""
    distillation: DistillationConfig | None = None  # learn from a teacher too
    batches: LabelBatchConfig = field(default_factory=LabelBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_texts: tuple[str, ...] = ()  # told at every evaluation, for a person to see

    def __post_init__(self) -> None:
        if self.distillation and self.label_smoothing:
            raise ValueError(
                "label_smoothing is not used beside a teacher, whose probabilities are soft already: leave one of them out"
            )
