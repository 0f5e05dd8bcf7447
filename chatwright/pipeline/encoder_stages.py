"""The stages of encoders: masked-language pretraining and classification, each (config, directory, watcher, tokenizer, parent) -> one run."""

from pathlib import Path
from typing import Any

import torch

from chatwright import config as config_files
from chatwright.checkpoint import model_directory
from chatwright.data import corpus
from chatwright.data.encoded_labels import EncodedLabels, encode_labelled
from chatwright.data.labelled import LabelledText, label_names, read_labelled, split_labelled
from chatwright.data.readers import describe_source
from chatwright.data.rows import DataError
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.heads import is_head_parameter
from chatwright.model.transfer import copy_trunk
from chatwright.pipeline.encoder_configs import ClassifyConfig, MaskedLMConfig
from chatwright.pipeline.prepared_stage import Prepared
from chatwright.pipeline.stage_configs import to_data_source
from chatwright.pipeline.teacher import student_of, with_teacher
from chatwright.tasks.classify import Classifier
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.encoder_tokens import N_SPECIAL_TOKENS, split_evenly
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.training.batches.labels import LabelBatches
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.cooccurrence import cooccurrence_embeddings
from chatwright.training.stages.classification import Classification
from chatwright.training.stages.masked_lm import MaskedLM, Masking
from chatwright.training.watcher import Watcher

COUNTED_SIZE = 0.05  # of embeddings made by counting: large enough to matter beside drawn ones, small enough for a fresh model's loss to be ln V


def run_masked_lm(
    config: MaskedLMConfig,
    out: Path,
    watcher: Watcher,
    tokenizer: Tokenizer,
    parent: Path | None = None,
) -> None:
    """From scratch, or from the encoder at `parent`."""
    prepare_masked_lm(config, watcher, tokenizer, parent).train(out, watcher)


def prepare_masked_lm(
    config: MaskedLMConfig, watcher: Watcher, tokenizer: Tokenizer, parent: Path | None = None
) -> Prepared:
    device = resolve_device(config.loop.device)
    if (student := student_of(config.distillation, _but_size(config.model), Encoder)) is not None:
        model, parent = student, None
    else:
        model = (
            _fresh(config.model, tokenizer, config.loop.seed)
            if parent is None
            else _continued(parent, config.model)[0]
        )
    encoder_tokens, length = (
        encoder_tokens_of(tokenizer),
        config.batches.context_length or model.config.context_length,
    )
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    texts, validation = corpus.encode_documents_split(
        source, tokenizer, config.validation_share, skip_bad_rows=config.skip_bad_rows
    )
    watcher.say(f"training on {texts.n_documents:,} texts, {len(texts.stream):,} tokens")
    if config.window and parent is None:
        _count_neighbours(model, texts, tokenizer, config)
    batches, held_out = (
        PackedBatches(
            _framed(part, tokenizer, length),
            encoder_tokens.pad,
            config.batches,
            length,
            config.loop.seed,
            device,
        )
        for part in (texts, validation)
    )
    masking = Masking(
        config.mask_rate,
        encoder_tokens.mask,
        tokenizer.control.all(),
        tokenizer.vocab_size,
        config.loop.seed,
    )
    stage = with_teacher(
        MaskedLM(batches, held_out, masking, resolve_precision(config.loop.precision, device)),
        config.distillation,
        model,
        tokenizer,
        device,
        config.loop.seed,
    )
    return Prepared(model, stage, tokenizer, config, parent)


def _count_neighbours(
    model: Encoder, texts: corpus.EncodedCorpus, tokenizer: Tokenizer, config: MaskedLMConfig
) -> None:
    """Embeddings of the words that were seen, from the company they keep; the others stay as they were drawn."""
    is_text = torch.ones(tokenizer.vocab_size, dtype=torch.bool).index_fill_(
        0, torch.tensor(tokenizer.control.all()), False
    )
    shape = (tokenizer.vocab_size, model.config.d_embedding)
    made = cooccurrence_embeddings(
        texts.stream, is_text, *shape, config.window, COUNTED_SIZE, config.loop.seed
    )
    seen = made.any(dim=1)
    with torch.no_grad():
        model.embedding.weight[seen] = made[seen]


def _framed(texts: corpus.EncodedCorpus, tokenizer: Tokenizer, length: int) -> list[Rendered]:
    """Each text as pieces that fit into a row. Packing shifts by one for those who predict what comes next: the last token is for that only."""
    encoder_tokens, control = encoder_tokens_of(tokenizer), tokenizer.control
    made = []
    for document in corpus.documents_of(texts.stream, control.bos):
        for piece in split_evenly(document[1:-1].tolist(), length - N_SPECIAL_TOKENS):
            ids = [*encoder_tokens.with_special_tokens(piece), encoder_tokens.sep]
            made.append(Rendered(ids, [True] * len(ids)))
    return made


