"""Models of transformers are imported, trained and exported again with equal logits and ids."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory, safetensors_file
from chatwright.checkpoint.lock import writer_lock
from chatwright.cli import app
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model import encoder, gpt
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.model.presets import preset
from chatwright.pipeline.import_export import export_model, import_model
from chatwright.pipeline.merge import merge
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.prepared_stage import TrainingStage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.tasks.translate import Translator
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.training.checks import RunFailed
from chatwright.training.watcher import Watcher
from tests.pipeline.imported_models import CLASSES, ENCODERS, write, write_encoder, write_marian
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = pytest.mark.uses_global_rng

# ChatML without a default system message.
CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@torch.no_grad()
def largest_difference(model: Model, directory: Path) -> float:
    """Return the largest difference from the logits that transformers computes for `directory`."""
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(directory)
    prompts = random_prompts(reference.config.vocab_size, 64)
    return max(float((model(p) - reference(p).logits).abs().max()) for p in prompts)


def gives_ids_of_transformers(tokenizer: Tokenizer, directory: Path) -> bool:
    from transformers import AutoTokenizer

    reference, texts = AutoTokenizer.from_pretrained(directory), hard_strings(200)
    expected = [reference(text, add_special_tokens=False)["input_ids"] for text in texts]
    return expected == tokenizer.encode_batch(texts)


def prepare_sft(
    data: str, out: Path, settings: list[str], parent: Path, watcher: Watcher
) -> TrainingStage:
    """Prepare fine-tuning as `chatwright train sft` does."""
    options = StageOptions(data=data, out=out, overrides=settings, parent=parent, smoke=False)
    return prepare_stage(stage_kind("sft"), options, watcher)


def write_conversations(file: Path, question: str, answer: str, count: int) -> str:
    """Write `count` conversations as JSONL and return the file's path."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": question.format(i)},
                {"role": "assistant", "content": answer},
            ]
        }
        for i in range(count)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


@pytest.mark.parametrize("family", CLASSES)
def test_a_decoder_is_imported_and_exported_with_equal_logits_and_ids(
    family: str, tmp_path: Path
) -> None:
    source, exported = write(tmp_path / "source", family), tmp_path / "exported"
    imported = import_model(str(source), tmp_path / "model")
    # transformers writes a dropout of 0.1 for GPT-1 and GPT-2, and none for the others.
    dropout = ["attn_pdrop"] if family in ("gpt2", "openai-gpt") else []
    assert imported.family == family
    assert imported.unused == [*dropout, "generation_config.json"]
    model, tokenizer = model_directory.load(tmp_path / "model")
    assert export_model(tmp_path / "model", exported).gap.largest == 0
    for directory in (source, exported):
        assert largest_difference(model, directory) <= 1e-5
        assert gives_ids_of_transformers(tokenizer, directory)
    names = {path.name for path in exported.iterdir()}
    assert not {"MANIFEST.json", "chatwright_tokenizer.json", "training.json"} & names
    assert "chatwright" not in json.loads((exported / "config.json").read_text())
    again = import_model(str(exported), tmp_path / "again")
    assert (again.chat_format, again.n_parameter) == (imported.chat_format, imported.n_parameter)


@torch.no_grad()
@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_is_imported_and_exported_with_equal_logits_and_ids(
    family: str, tmp_path: Path
) -> None:
    import transformers

    source, exported = write_encoder(tmp_path / "source", family), tmp_path / "exported"
    imported = import_model(str(source), tmp_path / "model")
    assert imported.family == family
    has_no_attention_dropout = family in ("albert", "mobilebert")
    dropout_names = {"attention_dropout", "attention_probs_dropout_prob"}
    assert has_no_attention_dropout or dropout_names & set(imported.unused)
    model, tokenizer = model_directory.load(tmp_path / "model", kind=Encoder)
    assert export_model(tmp_path / "model", exported).gap.relative <= 1e-6
    for directory in (source, exported):
        reference = getattr(transformers, ENCODERS[family]).from_pretrained(directory).eval()
        for prompt in random_prompts(model.config.vocab_size, 32):
            # RoBERTa skips padding (id 0) when it counts positions, so prompts must not contain it.
            prompt = prompt.clamp(min=1)
            assert float((model(prompt) - reference(prompt).logits).abs().max()) <= 1e-5
        assert gives_ids_of_transformers(tokenizer, directory)


