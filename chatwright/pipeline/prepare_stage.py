"""Prepare one stage without a recipe, for `chatwright train KIND`."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import directory, model_directory
from chatwright.commands import command_line
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.errors import InputError
from chatwright.pipeline.content_hash import content_hash, hash_json
from chatwright.pipeline.data_sources import data_source_keys, path_strings
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage
from chatwright.pipeline.recipe import SMOKE_LOOP
from chatwright.pipeline.stage_kinds import StageKind, Vocabulary
from chatwright.pipeline.stages import translation
from chatwright.pipeline.stages.tokenizer import TokenizerConfig
from chatwright.pipeline.stages.tokenizer import prepare as prepare_tokenizer
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.run_settings import flatten
from chatwright.training.watcher import Watcher

READ_KEYS = tuple(field.name for field in dataclasses.fields(ReadOptions))
VOCABULARY_HASH_FILE = "vocabulary.sha256"
"""Beside out/tokenizer: a hash of the data and settings the vocabulary was learned from."""
TOKENIZER_KEYS = ("data", "pairs", "source", "target", "columns", *READ_KEYS)
"""Settings of a stage that a new tokenizer needs too: its texts and how to read them."""


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """Options of `chatwright train` for a stage."""

    data: str
    out: Path
    overrides: Iterable[str] = ()
    """Settings as "key=value"."""
    reading: ReadOptions = DEFAULTS
    """How to read the data; settings in `overrides` replace these."""
    target: str = ""
    """File with the translation of each line of `data`; "" if there is none."""
    parent: Path | None = None
    """The model to start from, or a directory with only a tokenizer (option --from)."""
    vocab_size: int | None = None
    """Size of a vocabulary to learn; None means the default of the stage's kind."""
    smoke: bool = False


def prepare_stage(kind: StageKind, options: StageOptions, watcher: Watcher) -> TrainingStage:
    """Build the settings, load or train the tokenizer, and prepare the stage.

    Raises:
        InputError: A setting is wrong, or the data or the parent cannot be read.
    """
    table = config_files.merge(
        _data_settings(kind, options), config_files.parse_overrides(options.overrides)
    )
    if options.smoke:
        table = config_files.merge(table, {"loop": SMOKE_LOOP})
    source = command_line("train", kind.name)
    table = config_files.rename_old_keys(kind.config_class(), table, source)
    config = config_files.build(kind.config_class(), table, source)
    parent = options.parent
    if parent is not None and not kind.needs_parent and not model_directory.holds_model(parent):
        tokenizer = _load_or_learn(kind, config, options, watcher)
        parent = None
    elif parent is not None:
        tokenizer = load_tokenizer(model_directory.find(parent))
    elif getattr(config, "distillation", None):
        # A student needs its teacher's vocabulary to compare probabilities.
        tokenizer = load_tokenizer(model_directory.find(Path(config.distillation.teacher)))
    else:
        tokenizer = _load_or_learn(kind, config, options, watcher)
    inputs = StageInputs(
        out=options.out,
        watcher=watcher,
        tokenizer=tokenizer,
        parent=parent,
        given=frozenset(key for key, _ in flatten(table)),
    )
    prepared: TrainingStage = kind.prepare_function()(config, inputs)
    return prepared


def _data_settings(kind: StageKind, options: StageOptions) -> dict[str, Any]:
    reading = {key: getattr(options.reading, key) for key in READ_KEYS}
    changed = {key: value for key, value in reading.items() if value != getattr(DEFAULTS, key)}
    if kind.target_help:
        return translation.settings_from_options(options.data, options.target) | changed
    return {kind.data_key: options.data} | changed


def _load_or_learn(
    kind: StageKind, config: Any, options: StageOptions, watcher: Watcher
) -> Tokenizer:
    """Load the tokenizer given by --from, or that in out/tokenizer, which is trained if missing."""
    if options.parent is None:
        assert kind.vocabulary is not None, "only kinds that need a parent have no vocabulary"
        settings = _vocabulary_settings(kind.vocabulary, config, options.vocab_size)
        _learn_vocabulary(settings, options.out, watcher)
    folder = options.parent or options.out
    inner = folder / "tokenizer"
    return load_tokenizer(inner if inner.is_dir() else folder)


def _learn_vocabulary(settings: TokenizerConfig, out: Path, watcher: Watcher) -> None:
    """Learn out/tokenizer, unless it was learned from the same data with the same settings.

    Raises:
        InputError: A run in `out` uses a vocabulary from other data or settings.
    """
    digest = _vocabulary_hash(settings)
    hash_file = out / VOCABULARY_HASH_FILE
    if (out / "tokenizer").is_dir():
        # Earlier versions wrote no hash; their vocabulary is kept.
        if not hash_file.is_file() or hash_file.read_text(encoding="utf-8") == digest:
            return
        if model_directory.holds_model(out):
            raise InputError(
                f"{out}: the run in this directory has a vocabulary from other data or settings.",
                remedy="Give the earlier --data and --vocab-size again, or another --out.",
                field="--vocab-size",
                value=settings.vocab_size,
            )
        watcher.say("the data or the vocabulary's settings changed: learning it again")
        directory.remove(out / "tokenizer")
    prepare_tokenizer(settings, StageInputs(out=out, watcher=watcher)).run(out, watcher)
    directory.write_text(hash_file, digest)


def _vocabulary_hash(settings: TokenizerConfig) -> str:
    """Return a hash of the settings and of the contents of the data they name."""
    table = config_files.to_table(settings)
    for key in data_source_keys(TokenizerConfig):
        paths = path_strings(getattr(settings, key))
        table[key] = [content_hash(Path(path)) for path in paths]
    return hash_json(table)


def _vocabulary_settings(
    vocabulary: Vocabulary, config: Any, vocab_size: int | None
) -> TokenizerConfig:
    sources = {key: getattr(config, key) for key in TOKENIZER_KEYS if hasattr(config, key)}
    return config_files.build(
        TokenizerConfig,
        {
            **sources,
            "tokens": vocabulary.tokens,
            "vocab_size": vocab_size or vocabulary.size,
            "space_before": vocabulary.space_before,
        },
        "the vocabulary",
    )
