"""llama.cpp computes equal probabilities and token ids from exported GGUF files."""

import dataclasses
import functools
import importlib.util
import json
import unicodedata
import urllib.request
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from chatwright.checkpoint import gguf_file, model_directory
from chatwright.cli.app import app
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.positions import RotaryScaling
from chatwright.model.presets import preset
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import import_model
from chatwright.tokenizer import imported_files
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.pipeline.imported_models import WRITE_TOKENIZER, add_token, write
from tests.tokenizer import example_tokenizers
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = [pytest.mark.uses_global_rng]
needs_llama_cpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="xllamacpp (llama.cpp, compiled) is not installed",
)
OWN_TOKENIZER = ByteBPE.train(["the cat sat on the mat. It's 12 o'clock.\n" * 30], 300)
LLAMA3_ROTARY = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 10_000.0,
}
LINEAR_ROTARY = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
# Case -> family, llama.cpp's architecture, settings.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Llama": ("llama", "llama", {"tie_word_embeddings": False}),
    "Llama 3": ("llama", "llama", {"rope_parameters": LLAMA3_ROTARY, "attention_bias": True}),
    "Llama, linear": ("llama", "llama", {"rope_parameters": LINEAR_ROTARY}),
    "Mistral": ("mistral", "llama", {"head_dim": 12}),
    "Qwen 2.5": ("qwen2", "qwen2", {}),
    "Qwen 3": ("qwen3", "qwen3", {"head_dim": 16}),
    "SmolLM 3": ("smollm3", "smollm3", {"num_hidden_layers": 5}),
}


def open_in_llama_cpp(path: Path) -> Any:
    """Return a llama.cpp server that computes in float32 with one thread."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.fit_params = False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(parameters)


def next_log_probs(server: Any, prompt: list[int], vocab_size: int) -> torch.Tensor:
    """Return llama.cpp's log-probabilities, shape (V,), of the token after the prompt."""
    # llama.cpp reports no probabilities if the sampled token is an incomplete character, so try
    # several seeds.
    for seed in range(30):
        request = {
            "prompt": prompt,
            "max_tokens": 1,
            "logprobs": vocab_size,
            "temperature": 1.0,
            "seed": seed,
            "cache_prompt": False,
        }
        answer = server.handle_completions(request)
        if answer["choices"][0]["logprobs"]:
            entries = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            assert len(entries) == vocab_size
            entries.sort(key=lambda entry: entry["id"])
            return torch.tensor([entry["logprob"] for entry in entries])
    raise AssertionError("llama.cpp reported no probabilities")


@torch.no_grad()
def largest_difference(directory: Path, file: Path) -> float:
    """Return the largest difference of log-probabilities between the model and llama.cpp."""
    model, _ = model_directory.load(directory)
    server = open_in_llama_cpp(file)
    largest = 0.0
    for row in random_prompts(model.config.vocab_size, 64, 4):
        log_probs = model(row)[0, -1].log_softmax(-1)
        expected = next_log_probs(server, row[0].tolist(), model.config.vocab_size)
        largest = max(largest, float((log_probs - expected).abs().max()))
    return largest


def encode_in_llama_cpp(file: Path, texts: list[str]) -> list[list[int]]:
    server = open_in_llama_cpp(file)

    def encode(text: str) -> list[int]:
        request = urllib.request.Request(
            f"{server.listening_address}/tokenize",
            json.dumps({"content": text, "parse_special": False}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return list(json.load(answer)["tokens"])

    return [encode(text) for text in texts]


def random_model(config: GPTConfig) -> GPT:
    model = GPT(config)
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator(1, "weights")))
    return model


@needs_llama_cpp
@pytest.mark.parametrize("case", FAMILIES)
def test_every_family_has_equal_probabilities_in_llama_cpp(case: str, tmp_path: Path) -> None:
    family, architecture, settings = FAMILIES[case]
    import_model(str(write(tmp_path / "source", family, **settings)), tmp_path / "model")
    exported = export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert exported.architecture == architecture
    # Both compute in float32, but sum in another order.
    assert largest_difference(tmp_path / "model", tmp_path / "model.gguf") < 1e-4


@needs_llama_cpp
def test_gpt2_has_equal_probabilities_and_ids_in_llama_cpp(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokenizer = functools.partial(example_tokenizers.write_gpt2, shared=shared_data)
    monkeypatch.setitem(WRITE_TOKENIZER, "gpt2", write_tokenizer)
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "model")
    file, texts = tmp_path / "model.gguf", hard_strings(300)
    assert export_gguf(tmp_path / "model", file).architecture == "gpt2"
    # llama.cpp computes GELU with a table of 16-bit numbers.
    assert largest_difference(tmp_path / "model", file) < 5e-3
    _, tokenizer = model_directory.load(tmp_path / "model")
    assert encode_in_llama_cpp(file, texts) == tokenizer.encode_batch(texts)


