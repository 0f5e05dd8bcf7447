"""What is exported as GGUF opens in llama.cpp with the model's probabilities and the tokenizer's ids."""

import dataclasses
import functools
import importlib.util
import json
import sys
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
from tests.pipeline.imported_models import WRITE_TOKENIZER, write
from tests.tokenizer import example_tokenizers
from tests.tokenizer.example_tokenizers import hard_strings

pytestmark = [pytest.mark.uses_global_rng]
needs_llama_cpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="xllamacpp (llama.cpp, compiled) is not installed",
)
OURS = ByteBPE.train(["the cat sat on the mat. It's 12 o'clock.\n" * 30], 300)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 10_000.0,
}
FAMILIES: dict[
    str, tuple[str, str, dict[str, Any]]
] = {  # case -> family, llama.cpp's architecture, settings
    "Llama": ("llama", "llama", {"tie_word_embeddings": False}),
    "Llama 3, longer": ("llama", "llama", {"rope_parameters": LLAMA3, "attention_bias": True}),
    "Llama, linear": (
        "llama",
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
    ),
    "Mistral": ("mistral", "llama", {"head_dim": 12}),
    "Qwen 2.5": ("qwen2", "qwen2", {}),
    "Qwen 3": ("qwen3", "qwen3", {"head_dim": 16}),
    "SmolLM 3": ("smollm3", "smollm3", {"num_hidden_layers": 5}),
}


def llama_cpp(path: Path) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx, parameters.n_parallel, parameters.warmup, parameters.fit_params = (
        256,
        1,
        False,
        False,
    )
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(parameters)


def log_probs(server: Any, prompt: list[int], vocab_size: int) -> torch.Tensor:
    """Of every token after the prompt. (V)"""
    for seed in range(30):  # nothing is told of a drawn token that is a piece of a character
        answer = server.handle_completions(
            {
                "prompt": prompt,
                "max_tokens": 1,
                "logprobs": vocab_size,
                "temperature": 1.0,
                "seed": seed,
                "cache_prompt": False,
            }
        )
        if answer["choices"][0]["logprobs"]:
            listed = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            assert len(listed) == vocab_size
            return torch.tensor(
                [entry["logprob"] for entry in sorted(listed, key=lambda entry: entry["id"])]
            )
    raise AssertionError("llama.cpp told no probabilities")


def gap(directory: Path, file: Path) -> float:
    model, _ = model_directory.load(directory)
    server = llama_cpp(file)
    with torch.no_grad():
        return max(
            float(
                (
                    model(row)[0, -1].log_softmax(-1)
                    - log_probs(server, row[0].tolist(), model.config.vocab_size)
                )
                .abs()
                .max()
            )
            for row in random_prompts(model.config.vocab_size, 64, 4)
        )


def ids_there(file: Path, texts: list[str]) -> list[list[int]]:
    server = llama_cpp(file)

    def ids(text: str) -> list[int]:
        request = urllib.request.Request(
            f"{server.listening_address}/tokenize",
            json.dumps({"content": text, "parse_special": False}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return list(json.load(answer)["tokens"])

    return [ids(text) for text in texts]


def random_model(config: GPTConfig) -> GPT:
    model = GPT(config)
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator(1, "weights")))
    return model


@needs_llama_cpp
@pytest.mark.parametrize("case", FAMILIES)
def test_a_family_has_the_same_probabilities_in_llama_cpp(case: str, tmp_path: Path) -> None:
    family, architecture, settings = FAMILIES[case]
    import_model(str(write(tmp_path / "source", family, **settings)), tmp_path / "ours")
    written = export_gguf(tmp_path / "ours", tmp_path / "model.gguf")
    assert written.architecture == architecture
    assert (
        gap(tmp_path / "ours", tmp_path / "model.gguf") < 1e-4
    )  # float32 on both sides, summed in another order


