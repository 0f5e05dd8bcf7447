"""An import rejects unreadable models, and lists the fields and files that it did not use."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import hub, model_directory
from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import Event, Request, SamplingConfig, TokenSampled
from chatwright.errors import InputError
from chatwright.pipeline.import_export import export_model, import_model
from tests.pipeline.imported_models import add_token, n_token, write, write_encoder

pytestmark = pytest.mark.uses_global_rng


@pytest.mark.parametrize(
    ("settings", "options", "field"),
    [
        ({"vocab_size": 4000}, {}, "vocab_size"),
        ({"vocab_size": 100}, {}, "vocab_size"),
        ({}, {"context_length": 500}, "context_length"),
    ],
    ids=["far more rows than tokens", "fewer rows than tokens", "too long a context"],
)
def test_a_failed_import_creates_no_directory(
    tmp_path: Path, settings: dict[str, Any], options: dict[str, Any], field: str
) -> None:
    source = write(tmp_path / "source", "llama", **settings)
    with pytest.raises(InputError, match="source") as caught:
        import_model(str(source), tmp_path / "model", **options)
    assert caught.value.field == field
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("chat_format", ["chatml", "poetry"])
def test_a_chat_format_that_does_not_fit_is_rejected(tmp_path: Path, chat_format: str) -> None:
    """The tokenizer has no tokens of ChatML, and no format is called poetry."""
    source = write(tmp_path / "source", "llama")
    with pytest.raises(ValueError, match=chat_format):
        import_model(str(source), tmp_path / "model", chat_format)
    assert not (tmp_path / "model").exists()


def test_a_chat_format_for_an_encoder_is_rejected(tmp_path: Path) -> None:
    source = write_encoder(tmp_path / "source", "bert")
    with pytest.raises(InputError) as caught:
        import_model(str(source), tmp_path / "model", "chatml")
    assert (caught.value.field, caught.value.value) == ("chat_format", "chatml")


def test_a_model_can_be_imported_with_a_shorter_context(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    imported = import_model(str(source), tmp_path / "model", context_length=32)
    assert imported.context_length == 32


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    with pytest.raises(InputError) as caught:
        import_model(str(source), source)
    assert caught.value.field == "out"


def test_unused_files_and_fields_are_listed_and_never_executed(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    (source / "modeling_llama.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (source / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    config = json.loads((source / "config.json").read_text())
    config |= {"auto_map": {"AutoModelForCausalLM": "modeling_llama.Evil"}, "logit_cap": 30.0}
    (source / "config.json").write_text(json.dumps(config))
    assert import_model(str(source), tmp_path / "model").unused == [
        "auto_map",
        "logit_cap",
        "generation_config.json",
        "modeling_llama.py",
        "pytorch_model.bin",
    ]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("chat_format", [None, "chatwright"])
def test_files_that_were_read_are_not_listed_as_unused(
    tmp_path: Path, chat_format: str | None
) -> None:
    source = write(tmp_path / "source", "gpt2")
    (source / "model-00007-of-00009.safetensors").write_bytes(b"a file of another model")
    assert import_model(str(source), tmp_path / "model", chat_format).unused == [
        "attn_pdrop",
        "generation_config.json",
        "model-00007-of-00009.safetensors",
    ]


def test_ids_without_a_token_are_noted_and_never_sampled(tmp_path: Path) -> None:
    """DeepSeek's models have 2,400 more embedding rows than their tokenizers have tokens."""
    plain = write(tmp_path / "plain", "qwen2")
    n_used = n_token(plain)
    vocab_size = 2 * n_used - 10
    source = write(tmp_path / "source", "qwen2", vocab_size=vocab_size)
    imported = import_model(str(source), tmp_path / "model")
    assert imported.vocab_size == vocab_size
    assert any(f"{vocab_size - n_used:,}" in note for note in imported.notes)
    saved = json.loads((tmp_path / "model" / "training.json").read_text())
    assert saved["notes"] == imported.notes
    sampling = SamplingConfig(max_tokens=40, temperature=2.0, top_p=0.9, seed=0)
    by_engine, by_assistant = sampled_ids(tmp_path / "model", sampling)
    assert max(by_engine) >= n_used, "without the tokenizer, such ids are sampled"
    assert max(by_assistant) < n_used


