"""Compare the speed of decoding with other programs, in one run, by medians of paired rounds.

    python benchmarks/decode_speed.py DIR [--batches 1 8] [--contexts 64] [--tokens 16]
        [--rounds 3] [--threads 1 2] [--only NAME ...] [--json FILE]

DIR is a model directory of the Llama family, such as a fetched smollm2-135m-instruct. In each round
every program generates `--tokens` tokens after distinct prompts of `--contexts` random tokens, one
after the other. Seconds count from the first generated token to the last, so prefill is left out.
Each program first runs once with each number of threads and keeps the fastest.

The programs are Chatwright with float32, int8 and int4 weights, transformers, CTranslate2 (float32
and int8; the extra `bench`) and llama.cpp (Q8_0 and Q4_0, one prompt at a time; the extra `dev`).
Where a program computes in float32, its token ids are compared with Chatwright's.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import model_directory
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, SamplingConfig, TokenSampled

N_SLOT = 32
"""Replies that our engine generates together at most."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Ids = list[list[int]]
Clock = Callable[[], float]
Decode = Callable[[Ids, int, Clock], tuple[float, Ids]]
"""Generates n tokens after each prompt; returns tokens per second and the tokens."""


def main() -> None:
    """Print tokens per second, and ratios to the first program."""
    arguments = parse_arguments()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        programs = make_programs(arguments.directory, Path(folder), max(arguments.contexts) + 64)
        wanted = {n: p for n, p in programs.items() if not arguments.only or n in arguments.only}
        for context in arguments.contexts:
            for batch in arguments.batches:
                prompts = random_prompts(batch, context)
                results.append(compare(wanted, prompts, arguments))
                print(table(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--contexts", type=int, nargs="+", default=[64])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def random_prompts(batch: int, length: int) -> Ids:
    """Draw distinct prompts of ordinary token ids."""
    draws = torch.Generator().manual_seed(length)
    prompts: Ids = torch.randint(1000, 40_000, (batch, length), generator=draws).tolist()
    return prompts


def make_programs(
    directory: Path, folder: Path, context: int
) -> dict[str, Callable[[int], Decode]]:
    """Return the programs by name: functions from a number of threads to a way to decode."""
    programs: dict[str, Callable[[int], Decode]] = {}
    for weights in ("float32", "int8", "int4"):
        programs[f"chatwright {weights}"] = opened_once(chatwright, directory, weights, context)
    programs["transformers"] = opened_once(transformers, directory)
    for kind in ("float32", "int8"):
        programs[f"ctranslate2 {kind}"] = lambda threads, kind=kind: ctranslate2(
            directory, folder, kind, threads
        )
    for kind in ("Q8_0", "Q4_0"):
        programs[f"llama.cpp {kind}"] = lambda threads, kind=kind: llama_cpp(
            directory, folder, kind, threads, context
        )
    return programs


def opened_once(open_program: Callable[..., Decode], *arguments: Any) -> Callable[[int], Decode]:
    """Open a program at its first use; torch sets its number of threads at any time."""
    opened = cache(open_program)
    return lambda threads: opened(*arguments)


def compare(
    programs: dict[str, Callable[[int], Decode]], prompts: Ids, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Run all programs in paired rounds."""
    opened: dict[str, tuple[int, Decode]] = {}
    for name, open_program in programs.items():
        if name.startswith("llama.cpp") and len(prompts) > 1:
            continue
        trials = []
        for threads in arguments.threads:
            decode = open_program(threads)
            with torch_threads(threads):
                trials.append(
                    (decode(prompts, arguments.tokens, CLOCKS[arguments.clock])[0], threads, decode)
                )
        best = max(trials, key=lambda trial: trial[0])
        opened[name] = best[1:]
    speeds: dict[str, list[float]] = {name: [] for name in opened}
    tokens: dict[str, Ids] = {}
    for _ in range(arguments.rounds):
        for name, (threads, decode) in opened.items():
            with torch_threads(threads):
                speed, tokens[name] = decode(prompts, arguments.tokens, CLOCKS[arguments.clock])
            speeds[name].append(speed)
    first = next(iter(opened))
    return {
        "batch": len(prompts),
        "context": len(prompts[0]),
        "programs": {
            name: {
                "threads": opened[name][0],
                "tokens_per_second": statistics.median(values),
                "first_to_this": statistics.median(
                    a / b for a, b in zip(speeds[first], values, strict=True)
                ),
                "equal_tokens": agreement(tokens[first], tokens[name]),
            }
            for name, values in speeds.items()
        },
    }


def agreement(expected: Ids, actual: Ids) -> float:
    """Return the share of replies that are equal; NaN where a program reports no token ids."""
    if not any(actual):
        return float("nan")
    equal = [a[: len(b)] == b[: len(a)] for a, b in zip(expected, actual, strict=True)]
    return sum(equal) / len(equal)


def table(result: dict[str, Any]) -> str:
    """Write the result of one batch size and context."""
    lines = [f"batch {result['batch']}, context {result['context']}"]
    lines += [
        f"  {name:20}{one['tokens_per_second']:8.1f} tokens/s{one['first_to_this']:7.2f} "
        f"threads {one['threads']}  equal replies {one['equal_tokens']:.0%}"
        for name, one in result["programs"].items()
    ]
    return "\n".join(lines)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set torch's number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield
    torch.set_num_threads(before)


def chatwright(directory: Path, weights: str, context: int) -> Decode:
    """Open our engine."""
    model, _ = model_directory.load(directory)
    config = EngineConfig(
        n_slot=N_SLOT, context_length=context, prefill_tokens=512, weights=weights
    )
    engine = Engine(model, config, keeps_weights=False)

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        sampling = SamplingConfig(temperature=0.0, max_tokens=n_token)
        replies: dict[str, list[int]] = {
            engine.submit(Request(prompt, sampling)): [] for prompt in prompts
        }
        while not all(replies.values()):
            take(engine, replies)
        n_before, began = sum(map(len, replies.values())), clock()
        while engine.has_work:
            take(engine, replies)
        seconds = clock() - began
        n_new = sum(map(len, replies.values())) - n_before
        return n_new / seconds, list(replies.values())

    return decode


def take(engine: Engine, replies: dict[str, list[int]]) -> None:
    """Run one step, and add its tokens to the replies."""
    for event in engine.step():
        if isinstance(event, TokenSampled):
            replies[event.request_id].append(event.token_id)


def transformers(directory: Path) -> Decode:
    """Open the model in transformers; its own loop without `generate` costs less."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)

    @torch.no_grad()
    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        out = model(input_ids=torch.tensor(prompts), use_cache=True)
        tokens = [out.logits[:, -1].argmax(-1, keepdim=True)]
        began = clock()
        for _ in range(n_token - 1):
            out = model(input_ids=tokens[-1], past_key_values=out.past_key_values, use_cache=True)
            tokens.append(out.logits[:, -1].argmax(-1, keepdim=True))
        seconds = clock() - began
        return len(prompts) * (n_token - 1) / seconds, torch.cat(tokens, 1).tolist()

    return decode


def ctranslate2(directory: Path, folder: Path, kind: str, threads: int) -> Decode:
    """Convert the model for CTranslate2 and open it."""
    import ctranslate2 as ct2

    converted = folder / f"ctranslate2-{kind}"
    if not converted.exists():
        ct2.converters.TransformersConverter(str(directory)).convert(
            str(converted), quantization=kind
        )
    generator = ct2.Generator(
        str(converted), device="cpu", compute_type=kind, intra_threads=threads, inter_threads=1
    )
    vocabulary = json.loads((converted / "vocabulary.json").read_text())

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        texts = [[vocabulary[token_id] for token_id in prompt] for prompt in prompts]
        replies: Ids = [[] for _ in prompts]
        times: list[float] = []

        def note(step: Any) -> bool:
            times.append(clock())
            replies[step.batch_id].append(step.token_id)
            return False

        generator.generate_batch(
            texts,
            max_length=n_token,
            min_length=n_token,
            sampling_topk=1,
            include_prompt_in_result=False,
            callback=note,
            max_batch_size=len(prompts),
            end_token=[],
        )
        first = times[len(prompts) - 1]  # all prompts have their first token
        return (len(times) - len(prompts)) / (times[-1] - first), replies

    return decode


def llama_cpp(directory: Path, folder: Path, kind: str, threads: int, context: int) -> Decode:
    """Export the model, quantize it for llama.cpp and open it."""
    import xllamacpp

    file = folder / f"{kind}.gguf"
    if not file.exists():
        quantize(directory, file, kind)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.fit_params = False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        request = {
            "prompt": prompts[0],
            "temperature": 0.0,
            "ignore_eos": True,
            "return_tokens": True,
            "cache_prompt": False,
        }
        seconds = []
        for count in (1, n_token):
            began = clock()
            answer = server.handle_completions(request | {"n_predict": count})
            seconds.append(clock() - began)
        tokens = answer.get("tokens") or answer["choices"][0].get("tokens") or []
        return (n_token - 1) / (seconds[1] - seconds[0]), [list(tokens)]

    return decode


def quantize(directory: Path, file: Path, kind: str) -> None:
    """Write the model as GGUF with its matrices in one format of llama.cpp."""
    import gguf

    from chatwright.pipeline.gguf_export import export_gguf

    whole = file.with_suffix(".f32")
    export_gguf(directory, whole)
    reader = gguf.GGUFReader(whole)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(file, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kinds = field.types
        writer.add_key_value(
            name, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None
        )
    for tensor in reader.tensors:
        data = tensor.data
        # The head is the embedding here, and ours has 8 bits in every format.
        target = gguf.GGMLQuantizationType["Q8_0" if tensor.name == "token_embd.weight" else kind]
        if data.ndim == 2 and data.shape[1] % 32 == 0:
            packed = gguf.quants.quantize(data, target)
            writer.add_tensor(tensor.name, packed, raw_dtype=target)
        else:
            writer.add_tensor(tensor.name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
