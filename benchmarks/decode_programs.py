"""The programs whose decoding `decode_speed.py` compares, each as a function on token ids.

Every program opens a model directory and returns a `Decode`. Prompts are read before the clock
starts. Where a program can keep the prompts' keys and values, later calls do not read them again.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peer_files import write_gguf

from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import Request, SamplingConfig, TokenSampled
from chatwright.pipeline.import_export import import_model
from chatwright.pipeline.open_engine import load_for_format

N_SLOT = 32
"""Replies that our engine generates together at most."""
PREFIX_BYTES = 2**31
GGUF_KINDS = ("Q8_0", "Q4_0")

Ids = list[list[int]]
Clock = Callable[[], float]
Decode = Callable[[Ids, int, Clock], tuple[float, Ids]]
"""Generates n tokens after each prompt; returns tokens per second and the tokens."""
OpenProgram = Callable[[int], Decode]
"""Opens a program with a number of threads; 0: the program's own choice."""


def make_programs(directory: Path, folder: Path, context: int) -> dict[str, OpenProgram]:
    """Return the programs by name.

    Args:
        directory: The model.
        folder: Where converted models are kept.
        context: Longest text in tokens.
    """
    programs: dict[str, OpenProgram] = {}
    for weights in ("float32", "int8", "int4"):
        programs[f"chatwright {weights}"] = _opened_once(chatwright, directory, weights, context)
    for kind in GGUF_KINDS:
        programs[f"chatwright gguf {kind}"] = _opened_once(
            chatwright_gguf, directory, folder, kind, context
        )
    programs["transformers"] = _opened_once(transformers, directory)
    for kind in ("float32", "int8"):
        programs[f"ctranslate2 {kind}"] = lambda threads, kind=kind: ctranslate2(
            directory, folder, kind, threads
        )
    for kind in GGUF_KINDS:
        programs[f"llama.cpp {kind}"] = lambda threads, kind=kind: llama_cpp(
            directory, folder, kind, threads, context
        )
        programs[f"openvino {kind}"] = lambda threads, kind=kind: openvino(
            directory, folder, kind, threads
        )
    return programs


def takes_batches(name: str) -> bool:
    """Whether the program generates several replies together here."""
    return not name.startswith("llama.cpp")


def has_gpt2(name: str) -> bool:
    """Whether the program opens models of GPT-2's architecture in its format."""
    return not name.startswith(("openvino", "chatwright gguf"))


def uses_torch_threads(name: str) -> bool:
    """Whether torch's setting decides the program's number of threads."""
    return name.startswith(("chatwright", "transformers"))


def _opened_once(open_program: Callable[..., Decode], *arguments: Any) -> OpenProgram:
    """Open a program at its first use; torch sets its number of threads at any time."""
    opened = cache(open_program)
    return lambda threads: opened(*arguments)


def chatwright(directory: Path, weights: str, context: int) -> Decode:
    """Open our engine."""
    model, _ = load_for_format(directory, weights)
    config = EngineConfig(
        n_slot=N_SLOT,
        context_length=context,
        prefill_tokens=512,
        weights=weights,
        prefix_cache_bytes=PREFIX_BYTES,
    )
    engine = Engine(model, config, keeps_weights=False)

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        sampling = SamplingConfig(temperature=0.0, max_tokens=n_token)
        replies: dict[str, list[int]] = {
            engine.submit(Request(prompt, sampling)): [] for prompt in prompts
        }
        while not all(replies.values()):
            _step(engine, replies)
        n_before, began = sum(map(len, replies.values())), clock()
        while engine.has_work:
            _step(engine, replies)
        seconds = clock() - began
        n_new = sum(map(len, replies.values())) - n_before
        return n_new / seconds, list(replies.values())

    return decode


def chatwright_gguf(directory: Path, folder: Path, kind: str, context: int) -> Decode:
    """Open our engine on the same file as llama.cpp, with its weights as they are."""
    kept = folder / f"kept-{kind}"
    if not kept.exists():
        import_model(str(quantized_file(directory, folder, kind)), kept, keeps_quantized=True)
    return chatwright(kept, "gguf", context)


