"""One stage by hand, without a recipe: what the verbs of `chatwright train` prepare."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.pipeline import encoder_stages, stages
from chatwright.pipeline.encoder_configs import ClassifyConfig, MaskedLMConfig
from chatwright.pipeline.prepared_stage import Prepared
from chatwright.pipeline.recipe import SMOKE
from chatwright.pipeline.stage_configs import (
    PretrainConfig,
    SFTConfig,
    TokenizerConfig,
    TranslationConfig,
)
from chatwright.pipeline.translation import prepare_translation
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.watcher import Watcher


def pretrain(
    data: str,
    out: Path,
    overrides: Iterable[str],
    parent: Path | None,
    vocab_size: int,
    smoke: bool,
    watcher: Watcher,
) -> Prepared:
    """From the model or tokenizer at `parent`, or from nothing: then the vocabulary is the teacher's, or learned into out/tokenizer first."""
    config = config_files.build(
        PretrainConfig, _table({"data": data}, overrides, smoke), "the settings given"
    )
    if parent is not None and _is_model(parent):
        return stages.prepare_pretrain(config, watcher, stages.tokenizer_of(parent), parent)
    if parent is None and config.distillation:  # the student speaks its teacher's words
        return stages.prepare_pretrain(
            config, watcher, stages.tokenizer_of(Path(config.distillation.teacher))
        )
    return stages.prepare_pretrain(
        config,
        watcher,
        _vocabulary(TokenizerConfig(data=data, vocab_size=vocab_size), out, parent, watcher),
    )


def sft(
    data: str, out: Path, overrides: Iterable[str], parent: Path, smoke: bool, watcher: Watcher
) -> Prepared:
    config = config_files.build(
        SFTConfig, _table({"data": data}, overrides, smoke), "the settings given"
    )
    return stages.prepare_sft(config, out, watcher, parent)


def masked_lm(
    data: str,
    out: Path,
    overrides: Iterable[str],
    parent: Path | None,
    vocab_size: int,
    smoke: bool,
    watcher: Watcher,
) -> Prepared:
    """From the encoder or tokenizer at `parent`, or from nothing: then a vocabulary is learned into out/tokenizer first."""
    config = config_files.build(
        MaskedLMConfig, _table({"data": data}, overrides, smoke), "the settings given"
    )
    if parent is not None and _is_model(parent):
        return encoder_stages.prepare_masked_lm(
            config, watcher, stages.tokenizer_of(parent), parent
        )
    return encoder_stages.prepare_masked_lm(
        config, watcher, _word_pieces(data, out, parent, vocab_size, watcher)
    )


def classify(
    data: str,
    out: Path,
    overrides: Iterable[str],
    parent: Path | None,
    vocab_size: int,
    smoke: bool,
    watcher: Watcher,
) -> Prepared:
    """From the encoder at `parent`, or from nothing."""
    config = config_files.build(
        ClassifyConfig, _table({"data": data}, overrides, smoke), "the settings given"
    )
    if parent is not None and _is_model(parent):
        return encoder_stages.prepare_classify(config, watcher, stages.tokenizer_of(parent), parent)
    return encoder_stages.prepare_classify(
        config, watcher, _word_pieces(data, out, parent, vocab_size, watcher)
    )


def translation(
    pairs: str,
    out: Path,
    overrides: Iterable[str],
    parent: Path | None,
    target: str,
    vocab_size: int,
    smoke: bool,
    watcher: Watcher,
) -> Prepared:
    """From the encoder-decoder or tokenizer at `parent`, or from nothing. `target`, if given, translates the lines of `pairs`."""
    sides = {"source": pairs, "target": target} if target else {"pairs": pairs}
    config = config_files.build(
        TranslationConfig, _table(sides, overrides, smoke), "the settings given"
    )
    if parent is not None and _is_model(parent):
        return prepare_translation(config, watcher, stages.tokenizer_of(parent), parent)
    vocabulary = TokenizerConfig(
        pairs=config.pairs,
        source=config.source,
        target=config.target,
        columns=config.columns,
        vocab_size=vocab_size,
        space_before=True,
    )
    return prepare_translation(config, watcher, _vocabulary(vocabulary, out, parent, watcher))


def _word_pieces(
    data: str, out: Path, parent: Path | None, vocab_size: int, watcher: Watcher
) -> Tokenizer:
    return _vocabulary(
        TokenizerConfig(data=data, vocab_size=vocab_size, tokens="wordpiece"), out, parent, watcher
    )


def _vocabulary(
    config: TokenizerConfig, out: Path, parent: Path | None, watcher: Watcher
) -> Tokenizer:
    """The tokenizer at `parent`, or else one learned into out/tokenizer, unless it was learned before."""
    if parent is None and not (out / "tokenizer").is_dir():
        stages.run_tokenizer(config, out, watcher)
    folder = parent or out
    return load_tokenizer(folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder)


def _table(places: dict[str, Any], overrides: Iterable[str], smoke: bool) -> dict[str, Any]:
    table = config_files.merge(places, config_files.parse_overrides(overrides))
    return config_files.merge(table, {"loop": SMOKE}) if smoke else table


def _is_model(path: Path) -> bool:
    return any(
        (path / name).exists()
        for name in ("config.json", "adapter_config.json", "model", "checkpoints")
    )
