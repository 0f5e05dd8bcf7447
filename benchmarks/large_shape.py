"""Measure memory, opening and speed of a model of 1.7B parameters with random weights.

    python benchmarks/large_shape.py DIR [--programs "chatwright int8" "llama.cpp Q8_0" ...]
        [--rounds 3] [--tokens 16] [--threads 2] [--clock wall]

The shape is that of SmolLM2-1.7B, with the tokenizer of DIR, a fetched smollm2-135m-instruct.
Values do not change speed or memory, so all blocks get the same random weights. llama.cpp comes
with the extra `dev`. Each program runs in a process of its own, which reads prompts of 32 tokens
and generates `--tokens` tokens after each.

"chatwright Q8_0" and "chatwright Q4_0" are the engine on llama.cpp's file, imported with its
quantized weights (`--weights gguf`). "opened" is the time from the weights in a file, or for
Chatwright's int8 and int4 in memory as float32, to a model that can take a request. Memory is what
the process holds then, and its peak.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from decode_programs import Clock, Decode, Ids, llama_cpp_server
from peer_files import add_packed, copy_settings, finish, quantized

from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, SamplingConfig
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model
from chatwright.pipeline.gguf_export import export_gguf
from chatwright.pipeline.import_export import import_model

SHAPE = GPTConfig(
    vocab_size=49_152,
    context_length=2048,
    n_layer=24,
    n_head=32,
    n_kv_head=32,
    d_model=2048,
    d_ff=8192,
    qk_norm=False,
)
LLAMA_CPP_SETTINGS = {
    "block_count": SHAPE.n_layer,
    "embedding_length": SHAPE.d_model,
    "feed_forward_length": SHAPE.d_ff,
    "attention.head_count": SHAPE.n_head,
    "attention.head_count_kv": SHAPE.n_kv_head,
}
MATRICES = {
    "attn_q": (SHAPE.d_model, SHAPE.d_model),
    "attn_k": (SHAPE.d_model, SHAPE.d_model),
    "attn_v": (SHAPE.d_model, SHAPE.d_model),
    "attn_output": (SHAPE.d_model, SHAPE.d_model),
    "ffn_gate": (SHAPE.d_ff, SHAPE.d_model),
    "ffn_up": (SHAPE.d_ff, SHAPE.d_model),
    "ffn_down": (SHAPE.d_model, SHAPE.d_ff),
}
PROGRAMS = (
    "chatwright int8",
    "chatwright Q8_0",
    "llama.cpp Q8_0",
    "chatwright int4",
    "chatwright Q4_0",
    "llama.cpp Q4_0",
)
FROM_GGUF = ("Q8_0", "Q4_0")
CONTEXT = 512
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    """Print the figures of all programs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        measure(arguments.programs[0], arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.programs:
            file = Path(folder) / "large.gguf"
            program, kind = name.split()
            if kind in FROM_GGUF:
                write_large(arguments.directory, file, kind)
            if kind in FROM_GGUF and program == "chatwright":
                shutil.rmtree(file.with_suffix(""), ignore_errors=True)
                import_model(str(file), file.with_suffix(""), keeps_quantized=True)
            own = [sys.executable, __file__, *sys.argv[1:], "--file", str(file), "--programs", name]
            subprocess.run(own, check=True)


def measure(name: str, arguments: argparse.Namespace) -> None:
    """Open a program and print its figures."""
    clock = CLOCKS[arguments.clock]
    torch.set_num_threads(arguments.threads)
    program, kind = name.split()
    if program == "chatwright" and kind in FROM_GGUF:
        began = clock()
        model, _ = model_directory.load(arguments.file.with_suffix(""), keeps_quantized=True)
        decode = chatwright(model, "gguf")
    elif program == "chatwright":
        model = GPT(SHAPE)
        fill(model)
        began = clock()
        decode = chatwright(model, kind)
    else:
        began = clock()
        decode = llama_cpp_server(arguments.file, arguments.threads, CONTEXT)
    opening = clock() - began
    held = psutil.Process().memory_info().rss / 1e9
    prompts = [[*range(start, start + 32)] for start in range(1000, 1000 + arguments.rounds + 1)]
    speeds = [decode([prompt], arguments.tokens, clock)[0] for prompt in prompts]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = {
        "program": name,
        "tokens_per_second": round(statistics.median(speeds[1:]), 2),
        "opened_s": round(opening, 1),
        "held_gb": round(held, 2),
        "at_most_gb": round(peak, 2),
    }
    print(json.dumps(figures), flush=True)


def chatwright(model: GPT, weights: str) -> Decode:
    """Open our engine."""
    config = EngineConfig(n_slot=1, context_length=CONTEXT, weights=weights)
    engine = Engine(model, config, keeps_weights=False)

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        engine.submit(Request(prompts[0], SamplingConfig(temperature=0, max_tokens=n_token)))
        engine.step()
        began = clock()
        while engine.has_work:
            engine.step()
        return (n_token - 1) / (clock() - began), []

    return decode


@torch.no_grad()
def fill(model: Model) -> None:
    """Give all parameters random values, equal where the shape is equal."""
    values: dict[torch.Size, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.shape not in values:
            values[parameter.shape] = 0.02 * torch.randn(parameter.shape, generator=generator)
        parameter.copy_(values[parameter.shape])


def write_large(directory: Path, file: Path, kind: str) -> None:
    """Write the shape with random weights as GGUF, with the tokenizer of `directory`."""
    small = file.with_name("small.gguf")
    if not small.exists():
        export_gguf(directory, small)
    head_dim = SHAPE.d_model // SHAPE.n_head
    widths = dict.fromkeys(
        ("rope.dimension_count", "attention.key_length", "attention.value_length"), head_dim
    )
    writer, _ = copy_settings(small, file, LLAMA_CPP_SETTINGS | widths)
    draws = np.random.default_rng(0)

    def draw(shape: tuple[int, int]) -> np.ndarray:
        return 0.02 * draws.standard_normal(shape, dtype=np.float32)

    ones = np.ones(SHAPE.d_model, dtype=np.float32)
    head = quantized(draw((SHAPE.vocab_size, SHAPE.d_model)), "Q8_0")
    add_packed(writer, "token_embd.weight", *head)
    writer.add_tensor("output_norm.weight", ones)
    packed = {shape: quantized(draw(shape), kind) for shape in set(MATRICES.values())}
    for layer in range(SHAPE.n_layer):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", ones)
        for name, shape in MATRICES.items():
            add_packed(writer, f"blk.{layer}.{name}.weight", *packed[shape])
    finish(writer)


if __name__ == "__main__":
    main()