@torch.no_grad()
def test_an_encoder_decoder_is_imported_and_exported_with_equal_logits(tmp_path: Path) -> None:
    from transformers import MarianMTModel

    source, exported = write_marian(tmp_path / "source"), tmp_path / "exported"
    assert import_model(str(source), tmp_path / "model").chat_format is None
    model, tokenizer = model_directory.load(tmp_path / "model", kind=EncoderDecoder)
    assert export_model(tmp_path / "model", exported).gap.relative <= 1e-6
    text = torch.tensor([tokenizer.encode("the quick lazy dogs")])
    target = torch.tensor([[model.config.start_id, 5, 6, 7]])
    for directory in (source, exported):
        reference = MarianMTModel.from_pretrained(directory)
        expected = reference(input_ids=text, decoder_input_ids=target).logits
        assert float((model(text, target) - expected).abs().max()) <= 1e-5
    assert {"source.spm", "target.spm", "vocab.json"} <= {path.name for path in exported.iterdir()}
    with EncoderDecoderForward(model) as forward:
        [[best]] = Translator(forward, tokenizer).translate(["the quick dog"])
    assert isinstance(best.text, str)


def test_an_imported_model_chats_in_its_own_format(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import_model(str(write(tmp_path / "source", "qwen2")), tmp_path / "model")
    model, tokenizer = model_directory.load(tmp_path / "model")
    question = [Message("user", "the quick fox")]
    sampling = SamplingConfig(max_tokens=8, temperature=0.0)
    with Engine(model) as engine:
        [reply] = Assistant(engine, tokenizer).replies([question], sampling)
    prompt = AutoTokenizer.from_pretrained(tmp_path / "source").apply_chat_template(
        [{"role": "user", "content": "the quick fox"}],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert prompt == render_prompt(question, tokenizer)
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "source").generate(
        torch.tensor([prompt]),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=list(tokenizer.control.all()),
    )
    assert reply.message.text == tokenizer.decode(expected[0, len(prompt) :].tolist())


def test_fine_tuning_gives_our_chat_format_to_a_model_without_one(tmp_path: Path) -> None:
    """GPT-2 gets our control tokens; the logits of its old tokens do not change."""
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "model")
    before, plain = model_directory.load(tmp_path / "model")
    assert plain.chat_format is None
    data = write_conversations(tmp_path / "chat.jsonl", "fox {}?", "jump", 30)
    messages: list[str] = []
    watcher = Watcher(say=messages.append)
    run = tmp_path / "run"
    prepare_sft(data, run, SFT, tmp_path / "model", watcher).run(run, watcher)
    assert any("control tokens" in message for message in messages)
    start, _ = model_directory.load(run / "start")
    token_ids = torch.arange(40)[None]
    with torch.no_grad():
        old_logits = start(token_ids)[..., : before.config.vocab_size]
        torch.testing.assert_close(old_logits, before(token_ids))
    tuned, tokenizer = model_directory.load(run)
    assert tokenizer.chat_format is not None
    assert tokenizer.chat_format.name == "chatwright"
    # An adapter can be trained on the result, because its control tokens are trained.
    prepare_sft(data, tmp_path / "adapter", [*SFT, "lora.rank=2"], run, watcher)
    export_model(run, tmp_path / "exported")
    assert largest_difference(tuned, tmp_path / "exported") <= 1e-5
    again = import_model(str(tmp_path / "exported"), tmp_path / "again")
    assert again.chat_format == "chatwright"
    question = [Message("user", "fox <|end|>")]
    again_tokenizer = model_directory.load(tmp_path / "again")[1]
    assert render_prompt(question, again_tokenizer) == render_prompt(question, tokenizer)


