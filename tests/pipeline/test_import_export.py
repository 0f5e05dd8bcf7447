"""A directory that transformers wrote is imported, conversed with, tuned, exported and opened by transformers again: the same logits and ids."""

import json
from pathlib import Path

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import hub, model_directory, safetensors_file
from chatwright.checkpoint.lock import writer_lock
from chatwright.cli import app
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.engine import Engine
from chatwright.engine.sampling import SamplingConfig
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.encoder_decoder_presets import encoder_decoder_preset
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.pipeline import import_export
from chatwright.pipeline.import_export import export_model, import_model
from chatwright.pipeline.merge import merge
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.prepared_stage import TrainingStage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.tasks.translate import Translator
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tokenizer import encoder_tokens_of
from chatwright.training.checks import RunFailed
from chatwright.training.watcher import Watcher
from tests.pipeline.imported_models import CLASSES, ENCODERS, write, write_encoder, write_marian
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = pytest.mark.uses_global_rng


@torch.no_grad()
def same_logits(ours: torch.nn.Module, directory: Path) -> float:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(directory)
    vocab = theirs.config.vocab_size
    return max(
        float((ours(prompt) - theirs(prompt).logits).abs().max())
        for prompt in random_prompts(vocab, 64)
    )


def same_ids(tokenizer: object, directory: Path) -> bool:
    from transformers import AutoTokenizer

    theirs, texts = AutoTokenizer.from_pretrained(directory), hard_strings(200)
    return [
        theirs(text, add_special_tokens=False)["input_ids"] for text in texts
    ] == tokenizer.encode_batch(texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", CLASSES)
def sft(
    data: str, out: Path, overrides: list[str], parent: Path, smoke: bool, watcher: Watcher
) -> TrainingStage:
    """Prepare fine-tuning as `chatwright train sft` does."""
    options = StageOptions(data=data, out=out, overrides=overrides, parent=parent, smoke=smoke)
    return prepare_stage(stage_kind("sft"), options, watcher)


def test_there_and_back_again(family: str, tmp_path: Path) -> None:
    source, ours, exported = (
        write(tmp_path / "source", family),
        tmp_path / "ours",
        tmp_path / "exported",
    )
    imported = import_model(str(source), ours)
    other_dropout = (
        ["attn_pdrop"] if family in ("gpt2", "openai-gpt") else []
    )  # 0.1 where transformers writes it; Llama and its kin have none
    assert (imported.family, imported.unused) == (
        family,
        [*other_dropout, "generation_config.json"],
    )
    model, tokenizer = model_directory.load(ours)
    assert same_logits(model, source) <= 1e-5
    assert str(export_model(ours, exported).gap).startswith("0.00e+00 on 32 prompts")
    assert same_logits(model, exported) <= 1e-5
    assert same_ids(tokenizer, source)
    assert same_ids(tokenizer, exported)
    names = {path.name for path in exported.iterdir()}
    assert not {"MANIFEST.json", "chatwright_tokenizer.json", "training.json"} & names
    assert "chatwright" not in json.loads((exported / "config.json").read_text())
    again = import_model(str(exported), tmp_path / "again")
    assert (again.chat_format, again.n_parameter) == (imported.chat_format, imported.n_parameter)


@torch.no_grad()
@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_there_and_back_again(family: str, tmp_path: Path) -> None:
    import transformers

    source, exported = write_encoder(tmp_path / "source", family), tmp_path / "exported"
    imported = import_model(str(source), tmp_path / "ours")
    assert imported.family == family
    assert (
        "attention_dropout" in imported.unused
        or "attention_probs_dropout_prob" in imported.unused
        or family in ("albert", "mobilebert")
    )
    with pytest.raises(ValueError, match="--chat-format chatml: .* holds no decoder"):
        import_model(str(source), tmp_path / "talking", "chatml")
    model, tokenizer = model_directory.load(tmp_path / "ours", kind=Encoder)
    assert export_model(tmp_path / "ours", exported).gap.relative <= 1e-6
    for directory in (source, exported):
        theirs = getattr(transformers, ENCODERS[family]).from_pretrained(directory).eval()
        for prompt in random_prompts(model.config.vocab_size, 32):
            prompt = prompt.clamp(
                min=1
            )  # 0 is the padding, which RoBERTa's positions pass over, and no text has it in its middle
            assert float((model(prompt) - theirs(prompt).logits).abs().max()) <= 1e-5
        assert same_ids(tokenizer, directory)


@torch.no_grad()
def test_a_translator_there_and_back_again(tmp_path: Path) -> None:
    from transformers import MarianMTModel

    source, exported = write_marian(tmp_path / "source"), tmp_path / "exported"
    assert import_model(str(source), tmp_path / "ours").chat_format is None
    model, tokenizer = model_directory.load(tmp_path / "ours", kind=EncoderDecoder)
    assert export_model(tmp_path / "ours", exported).gap.relative <= 1e-6
    read, written = (
        torch.tensor([tokenizer.encode("the quick lazy dogs")]),
        torch.tensor([[model.config.start_id, 5, 6, 7]]),
    )
    for directory in (source, exported):
        theirs = MarianMTModel.from_pretrained(directory)
        assert (
            float(
                (model(read, written) - theirs(input_ids=read, decoder_input_ids=written).logits)
                .abs()
                .max()
            )
            <= 1e-5
        )
    assert {"source.spm", "target.spm", "vocab.json"} <= {path.name for path in exported.iterdir()}
    with EncoderDecoderForward(model) as forward:
        assert isinstance(
            Translator(forward, tokenizer).translate(["the quick dog"])[0][0].text, str
        )


def test_an_imported_model_converses_in_its_own_format(tmp_path: Path) -> None:
    import_model(str(write(tmp_path / "source", "qwen2")), tmp_path / "ours")
    model, tokenizer = model_directory.load(tmp_path / "ours")
    question = [Message("user", "the quick fox")]
    with Engine(model) as engine:
        [reply] = Assistant(engine, tokenizer).replies(
            [question], SamplingConfig(max_tokens=8, temperature=0.0)
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "source")
    prompt = AutoTokenizer.from_pretrained(tmp_path / "source").apply_chat_template(
        [{"role": "user", "content": "the quick fox"}],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert prompt == render_prompt(question, tokenizer)
    with torch.no_grad():
        expected = theirs.generate(
            torch.tensor([prompt]),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=list(tokenizer.control.all()),
        )
    assert reply.message.text == tokenizer.decode(expected[0, len(prompt) :].tolist())


def test_a_model_that_cannot_converse_learns_to_and_opens_elsewhere(tmp_path: Path) -> None:
    """GPT-2 has no chat format: fine-tuning gives it our control tokens, and old logits stay as they were."""
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "ours")
    before, plain = model_directory.load(tmp_path / "ours")
    assert plain.chat_format is None
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"fox {i}?"},
                {"role": "assistant", "content": "jump"},
            ]
        }
        for i in range(30)
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said: list[str] = []
    settings = [
        "loop.steps=6",
        "batches.rows=4",
        "loop.precision=float32",
        "loop.optimizer.learning_rate=1e-3",
        "stop_prompts=0",
    ]
    watcher = Watcher(say=said.append)
    with pytest.raises(
        ValueError, match="came without a chat format.*Fine-tune it once without lora"
    ):
        sft(
            str(tmp_path / "chat.jsonl"),
            tmp_path / "adapter",
            [*settings, "lora.rank=2"],
            tmp_path / "ours",
            False,
            watcher,
        )
    assert not (tmp_path / "adapter").exists()
    import_model(
        str(tmp_path / "source"), tmp_path / "grown", "chatwright"
    )  # the same tokens, as untaught
    with pytest.raises(ValueError, match="all begin alike.*Fine-tune it once without lora"):
        sft(
            str(tmp_path / "chat.jsonl"),
            tmp_path / "adapter",
            [*settings, "lora.rank=2"],
            tmp_path / "grown",
            False,
            watcher,
        )
    (building := tmp_path / "busy" / ".tmp-start-1").mkdir(parents=True)
    with writer_lock(tmp_path / "busy"), pytest.raises(ValueError, match="is writing"):
        sft(
            str(tmp_path / "chat.jsonl"),
            tmp_path / "busy",
            settings,
            tmp_path / "ours",
            False,
            watcher,
        )
    assert building.exists()
    sft(
        str(tmp_path / "chat.jsonl"), tmp_path / "run", settings, tmp_path / "ours", False, watcher
    ).run(tmp_path / "run", watcher)
    assert any("it is given our control tokens" in sentence for sentence in said)
    start, _ = model_directory.load(tmp_path / "run" / "start")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(start(ids)[..., : before.config.vocab_size], before(ids))
    tuned, tokenizer = model_directory.load(tmp_path / "run")
    assert tokenizer.chat_format is not None
    assert tokenizer.chat_format.name == "chatwright"
    sft(
        str(tmp_path / "chat.jsonl"),
        tmp_path / "adapter",
        [*settings, "lora.rank=2"],
        tmp_path / "run",
        False,
        watcher,
    )  # taught: it may
    export_model(tmp_path / "run", tmp_path / "exported")
    assert same_logits(tuned, tmp_path / "exported") <= 1e-5
    assert import_model(str(tmp_path / "exported"), tmp_path / "home").chat_format == "chatwright"
    assert render_prompt(
        [Message("user", "fox <|end|>")], model_directory.load(tmp_path / "home")[1]
    ) == render_prompt([Message("user", "fox <|end|>")], tokenizer)


