"""Measure the time of a training step of our encoder-decoder and of MarianMT of the same shape.

    python benchmarks/translation_speed.py

One thread; 64 pairs of 16 tokens a side; the shape of recipes/translate-en-de.toml. A step is the
forward pass, the smoothed loss and the backward pass, without the optimizer. The figures are
processor time, the best of several alternating turns, so that other programs count little.
"""

import time
from collections.abc import Callable

import torch
from transformers import MarianConfig, MarianMTModel

from chatwright.devices import environment, generator
from chatwright.model import masks
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, init_weights
from chatwright.training.cross_entropy import head_loss

VOCAB_SIZE = 10_000
ROWS = 64
LENGTH = 16
TURNS = 6
LABEL_SMOOTHING = 0.1
# The components of 2017 are the defaults of EncoderDecoderConfig.
SHAPE = {
    "vocab_size": VOCAB_SIZE,
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
SOURCE, TARGET_INPUT, TARGET_OUTPUT = (
    torch.randint(VOCAB_SIZE, (ROWS, LENGTH), generator=generator(0, name))
    for name in ("source", "target", "wanted")
)
Step = Callable[[], None]


def main() -> None:
    """Measure every step in turn and print the best times."""
    torch.set_num_threads(1)
    steps = {
        "ours, 2017, float32": make_our_step(torch.float32),
        "MarianMT, float32": make_peer_step(autocast=False),
        "ours, 2017, bfloat16": make_our_step(torch.bfloat16),
        "MarianMT, bfloat16 autocast": make_peer_step(autocast=True),
        "ours, modern, bfloat16": make_our_step(torch.bfloat16, **MODERN),
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(TURNS):
        for name, step in steps.items():
            started = time.process_time()
            step()
            best[name] = min(best[name], time.process_time() - started)
    print(environment())
    for name, seconds in best.items():
        rate = ROWS * LENGTH / seconds
        print(f"{name:30} {1000 * seconds:7.1f} ms a step {rate:8,.0f} target tokens a second")


def make_our_step(dtype: torch.dtype, **changes: object) -> Step:
    """Return a training step of our model, with changes to its shape."""
    model = EncoderDecoder(EncoderDecoderConfig(**(SHAPE | changes)))
    init_weights(model, generator(0, "weights"))
    set_dropout_generator(model.train(), generator(0, "dropout"))
    padding = masks.padding(torch.full((ROWS,), LENGTH), LENGTH)

    def step() -> None:
        states = model.hidden_states(SOURCE, TARGET_INPUT, padding, dtype)
        loss = head_loss(model.head, states, TARGET_OUTPUT, LABEL_SMOOTHING)
        (loss.sum / loss.count).backward()
        model.zero_grad()

    return step


def make_peer_step(autocast: bool) -> Step:
    """Return a training step of MarianMT."""
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=VOCAB_SIZE,
        d_model=128,
        max_position_embeddings=64,
        encoder_layers=4,
        decoder_layers=4,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        pad_token_id=0,
        decoder_start_token_id=0,
        dropout=0.3,
        activation_function="relu",
        scale_embedding=True,
    )
    model = MarianMTModel(config).train()
    no_padding = torch.ones(ROWS, LENGTH, dtype=torch.long)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(
                input_ids=SOURCE, attention_mask=no_padding, decoder_input_ids=TARGET_INPUT
            ).logits
        torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            TARGET_OUTPUT.flatten(),
            label_smoothing=LABEL_SMOOTHING,
        ).backward()
        model.zero_grad()

    return step


if __name__ == "__main__":
    main()
