"""Wiring of the translation stage: pairs, an encoder-decoder and the loop from their configs; translations and BLEU as it learns."""

from collections.abc import Sequence
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.data.encoded_pairs import EncodedPairs, encode_pairs, split_pairs
from chatwright.data.readers import describe_source
from chatwright.data.rows import DataError
from chatwright.data.sentence_pairs import SentencePair, read_pairs
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.evaluation.bleu import bleu, require_packages
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.pipeline.prepared_stage import Prepared
from chatwright.pipeline.stage_configs import DataSources, TranslationConfig, to_data_source
from chatwright.tasks.translate import Translator
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches
from chatwright.training.stages.translation import Translation
from chatwright.training.watcher import Watcher


def run_translation(
    config: TranslationConfig,
    out: Path,
    watcher: Watcher,
    tokenizer: Tokenizer,
    parent: Path | None = None,
) -> None:
    prepare_translation(config, watcher, tokenizer, parent).train(out, watcher)


def prepare_translation(
    config: TranslationConfig, watcher: Watcher, tokenizer: Tokenizer, parent: Path | None = None
) -> Prepared:
    """From scratch, or from the encoder-decoder at `parent`."""
    if config.bleu_pairs:  # now, not at the first evaluation
        require_packages()
    device = resolve_device(config.loop.device)
    model = _model(config, tokenizer, parent)
    pairs, held_out = _pairs(config, watcher)
    seed, pad, length = config.loop.seed, tokenizer.control.pad, model.config.context_length
    encoded, validation = (
        _encoded(some, tokenizer, model.config, name, watcher)
        for some, name in ((pairs, "training"), (held_out, "validation"))
    )
    stage = Translation(
        PairBatches(encoded, pad, config.batches, seed, device),
        PairBatches(
            validation,
            pad,
            PairBatchConfig(tokens=max(config.batches.tokens, length), accumulate=1),
            seed,
            device,
        ),
        resolve_precision(config.loop.precision, device),
        config.label_smoothing,
        _Samples(tokenizer, config.sample_texts),
        _ValidationBleu(tokenizer, held_out[: config.bleu_pairs]),
    )
    return Prepared(model, stage, tokenizer, config, parent)


def _model(config: TranslationConfig, tokenizer: Tokenizer, parent: Path | None) -> EncoderDecoder:
    if parent is not None:
        return model_directory.load(parent, kind=EncoderDecoder, changes=config.model)[0]
    changes = config.model | {"vocab_size": tokenizer.vocab_size}
    model = model_directory.build(
        EncoderDecoder, encoder_decoder_preset(changes.pop("size", "tiny"), **changes)
    )
    init_weights(model, generator(config.loop.seed, "weights"))
    return model


def _pairs(
    config: TranslationConfig, watcher: Watcher
) -> tuple[list[SentencePair], list[SentencePair]]:
    """(training, validation)"""
    pairs = _read((config.pairs, config.source, config.target), config, watcher)
    held_out = (config.validation_pairs, config.validation_source, config.validation_target)
    return (
        (pairs, _read(held_out, config, watcher))
        if any(held_out)
        else split_pairs(pairs, config.validation_share)
    )


def _read(
    written: tuple[DataSources, DataSources, DataSources],
    config: TranslationConfig,
    watcher: Watcher,
) -> list[SentencePair]:
    watcher.say(
        f"reading {' and '.join(describe_source(to_data_source(source)) for source in written if source)}"
    )
    skipped: list[DataError] = []
    pairs = read_named_pairs(*written, config.columns, skipped if config.skip_bad_rows else None)
    for error in skipped:
        watcher.say(f"left out: {error}")
    return pairs


def read_named_pairs(
    pairs: DataSources,
    source: DataSources,
    target: DataSources,
    columns: tuple[int, int],
    skipped: list[DataError] | None = None,
) -> list[SentencePair]:
    """From what a recipe names: files that hold both sides, files that hold one each, or both kinds."""
    found = read_pairs(to_data_source(pairs), columns=columns, skipped=skipped) if pairs else []
    return found + (
        read_pairs(to_data_source(source), to_data_source(target), skipped=skipped)
        if source
        else []
    )


def _encoded(
    pairs: list[SentencePair],
    tokenizer: Tokenizer,
    config: EncoderDecoderConfig,
    name: str,
    watcher: Watcher,
) -> EncodedPairs:
    length = config.context_length
    encoded = encode_pairs(pairs, tokenizer, length, config.start_id)
    watcher.say(
        f"{name}: {len(encoded):,} pairs, {sum(len(ids) - 1 for ids in encoded.targets):,} tokens to predict"
        + (
            f"; {encoded.n_too_long:,} left out because a side is longer than {length} tokens"
            if encoded.n_too_long
            else ""
        )
    )
    return encoded


class _Samples:
    """What the unfinished model makes of a few texts."""

    def __init__(self, tokenizer: Tokenizer, texts: tuple[str, ...]) -> None:
        self.tokenizer, self.texts = tokenizer, texts

    def __call__(self, model: EncoderDecoder) -> list[tuple[str, str]]:
        return list(zip(self.texts, _greedily(model, self.tokenizer, self.texts), strict=True))


class _ValidationBleu:
    def __init__(self, tokenizer: Tokenizer, pairs: list[SentencePair]) -> None:
        self.tokenizer, self.pairs = tokenizer, pairs

    def __call__(self, model: EncoderDecoder) -> dict[str, float]:
        if not self.pairs:
            return {}
        translations = _greedily(model, self.tokenizer, [pair.source for pair in self.pairs])
        return {"validation_bleu": bleu(translations, [pair.target for pair in self.pairs]).bleu}


def _greedily(model: EncoderDecoder, tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    with EncoderDecoderForward(model) as forward:
        return [
            found[0].text
            for found in Translator(forward, tokenizer).translate(texts, BeamConfig(width=1))
        ]