def test_our_own_models_go_out_and_come_home(tmp_path: Path) -> None:
    from chatwright.devices import generator
    from chatwright.model.gpt import init_weights
    from chatwright.model.presets import preset
    from chatwright.tokenizer.byte_bpe import ByteBPE

    for prefix in ("", " "):
        tokenizer = ByteBPE.train(["the cat sat on the mat. " * 30], 300, prefix)
        model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
        init_weights(model, generator(0, "weights"))
        place = tmp_path / f"with {len(prefix)}"
        model_directory.save(place / "ours", model, tokenizer)
        export_model(place / "ours", place / "exported")
        assert import_model(str(place / "exported"), place / "home").chat_format == "chatwright"
        home, home_tokenizer = model_directory.load(place / "home")
        assert all(
            torch.equal(a, b) for a, b in zip(model.parameters(), home.parameters(), strict=True)
        )
        question = [
            Message("user", "the <|end|> cat"),
            Message("assistant", "sat"),
            Message("user", "ж"),
        ]
        assert render_prompt(question, home_tokenizer) == render_prompt(question, tokenizer)
        assert home_tokenizer.decode(home_tokenizer.encode("the ж cat")) == "the ж cat"


def test_imported_tuned_by_an_adapter_merged_exported_and_opened_there_again(
    tmp_path: Path,
) -> None:
    """The whole way of somebody else's model: what transformers opens at its end is what was trained here."""
    source = write(tmp_path / "source", "qwen2")
    config = json.loads((source / "tokenizer_config.json").read_text())
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    (source / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"the cat {i}"},
                {"role": "assistant", "content": "the dog"},
            ]
        }
        for i in range(40)
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert import_model(str(source), tmp_path / "ours").chat_format == "chatml"
    settings = [
        "lora.rank=2",
        "loop.steps=4",
        "loop.precision=float32",
        "batches.rows=2",
        "loop.optimizer.learning_rate=0.01",
    ]
    watcher = Watcher(say=lambda line: None)
    sft(
        str(tmp_path / "chat.jsonl"),
        tmp_path / "adapter",
        settings,
        tmp_path / "ours",
        False,
        watcher,
    ).run(tmp_path / "adapter", watcher)
    assert merge(tmp_path / "adapter", tmp_path / "merged").relative <= 1e-4
    export_model(tmp_path / "merged", tmp_path / "exported")
    tuned, tokenizer = model_directory.load(tmp_path / "adapter")
    assert same_logits(tuned, tmp_path / "exported") <= 1e-5
    assert same_logits(tuned, source) > 1e-3, "the control: it learned something"
    assert same_ids(tokenizer, tmp_path / "exported")