def _step(engine: Engine, replies: dict[str, list[int]]) -> None:
    """Run one step, and add its tokens to the replies."""
    for event in engine.step():
        if isinstance(event, TokenSampled):
            replies[event.request_id].append(event.token_id)


def transformers(directory: Path) -> Decode:
    """Open the model in transformers; a loop of its own costs less than `generate`."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    kept: dict[str, Any] = {}

    @torch.no_grad()
    def read(prompts: Ids) -> tuple[Any, Any]:
        """Return the cache of the prompts and their first tokens."""
        if kept.get("prompts") == prompts:
            n_new = kept["cache"].get_seq_length() - len(prompts[0])
            kept["cache"].crop(-n_new)
        else:
            kept.clear()
            out = model(input_ids=torch.tensor(prompts), use_cache=True, logits_to_keep=1)
            first = out.logits[:, -1].argmax(-1, keepdim=True)
            kept.update(prompts=prompts, cache=out.past_key_values, first=first)
        return kept["cache"], kept["first"]

    @torch.no_grad()
    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        past, first = read(prompts)
        tokens = [first]
        began = clock()
        for _ in range(n_token - 1):
            out = model(input_ids=tokens[-1], past_key_values=past, use_cache=True)
            tokens.append(out.logits[:, -1].argmax(-1, keepdim=True))
        seconds = clock() - began
        return len(prompts) * (n_token - 1) / seconds, torch.cat(tokens, 1).tolist()

    return decode


def ctranslate2(directory: Path, folder: Path, kind: str, threads: int) -> Decode:
    """Convert the model for CTranslate2 and open it. It reads the prompts at every call."""
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
    return llama_cpp_server(quantized_file(directory, folder, kind), threads, context)


def quantized_file(directory: Path, folder: Path, kind: str) -> Path:
    """Export the model to GGUF in one format of llama.cpp, unless that was done before."""
    file = folder / f"{kind}.gguf"
    if not file.exists():
        write_gguf(directory, file, kind)
    return file


def openvino(directory: Path, folder: Path, kind: str, threads: int) -> Decode:
    """Export and quantize the model, and open it in openvino-genai, which reads GGUF.

    It reads the prompts at every call, so two calls of different length are subtracted.
    """
    import numpy as np
    import openvino as ov
    import openvino_genai

    file = quantized_file(directory, folder, kind)
    settings = {"INFERENCE_NUM_THREADS": threads} if threads else {}
    pipeline = openvino_genai.LLMPipeline(str(file), "CPU", **settings)

    def generate(prompts: Ids, n_token: int) -> Ids:
        config = openvino_genai.GenerationConfig(
            max_new_tokens=n_token, ignore_eos=True, do_sample=False, apply_chat_template=False
        )
        ids = np.array(prompts, dtype=np.int64)
        inputs = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        return [list(tokens) for tokens in pipeline.generate(inputs, config).tokens]

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        seconds = []
        for count in (1, n_token):
            began = clock()
            replies = generate(prompts, count)
            seconds.append(clock() - began)
        return len(prompts) * (n_token - 1) / (seconds[1] - seconds[0]), replies

    return decode


def llama_cpp_server(file: Path, threads: int, context: int) -> Decode:
    """Open a GGUF file in llama.cpp, which generates one reply at a time here."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.fit_params = False
    if threads:
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)

    def decode(prompts: Ids, n_token: int, clock: Clock) -> tuple[float, Ids]:
        [prompt] = prompts
        request = {
            "prompt": prompt,
            "temperature": 0.0,
            "ignore_eos": True,
            "return_tokens": True,
            "cache_prompt": True,
        }
        server.handle_completions(request | {"n_predict": 1})  # reads the prompt
        seconds = []
        for count in (1, n_token):
            began = clock()
            answer = server.handle_completions(request | {"n_predict": count})
            seconds.append(clock() - began)
        tokens = answer.get("tokens") or answer["choices"][0].get("tokens") or []
        return (n_token - 1) / (seconds[1] - seconds[0]), [list(tokens)]

    return decode
