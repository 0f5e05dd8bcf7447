"""Decoders to compare with transformers: every setting of each family that changes the output.

Each case compares the logits of whole texts, padded texts and texts of the full context length, of
chunks with a key/value cache, of the forward pass in training, and of the engine.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.engine.forward import Forward
from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseCache
from tests.parity.case import Case, Pairs, make_random

LENGTHS = (24, 15)  # of two texts; the shorter one is padded


def outputs(reference: Any, model: GPT, dtype: torch.dtype | None) -> Pairs:
    """Return the logits (B, T, V) of both models for every kind of input and forward pass."""
    T = LENGTHS[0]
    ids = random_ids(model, 2, T, seed=1)
    full_context = random_ids(model, 1, model.config.context_length, seed=2)
    expected = reference(ids).logits
    expected_full = reference(full_context).logits
    pairs = {
        "whole": (expected, model(ids, dtype=dtype)),
        "full context": (expected_full, model(full_context, dtype=dtype)),
        "cache": (expected_full, with_cache(model, full_context, dtype)),
        "training": (expected, in_training(model, ids, dtype)),
        "padded right": padded_right(reference, model, ids, dtype),
        "padded left": padded_left(reference, model, ids, dtype),
    }
    if dtype == torch.float32:
        pairs["engine"] = (expected_full[:, -1], in_engine(model, full_context))
    return pairs


def random_ids(model: GPT, n_row: int, n_token: int, seed: int) -> Tensor:
    """Return random token ids (n_row, n_token)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (n_row, n_token), generator=generator)


def padded_right(
    reference: Any, model: GPT, ids: Tensor, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor]:
    """Pad after the text. Our model needs no mask: the causal mask already hides the padding."""
    is_text = torch.arange(ids.shape[1]) < torch.tensor(LENGTHS)[:, None]  # (B, T)
    expected = reference(ids, attention_mask=is_text.long()).logits
    return expected[is_text], model(ids, dtype=dtype)[is_text]


def padded_left(
    reference: Any, model: GPT, ids: Tensor, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor]:
    """Pad before the text. Positions count from the first token of the text."""
    T = ids.shape[1]
    is_text = torch.arange(T) >= T - torch.tensor(LENGTHS)[:, None]  # (B, T)
    positions = (is_text.cumsum(1) - 1).clamp(min=0)
    mask = masks.causal(torch.arange(T)[None], T) & is_text[:, None, None]
    # Each padding token attends to itself, because the softmax of a fully masked row is NaN.
    mask = mask | torch.eye(T, dtype=torch.bool)
    expected = reference(ids, attention_mask=is_text.long(), position_ids=positions).logits
    actual = model(ids, mask=mask, positions=positions, dtype=dtype)
    return expected[is_text], actual[is_text]


