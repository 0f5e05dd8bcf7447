"""Compare reading a prompt with its matrix products alone.

    python benchmarks/prefill_speed.py DIR [--tokens 512] [--rounds 5] [--threads 2] [--peers]

The engine reads a prompt of `--tokens` tokens and samples one token. Beside it, `torch.mm`
multiplies tensors of the shapes of all linear layers, as often as the model does, in float32; the
head is multiplied by one row. With `--peers`, transformers and llama.cpp (Q8_0; the extra `dev`)
read the same prompt. The programs alternate; medians are printed, and medians of the pairs' ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peer_files import real_prompts, write_gguf

from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, SamplingConfig
from chatwright.model.linear import products

Read = Callable[[list[int]], Any]


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peers", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    prompts = real_prompts(arguments.directory, arguments.rounds + 1, arguments.tokens)
    with tempfile.TemporaryDirectory() as folder:
        programs = open_programs(arguments.directory, Path(folder), arguments)
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for prompt in prompts:  # the first round only warms up
            for name, read in programs.items():
                began = time.perf_counter()
                read(prompt)
                seconds[name].append(time.perf_counter() - began)
    print(f"{arguments.tokens} tokens, {arguments.threads} threads")
    for name, values in seconds.items():
        pairs = zip(seconds["torch.mm"][1:], values[1:], strict=True)
        share = statistics.median(a / b for a, b in pairs)
        median = statistics.median(values[1:])
        speed = arguments.tokens / median
        print(f"  {name:20}{median:7.3f} s{speed:9.0f} tokens/s; torch.mm takes {share:.2f} of it")


def open_programs(directory: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Read]:
    """Return functions that read a prompt, by the program's name."""
    engines = {
        f"chatwright {weights}": opened(directory, weights, arguments.tokens)
        for weights in ("float32", "int8", "int4")
    }
    programs: dict[str, Read] = {"torch.mm": matrix_products(engines["chatwright float32"])}
    programs |= {name: reader(engine) for name, engine in engines.items()}
    if arguments.peers:
        programs["transformers"] = transformers(directory)
        programs["llama.cpp Q8_0"] = llama_cpp(directory, folder, arguments)
    return programs


def opened(directory: Path, weights: str, n_token: int) -> Engine:
    """Open our engine; it reads the whole prompt in one step."""
    model, _ = model_directory.load(directory)
    config = EngineConfig(
        n_slot=1, context_length=n_token + 1, prefill_tokens=n_token, weights=weights
    )
    return Engine(model, config, keeps_weights=False)


def reader(engine: Engine) -> Read:
    """Return a function that reads a prompt and samples one token."""

    def read(prompt: list[int]) -> None:
        engine.submit(Request(prompt, SamplingConfig(temperature=0, max_tokens=1)))
        while engine.has_work:
            engine.step()

    return read


def matrix_products(engine: Engine) -> Read:
    """Return a function that multiplies random matrices of the shapes of all linear layers."""
    shapes = [shape for _, shape, _ in products(engine.forward.model)]
    weights = {shape: torch.randn(shape) for shape in set(shapes)}
    *layers, head = shapes

    @torch.no_grad()
    def read(prompt: list[int]) -> None:
        for n_out, n_in in layers:
            torch.mm(inputs[n_in], weights[n_out, n_in].T)
        torch.mm(inputs[head[1]][:1], weights[head].T)

    n_token = engine.context_length - 1
    inputs = {n_in: torch.randn(n_token, n_in) for _, n_in in weights}
    return read


def transformers(directory: Path) -> Read:
    """Open the model in transformers."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)

    @torch.no_grad()
    def read(prompt: list[int]) -> None:
        model(input_ids=torch.tensor([prompt]), use_cache=True, logits_to_keep=1)

    return read


def llama_cpp(directory: Path, folder: Path, arguments: argparse.Namespace) -> Read:
    """Open the model in llama.cpp."""
    import xllamacpp

    file = folder / "Q8_0.gguf"
    write_gguf(directory, file, "Q8_0")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = arguments.tokens + 64
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.fit_params = False
    parameters.cpuparams.n_threads = arguments.threads
    parameters.cpuparams_batch.n_threads = arguments.threads
    server = xllamacpp.Server(parameters)

    def read(prompt: list[int]) -> None:
        request = {"prompt": prompt, "temperature": 0.0, "cache_prompt": False, "n_predict": 1}
        server.handle_completions(request)

    return read


if __name__ == "__main__":
    main()
