"""The model families of transformers that can be imported and exported, one module each."""

from chatwright.checkpoint.families.albert import ALBERT
from chatwright.checkpoint.families.bert import BERT
from chatwright.checkpoint.families.distilbert import DISTILBERT
from chatwright.checkpoint.families.gemma3 import GEMMA3, GEMMA3_TEXT
from chatwright.checkpoint.families.gpt1 import GPT1
from chatwright.checkpoint.families.gpt2 import GPT2
from chatwright.checkpoint.families.llama import LLAMA
from chatwright.checkpoint.families.marian import MARIAN
from chatwright.checkpoint.families.mistral import MISTRAL
from chatwright.checkpoint.families.mobilebert import MOBILEBERT
from chatwright.checkpoint.families.qwen2 import QWEN2
from chatwright.checkpoint.families.qwen3 import QWEN3
from chatwright.checkpoint.families.roberta import ROBERTA
from chatwright.checkpoint.families.smollm3 import SMOLLM3
from chatwright.checkpoint.family import Family
from chatwright.model.model import ModelConfig

# In order of preference: a model is saved as the first family that supports its settings.
FAMILIES: tuple[Family, ...] = (
    QWEN3,
    LLAMA,
    MISTRAL,
    QWEN2,
    SMOLLM3,
    GEMMA3_TEXT,
    GEMMA3,
    GPT2,
    GPT1,
    BERT,
    ROBERTA,
    DISTILBERT,
    ALBERT,
    MOBILEBERT,
    MARIAN,
)


def for_config(config: ModelConfig) -> Family | None:
    """Return the first family that supports every setting, or None if there is no such family."""
    return next((family for family in FAMILIES if family.supports(config)), None)


def by_name(model_type: str) -> Family | None:
    """Return the family with this `model_type`, or None."""
    return next((family for family in FAMILIES if family.name == model_type), None)
