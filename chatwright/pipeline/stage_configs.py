"""What a person may write in the tables of a recipe, one frozen dataclass a stage kind. Defaults here, differences in the file."""

from dataclasses import dataclass, field
from typing import Any, Literal

from chatwright.model.lora import LoRAConfig
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig

Places = str | tuple[str, ...]    # a file or folder, or a list of them


@dataclass(frozen=True, kw_only=True)
class StarterConfig:
    """Write the starter world's texts and conversations."""

    size: float = 1.0
    seed: int = 0
    conversations: int = 0    # how many to write; 0 takes what belongs to a world of this size


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Learn a vocabulary from the same texts the model will read."""

    data: Places
    chat: Places = ""                                 # conversations whose text counts too
    tokens: Literal["bpe", "characters"] = "bpe"
    vocab_size: int = 4096                            # control tokens included; characters take as many as the text has
    space_before: bool = False                        # a word is one token wherever it stands, also at the beginning of a text (bpe)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Learn to continue plain text."""

    data: Places = ""                                 # texts; may be left out where there are only conversations
    chat: Places = ""                                 # conversations among the texts: the model can speak before it is fine-tuned
    chat_validation_share: float = 0.05               # of the conversations, kept out of pretraining too: the same as the fine-tuning's
    validation_share: float = 0.02
    with_borders: bool = True                         # <|bos|> and <|end|> around each document
    keep_whole: bool = False                          # short documents stay whole, several to a row, instead of windows of one stream
    skip_bad_rows: bool = False                       # leave out rows that cannot be read (each is said), instead of stopping
    leave_out_duplicates: bool = True
    leave_out_overlaps: bool = False                  # training texts that share a run of 13 words with a validation text
    model: dict[str, Any] = field(default_factory=dict)   # size = "tiny" and so on; of a model gone on from, as in SFTConfig below
    lora: LoRAConfig | None = None                    # train an adapter beside the frozen weights of the model gone on from
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_prompts: tuple[str, ...] = ("The", "Once upon a time")
    sample_tokens: int = 48

    def __post_init__(self) -> None:
        if not self.data and not self.chat:
            raise ValueError("there is nothing to read: give data (texts), chat (conversations) or both")
        if self.batches.short_rows and not self.keep_whole:
            raise ValueError("batches.short_rows is for documents that stay whole: set keep_whole = true, or leave it out")


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """Learn to answer from example conversations."""

    data: Places
    texts: Places = ""                                # plain texts read again among the conversations, so that they are not forgotten
    texts_share: float = 0.25                         # of the tokens
    texts_validation_share: float = 0.02              # of the texts, kept out here too: the same as the pretraining's
    validation_share: float = 0.05
    skip_bad_rows: bool = False
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_prompts: tuple[str, ...] = ("Hello!", "Who are you?")
    sample_tokens: int = 64
    stop_prompts: int = 40                            # validation questions on which the stop rate is measured
    model: dict[str, Any] = field(default_factory=dict)   # dropout, or a longer context_length; the rest is the parent's
    lora: LoRAConfig | None = None                    # train an adapter beside the parent's frozen weights, instead of these

    def __post_init__(self) -> None:
        if not 0.0 < self.texts_share < 1.0:
            raise ValueError(f"texts_share ({self.texts_share}) must be above 0 and below 1; without texts leave texts empty")
