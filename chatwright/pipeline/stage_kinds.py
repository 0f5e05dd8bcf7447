"""The kinds of stages, one record each.

The subcommands of `chatwright train`, recipes, `chatwright up` and its web page, the suggested next
commands and the reference documentation all derive from these records. To add a kind, write a file
in `pipeline/stages/` with a config class and a `prepare` function, and add a record to
`STAGE_KINDS`.

This module imports neither torch nor a stage, so `chatwright --help` stays fast.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from chatwright.commands import command_line
from chatwright.errors import InputError

ModelKind = Literal["none", "decoder", "encoder", "encoder_decoder", "reward_model", "word_vectors"]
MODEL = "{model}"
"""Placeholder of the model's directory in `StageKind.next_command`."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Settings of the tokenizer that a stage trains on its own data if it gets none."""

    tokens: str = "bpe"
    size: int = 4096
    space_before: bool = False


@dataclass(frozen=True, kw_only=True)
class StageKind:
    """One kind of stage: its inputs, its output, and the texts that describe it to the user."""

    name: str
    """Name in recipes and on the command line."""
    config: str
    """Module and class of the settings, below `chatwright.pipeline.stages`."""
    prepare: str
    """Module and function that prepares the stage: (config, StageInputs) -> PreparedStage."""
    summary: str
    """What the stage does, in one line, for the help of `chatwright train`."""
    model: ModelKind = "none"
    """The kind of model that the stage makes; "none" for stages that only write files."""
    is_conversion: bool = False
    """Whether the stage only converts its parent's model, without training."""
    label: str = ""
    """Title of the web page while the stage trains."""
    rows_read: Mapping[str, str] = field(default_factory=dict)
    """Settings that name data, and the kind of row that each must hold."""
    data_key: str = "data"
    """Setting that the option --data fills."""
    data_help: str = ""
    target_help: str = ""
    """Help of the option --target, for kinds that have it: a second file, line by line."""
    parents: tuple[str, ...] = ()
    """In a recipe, the stage starts from the last stage of these kinds, unless it has `from`."""
    parent_help: str = ""
    needs_parent: bool = False
    vocabulary: Vocabulary | None = None
    """The tokenizer to train if none is given; None: the stage needs a parent's tokenizer."""
    next_step: str = ""
    """Words before the suggested next command."""
    next_command: tuple[str, ...] = ()
    """The next command to suggest, as words after `chatwright`."""

    @property
    def trains(self) -> bool:
        """Whether the stage trains a model."""
        return self.model != "none" and not self.is_conversion

    @property
    def is_servable(self) -> bool:
        """Whether `chatwright serve` can serve the finished model."""
        return self.model == "decoder"

    def config_class(self) -> type[Any]:
        """Import and return the class of the settings."""
        cls: type[Any] = _load(self.config)
        return cls

    def prepare_function(self) -> Callable[..., Any]:
        """Import and return the function that prepares the stage."""
        function: Callable[..., Any] = _load(self.prepare)
        return function

    def suggestion(self, model: Path) -> str:
        """Return the suggested next command for a finished model."""
        words = [word.replace(MODEL, str(model)) for word in self.next_command]
        return f"{self.next_step}: {command_line(*words)}"


def _load(reference: str) -> Any:
    module, name = reference.rsplit(".", 1)
    return getattr(import_module(f"chatwright.pipeline.stages.{module}"), name)


