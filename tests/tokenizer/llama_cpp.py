"""Encode texts with llama.cpp, from the tokenizer settings of a GGUF file."""

import http.client
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlparse

import gguf
import numpy as np

SIZE = 32  # of every dimension of the model, which is never run


class LlamaCpp:
    """A llama.cpp server with this tokenizer and a tiny model."""

    def __init__(self, fields: Mapping[str, Any], path: Path) -> None:
        """Write the GGUF file `path` and open it."""
        import xllamacpp

        write_model(fields, path)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = 64
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.fit_params = False
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        self._server = xllamacpp.Server(parameters)
        address = urlparse(self._server.listening_address)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port)

    def encode(self, text: str) -> list[int]:
        """Return the ids; control tokens in the text stay text, user-defined ones do not."""
        body = json.dumps({"content": text, "parse_special": False, "add_special": False})
        self._connection.request(
            "POST", "/tokenize", body.encode(), {"Content-Type": "application/json"}
        )
        answer = json.load(self._connection.getresponse())
        return list(answer["tokens"])

    def __enter__(self) -> "LlamaCpp":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()


def write_model(fields: Mapping[str, Any], path: Path) -> None:
    """Write a GGUF file with these settings and a Llama of one layer."""
    writer = gguf.GGUFWriter(path, "llama")
    settings = {
        "llama.context_length": 64,
        "llama.embedding_length": SIZE,
        "llama.block_count": 1,
        "llama.feed_forward_length": SIZE,
        "llama.attention.head_count": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": len(fields["tokenizer.ggml.tokens"]),
    }
    for name, value in [*settings.items(), *fields.items()]:
        _add(writer, name, value)
    for name, shape in _shapes(len(fields["tokenizer.ggml.tokens"])):
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, name: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(name, value)
        case int():
            writer.add_uint32(name, value)
        case float():
            writer.add_float32(name, value)
        case str():
            writer.add_string(name, value)
        case _ if name.endswith("precompiled_charsmap"):
            writer.add_array(name, bytes(value))
        case _:
            writer.add_array(name, value)


def _shapes(n_token: int) -> Iterable[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (n_token, SIZE)
    yield "output_norm.weight", (SIZE,)
    for name in ("attn_norm", "ffn_norm"):
        yield f"blk.0.{name}.weight", (SIZE,)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        yield f"blk.0.{name}.weight", (SIZE, SIZE)