SFT = [
    "loop.steps=6",
    "batches.rows=4",
    "loop.precision=float32",
    "loop.optimizer.learning_rate=1e-3",
    "stop_prompts=0",
]


@pytest.mark.parametrize("chat_format", [None, "chatwright"])
def test_an_adapter_cannot_be_trained_on_untrained_control_tokens(
    tmp_path: Path, chat_format: str | None
) -> None:
    """Untrained control tokens have equal embeddings, which an adapter does not train."""
    model = tmp_path / "model"
    import_model(str(write(tmp_path / "source", "gpt2")), model, chat_format)
    data = write_conversations(tmp_path / "chat.jsonl", "fox {}?", "jump", 30)
    watcher = Watcher(say=lambda message: None)
    with pytest.raises(ValueError, match="lora"):
        prepare_sft(data, tmp_path / "adapter", [*SFT, "lora.rank=2"], model, watcher)
    assert not (tmp_path / "adapter").exists()


def test_preparing_a_run_deletes_nothing_in_a_locked_folder(tmp_path: Path) -> None:
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "model")
    data = write_conversations(tmp_path / "chat.jsonl", "fox {}?", "jump", 30)
    run, watcher = tmp_path / "run", Watcher(say=lambda message: None)
    unfinished = run / ".tmp-start-1"
    unfinished.mkdir(parents=True)
    with writer_lock(run), pytest.raises(InputError) as caught:
        prepare_sft(data, run, SFT, tmp_path / "model", watcher)
    assert caught.value.field == "out"
    assert unfinished.exists()


@pytest.mark.parametrize("prefix", ["", " "])
def test_our_own_model_is_exported_and_imported_without_change(tmp_path: Path, prefix: str) -> None:
    tokenizer = ByteBPE.train(["the cat sat on the mat. " * 30], 300, prefix)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    gpt.init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "model", model, tokenizer)
    export_model(tmp_path / "model", tmp_path / "exported")
    imported = import_model(str(tmp_path / "exported"), tmp_path / "again")
    assert imported.chat_format == "chatwright"
    again, again_tokenizer = model_directory.load(tmp_path / "again")
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    question = [
        Message("user", "the <|end|> cat"),
        Message("assistant", "sat"),
        Message("user", "ж"),
    ]
    assert render_prompt(question, again_tokenizer) == render_prompt(question, tokenizer)
    assert again_tokenizer.decode(again_tokenizer.encode("the ж cat")) == "the ж cat"


def test_an_adapter_of_an_imported_model_is_merged_and_exported(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "qwen2")
    file = source / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": CHATML}))
    assert import_model(str(source), tmp_path / "model").chat_format == "template"
    data = write_conversations(tmp_path / "chat.jsonl", "the cat {}", "the dog", 40)
    settings = [
        "lora.rank=2",
        "loop.steps=4",
        "loop.precision=float32",
        "batches.rows=2",
        "loop.optimizer.learning_rate=0.01",
        "stop_prompts=0",  # random weights never end a reply
    ]
    watcher = Watcher(say=lambda message: None)
    run = tmp_path / "adapter"
    prepare_sft(data, run, settings, tmp_path / "model", watcher).run(run, watcher)
    assert merge(run, tmp_path / "merged").problem == ""
    export_model(tmp_path / "merged", tmp_path / "exported")
    tuned, tokenizer = model_directory.load(run)
    assert largest_difference(tuned, tmp_path / "exported") <= 1e-5
    assert largest_difference(tuned, source) > 1e-3, "training changed the logits"
    assert gives_ids_of_transformers(tokenizer, tmp_path / "exported")