GEMMA3: dict[str, dict[str, Any]] = {
    "window of 16 in every second layer": {},
    "window of 16 in five of six layers, linear scaling, untied": {
        "num_hidden_layers": 7,
        "sliding_window_pattern": 6,
        "rope_parameters": {
            "full_attention": LINEAR_ROTARY,
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
        "tie_word_embeddings": False,
    },
    "no window": {"layer_types": ["full_attention"] * 2},
}


@needs_llama_cpp
@pytest.mark.parametrize("case", GEMMA3)
def test_gemma3_has_equal_probabilities_and_ids_in_llama_cpp(case: str, tmp_path: Path) -> None:
    import_model(str(write(tmp_path / "source", "gemma3_text", **GEMMA3[case])), tmp_path / "model")
    file, texts = tmp_path / "model.gguf", hard_strings(300)
    assert export_gguf(tmp_path / "model", file).architecture == "gemma3"
    # llama.cpp computes GELU with a table of 16-bit numbers.
    assert largest_difference(tmp_path / "model", file) < 5e-3
    _, tokenizer = model_directory.load(tmp_path / "model")
    assert encode_in_llama_cpp(file, texts) == tokenizer.encode_batch(texts)


@needs_llama_cpp
def test_the_export_command_writes_our_default_shape_for_llama_cpp(tmp_path: Path) -> None:
    model = random_model(preset("nano", vocab_size=OWN_TOKENIZER.vocab_size))
    model_directory.save(tmp_path / "model", model, OWN_TOKENIZER)
    file, texts = tmp_path / "model.gguf", hard_strings(300)
    arguments = ["export", str(tmp_path / "model"), str(file), "--format", "gguf"]
    assert "tensors" in CliRunner().invoke(app, arguments).output
    assert largest_difference(tmp_path / "model", file) < 1e-4
    assert encode_in_llama_cpp(file, texts) == OWN_TOKENIZER.encode_batch(texts)


@needs_llama_cpp
@pytest.mark.parametrize("kind", ["Qwen", "Llama 3", "SmolLM", "Llama 2"])
def test_texts_get_the_same_ids_in_llama_cpp(kind: str, shared_data: Path, tmp_path: Path) -> None:
    texts = hard_strings(300)
    if kind == "Qwen":  # llama.cpp does not combine letters and accents, as the export reports
        texts = [text for text in texts if unicodedata.normalize("NFC", text) == text]
    write_tokenizer = {
        "Qwen": example_tokenizers.write_chatml,
        "Llama 3": functools.partial(example_tokenizers.write_llama3, shared=shared_data),
        "SmolLM": write_smollm,
        "Llama 2": write_sentencepiece,
    }[kind]
    (tmp_path / "source").mkdir()
    write_tokenizer(tmp_path / "source")
    tokenizer = ImportedTokenizer(imported_files.read(tmp_path / "source"))
    model = random_model(small_config(tokenizer.vocab_size))
    model_directory.save(tmp_path / "model", model, tokenizer)
    export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    expected = tokenizer.encode_batch(texts)
    assert encode_in_llama_cpp(tmp_path / "model.gguf", texts) == expected


def small_config(vocab_size: int) -> GPTConfig:
    return GPTConfig(
        vocab_size=vocab_size,
        n_layer=1,
        n_head=1,
        n_kv_head=1,
        head_dim=8,
        d_model=8,
        d_ff=8,
        context_length=64,
    )


def write_smollm(directory: Path) -> None:
    """Write a tokenizer that splits texts at every digit, and then into GPT-2's words."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=["<|endoftext|>"],
    )
    library.train_from_iterator(example_tokenizers.TEXT, trainer)
    library.save(str(directory / "tokenizer.json"))


def write_sentencepiece(directory: Path) -> None:
    """Write a tokenizer.model like Llama 2's: BPE with bytes for unknown characters."""
    (directory / "text").write_text("\n".join(example_tokenizers.TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(directory / "text"),
        model_prefix=str(directory / "tokenizer"),
        hard_vocab_limit=False,
        minloglevel=2,
        model_type="bpe",
        vocab_size=656,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    (directory / "text").unlink()


OTHER_GELU = {
    "activation": "gelu_exact",
    "norm": "layer",
    "qk_norm": False,
    "bias": True,
    "position": "learned",
    "n_head": 2,
    "n_kv_head": 2,
    "d_model": 16,
    "head_dim": 8,
}
# Setting that prevents the export -> settings of the model.
GEMMA3_SHAPE = {
    "activation": "geglu",
    "sandwich_norm": True,
    "embedding_scale": True,
    "window": 8,
    "window_rotary_base": 1e4,
}
NOT_EXPORTABLE: dict[str, dict[str, Any]] = {
    "query_pre_attn_scalar": GEMMA3_SHAPE | {"query_pre_attn_scalar": 48},
    "unwindowed_layers": GEMMA3_SHAPE | {"unwindowed_layers": (0,)},
    "ngrams": {"ngrams": (2,), "ngram_rows": 64},
    "n_previous": {"n_previous": 2},
    "window": {"window": 8},
    "norm_first": {"norm_first": False},
    "position": {"position": "sinusoidal"},
    "bias": {"bias": ("qkv", "output")},
    "rotary_scaling": {"rotary_scaling": RotaryScaling(kind="llama3", factor=2.0)},
    "activation": OTHER_GELU,
    "nope_layers": {"qk_norm": False, "nope_layers": (0,)},
}


@pytest.mark.parametrize("field", NOT_EXPORTABLE)
def test_a_model_that_llama_cpp_cannot_compute_is_rejected_with_the_setting(
    field: str, tmp_path: Path
) -> None:
    config = preset("nano", vocab_size=OWN_TOKENIZER.vocab_size)
    model = random_model(dataclasses.replace(config, **NOT_EXPORTABLE[field]))
    model_directory.save(tmp_path / "model", model, OWN_TOKENIZER)
    with pytest.raises(InputError, match=str(tmp_path / "model")) as caught:
        export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert (caught.value.field, caught.value.value) == (field, getattr(model.config, field))
    assert caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_decoder_with_relu_is_rejected_with_the_setting_activation(tmp_path: Path) -> None:
    config = preset("nano", vocab_size=OWN_TOKENIZER.vocab_size, activation="relu")
    model_directory.save(tmp_path / "model", random_model(config), OWN_TOKENIZER)
    with pytest.raises(InputError) as caught:
        export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert (caught.value.field, caught.value.value) == ("activation", "relu")


def test_a_tokenizer_that_llama_cpp_cannot_compute_is_rejected(tmp_path: Path) -> None:
    # The GPT-1 tokenizer marks the ends of words.
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "gpt1")
    with pytest.raises(InputError, match="gpt1") as caught:
        export_gguf(tmp_path / "gpt1", tmp_path / "model.gguf")
    assert caught.value.field == "tokenizer"
    assert "--format hf" in caught.value.remedy


@needs_llama_cpp
def test_a_model_with_an_unembedded_token_and_unused_ids_is_exported(tmp_path: Path) -> None:
    """The GGUF file leaves out the token, and marks the ids as unused."""
    source = write(tmp_path / "source", "llama")
    vocab_size = json.loads((source / "config.json").read_text())["vocab_size"]
    add_token(source, "padding", token_id=vocab_size)
    assert len(import_model(str(source), tmp_path / "model").notes) == 2
    export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert largest_difference(tmp_path / "model", tmp_path / "model.gguf") < 1e-4


def test_merges_that_no_scores_can_express_are_rejected(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    document = json.loads((source / "tokenizer.json").read_text())
    document["model"]["merges"].reverse()
    (source / "tokenizer.json").write_text(json.dumps(document))
    import_model(str(source), tmp_path / "model")
    with pytest.raises(InputError) as caught:
        export_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert caught.value.field == "tokenizer"


SETTINGS = {"general.architecture": "qwen3", "qwen3.block_count": 2, "x": [1.5, 0.1], "y": True}


def test_every_difference_from_a_written_file_is_found(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3)}
    file = tmp_path / "a.gguf"
    gguf_file.write(file, SETTINGS, tensors)
    assert gguf_file.differences(file, SETTINGS, tensors) == []
    other_settings = SETTINGS | {"x": [1.5, 0.2], "z": 1}
    other_tensors = {"a": tensors["a"] + 1, "b": tensors["a"]}
    expected = ["a", "b", "x", "z"]
    assert gguf_file.differences(file, other_settings, other_tensors) == expected


def test_a_file_that_differs_when_read_again_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tensor = gguf.GGUFWriter.add_tensor

    def add_doubled(self: Any, name: str, array: Any) -> None:
        add_tensor(self, name, array * 2)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", add_doubled)
    with pytest.raises(InputError) as caught:
        gguf_file.write(tmp_path / "b.gguf", SETTINGS, {"a": torch.arange(6.0)})
    assert caught.value.field == "a"
    assert list(tmp_path.iterdir()) == []