def sampled_ids(path: Path, sampling: SamplingConfig) -> tuple[list[int], list[int]]:
    """Return the ids sampled without a tokenizer, and those sampled by the assistant with one."""
    model, tokenizer = model_directory.load(path)
    ids: list[int] = []
    with Engine(model) as engine:
        step = engine.step

        def recording_step() -> list[Event]:
            events = step()
            ids.extend(e.token_id for e in events if isinstance(e, TokenSampled))
            return events

        engine.step = recording_step
        engine.submit(Request(tokenizer.encode("the quick fox"), sampling))
        while engine.has_work:
            engine.step()
        n_by_engine = len(ids)
        Assistant(engine, tokenizer).replies([[Message("user", "fox")]], sampling)
    return ids[:n_by_engine], ids[n_by_engine:]


@pytest.mark.parametrize("token", ["[PAD]", "padding"])
def test_an_added_token_without_an_embedding_row_is_noted_and_never_encoded(
    tmp_path: Path, token: str
) -> None:
    """Many models derived from Llama have a padding token, but no embedding row for it."""
    n_row = n_token(write(tmp_path / "plain", "llama"))
    source = write(tmp_path / "source", "llama", vocab_size=n_row)
    add_token(source, token)
    imported = import_model(str(source), tmp_path / "model")
    assert any(token in note for note in imported.notes)
    model, tokenizer = model_directory.load(tmp_path / "model")
    token_ids = tokenizer.encode(f"the {token} fox")
    assert max(token_ids) < model.config.vocab_size
    assert tokenizer.decode(token_ids) == f"the {token} fox"
    assert max(tokenizer.public_ids.values()) < model.config.vocab_size
    export_model(tmp_path / "model", tmp_path / "exported")
    assert import_model(str(tmp_path / "exported"), tmp_path / "again").notes == imported.notes


@pytest.mark.parametrize(
    ("file", "command"),
    [("run/run.json", "any command"), ("adapter/adapter_config.json", "chatwright merge")],
)
def test_runs_and_adapters_are_rejected_with_a_remedy(
    tmp_path: Path, file: str, command: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("{}")
    with pytest.raises(InputError) as caught:
        import_model(str((tmp_path / file).parent), tmp_path / "model")
    assert caught.value.field == "source"
    assert command in caught.value.remedy


def test_a_mistyped_path_is_not_sent_to_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "fetch", lambda name: pytest.fail(f"{name} was requested"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(InputError) as caught:
        import_model("models/typo", tmp_path / "model")
    assert (caught.value.field, caught.value.value) == ("source", "models/typo")


def test_only_data_files_are_downloaded_for_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    source = write(tmp_path / "source", "llama")
    requests = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        requests.append((repository, revision, allow_patterns))
        return str(source)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    import_model("organization/llama-tiny@v1", tmp_path / "model")
    assert requests == [("organization/llama-tiny", "v1", hub.DATA_FILES)]
    forbidden = (".bin", ".py", ".pt", "*")
    assert not any(pattern.endswith(forbidden) for pattern in hub.DATA_FILES)


def test_a_failed_download_is_reported_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def download(*_: object, **__: object) -> str:
        raise OSError("cannot reach huggingface.co")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputError, match="cannot reach") as caught:
        import_model("organization/llama-tiny", tmp_path / "model")
    assert caught.value.value == "organization/llama-tiny"


def test_a_download_without_the_hub_extra_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(InputError) as caught:
        import_model("organization/llama-tiny", tmp_path / "model")
    assert "chatwright[hub]" in caught.value.remedy