@needs_llama_cpp
def test_gpt2_has_the_same_probabilities_and_ids_in_llama_cpp(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        WRITE_TOKENIZER, "gpt2", lambda place: example_tokenizers.write_gpt2(place, shared_data)
    )
    import_model(str(write(tmp_path / "source", "gpt2")), tmp_path / "ours")
    assert export_gguf(tmp_path / "ours", tmp_path / "model.gguf").architecture == "gpt2"
    assert (
        gap(tmp_path / "ours", tmp_path / "model.gguf") < 5e-3
    )  # its GELU is a table of 16-bit numbers
    _, tokenizer = model_directory.load(tmp_path / "ours")
    assert ids_there(tmp_path / "model.gguf", hard_strings(300)) == tokenizer.encode_batch(
        hard_strings(300)
    )


@needs_llama_cpp
def test_our_default_shape_has_the_same_probabilities_and_ids_in_llama_cpp(tmp_path: Path) -> None:
    model_directory.save(
        tmp_path / "ours", random_model(preset("nano", vocab_size=OURS.vocab_size)), OURS
    )
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "ours"), str(tmp_path / "model.gguf"), "--format", "gguf"]
    )
    assert "tensors" in result.output
    assert "every one read again and the same" in result.output
    assert gap(tmp_path / "ours", tmp_path / "model.gguf") < 1e-4
    assert ids_there(tmp_path / "model.gguf", hard_strings(300)) == OURS.encode_batch(
        hard_strings(300)
    )


@needs_llama_cpp
@pytest.mark.parametrize("kind", ["Qwen", "Llama 3", "SmolLM", "Llama 2"])
def test_texts_get_the_same_ids_in_llama_cpp(kind: str, shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    texts = hard_strings(300)
    match kind:
        case "Qwen":  # llama.cpp does not compose letters and accents, as the export says
            foreign = example_tokenizers.write_chatml
            texts = [text for text in texts if unicodedata.normalize("NFC", text) == text]
        case "Llama 3":
            foreign = functools.partial(example_tokenizers.write_llama3, shared=shared_data)
        case "SmolLM":
            foreign = smollm
        case "Llama 2":
            foreign = sentence_pieces
    source.mkdir()
    foreign(source)
    tokenizer = ImportedTokenizer(imported_files.read(source))
    model = GPT(
        GPTConfig(
            vocab_size=tokenizer.vocab_size,
            n_layer=1,
            n_head=1,
            n_kv_head=1,
            head_dim=8,
            d_model=8,
            d_ff=8,
            context_length=64,
        )
    )
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "ours", model, tokenizer)
    export_gguf(tmp_path / "ours", tmp_path / "model.gguf")
    assert ids_there(tmp_path / "model.gguf", texts) == tokenizer.encode_batch(texts)


