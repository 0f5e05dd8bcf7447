"""Importing a model says what its chat template does, and refuses to chat where it cannot."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.pipeline.import_export import export_model, import_model
from chatwright.pipeline.merge import merge
from chatwright.pipeline.system_prompt import with_system_prompt
from chatwright.tokenizer.chat_template import render_prompt, render_turns
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer
from chatwright.training.watcher import Watcher
from tests import real_models
from tests.chat.scripted import ByteTokenizer
from tests.pipeline.imported_models import write
from tests.pipeline.test_import_export import SFT, prepare_sft, write_conversations
from tests.tokenizer.templates.cases import conversations, read_jinja
from tests.tokenizer.templates.test_published_templates import expected_ids, ids, reference_of

QUESTION = [Message("user", "the fox")]


def write_with_template(directory: Path, template: str) -> Path:
    source = write(directory, "qwen2")
    (source / "chat_template.jinja").write_text(template, encoding="utf-8")
    return source


def test_a_template_that_cannot_be_expressed_is_imported_and_refused_for_chatting(
    tmp_path: Path,
) -> None:
    source = write_with_template(tmp_path / "source", read_jinja("chatglm2"))
    imported = import_model(str(source), tmp_path / "model")
    assert imported.chat_format is None
    assert "the chat template" in imported.unused
    [note] = [note for note in imported.notes if "template" in note]
    _, tokenizer = model_directory.load(tmp_path / "model")
    with pytest.raises(InputError) as caught:
        render_prompt(QUESTION, tokenizer)
    assert caught.value.field == "chat_format"
    assert caught.value.problem in note
    named = import_model(str(source), tmp_path / "named", "chatml")
    assert named.chat_format == "chatml"
    _, tokenizer = model_directory.load(tmp_path / "named")
    assert render_prompt(QUESTION, tokenizer)


def test_the_system_prompt_of_a_model_is_noted(tmp_path: Path) -> None:
    source = write_with_template(tmp_path / "source", read_jinja("smollm2"))
    imported = import_model(str(source), tmp_path / "model")
    assert imported.chat_format == "template"
    assert [note for note in imported.notes if "You are SmolTest, made for tests." in note]
    without = write_with_template(tmp_path / "without", read_jinja("yi"))
    notes = import_model(str(without), tmp_path / "other").notes
    assert not [note for note in notes if "system prompt" in note]


def test_a_date_in_a_template_is_noted(tmp_path: Path) -> None:
    template = read_jinja("smollm3").replace("<think>", "").replace("</think>", "")
    source = write_with_template(tmp_path / "source", template)
    notes = import_model(str(source), tmp_path / "model").notes
    assert [note for note in notes if "date" in note]


def test_training_says_the_system_prompt_and_can_replace_it(tmp_path: Path) -> None:
    source = write_with_template(tmp_path / "source", read_jinja("smollm2"))
    import_model(str(source), tmp_path / "model")
    data = write_conversations(tmp_path / "chat.jsonl", "fox {}?", "jump", 30)
    said: list[str] = []
    watcher = Watcher(say=said.append)
    prepare_sft(data, tmp_path / "plain", SFT, tmp_path / "model", watcher)
    assert any("made for tests" in line for line in said)
    said.clear()
    run = tmp_path / "run"
    settings = [*SFT, "system=Be brief.", "lora.rank=2"]
    stage = prepare_sft(data, run, settings, tmp_path / "model", watcher)
    assert any("Be brief." in line for line in said)
    assert not any("made for tests" in line for line in said)
    stage.run(run, watcher)
    asked = [Message("system", "Be brief."), *QUESTION]
    merge(run, tmp_path / "merged")
    for directory in (run, tmp_path / "merged"):
        _, tokenizer = model_directory.load(directory)
        assert render_turns(QUESTION, tokenizer) == render_turns(asked, tokenizer)
    export_model(tmp_path / "merged", tmp_path / "exported")


def test_a_replaced_system_prompt_needs_a_format_that_brings_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        with_system_prompt(
            ByteTokenizer(),  # type: ignore[arg-type]
            "Be brief.",
            Watcher(say=lambda line: None),
        )
    assert caught.value.field == "system"


def test_an_exported_model_has_no_settings_of_ours(tmp_path: Path) -> None:
    source = write_with_template(tmp_path / "source", read_jinja("smollm2"))
    import_model(str(source), tmp_path / "model")
    export_model(tmp_path / "model", tmp_path / "exported")
    names = {path.name for path in (tmp_path / "exported").iterdir()}
    assert "chat_template.jinja" in names
    assert not [name for name in names if "chatwright" in name]
    again = import_model(str(tmp_path / "exported"), tmp_path / "again")
    tokenizers = [model_directory.load(tmp_path / name)[1] for name in ("model", "again")]
    first, second = tokenizers
    assert isinstance(first, ImportedTokenizer)
    assert first.chat_format == second.chat_format
    assert again.chat_format == "template"
    saved = json.loads((tmp_path / "model" / "chatwright_tokenizer.json").read_text())
    assert saved["format"]["version"] == 1


@pytest.mark.full
def test_the_published_smollm2_gets_the_ids_of_its_template(tmp_path: Path) -> None:
    """500 conversations, beside the template and the tokenizer that the GGUF file holds."""
    file = real_models.find("SmolLM2-135M-Instruct.Q4_1.gguf", tmp_path)
    import_model(str(file), tmp_path / "model")
    tokenizer = load_tokenizer(tmp_path / "model")
    assert isinstance(tokenizer, ImportedTokenizer)
    reference = reference_of(tmp_path / "model")
    for messages, is_prompt in conversations(has_system=True, count=500):
        assert ids(tokenizer, messages, is_prompt) == expected_ids(reference, messages, is_prompt)
