"""Decoders: every configuration branch of each family, read whole, padded on either side, token by token with a cache, in training's way."""

from typing import Any

import torch
from torch import Tensor

from chatwright.engine.forward import Forward
from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseCache
from tests.parity.case import Case, make_random

LENGTHS = (24, 15)  # of two texts; the shorter is padded


def outputs(theirs: Any, ours: GPT, dtype: torch.dtype | None) -> dict[str, tuple[Tensor, Tensor]]:
    T, vocab = LENGTHS[0], ours.config.vocab_size
    ids = torch.randint(vocab, (2, T), generator=torch.Generator().manual_seed(1))
    long = torch.randint(
        vocab, (1, ours.config.context_length), generator=torch.Generator().manual_seed(2)
    )
    return {
        "whole": (theirs(ids).logits, ours(ids, dtype=dtype)),
        "as long as it reads": (theirs(long).logits, ours(long, dtype=dtype)),
        "cache": (theirs(long).logits, with_cache(ours, long, dtype)),
        "training": (theirs(ids).logits, in_training(ours, ids, dtype)),
        **(
            {"engine": (theirs(long).logits[:, -1], through_the_engine(ours, long))}
            if dtype == torch.float32
            else {}
        ),
        **padded_right(theirs, ours, ids, dtype),
        **padded_left(theirs, ours, ids, dtype),
    }


def padded_right(
    theirs: Any, ours: GPT, ids: Tensor, dtype: torch.dtype | None
) -> dict[str, tuple[Tensor, Tensor]]:
    """The causal mask alone hides what comes after."""
    exists = torch.arange(ids.shape[1]) < torch.tensor(LENGTHS)[:, None]  # (B, T)
    return {
        "padded right": (
            theirs(ids, attention_mask=exists.long()).logits[exists],
            ours(ids, dtype=dtype)[exists],
        )
    }


def padded_left(
    theirs: Any, ours: GPT, ids: Tensor, dtype: torch.dtype | None
) -> dict[str, tuple[Tensor, Tensor]]:
    T = ids.shape[1]
    exists = torch.arange(T) >= T - torch.tensor(LENGTHS)[:, None]
    positions = (exists.cumsum(1) - 1).clamp(min=0)
    mask = masks.causal(torch.arange(T)[None], T) & exists[:, None, None]
    mask = mask | torch.eye(T, dtype=torch.bool)  # padding sees itself, so that no row is empty
    wanted = theirs(ids, attention_mask=exists.long(), position_ids=positions).logits
    return {
        "padded left": (
            wanted[exists],
            ours(ids, mask=mask, positions=positions, dtype=dtype)[exists],
        )
    }


def with_cache(ours: GPT, ids: Tensor, dtype: torch.dtype | None) -> Tensor:
    """In pieces of uneven length, most of them a single token."""
    config, T = ours.config, ids.shape[1]
    cache = DenseCache(
        config.n_layer,
        1,
        config.n_kv_head,
        config.head_dim,
        T,
        dtype or ours.embedding.weight.dtype,
    )
    cuts = [0, 5, 6, 7, 20, *range(21, T)]
    pieces = []
    for start, end in zip(cuts, [*cuts[1:], T], strict=True):
        positions = torch.arange(start, end)[None]
        cache.start_step(torch.tensor([0]), positions)
        pieces.append(ours(ids[:, start:end], masks.causal(positions, T), positions, cache, dtype))
    return torch.cat(pieces, dim=1)


@torch.enable_grad()
def in_training(ours: GPT, ids: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Where gradients are wanted, the hand-written operations compute the forward pass too."""
    return ours(ids, dtype=dtype).detach()


def through_the_engine(ours: GPT, ids: Tensor) -> Tensor:
    """Packed kernels and tiled attention, the text in two chunks."""
    with Forward(ours) as forward:
        cache, text, cut = forward.make_cache(1), ids[0].tolist(), ids.shape[1] // 3
        forward.logits([text[:cut]], [0], cache, [0])
        return forward.logits([text[cut:]], [cut], cache, [0])


def case(family: str, model_class: str, branch: str, **settings: Any) -> Case:
    def make() -> Any:
        import transformers

        chosen = getattr(transformers, model_class)
        return make_random(chosen, chosen.config_class(**settings))

    return Case(family, branch, make, outputs)


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


def _llama(branch: str, **settings: Any) -> Case:
    return case("llama", "LlamaForCausalLM", branch, **(SHAPE | settings))


def _mistral(branch: str, **settings: Any) -> Case:
    return case(
        "mistral", "MistralForCausalLM", branch, **(SHAPE | {"num_key_value_heads": 2} | settings)
    )


def _qwen2(branch: str, **settings: Any) -> Case:
    return case("qwen2", "Qwen2ForCausalLM", branch, **(SHAPE | settings))


def _qwen3(branch: str, **settings: Any) -> Case:
    return case("qwen3", "Qwen3ForCausalLM", branch, **(SHAPE | {"head_dim": 16} | settings))


def _smollm3(branch: str, **settings: Any) -> Case:
    return case("smollm3", "SmolLM3ForCausalLM", branch, **(SHAPE | settings))


CASES = [
    case("openai-gpt", "OpenAIGPTLMHeadModel", "as published", **GPT_SHAPE),
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
        "SiLU, another eps",
        **GPT_SHAPE,
        afn="silu",
        layer_norm_epsilon=1e-3,
    ),
    case("gpt2", "GPT2LMHeadModel", "as published", **GPT_SHAPE),
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
        "ReLU, another eps",
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
    _llama("Llama 2: a key for every query head, untied"),
    _llama("grouped heads", num_key_value_heads=2),
    _llama(
        "one key for all heads, tied (SmolLM 2)", num_key_value_heads=1, tie_word_embeddings=True
    ),
    _llama("Llama 3.1: rotary scaling", num_key_value_heads=2, rope_parameters=LLAMA3),
    _llama(
        "linear rotary scaling",
        rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
    ),
    _llama("biases of attention", attention_bias=True),
    _llama("biases of the feed-forward", mlp_bias=True),
    _llama(
        "biases everywhere, wide heads, another eps",
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
    _mistral("window of 8 tokens", sliding_window=8),
    _mistral("no window", sliding_window=None),
    _mistral("narrow heads, tied", sliding_window=8, head_dim=8, tie_word_embeddings=True),
    _mistral(
        "1,500 tokens, window of 600",
        sliding_window=600,
        max_position_embeddings=1500,
        num_hidden_layers=2,
    ),
    _qwen2("Qwen 2.5: biases of queries, keys and values, untied"),
    _qwen2(
        "grouped heads, tied",
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    ),
    _qwen2(
        "window in the later layers", use_sliding_window=True, sliding_window=8, max_window_layers=2
    ),
    _qwen3("a key for every query head, untied"),
    _qwen3("grouped heads, tied", num_key_value_heads=2, tie_word_embeddings=True),
    _qwen3("biases of attention", attention_bias=True),
    _qwen3(
        "window in the later layers", use_sliding_window=True, sliding_window=8, max_window_layers=1
    ),
    _smollm3("every fourth layer without rotary, tied", num_key_value_heads=2),
    _smollm3(
        "every second, untied, biases",
        no_rope_layer_interval=2,
        tie_word_embeddings=False,
        attention_bias=True,
        mlp_bias=True,
    ),
    _smollm3(
        "window in the layers without rotary",
        use_sliding_window=True,
        sliding_window=8,
        no_rope_layer_interval=2,
    ),
]