def gpt_with_ngrams(vocab_size: int) -> GPT:
    """Return a decoder with tables of n-grams, which no other tool has."""
    model = GPT(preset("nano", vocab_size=vocab_size, ngrams=(2,), ngram_rows=64))
    gpt.init_weights(model, generator(0, "weights"))
    return model


def own_shapes() -> dict[str, tuple[Model, Tokenizer]]:
    """Return one model of each architecture, with settings that no family supports."""
    tokenizer, pieces = ByteBPE.train(["the cat sat"], 270), wordpiece.train(["the cat sat"], 60)
    n_token = tokenizer.vocab_size
    return {
        "gpt": (gpt_with_ngrams(n_token), tokenizer),
        "encoder": (Encoder(encoder_preset("nano", vocab_size=pieces.vocab_size)), pieces),
        "encoder-decoder": (
            EncoderDecoder(encoder_decoder_preset("nano", vocab_size=n_token)),
            tokenizer,
        ),
    }


@pytest.mark.parametrize("architecture", ["gpt", "encoder", "encoder-decoder"])
def test_a_model_that_no_family_supports_is_not_exported(tmp_path: Path, architecture: str) -> None:
    model, tokenizer = own_shapes()[architecture]
    model_directory.save(tmp_path / "model", model, tokenizer)
    with pytest.raises(InputError, match=architecture) as caught:
        export_model(tmp_path / "model", tmp_path / "out")
    assert caught.value.field == "source"
    assert caught.value.remedy
    assert not (tmp_path / "out").exists()


@torch.no_grad()
@pytest.mark.parametrize(
    "size", ["bert-tiny", "roberta-base", "distilbert", "albert-base", "mobilebert"]
)
def test_transformers_gives_equal_logits_for_an_exported_classifier(
    size: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = wordpiece.train(["the cat sat on the mat", "a dog and a log"], 60)
    token_ids = encoder_tokens_of(tokenizer).with_special_tokens(tokenizer.encode("the dog sat"))
    settings: dict[str, Any] = {
        "n_layer": 2,
        "context_length": 32,
        "vocab_size": tokenizer.vocab_size,
        "head": "labels",
        "labels": ("bad", "good"),
    }
    model = Encoder(encoder_preset(size, **settings)).eval()
    encoder.init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "model", model, tokenizer)
    exported = tmp_path / "exported"
    export_model(tmp_path / "model", exported)
    reference = AutoModelForSequenceClassification.from_pretrained(exported).eval()
    assert reference.config.id2label == {0: "bad", 1: "good"}
    assert AutoTokenizer.from_pretrained(exported)("the dog sat")["input_ids"] == token_ids
    batch = torch.tensor([token_ids])
    assert float((model(batch) - reference(batch).logits).abs().max()) <= 1e-5


def test_an_export_with_a_changed_weight_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of logits detects a wrong weight."""
    import_model(str(write(tmp_path / "source", "llama")), tmp_path / "model")
    save = safetensors_file.save

    def save_changed(tensors: dict[str, torch.Tensor], path: Path) -> None:
        changed = {
            name: tensor * 1.001 if name.endswith("q_proj.weight") else tensor
            for name, tensor in tensors.items()
        }
        save(changed, path)

    monkeypatch.setattr(safetensors_file, "save", save_changed)
    with pytest.raises(RunFailed):
        export_model(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_import_and_export_report_family_format_unused_files_and_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "source", "qwen3")
    for arguments in (
        ["import", tmp_path / "source", tmp_path / "model"],
        ["export", tmp_path / "model", tmp_path / "out", "--format", "hf"],
    ):
        monkeypatch.setattr("sys.argv", ["chatwright", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            app.main()
        assert not exit_info.value.code
    output = capsys.readouterr().out
    for part in ("qwen3", "chat format", "generation_config.json", "never sampled", "0.00e+00"):
        assert part in output
