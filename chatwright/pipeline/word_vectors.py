"""Word vectors from texts: what a stage of the kind "word-vectors" does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import model_directory
from chatwright.data import corpus
from chatwright.data.readers import describe_source
from chatwright.devices import generator, resolve_device
from chatwright.model.skip_gram import SkipGram, SkipGramConfig, init_weights
from chatwright.pipeline.prepared_stage import Prepared
from chatwright.pipeline.stage_configs import DataSources, to_data_source
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.word_lookup import token_texts
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.skip_gram import SkipGramBatchConfig, SkipGramBatches, SkipGramStage
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class WordVectorsConfig:
    """Learn a vector for every word from the words around it."""

    data: DataSources
    validation_share: float = 0.01
    skip_bad_rows: bool = False
    model: dict[str, Any] = field(
        default_factory=dict, metadata=config_files.table_of(SkipGramConfig)
    )
    """Shape of the model: d_model is the length of each word's vector."""
    batches: SkipGramBatchConfig = field(default_factory=SkipGramBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


def run_word_vectors(
    config: WordVectorsConfig,
    out: Path,
    watcher: Watcher,
    tokenizer: Tokenizer,
    parent: Path | None = None,
) -> None:
    if parent is not None:
        raise ValueError("word vectors begin from nothing: leave from out of the recipe.")
    _prepare(config, watcher, tokenizer).train(out, watcher)


def _prepare(config: WordVectorsConfig, watcher: Watcher, tokenizer: Tokenizer) -> Prepared:
    watcher.say(f"reading {describe_source(to_data_source(config.data))}")
    text, validation = corpus.encode_documents_split(
        to_data_source(config.data),
        tokenizer,
        config.validation_share,
        with_control=False,
        skip_bad_rows=config.skip_bad_rows,
        leave_out_duplicates=False,
    )
    watcher.say(
        f"learning from {len(text.stream):,} words of {text.n_documents:,} texts; {tokenizer.vocab_size:,} words have a vector"
    )
    shape = config_files.build(
        SkipGramConfig, config.model | {"vocab_size": tokenizer.vocab_size}, "model"
    )
    model = model_directory.build(SkipGram, shape)
    init_weights(model, generator(config.loop.seed, "weights"))
    batches = SkipGramBatches(
        text,
        tokenizer.vocab_size,
        config.batches,
        config.loop.seed,
        resolve_device(config.loop.device),
    )
    stage = SkipGramStage(batches, validation, token_texts(tokenizer))
    return Prepared(model, stage, tokenizer, config, None)
