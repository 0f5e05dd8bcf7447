"""Seconds of a training step of the encoder-decoder, beside transformers' MarianMT of the same shape: python benchmarks/translation_speed.py

One thread, 64 pairs of 16 tokens a side, the shape of recipes/translate-en-de.toml; forward, smoothed loss and backward, no optimizer. Processor
time, the best of several turns of each in turn, so that other work on the machine counts little.
"""

import time
from collections.abc import Callable

import torch
from transformers import MarianConfig, MarianMTModel

from chatwright.devices import environment, generator
from chatwright.model import masks
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.training.cross_entropy import head_loss

V, B, T, TURNS = 10_000, 64, 16, 6
SHAPE = {
    "vocab_size": V,
    "context_length": 64,
    "n_encoder_layer": 4,
    "n_decoder_layer": 4,
    "n_head": 4,
    "head_dim": 32,
    "d_model": 128,
    "d_ff": 256,
    "dropout": 0.3,
    "embedding_dropout": 0.3,
}
MODERN = {
    "norm": "rms",
    "norm_first": True,
    "position": "rotary",
    "activation": "relu2",
    "qk_norm": True,
    "bias": False,
    "embedding_scale": False,
}
SOURCE, TARGET, WANTED = (
    torch.randint(V, (B, T), generator=generator(0, name))
    for name in ("source", "target", "wanted")
)
Step = Callable[[], None]


def ours(dtype: torch.dtype, **changes: object) -> Step:
    model = EncoderDecoder(EncoderDecoderConfig(**(SHAPE | changes)))
    init_weights(model, generator(0, "weights"))
    set_dropout_generator(model.train(), generator(0, "dropout"))
    padding = masks.padding(torch.full((B,), T), T)

    def step() -> None:
        loss = head_loss(
            model.head, model.hidden_states(SOURCE, TARGET, padding, dtype), WANTED, 0.1
        )
        (loss.sum / loss.count).backward()
        model.zero_grad()

    return step


def theirs(is_autocast: bool) -> Step:
    torch.manual_seed(0)
    sides = {
        f"{side}_{name}": n
        for side in ("encoder", "decoder")
        for name, n in (("layers", 4), ("ffn_dim", 256), ("attention_heads", 4))
    }
    model = MarianMTModel(
        MarianConfig(
            vocab_size=V,
            d_model=128,
            max_position_embeddings=64,
            pad_token_id=0,
            decoder_start_token_id=0,
            dropout=0.3,
            activation_function="relu",
            scale_embedding=True,
            **sides,
        )
    ).train()
    exists = torch.ones(B, T, dtype=torch.long)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            logits = model(input_ids=SOURCE, attention_mask=exists, decoder_input_ids=TARGET).logits
        torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), WANTED.flatten(), label_smoothing=0.1
        ).backward()
        model.zero_grad()

    return step


def main() -> None:
    torch.set_num_threads(1)
    steps = {
        "ours, 2017, float32": ours(torch.float32),
        "MarianMT, float32": theirs(False),
        "ours, 2017, bfloat16": ours(torch.bfloat16),
        "MarianMT, bfloat16 autocast": theirs(True),
        "ours, modern, bfloat16": ours(torch.bfloat16, **MODERN),
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(TURNS):
        for name, step in steps.items():
            began = time.process_time()
            step()
            best[name] = min(best[name], time.process_time() - began)
    print(environment())
    for name, seconds in best.items():
        print(
            f"{name:30} {1000 * seconds:7.1f} ms a step {B * T / seconds:8,.0f} target tokens a second"
        )


if __name__ == "__main__":
    main()