def with_cache(model: GPT, ids: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Compute the logits in chunks of uneven length, most of them a single token."""
    config = model.config
    T = ids.shape[1]
    cache = DenseCache(
        config.n_layer,
        1,
        config.n_kv_head,
        config.head_dim,
        T,
        dtype or model.embedding.weight.dtype,
    )
    starts = [0, 5, 6, 7, 20, *range(21, T)]
    chunks = []
    for start, end in zip(starts, [*starts[1:], T], strict=True):
        positions = torch.arange(start, end)[None]
        cache.start_step(torch.tensor([0]), positions)
        mask = masks.causal(positions, T)
        chunks.append(model(ids[:, start:end], mask, positions, cache, dtype))
    return torch.cat(chunks, dim=1)


@torch.enable_grad()
def in_training(model: GPT, ids: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Compute the logits with gradients enabled, which selects the operations for training."""
    return model(ids, dtype=dtype).detach()


def in_engine(model: GPT, ids: Tensor) -> Tensor:
    """Compute the last token's logits with packed kernels and tiled attention, in two chunks."""
    text = ids[0].tolist()
    middle = len(text) // 3
    with Forward(model) as forward:
        cache = forward.make_cache(1)
        forward.logits([text[:middle]], [0], cache, [0])
        return forward.logits([text[middle:]], [middle], cache, [0])


def case(family: str, model_class: str, variant: str, **settings: Any) -> Case:
    """Return a case. `settings` are the arguments of the config class in transformers."""

    def make_reference() -> Any:
        import transformers

        reference_class = getattr(transformers, model_class)
        return make_random(reference_class, reference_class.config_class(**settings))

    return Case(family, variant, make_reference, outputs)


GPT_SHAPE = {"vocab_size": 99, "n_positions": 40, "n_embd": 48, "n_layer": 3, "n_head": 4}
SHAPE = {
    "vocab_size": 99,
    "max_position_embeddings": 40,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def _llama(variant: str, **settings: Any) -> Case:
    return case("llama", "LlamaForCausalLM", variant, **(SHAPE | settings))


def _mistral(variant: str, **settings: Any) -> Case:
    return case(
        "mistral", "MistralForCausalLM", variant, **(SHAPE | {"num_key_value_heads": 2} | settings)
    )


def _qwen2(variant: str, **settings: Any) -> Case:
    return case("qwen2", "Qwen2ForCausalLM", variant, **(SHAPE | settings))


def _qwen3(variant: str, **settings: Any) -> Case:
    return case("qwen3", "Qwen3ForCausalLM", variant, **(SHAPE | {"head_dim": 16} | settings))


def _gemma3(variant: str, **settings: Any) -> Case:
    shape = SHAPE | {"num_hidden_layers": 7, "num_key_value_heads": 2, "head_dim": 16}
    shape |= {"query_pre_attn_scalar": 16, "sliding_window": 8}
    return case("gemma3_text", "Gemma3ForCausalLM", variant, **(shape | settings))


def _gemma3_with_images() -> Case:
    text = SHAPE | {"head_dim": 16, "sliding_window": 8, "sliding_window_pattern": 2}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    return case(
        "gemma3",
        "Gemma3ForConditionalGeneration",
        "text part of a model that reads images",
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        image_token_index=98,
    )


def _smollm3(variant: str, **settings: Any) -> Case:
    return case("smollm3", "SmolLM3ForCausalLM", variant, **(SHAPE | settings))


CASES = [
    case("openai-gpt", "OpenAIGPTLMHeadModel", "default settings", **GPT_SHAPE),
    case(
        "openai-gpt",
        "OpenAIGPTLMHeadModel",
        "ReLU, untied",
        **GPT_SHAPE,
        afn="relu",
        tie_word_embeddings=False,
    ),
    case(
        "openai-gpt",
        "OpenAIGPTLMHeadModel",
        "SiLU, other epsilon",
        **GPT_SHAPE,
        afn="silu",
        layer_norm_epsilon=1e-3,
    ),
    case("gpt2", "GPT2LMHeadModel", "default settings", **GPT_SHAPE),
    case(
        "gpt2",
        "GPT2LMHeadModel",
        "untied, narrow feed-forward",
        **GPT_SHAPE,
        tie_word_embeddings=False,
        n_inner=40,
    ),
    case("gpt2", "GPT2LMHeadModel", "exact GELU", **GPT_SHAPE, activation_function="gelu"),
    case(
        "gpt2",
        "GPT2LMHeadModel",
        "ReLU, other epsilon",
        **GPT_SHAPE,
        activation_function="relu",
        layer_norm_epsilon=1e-3,
    ),
    case(
        "gpt2",
        "GPT2LMHeadModel",
        "1,024 tokens",
        **(GPT_SHAPE | {"n_positions": 1024, "n_layer": 2}),
    ),
    _llama("Llama 2: multi-head attention, untied"),
    _llama("grouped-query attention", num_key_value_heads=2),
    _llama("multi-query attention, tied", num_key_value_heads=1, tie_word_embeddings=True),
    _llama("Llama 3.1: rotary scaling", num_key_value_heads=2, rope_parameters=LLAMA3),
    _llama(
        "linear rotary scaling",
        rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
    ),
    _llama("attention biases", attention_bias=True),
    _llama("feed-forward biases", mlp_bias=True),
    _llama(
        "all biases, wide heads, other epsilon",
        attention_bias=True,
        mlp_bias=True,
        head_dim=20,
        rms_norm_eps=1e-3,
    ),
    _llama(
        "2,048 tokens, rotary scaling",
        max_position_embeddings=2048,
        num_hidden_layers=2,
        num_key_value_heads=2,
        rope_parameters=LLAMA3 | {"original_max_position_embeddings": 512},
    ),
    _mistral("sliding window of 8 tokens", sliding_window=8),
    _mistral("no sliding window", sliding_window=None),
    _mistral("narrow heads, tied", sliding_window=8, head_dim=8, tie_word_embeddings=True),
    _mistral(
        "1,500 tokens, sliding window of 600",
        sliding_window=600,
        max_position_embeddings=1500,
        num_hidden_layers=2,
    ),
    _qwen2("Qwen 2.5: query, key and value biases, untied"),
    _qwen2(
        "grouped-query attention, tied",
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    ),
    _qwen2(
        "sliding window in the later layers",
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=2,
    ),
    _qwen3("multi-head attention, untied"),
    _qwen3("grouped-query attention, tied", num_key_value_heads=2, tie_word_embeddings=True),
    _qwen3("attention biases", attention_bias=True),
    _qwen3(
        "sliding window in the later layers",
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
    ),
    _smollm3("NoPE in every fourth layer, tied", num_key_value_heads=2),
    _smollm3(
        "NoPE in every second layer, untied, biases",
        no_rope_layer_interval=2,
        tie_word_embeddings=False,
        attention_bias=True,
        mlp_bias=True,
    ),
    _smollm3(
        "sliding window in the NoPE layers",
        use_sliding_window=True,
        sliding_window=8,
        no_rope_layer_interval=2,
    ),
    _gemma3("sliding window in five of six layers, grouped-query attention, tied"),
    _gemma3(
        "linear rotary scaling, other scale of scores, biases, untied",
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e5, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
        },
        query_pre_attn_scalar=24,
        attention_bias=True,
        tie_word_embeddings=False,
    ),
    _gemma3("no sliding window", layer_types=["full_attention"] * 7),
    _gemma3(
        "1,500 tokens, sliding window of 600 in every second layer",
        sliding_window=600,
        sliding_window_pattern=2,
        max_position_embeddings=1500,
        num_hidden_layers=2,
    ),
    _gemma3_with_images(),
]