def smollm(directory: Path) -> None:
    """Every digit by itself, then GPT-2's words."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(
        example_tokenizers.TEXT,
        trainers.BpeTrainer(
            vocab_size=500,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
            special_tokens=["<|endoftext|>"],
        ),
    )
    library.save(str(directory / "tokenizer.json"))


def sentence_pieces(directory: Path) -> None:
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


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n-grams": (
        {"ngrams": (2,), "ngram_rows": 64},
        r"ngrams = \(2,\): llama.cpp has no tensors of that kind. Only our own programs run it",
    ),
    "previous tokens": ({"n_previous": 2}, "n_previous = 2: llama.cpp has no tensors"),
    "a norm of embeddings": ({"embedding_norm": True}, "embedding_norm = True"),
    "a window": ({"window": 8}, "window = 8: .* Import the model again with --context-length 8"),
    "the norm of 2017": (
        {"norm_first": False},
        "norm_first = False: llama.cpp knows no such decoder",
    ),
    "positions of 2017": (
        {"position": "sinusoidal"},
        "position = sinusoidal: llama.cpp knows no such",
    ),
    "a ReLU": ({"activation": "relu"}, "activation = relu: llama.cpp knows no such"),
    "biases of Qwen 3": (
        {"bias": ("qkv", "output")},
        "bias = .*: llama.cpp runs Qwen 3 without biases",
    ),
    "a scaling": (
        {"rotary_scaling": RotaryScaling(kind="llama3", factor=2.0)},
        "rotary_scaling = .*: llama.cpp has this scaling for Llama alone",
    ),
    "another GELU": (
        {
            "activation": "gelu_exact",
            "norm": "layer",
            "qk_norm": False,
            "bias": True,
            "position": "learned",
            "n_head": 2,
            "n_kv_head": 2,
            "d_model": 16,
            "head_dim": 8,
        },
        "activation = gelu_exact: llama.cpp runs GPT-2",
    ),
    "other layers": ({"qk_norm": False, "nope_layers": (0,)}, r"nope_layers = \(0,\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_shape_llama_cpp_has_no_name_for_is_refused(case: str, tmp_path: Path) -> None:
    settings, message = REFUSED[case]
    config = dataclasses.replace(preset("nano", vocab_size=OURS.vocab_size), **settings)
    model_directory.save(tmp_path / "ours", random_model(config), OURS)
    with pytest.raises(ValueError, match=f"ours cannot be exported as GGUF: {message}"):
        export_gguf(tmp_path / "ours", tmp_path / "model.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_tokenizer_llama_cpp_would_run_otherwise_is_refused(tmp_path: Path) -> None:
    with_space = ByteBPE.train(["the cat sat on the mat. " * 30], 300, " ")
    model_directory.save(
        tmp_path / "space",
        random_model(preset("nano", vocab_size=with_space.vocab_size)),
        with_space,
    )
    import_model(
        str(write(tmp_path / "source", "gpt2")), tmp_path / "gpt1"
    )  # GPT-1's words, which end in </w>
    for name, normalizer in (("space", "Prepend"), ("gpt1", "BertNormalizer")):
        with pytest.raises(ValueError, match=f"{name} .*GGUF.*{normalizer}.*--format hf"):
            export_gguf(tmp_path / name, tmp_path / "model.gguf")


def test_merges_in_the_order_of_no_scores_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "llama")
    document = json.loads((source / "tokenizer.json").read_text())
    document["model"]["merges"].reverse()
    (source / "tokenizer.json").write_text(json.dumps(document))
    import_model(str(source), tmp_path / "ours")
    with pytest.raises(ValueError, match="its merges are not in the order of any scores"):
        export_gguf(tmp_path / "ours", tmp_path / "model.gguf")


def test_what_is_not_read_back_as_written_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, tensors = (
        {"general.architecture": "qwen3", "qwen3.block_count": 2, "x": [1.5, 0.1], "y": True},
        {"a": torch.arange(6.0).view(2, 3)},
    )
    gguf_file.write(tmp_path / "a.gguf", settings, tensors)
    assert gguf_file.differences(tmp_path / "a.gguf", settings, tensors) == []
    assert gguf_file.differences(
        tmp_path / "a.gguf",
        settings | {"x": [1.5, 0.2], "z": 1},
        {"a": tensors["a"] + 1, "b": tensors["a"]},
    ) == ["a", "b", "x", "z"]
    plain = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_tensor", lambda self, name, array: plain(self, name, array * 2)
    )
    with pytest.raises(ValueError, match="a was not read back as it was written"):
        gguf_file.write(tmp_path / "b.gguf", settings, tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_without_the_extra_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        ValueError, match=r"takes an extra that is not installed: pip install 'chatwright\[gguf\]'"
    ):
        gguf_file.write(tmp_path / "a.gguf", {"general.architecture": "qwen3"}, {})
    with pytest.raises(
        ValueError, match="takes an extra that is not installed"
    ):  # before the model is even looked for
        export_gguf(tmp_path / "no-model", tmp_path / "a.gguf")