def test_a_shape_of_our_own_is_not_exported(tmp_path: Path) -> None:
    tokenizer, pieces = ByteBPE.train(["the cat sat"], 270), wordpiece.train(["the cat sat"], 60)
    shapes = {
        "gpt models .* What can: the default shapes": (
            GPT(preset("nano", vocab_size=tokenizer.vocab_size, activation="relu2")),
            tokenizer,
        ),
        "encoder models .* a published shape": (
            Encoder(encoder_preset("nano", vocab_size=pieces.vocab_size)),
            pieces,
        ),
        "encoder-decoder models .* imported from MarianMT": (
            EncoderDecoder(encoder_decoder_preset("nano", vocab_size=tokenizer.vocab_size)),
            tokenizer,
        ),
    }
    for number, (message, (model, its_tokenizer)) in enumerate(shapes.items()):
        model_directory.save(tmp_path / str(number), model, its_tokenizer)
        with pytest.raises(ValueError, match=f"no other tool knows {message}"):
            export_model(tmp_path / str(number), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@torch.no_grad()
@pytest.mark.parametrize(
    "size", ["bert-tiny", "roberta-base", "distilbert", "albert-base", "mobilebert"]
)
def test_a_classifier_of_a_published_shape_opens_in_transformers(size: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = wordpiece.train(["the cat sat on the mat", "a dog and a log"], 60)
    ids = torch.tensor(
        [encoder_tokens_of(tokenizer).with_special_tokens(tokenizer.encode("the dog sat"))]
    )
    small = {
        "n_layer": 2,
        "context_length": 32,
        "vocab_size": tokenizer.vocab_size,
        "head": "labels",
        "labels": ("bad", "good"),
    }
    model = Encoder(encoder_preset(size, **small)).eval()
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "ours", model, tokenizer)
    export_model(tmp_path / "ours", tmp_path / "exported")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "exported").eval()
    assert theirs.config.id2label == {0: "bad", 1: "good"}
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "exported")("the dog sat")["input_ids"]
        == ids[0].tolist()
    )
    assert float((model(ids) - theirs(ids).logits).abs().max()) <= 1e-5


