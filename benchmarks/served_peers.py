"""Start servers for a benchmark: Chatwright, `transformers serve` and llama.cpp's server.

python benchmarks/served_peers.py FILE PORT CHATS CONTEXT     serves a GGUF file by llama.cpp
"""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peer_files import write_gguf

SECONDS_TO_START = 300
MODEL = "model"
"""The name of the model in our server and in llama.cpp's, which takes any name."""


@dataclass(frozen=True)
class Served:
    """A running server."""

    name: str
    port: int
    model: str
    """The name that requests ask for."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def command_of(name: str, directory: Path, folder: Path, port: int, chats: int) -> list[str]:
    """Return the command that starts a server, by the program's name.

    `chats` is the largest number of conversations that the server works on together. A
    conversation may have 512 tokens.
    """
    program, *options = name.split()
    if program == "chatwright":
        weights = options[0]
        limits = ["--max-replies", str(chats), "--max-context", "512", "--weights", weights]
        serve = ["-m", "chatwright", "serve", str(directory), "--port", str(port), "--name", MODEL]
        return [sys.executable, *serve, *limits]
    if program == "transformers":
        serve = [Path(sys.executable).with_name("transformers"), "serve", directory]
        batching = ["--continuous-batching"] if options == ["batched"] else []
        settings = ["--device", "cpu", "--dtype", "float32", "--port", port, *batching]
        return [str(word) for word in (*serve, *settings)]
    kind = options[0]
    file = folder / f"{kind}.gguf"
    if not file.exists():
        write_gguf(directory, file, kind)
    return [sys.executable, __file__, str(file), str(port), str(chats), "512"]


@contextmanager
def served(name: str, directory: Path, folder: Path, port: int, chats: int) -> Iterator[Served]:
    """Run a server until the block ends. Its output goes into a file in `folder`."""
    log = folder / f"{name.replace(' ', '-')}.log"
    command = command_of(name, directory, folder, port, chats)
    environment = {**os.environ, "CHATWRIGHT_STORE": str(folder / f"{port}.db")}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        model = str(directory) if name.startswith("transformers") else MODEL
        one = Served(name, port, model)
        wait_until_ready(one, process, log)
        yield one
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(one: Served, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server says that it is ready; raise RuntimeError if it ends or is late."""
    path = "readyz" if one.name.startswith("chatwright") else "health"
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{one.url}/{path}", timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{one.name} did not start: {log.read_text()[-1000:]}")


def serve_llama_cpp(file: Path, port: int, chats: int, context: int) -> None:
    """Serve a GGUF file with llama.cpp until the process is stopped."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.port = port
    parameters.n_parallel = chats
    parameters.n_ctx = chats * context
    parameters.fit_params = False
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    serve_llama_cpp(Path(sys.argv[1]), *map(int, sys.argv[2:]))
