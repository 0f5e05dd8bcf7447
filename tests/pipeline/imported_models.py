"""Save small random models and their tokenizers with transformers, for tests of importing."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from tests.parity.case import make_random
from tests.tokenizer import example_tokenizers
from tests.tokenizer.gemma_tokenizer import write_gemma3

WRITE_TOKENIZER = {
    "gpt2": example_tokenizers.write_gpt1,
    "openai-gpt": example_tokenizers.write_gpt1,
    "llama": example_tokenizers.write_llama2,
    "mistral": example_tokenizers.write_llama2,
    "qwen2": example_tokenizers.write_chatml,
    "qwen3": example_tokenizers.write_chatml,
    "smollm3": example_tokenizers.write_chatml,
    "gemma3_text": write_gemma3,
}
CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "openai-gpt": "OpenAIGPTLMHeadModel",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
}
GPT2_SHAPE = {
    "n_positions": 128,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
LLAMA_SHAPE = {
    "max_position_embeddings": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
SHAPES = {
    "gpt2": GPT2_SHAPE,
    "openai-gpt": GPT2_SHAPE,
    "llama": LLAMA_SHAPE | {"head_dim": 8},
    "mistral": LLAMA_SHAPE | {"head_dim": 8},
    "qwen2": LLAMA_SHAPE,
    "qwen3": LLAMA_SHAPE | {"head_dim": 8},
    "smollm3": LLAMA_SHAPE,
    "gemma3_text": LLAMA_SHAPE
    | {
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 16,
        "sliding_window_pattern": 2,
    },
}
ENCODERS = {
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "distilbert": "DistilBertForSequenceClassification",
    "albert": "AlbertForMaskedLM",
    "mobilebert": "MobileBertForMaskedLM",
}
ENCODER_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
ENCODER_SHAPES: dict[str, dict[str, Any]] = {
    "bert": ENCODER_SHAPE,
    "roberta": ENCODER_SHAPE,
    "distilbert": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 48,
        "max_position_embeddings": 66,
    },
    "albert": ENCODER_SHAPE | {"embedding_size": 16},
    "mobilebert": ENCODER_SHAPE
    | {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16},
}


def write(directory: Path, family: str, **settings: Any) -> Path:
    """Save a decoder of this family, with more ids than tokens, as in many published models."""
    import transformers

    directory.mkdir()
    WRITE_TOKENIZER[family](directory)
    rounded_up = -(-n_token(directory) // 16) * 16
    model_class = getattr(transformers, CLASSES[family])
    config = SHAPES[family] | {"vocab_size": rounded_up} | settings
    model: Any = make_random(model_class, model_class.config_class(**config))
    model.generation_config = transformers.GenerationConfig()
    model.save_pretrained(directory)
    return directory


def write_encoder(directory: Path, family: str) -> Path:
    """Save an encoder of this family."""
    import transformers

    directory.mkdir()
    example_tokenizers.write_word_pieces(directory)
    model_class = getattr(transformers, ENCODERS[family])
    config = model_class.config_class(**ENCODER_SHAPES[family], vocab_size=n_token(directory))
    model: Any = make_random(model_class, config)
    model.save_pretrained(directory)
    return directory


def write_marian(directory: Path) -> Path:
    """Save an encoder-decoder of MarianMT."""
    import transformers

    directory.mkdir()
    example_tokenizers.write_marian(directory)
    vocab_size = n_token(directory)
    config = transformers.MarianConfig(
        vocab_size=vocab_size,
        decoder_vocab_size=vocab_size,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        pad_token_id=vocab_size - 1,
        eos_token_id=0,
        decoder_start_token_id=vocab_size - 1,
        forced_eos_token_id=0,
    )
    model: Any = make_random(transformers.MarianMTModel, config)
    model.save_pretrained(directory)
    return directory


def n_token(directory: Path) -> int:
    """Return the number of tokens in a tokenizer's directory."""
    if (directory / "tokenizer.json").is_file():
        library = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        return library.get_vocab_size()
    if (directory / "vocab.txt").is_file():
        return len((directory / "vocab.txt").read_text().splitlines())
    return len(json.loads((directory / "vocab.json").read_text()))


def add_token(source: Path, token: str, token_id: int | None = None) -> None:
    """Add a token to tokenizer.json without resizing the model's embedding.

    A token in brackets is also named as the padding token. The default id follows the last token.
    """
    file = source / "tokenizer.json"
    document = json.loads(file.read_text())
    added = {
        "id": n_token(source) if token_id is None else token_id,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": token.startswith("["),
    }
    document["added_tokens"].append(added)
    file.write_text(json.dumps(document))
    if added["special"]:
        config = json.loads((source / "tokenizer_config.json").read_text())
        (source / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": token}))