def test_an_export_that_moved_the_logits_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a weight changed on its way out is found."""
    import_model(str(write(tmp_path / "source", "llama")), tmp_path / "ours")
    honest = safetensors_file.save

    def careless(tensors: dict[str, torch.Tensor], path: Path) -> None:
        honest(
            {
                name: t * 1.001 if name.endswith("q_proj.weight") else t
                for name, t in tensors.items()
            },
            path,
        )

    monkeypatch.setattr(safetensors_file, "save", careless)
    with pytest.raises(
        RunFailed,
        match="the exported model's logits differ from the model's by .* so it was not kept",
    ):
        export_model(tmp_path / "ours", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    wide = write(tmp_path / "wide", "llama", vocab_size=4000)
    small = write(tmp_path / "small", "llama", vocab_size=100)
    for path, options, message in (
        (wide, {}, "the tokenizer has .* tokens, the model 4000. They are not from the same model"),
        (small, {}, "the tokenizer has .* tokens, the model 100"),
        (source, {"chat_format": "chatml"}, "has no token"),
        (source, {"chat_format": "poetry"}, "not known here"),
        (tmp_path / "gone", {}, "no such folder"),
        (source, {"context_length": 500}, "--context-length 500"),
    ):
        with pytest.raises(ValueError, match=message):
            import_model(str(path), tmp_path / "out", **options)  # type: ignore[arg-type]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["small", "source", "wide"]
    with pytest.raises(ValueError, match="is there already"):
        import_model(str(source), wide)
    assert import_model(str(source), tmp_path / "short", context_length=32).context_length == 32


def test_files_that_were_not_used_are_told_and_never_run(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    (source / "modeling_llama.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (source / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(
        json.dumps(
            config
            | {"auto_map": {"AutoModelForCausalLM": "modeling_llama.Evil"}, "logit_cap": 30.0}
        )
    )
    assert import_model(str(source), tmp_path / "ours").unused == [
        "auto_map",
        "logit_cap",
        "generation_config.json",
        "modeling_llama.py",
        "pytorch_model.bin",
    ]
    assert not (tmp_path / "ran").exists()


def test_what_was_read_is_not_called_unused_and_a_stray_part_is(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "gpt2")
    (source / "model-00007-of-00009.safetensors").write_bytes(b"another model's")
    for number, chat_format in enumerate((None, "chatwright")):
        unused = import_model(str(source), tmp_path / str(number), chat_format).unused
        assert unused == [
            "attn_pdrop",
            "generation_config.json",
            "model-00007-of-00009.safetensors",
        ]


def test_a_mistaken_path_and_what_needs_no_import_are_said_and_nothing_is_asked_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "fetch", lambda name: pytest.fail(f"{name} was asked for"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ValueError, match="models/typo: no such folder"):
        import_model("models/typo", tmp_path / "ours")
    for name, cause in (
        ("run/model/config.json", "is a training run of ours"),
        ("adapter/adapter_config.json", "holds an adapter"),
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
        with pytest.raises(ValueError, match=cause):
            import_model(name.split("/")[0], tmp_path / "ours")


def test_a_name_is_fetched_only_with_the_extra_and_only_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    source, asked = write(tmp_path / "source", "llama"), []

    def fetched(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(source)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    import_model("somebody/llama-tiny@v1", tmp_path / "ours")
    assert asked == [("somebody/llama-tiny", "v1", hub.DATA_FILES)]
    assert not any(pattern.endswith((".bin", ".py", ".pt", "*")) for pattern in hub.DATA_FILES)

    def offline(*_: object, **__: object) -> str:
        raise OSError("cannot reach huggingface.co")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        ValueError,
        match="somebody/llama-tiny: could not be fetched from huggingface.co .cannot reach",
    ):
        import_model("somebody/llama-tiny", tmp_path / "other")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'chatwright\[hub\]'"):
        import_model("somebody/llama-tiny", tmp_path / "other")


def test_the_command_line_tells_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "source", "qwen3")
    for arguments in (
        ["import", tmp_path / "source", tmp_path / "ours"],
        ["export", tmp_path / "ours", tmp_path / "out", "--format", "hf"],
    ):
        monkeypatch.setattr("sys.argv", ["chatwright", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            app.main()
        assert not left.value.code
    shown = capsys.readouterr().out
    assert "qwen3: " in shown
    assert "chat format: chatml\nnot used: generation_config.json\n" in shown
    assert (
        "largest logit gap between the model and what was exported: 0.00e+00 on 32 prompts" in shown
    )
    assert import_export.MOST_UNUSED_IDS < 2000
