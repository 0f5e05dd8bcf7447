"""Serve replies under load, then repeat each from its receipt in a fresh process.

Usage: python benchmarks/replay.py MODEL OUT [--replies 1000] [--at-once 32]

MODEL is a model directory. The replies differ in prompt, seed and settings; a third are further
turns of a conversation (cached prefixes), and a tenth follow a JSON schema. OUT receives
replies.jsonl, and replay.json with the result of `chatwright replay MODEL`. At the end one bit of a
copy of the weights is flipped, and one seed is changed: both must be reported.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.server.app import make_app
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from chatwright.server.replies.engine_thread import Limits
from chatwright.tokenizer.tokenizer import load_tokenizer

WORDS = ["the", "sea,", "a", "ship", "and", "salt;", "who", "lives", "town?", "tell", "me", "story"]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def body(number: int, n_word: int) -> dict[str, Any]:
    """Return the request of one reply."""
    draw = random.Random(number)
    messages = [{"role": "user", "content": " ".join(draw.choices(WORDS, k=n_word))}]
    if number % 3 == 0:  # the same beginning as others: its keys and values are cached
        shared = random.Random(number % 9)
        first = " ".join(shared.choices(WORDS, k=2 * n_word))
        messages = [
            {"role": "user", "content": first},
            {"role": "assistant", "content": "Yes."},
            *messages,
        ]
    request: dict[str, Any] = {
        "model": "m",
        "messages": messages,
        "seed": number,
        "max_tokens": draw.randint(4, 40),
        "temperature": draw.choice([0, 0.7, 1, 1.3]),
        "top_p": draw.choice([1, 0.9]),
        "top_k": draw.choice([0, 20]),
        "receipt": True,
    }
    if number % 10 == 7:
        schema = {"name": "person", "schema": SCHEMA}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    return request


def serve(model: Path, n_reply: int, at_once: int, n_word: int) -> list[dict[str, Any]]:
    """Return the responses, generated `at_once` at a time by an engine in its own process."""
    process = EngineProcess()
    engine = RemoteEngine(process, model, MemoryLimits(), 8)
    app = make_app(None, "m", limits=Limits(max_live=at_once + 8, max_waiting=64))
    assistant = Assistant(engine, load_tokenizer(model), reports_waiting=True)
    app.state.service.publish(assistant, "m", "", engine.facts.identity)
    found: list[dict[str, Any]] = [{} for _ in range(n_reply)]
    lock = threading.Lock()
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def ask(number: int) -> None:
            response = client.post("/v1/chat/completions", json=body(number, n_word))
            assert response.status_code == 200, response.text[:300]
            with lock:
                found[number] = response.json()

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(ask, range(n_reply)))
    process.close()
    return found


def replay(model: Path, file: Path, *options: str) -> list[dict[str, Any]]:
    """Run `chatwright replay` in a fresh process; return its results."""
    command = [sys.executable, "-m", "chatwright", "replay", str(model), str(file), "--json"]
    command += options
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


def flip_one_bit(model: Path, copy: Path) -> None:
    """Copy a model and flip one bit in the middle of its weights: an exponent's highest."""
    shutil.copytree(model, copy)
    (copy / "MANIFEST.json").unlink(missing_ok=True)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    place = start + (len(content) - start) // 2 // 4 * 4 + 3
    content[place] ^= 0x40
    weights.write_bytes(content)


def main() -> None:
    """Serve, replay, and plant the two differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--replies", type=int, default=1_000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--words", type=int, default=12, help="words of a prompt")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    responses = serve(given.model, given.replies, given.at_once, given.words)
    served = time.monotonic()
    file = given.out / "replies.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in responses), encoding="utf-8")
    results = replay(given.model, file)
    cached = [one["usage"]["prompt_tokens_details"]["cached_tokens"] for one in responses]
    summary = {
        "replies": len(responses),
        "same": sum(result["same"] for result in results),
        "tokens": sum(result["tokens"] for result in results),
        "with cached tokens": sum(count > 0 for count in cached),
        "constrained": len(range(7, given.replies, 10)),
        "seconds served": round(served - began, 1),
        "seconds replayed": round(time.monotonic() - served, 1),
    }
    some = responses[:20]
    few = given.out / "few.jsonl"
    few.write_text("".join(json.dumps(one) + "\n" for one in some), encoding="utf-8")
    flip_one_bit(given.model, given.out / "flipped")
    damaged = replay(given.out / "flipped", few)
    summary["flipped bit"] = {
        "named as the cause": sum("weights" in str(one["causes"]) for one in damaged),
        "replies that differ": sum(not one["same"] for one in damaged),
        "of": len(damaged),
    }
    sampled = next(one for one in some if _settings(one)["temperature"] > 1)
    _settings(sampled)["seed"] += 1
    few.write_text(json.dumps(sampled) + "\n", encoding="utf-8")
    [changed] = replay(given.model, few)
    summary["changed seed"] = {"same": changed["same"], "causes": changed["causes"]}
    text = json.dumps(summary, indent=1)
    (given.out / "replay.json").write_text(text, encoding="utf-8")
    print(text)


def _settings(response: dict[str, Any]) -> dict[str, Any]:
    receipt = response["chatwright"]["receipts"][0]
    found: dict[str, Any] = receipt["requests"][0]["request"]["sampling"]
    return found


if __name__ == "__main__":
    main()
