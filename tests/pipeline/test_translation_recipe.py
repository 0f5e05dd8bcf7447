"""A translation recipe is trained once and becomes stale when its data change."""

import gzip
import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.errors import InputError
from chatwright.evaluation.bleu import bleu, tokenized_lowercase_bleu
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.pipeline.translation_suite import TranslationSettings
from chatwright.tasks.translate import Translator
from chatwright.training.watcher import Watcher

RECIPE = """
stages = ["tokenizer", "translation"]
[tokenizer]
pairs = "{data}/more.tsv"
source = "{data}/train.fr.gz"
target = "{data}/train.en.gz"
vocab_size = 300
[translation]
pairs = "{data}/more.tsv"
columns = [2, 1]
source = "{data}/train.fr.gz"
target = "{data}/train.en.gz"
sample_texts = ["un deux"]
bleu_pairs = 2
validation_share = 0.2
[translation.model]
context_length = 24
n_encoder_layer = 1
n_decoder_layer = 1
n_head = 2
head_dim = 8
d_model = 16
d_ff = 32
[translation.batches]
tokens = 96
accumulate = 2
[translation.loop]
steps = 4
save_every = 2
evaluate_every = 2
precision = "float32"
"""
FRENCH = ["un deux", "deux trois", "trois un", "un", "deux", "un un"]
ENGLISH = ["one two", "two three", "three one", "one", "two", "one one"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.fr.gz").write_bytes(gzip.compress("\n".join(FRENCH).encode()))
    (data / "train.en.gz").write_bytes(gzip.compress("\n".join(ENGLISH).encode()))
    (data / "more.tsv").write_text("four\tquatre\nfour one\tquatre un\nfour two\tquatre deux\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(directory: Path, *overrides: str) -> list[str]:
    messages: list[str] = []
    run_recipe(
        read_recipe(directory / "recipe.toml", overrides),
        directory / "out",
        directory / "data",
        Watcher(say=messages.append),
    )
    return messages


def test_the_recipe_trains_a_translation_model_once(directory: Path) -> None:
    messages = run(directory)
    assert any(
        line.startswith("training: 8 pairs") or line.startswith("training: 7 pairs")
        for line in messages
    ), messages
    model, tokenizer = model_directory.load(directory / "out" / "translation", kind=EncoderDecoder)
    assert model.config.vocab_size == tokenizer.vocab_size
    logged = [
        json.loads(line)
        for line in (directory / "out" / "translation" / "metrics.jsonl").read_text().splitlines()
    ]
    evaluated = [record for record in logged if "validation_loss" in record]
    assert [record["step"] for record in evaluated] == [0, 2, 4]
    assert all(
        {"validation_accuracy", "validation_bleu"} <= record.keys()
        and record["samples"][0][0] == "un deux"
        for record in evaluated
    )
    assert (directory / "out" / "translation" / "report.html").exists()
    assert run(directory) == [
        "[1/2] tokenizer: already finished",
        "[2/2] translation: already finished",
    ]


def test_changed_target_sentences_make_the_tokenizer_stage_stale(directory: Path) -> None:
    run(directory)
    (directory / "data" / "train.en.gz").write_bytes(
        gzip.compress("\n".join([*ENGLISH[:-1], "uno"]).encode())
    )
    assert any("tokenizer was made from other settings or data" in line for line in run(directory))


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("translation.target=''", "target"),
        ("translation.validation_source=x", "validation_target"),
        ("translation.label_smoothing=1.0", "label_smoothing"),
        ("translation.columns=[0, 1]", "columns"),
        ("translation.target='{data}/nothing.en'", "data"),
    ],
)
def test_the_error_for_a_wrong_setting_names_it(directory: Path, override: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        run(directory, override)
    assert caught.value.field == field


def test_translation_can_continue_from_a_trained_model(directory: Path) -> None:
    run(directory)
    recipe = (
        (directory / "recipe.toml")
        .read_text()
        .replace(
            'stages = ["tokenizer", "translation"]', 'stages = ["tokenizer", "translation", "more"]'
        )
    )
    more = [
        "[more]",
        'kind = "translation"',
        'from = "translation"',
        'pairs = "{data}/more.tsv"',
        "validation_share = 0.4",
        "model = {dropout = 0.0}",
        "batches = {tokens = 96, accumulate = 2}",
        'loop = {steps = 2, precision = "float32"}',
        "",
    ]
    (directory / "recipe.toml").write_text(recipe + "\n".join(more))
    run(directory)
    assert (
        model_directory.load(directory / "out" / "more", kind=EncoderDecoder)[0].config.dropout
        == 0.0
    )


def test_the_translation_suite_gives_the_bleu_of_the_model_s_translations(directory: Path) -> None:
    run(directory)
    stage = directory / "out" / "translation"
    model, tokenizer = model_directory.load(stage, kind=EncoderDecoder)
    with EncoderDecoderForward(model) as forward:
        hypotheses = Translator(forward, tokenizer).translate(FRENCH, BeamConfig(width=2))
    translations = [best.text for best, *_ in hypotheses]
    settings = TranslationSettings(
        references=directory / "data" / "train.en.gz", language="en", beam=BeamConfig(width=2)
    )
    figures = evaluate(
        stage, "translation", directory / "data" / "train.fr.gz", translation=settings
    )
    assert figures["bleu"] == bleu(translations, ENGLISH).bleu
    lowercase = tokenized_lowercase_bleu(translations, ENGLISH, "en")
    assert figures["tokenized_lowercase_bleu"] == lowercase.bleu
    assert (figures["sentences"], figures["beam"]) == (len(FRENCH), 2)
    assert figures["signature"].startswith("nrefs:1|case:mixed")


def test_train_translation_reads_pairs_from_one_or_two_files_and_continues_a_model(
    directory: Path,
) -> None:
    """`chatwright train translation` also trains a tokenizer and can search a learning rate."""
    settings = [
        "model.size=nano",
        "model.context_length=24",
        "batches.tokens=96",
        "batches.accumulate=2",
        "validation_share=0.2",
    ]
    both = "".join(
        f"{french}\t{english}\n" for french, english in zip(FRENCH, ENGLISH, strict=True)
    )
    for name, text in (
        ("both.tsv", both),
        ("one.fr", "\n".join(FRENCH)),
        ("one.en", "\n".join(ENGLISH)),
    ):
        (directory / name).write_text(text)
    watcher = Watcher(say=lambda line: None)

    def losses(out: str, data: str, target: str, parent: Path | None = None) -> list[float]:
        options = StageOptions(
            data=str(directory / data),
            out=directory / out,
            overrides=settings[0 if parent is None else 2 :],
            parent=parent,
            target=target,
            vocab_size=300,
            smoke=True,
        )
        prepared = prepare_stage(stage_kind("translation"), options, watcher)
        prepared.run(directory / out, watcher)
        return [
            record["loss"]
            for record in map(
                json.loads, (directory / out / "metrics.jsonl").read_text().splitlines()
            )
            if "loss" in record
        ]

    from_both = losses("a", "both.tsv", "")
    assert from_both == losses("b", "one.fr", str(directory / "one.en"))
    assert from_both[-1] < from_both[0]
    assert losses("more", "both.tsv", "", directory / "a")[0] < from_both[0]
    options = StageOptions(
        data=str(directory / "both.tsv"), out=directory / "c", overrides=settings, vocab_size=300
    )
    prepared = prepare_stage(stage_kind("translation"), options, watcher)
    sweep = prepared.find_learning_rate(directory / "c")
    assert sweep.suggested > 0
    assert not (directory / "c" / "model").exists()
