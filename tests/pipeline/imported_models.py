"""Whole model directories as transformers writes them: small random models with tokenizers of the same vocabulary."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from tests.parity.case import make_random
from tests.tokenizer import example_tokenizers

TOKENIZERS = {
    "gpt2": example_tokenizers.write_gpt1,
    "openai-gpt": example_tokenizers.write_gpt1,
    "llama": example_tokenizers.write_llama2,
    "mistral": example_tokenizers.write_llama2,
    "qwen2": example_tokenizers.write_chatml,
    "qwen3": example_tokenizers.write_chatml,
    "smollm3": example_tokenizers.write_chatml,
}
CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "openai-gpt": "OpenAIGPTLMHeadModel",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}
OLD = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
NEW = {
    "max_position_embeddings": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "head_dim": 8,
}


def write(directory: Path, family: str, **settings: Any) -> Path:
    """A model directory of that family. The vocabulary is rounded up, as many publish it."""
    import transformers

    directory.mkdir()
    TOKENIZERS[family](directory)
    shape = (
        OLD | {"bos_token_id": 0, "eos_token_id": 0} if family in ("gpt2", "openai-gpt") else NEW
    )
    shape = {
        k: v for k, v in shape.items() if not (k == "head_dim" and family in ("qwen2", "smollm3"))
    }
    model_class = getattr(transformers, CLASSES[family])
    config = model_class.config_class(
        **(shape | {"vocab_size": -(-n_token(directory) // 16) * 16} | settings)
    )
    model = make_random(model_class, config)
    model.generation_config = transformers.GenerationConfig()  # type: ignore[assignment]
    model.save_pretrained(directory)  # type: ignore[operator]
    return directory


ENCODERS = {
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "distilbert": "DistilBertForSequenceClassification",
    "albert": "AlbertForMaskedLM",
    "mobilebert": "MobileBertForMaskedLM",
}
ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
OWN_FIELDS = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "albert": {"embedding_size": 16},
    "mobilebert": {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16},
}


def write_encoder(directory: Path, family: str) -> Path:
    import transformers

    directory.mkdir()
    example_tokenizers.write_word_pieces(directory)
    model_class = getattr(transformers, ENCODERS[family])
    shape = {"max_position_embeddings": 66} if family == "distilbert" else ENCODER
    config = model_class.config_class(
        **shape, vocab_size=n_token(directory), **OWN_FIELDS.get(family, {})
    )
    make_random(model_class, config).save_pretrained(directory)  # type: ignore[operator]
    return directory


def write_marian(directory: Path) -> Path:
    import transformers

    directory.mkdir()
    example_tokenizers.write_marian(directory)
    n = n_token(directory)
    config = transformers.MarianConfig(
        vocab_size=n,
        decoder_vocab_size=n,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        pad_token_id=n - 1,
        eos_token_id=0,
        decoder_start_token_id=n - 1,
        forced_eos_token_id=0,
    )
    make_random(transformers.MarianMTModel, config).save_pretrained(directory)  # type: ignore[operator]
    return directory


def n_token(directory: Path) -> int:
    if (directory / "tokenizer.json").is_file():
        return tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab_size()
    if (directory / "vocab.txt").is_file():
        return len((directory / "vocab.txt").read_text().splitlines())
    return len(json.loads((directory / "vocab.json").read_text()))