def run_classify(
    config: ClassifyConfig,
    out: Path,
    watcher: Watcher,
    tokenizer: Tokenizer,
    parent: Path | None = None,
) -> None:
    """From scratch; from an encoder, whose head is then replaced; or from a classifier of the same labels, which goes on."""
    prepare_classify(config, watcher, tokenizer, parent).train(out, watcher)


def prepare_classify(
    config: ClassifyConfig, watcher: Watcher, tokenizer: Tokenizer, parent: Path | None = None
) -> Prepared:
    device = resolve_device(config.loop.device)
    train_rows, validation_rows = _labelled(config, watcher)
    names = label_names(train_rows)
    changes = dict(config.model) | {"head": "labels", "labels": names}
    has_fresh_head = True
    if (student := student_of(config.distillation, _but_size(config.model), Encoder)) is not None:
        model, parent = student, None
    elif parent is None:
        model = _fresh(changes, tokenizer, config.loop.seed)
    else:
        model, fresh = _continued(parent, changes, config.loop.seed)
        has_fresh_head = any(map(is_head_parameter, fresh))
    read, held_out = (
        encode_labelled(rows, tokenizer, names, model.config.context_length)
        for rows in (train_rows, validation_rows)
    )
    _say_what_was_read(watcher, read)
    batches, validation = (
        LabelBatches(part, encoder_tokens_of(tokenizer), config.batches, config.loop.seed, device)
        for part in (read, held_out)
    )
    stage = Classification(
        batches,
        validation,
        resolve_precision(config.loop.precision, device),
        has_fresh_head,
        config.label_smoothing,
        _Told(tokenizer, config.sample_texts),
    )
    taught = with_teacher(stage, config.distillation, model, tokenizer, device, config.loop.seed)
    return Prepared(model, taught, tokenizer, config, parent)


def _labelled(
    config: ClassifyConfig, watcher: Watcher
) -> tuple[list[LabelledText], list[LabelledText]]:
    skipped: list[DataError] = []
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    rows = read_labelled(source, skipped if config.skip_bad_rows else None)
    if not config.validation:
        parts = split_labelled(rows, config.validation_share)
    else:
        parts = (
            rows,
            read_labelled(
                to_data_source(config.validation), skipped if config.skip_bad_rows else None
            ),
        )
    for error in skipped:
        watcher.say(f"left out: {error}")
    return parts


def _say_what_was_read(watcher: Watcher, read: EncodedLabels) -> None:
    counts = read.describe()["labels"]
    watcher.say(
        f"training on {len(read):,} texts: "
        + ", ".join(f"{count:,} {name}" for name, count in counts.items())
    )
    if long := sum(len(pieces) > 1 for pieces in read.pieces):
        watcher.say(
            f"{long:,} texts are longer than the model can look at: each epoch sees one piece of each, telling looks at all pieces"
        )


def _fresh(settings: dict[str, Any], tokenizer: Tokenizer, seed: int) -> Encoder:
    changes = dict(settings) | {"vocab_size": tokenizer.vocab_size}
    model = model_directory.build(Encoder, encoder_preset(changes.pop("size", "tiny"), **changes))
    init_weights(model, generator(seed, "weights"))
    return model


def _but_size(settings: dict[str, Any]) -> dict[str, Any]:
    """A student made of its teacher's layers has a shape; what is said about another's is not about it."""
    return {name: value for name, value in settings.items() if name != "size"}


def _continued(parent: Path, changes: dict[str, Any], seed: int = 0) -> tuple[Encoder, list[str]]:
    """Start from the parent's weights; return the model and the names of its fresh parameters."""
    loaded, _ = model_directory.load(parent, kind=Encoder)
    changes = config_files.rename_old_keys(EncoderConfig, changes, "model")
    config = config_files.build(EncoderConfig, {**vars(loaded.config), **changes}, "model")
    model = model_directory.build(Encoder, config)
    init_weights(model, generator(seed, "weights of a new head"))
    return model, copy_trunk(loaded, model)


class _Told:
    """What the unfinished model tells of a few texts."""

    def __init__(self, tokenizer: Tokenizer, texts: tuple[str, ...]) -> None:
        self.tokenizer, self.texts = tokenizer, texts

    def __call__(self, model: Encoder) -> list[tuple[str, str]]:
        return [
            (
                told.text,
                ", ".join(f"{name} {share:.2f}" for name, share in told.probabilities.items()),
            )
            for told in Classifier(ClassifierForward(model), self.tokenizer).tell(self.texts)
        ]
