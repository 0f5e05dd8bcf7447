"""Models of our recipes are exported, and other tools compute the same from the files."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import jinja2.sandbox
import pytest
import torch
import typer

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app
from chatwright.conversation import Message
from chatwright.data import own_folder
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import export_model
from chatwright.pipeline.standard_model import prompts_with_bos
from chatwright.tokenizer import gguf_vocabulary, hugging_face, imported_files
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.gguf_tokenizer import tokenizer_files
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.pipeline.test_gguf_export import (
    encode_in_llama_cpp,
    needs_llama_cpp,
    next_log_probs,
    open_in_llama_cpp,
    random_model,
)
from tests.tokenizer.example_tokenizers import TEXT, hard_strings

pytestmark = pytest.mark.uses_global_rng

WITH_SPACE = ByteBPE.train(TEXT, 500, " ")
MARKERS = re.compile("(" + "|".join(map(re.escape, CONTROL_TOKENS.values())) + ")")
# The starter with fewer tokens, layers and positions.
STARTER: dict[str, Any] = {
    "size": "speedrun",
    "ngrams": (),
    "n_previous": 3,
    "n_layer": 2,
    "d_model": 96,
    "n_head": 3,
    "n_kv_head": 3,
    "head_dim": 32,
    "d_ff": 64,
    "context_length": 128,
}


def conversations() -> list[list[Message]]:
    """Return conversations whose texts have spaces and line ends everywhere."""
    texts = [text for text in hard_strings(200) if "<|" not in text and "<EOC>" not in text]
    found = []
    for i in range(0, 60, 3):
        system = [Message("system", texts[i])] if i % 2 else []
        turns = [Message("user", texts[i + 1])]
        if i % 4 == 0:
            turns += [Message("assistant", texts[i].lstrip(" ") or "Yes."), Message("user", "So?")]
        found.append(system + turns)
    return found


def as_json(conversation: list[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in conversation]


def encode_with_markers(template_text: str) -> list[int]:
    """Encode a rendered template as llama.cpp does: markers become tokens, the rest is text."""
    without_space = ByteBPE(WITH_SPACE._library)
    ids = {token: getattr(WITH_SPACE.control, name) for name, token in CONTROL_TOKENS.items()}
    encoded: list[int] = []
    for part in MARKERS.split(template_text):
        encoded += [ids[part]] if part in ids else without_space.encode(part)
    return encoded


def render(template: str, conversation: list[Message]) -> str:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    messages = as_json(conversation)
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True)


def test_the_template_with_spaces_gives_the_ids_of_our_renderer() -> None:
    for conversation in conversations():
        rendered = render(hugging_face.CHAT_TEMPLATE_WITH_SPACE, conversation)
        assert encode_with_markers(rendered) == render_prompt(conversation, WITH_SPACE)
    plain = render(hugging_face.CHAT_TEMPLATE_JINJA, [Message("user", "Hello")])
    assert encode_with_markers(plain) != render_prompt([Message("user", "Hello")], WITH_SPACE)


def test_a_reply_that_begins_with_the_space_of_the_tokenizer_gets_no_second_one() -> None:
    turns = [Message("user", "Hi"), Message("assistant", "Yes."), Message("user", "So?")]
    shown = [turns[0], Message("assistant", " Yes."), turns[2]]
    template = hugging_face.CHAT_TEMPLATE_WITH_SPACE
    assert render(template, shown) == render(template, turns)
    assert render(template, [Message("user", " Hi")]) != render(template, [Message("user", "Hi")])


def test_another_template_cannot_hold_the_space(tmp_path: Path) -> None:
    WITH_SPACE.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}")
    files = imported_files.read(tmp_path)
    with pytest.raises(ValueError, match="space"):
        gguf_vocabulary.metadata(files, WITH_SPACE.vocab_size, WITH_SPACE.public_ids)


def test_the_tokenizer_with_spaces_is_read_back_from_gguf_fields(tmp_path: Path) -> None:
    WITH_SPACE.save(tmp_path)
    files = imported_files.read(tmp_path)
    fields = gguf_vocabulary.metadata(files, WITH_SPACE.vocab_size, WITH_SPACE.public_ids)
    (tmp_path / "chat_template.jinja").unlink()
    for name, content in tokenizer_files(fields).items():
        (tmp_path / name).write_text(json.dumps(content))
    read_back = imported_files.read(tmp_path)
    assert read_back.chat_template == hugging_face.CHAT_TEMPLATE_JINJA
    first = hugging_face.first_control_id(read_back.document)
    tokenizer = ImportedTokenizer(read_back, WITH_SPACE.vocab_size, first_control_id=first)
    texts = hard_strings(300)
    assert tokenizer.encode_batch(texts) == WITH_SPACE.encode_batch(texts)
    assert tokenizer.decode(tokenizer.encode("Ada")) == "Ada"


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("starter") / "model"
    config = preset(**STARTER, vocab_size=WITH_SPACE.vocab_size)
    model_directory.save(directory, random_model(config), WITH_SPACE)
    return directory


def ask(server: Any, path: str, content: dict[str, Any]) -> Any:
    address = f"{server.listening_address}{path}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def ids_in_llama_cpp(server: Any, conversation: list[Message]) -> list[int]:
    """Return the ids of a prompt that llama.cpp renders by the template in the file."""
    prompt = ask(server, "/apply-template", {"messages": as_json(conversation)})["prompt"]
    options = {"add_special": True, "parse_special": True}
    return list(ask(server, "/tokenize", {"content": prompt} | options)["tokens"])


@needs_llama_cpp
@torch.no_grad()
def test_the_starter_has_equal_probabilities_and_ids_in_llama_cpp(
    starter: Path, tmp_path: Path
) -> None:
    file = tmp_path / "starter.gguf"
    exported = export_gguf(starter, file)
    assert exported.architecture == "qwen3"
    assert len(exported.notes) == 3
    model, _ = model_directory.load(starter)
    server = open_in_llama_cpp(file)
    for prompt in prompts_with_bos(model, WITH_SPACE.control.bos)[::5]:
        log_probs = model(prompt)[0, -1].log_softmax(-1)
        expected = next_log_probs(server, prompt[0].tolist(), model.config.vocab_size)
        assert float((log_probs - expected).abs().max()) < 1e-3
        assert int(log_probs.argmax()) == int(expected.argmax())
    for conversation in conversations():
        assert ids_in_llama_cpp(server, conversation) == render_prompt(conversation, WITH_SPACE)


@needs_llama_cpp
def test_texts_with_a_space_in_front_have_equal_ids_in_llama_cpp(
    starter: Path, tmp_path: Path
) -> None:
    texts = [text for text in hard_strings(300) if text]
    export_gguf(starter, tmp_path / "model.gguf")
    encoded = encode_in_llama_cpp(tmp_path / "model.gguf", [" " + text for text in texts])
    assert encoded == WITH_SPACE.encode_batch(texts)


@torch.no_grad()
def test_the_starter_has_equal_logits_and_ids_in_transformers(
    starter: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = export_model(starter, tmp_path / "exported")
    assert exported.gap.largest == 0
    assert len(exported.notes) == 2
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    model, tokenizer = model_directory.load(starter)
    for prompt in prompts_with_bos(model, WITH_SPACE.control.bos):
        torch.testing.assert_close(model(prompt), reference(prompt).logits, atol=1e-3, rtol=1e-4)
    library, texts = AutoTokenizer.from_pretrained(tmp_path / "exported"), hard_strings(200)
    encoded = [library(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert encoded == tokenizer.encode_batch(texts)
    assert isinstance(model, GPT)


def build(name: str, folder: Path) -> Path:
    """Build a model by a recipe in its shortest form, and return its directory."""
    match name:
        case "starter":
            arguments = ["up", "--smoke", "--build-only", "--out", str(folder)]
        case "own-data":
            (folder / "data").mkdir(parents=True)
            own_folder.write_examples(folder / "data")
            arguments = ["run", name, "--smoke", "--data", str(folder / "data")]
            arguments += ["--out", str(folder), "pretrain.batches.rows=2", "sft.batches.rows=2"]
        case _:
            call(["new", folder.name, "--yes"])  # in the current folder
            arguments = ["up", str(folder), "--smoke", "--build-only", "--out", str(folder)]
    call(arguments)
    return folder / "sft" / "model"


def call(arguments: list[str]) -> None:
    """Call the command line; an error of any kind fails the test."""
    typer.main.get_command(app).main(arguments, prog_name="chatwright", standalone_mode=False)


@pytest.mark.ci
@pytest.mark.timeout(900)
@needs_llama_cpp
@pytest.mark.parametrize(
    "recipe", [pytest.param("starter", marks=pytest.mark.full), "own-data", "new"]
)
def test_models_of_the_recipes_open_in_llama_cpp(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = build(recipe, tmp_path / "built")
    export_gguf(directory, tmp_path / "model.gguf")
    model, tokenizer = model_directory.load(directory)
    server = open_in_llama_cpp(tmp_path / "model.gguf")
    for conversation in conversations():
        ids = ids_in_llama_cpp(server, conversation)
        assert ids == render_prompt(conversation, tokenizer)
        with torch.no_grad():
            log_probs = model(torch.tensor([ids[:128]]))[0, -1].log_softmax(-1)
        expected = next_log_probs(server, ids[:128], model.config.vocab_size)
        assert float((log_probs - expected).abs().max()) < 1e-3
        assert int(log_probs.argmax()) == int(expected.argmax())