STAGE_KINDS: tuple[StageKind, ...] = (
    StageKind(
        name="starter",
        config="starter.StarterConfig",
        prepare="starter.prepare",
        summary="Write the starter corpus: texts and conversations.",
    ),
    StageKind(
        name="tokenizer",
        config="tokenizer.TokenizerConfig",
        prepare="tokenizer.prepare",
        summary="Learn a vocabulary from the data.",
    ),
    StageKind(
        name="pretrain",
        config="pretrain.PretrainConfig",
        prepare="pretrain.prepare",
        summary="Learn to continue plain text.",
        model="decoder",
        label="Learning to read",
        rows_read={"data": "text", "chat": "conversation"},
        data_help="Text: a file or a directory.",
        parent_help="A model to continue from, or a directory with only a tokenizer.",
        vocabulary=Vocabulary(),
        next_step="Try it",
        next_command=("generate", MODEL, "Once upon a time"),
    ),
    StageKind(
        name="sft",
        config="sft.SFTConfig",
        prepare="sft.prepare",
        summary="Learn to reply from example conversations.",
        model="decoder",
        label="Learning to converse",
        rows_read={"data": "conversation", "texts": "text"},
        data_help="Conversations: a file or a directory.",
        parents=("pretrain", "sft"),
        parent_help="The pretrained model to start from.",
        needs_parent=True,
        next_step="Chat with it",
        next_command=("chat", MODEL),
    ),
    StageKind(
        name="merge",
        config="merge.MergeConfig",
        prepare="merge.prepare",
        summary="Merge an adapter into its base.",
        model="decoder",
        is_conversion=True,
        parents=("pretrain", "sft"),
        needs_parent=True,
        next_step="Chat with it",
        next_command=("chat", MODEL),
    ),
    StageKind(
        name="dpo",
        config="dpo.DPOConfig",
        prepare="dpo.prepare",
        summary="Learn which replies people prefer (DPO, IPO, KTO).",
        model="decoder",
        label="Learning preferences",
        rows_read={"data": "preference"},
        data_help="Preferences: prompt, chosen and rejected; or rated replies with loss=kto.",
        parents=("sft", "dpo"),
        parent_help="The fine-tuned model to start from.",
        needs_parent=True,
        next_step="Chat with it",
        next_command=("chat", MODEL),
    ),
    StageKind(
        name="grpo",
        config="grpo.GRPOConfig",
        prepare="grpo.prepare",
        summary="Learn from the rewards of the model's own replies, compared with each other.",
        model="decoder",
        label="Learning from rewards",
        rows_read={"data": "prompt"},
        data_help="Prompts: rows with prompt, and with answer where a rule compares with it.",
        parents=("sft", "dpo", "grpo"),
        parent_help="The fine-tuned model to start from.",
        needs_parent=True,
        next_step="Chat with it",
        next_command=("chat", MODEL),
    ),
    StageKind(
        name="ppo",
        config="ppo.PPOConfig",
        prepare="ppo.prepare",
        summary="Learn from the rewards of the model's own replies, with a value head.",
        model="decoder",
        label="Learning from rewards",
        rows_read={"data": "prompt"},
        data_help="Prompts: rows with prompt, and with answer where a rule compares with it.",
        parents=("sft", "dpo", "grpo", "ppo"),
        parent_help="The fine-tuned model to start from.",
        needs_parent=True,
        next_step="Chat with it",
        next_command=("chat", MODEL),
    ),
    StageKind(
        name="reward",
        config="reward.RewardConfig",
        prepare="reward.prepare",
        summary="Learn to score replies as people rank them: a reward model.",
        model="reward_model",
        label="Learning to score replies",
        rows_read={"data": "preference"},
        data_help="Feedback: a snapshot, or rows with prompt, chosen and rejected.",
        parents=("sft", "dpo"),
        parent_help="The chat model to start from, or a reward model to continue.",
        needs_parent=True,
        next_step="Score replies",
        next_command=("score", MODEL, "FILE"),
    ),
    StageKind(
        name="best-of-n",
        config="best_of_n.BestOfNConfig",
        prepare="best_of_n.prepare",
        summary="Sample replies to prompts and keep the best ones, for an sft stage.",
        rows_read={"data": "prompt"},
        data_help="Prompts: rows with prompt, and answer where a rule compares with it.",
        parents=("sft", "dpo"),
        parent_help="The model that writes the replies.",
        needs_parent=True,
    ),
    StageKind(
        name="translation",
        config="translation.TranslationConfig",
        prepare="translation.prepare",
        summary="Learn to translate from sentence pairs.",
        model="encoder_decoder",
        label="Learning to translate",
        rows_read={"pairs": "sentence pair"},
        data_key="pairs",
        data_help=(
            "Sentence pairs: a .tsv, .jsonl or tab-separated .txt file. "
            "With --target, a file with one sentence per line. "
            "The setting columns=[2,1] trains the other direction."
        ),
        target_help="A file with the translations of --data's lines.",
        parent_help="A translation model to continue from, or a directory with only a tokenizer.",
        vocabulary=Vocabulary(size=8192, space_before=True),
        next_step="Try it",
        next_command=("translate", MODEL, "a sentence"),
    ),
    StageKind(
        name="masked-lm",
        config="masked_lm.MaskedLMConfig",
        prepare="masked_lm.prepare",
        summary="Train an encoder to predict masked words of plain text.",
        model="encoder",
        label="Learning to read",
        rows_read={"data": "text"},
        data_help="Text: a file or a directory.",
        parent_help="An encoder to continue from, or a directory with only a tokenizer.",
        vocabulary=Vocabulary(tokens="wordpiece", size=8192),
        next_step="Train it on labels",
        next_command=("train", "classify", "--from", MODEL, "--data", "FILE", "--out", "DIR"),
    ),
    StageKind(
        name="classify",
        config="classify.ClassifyConfig",
        prepare="classify.prepare",
        summary="Learn the labels of texts.",
        model="encoder",
        label="Learning labels",
        rows_read={"data": "labeled text"},
        data_help="Labeled texts: a .jsonl, .csv or .tsv file with text and label.",
        parents=("masked-lm", "classify"),
        parent_help=(
            "An encoder to start from: made by masked-lm or classify, or imported; "
            "or a directory with only a tokenizer."
        ),
        vocabulary=Vocabulary(tokens="wordpiece", size=8192),
        next_step="Try it",
        next_command=("classify", MODEL, "Your text."),
    ),
    StageKind(
        name="embedding",
        config="embedding.EmbeddingConfig",
        prepare="embedding.prepare",
        summary="Learn vectors of texts from pairs that belong together.",
        model="encoder",
        label="Learning to compare texts",
        rows_read={"data": "text pair"},
        data_help=(
            "Text pairs: a .jsonl, .csv or .tsv file with anchor and positive, and optionally "
            "negative."
        ),
        parents=("masked-lm", "classify", "embedding"),
        parent_help="The encoder to start from: imported, or made by another stage.",
        needs_parent=True,
        next_step="Try it",
        next_command=("embed", MODEL, "A text.", "Another text.", "--compare"),
    ),
    StageKind(
        name="word-vectors",
        config="word_vectors.WordVectorsConfig",
        prepare="word_vectors.prepare",
        summary="Learn a vector for every word from the words around it.",
        model="word_vectors",
        label="Learning word vectors",
        rows_read={"data": "text"},
        data_help="Text: a file or a directory.",
        parent_help="A directory with a tokenizer.",
        vocabulary=Vocabulary(tokens="words", size=20_000),
        next_step="Try it",
        next_command=("inspect", "embeddings", MODEL, "king"),
    ),
)


def stage_kind(name: str, source: str = "") -> StageKind:
    """Return the kind called `name`.

    Args:
        name: The name in a recipe or on the command line.
        source: The file and section that hold the name, for the error message.

    Raises:
        InputError: There is no such kind.
    """
    for kind in STAGE_KINDS:
        if kind.name == name:
            return kind
    raise InputError(
        f"{source}: there is no stage kind {name!r}."
        if source
        else f"There is no stage kind {name!r}.",
        remedy=f"Choose one of {', '.join(kind.name for kind in STAGE_KINDS)}.",
        field="kind",
        value=name,
    )
