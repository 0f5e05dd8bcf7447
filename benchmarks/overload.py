"""Measure the goodput of our server under ten times as many requests as it can answer.

    python benchmarks/overload.py DIR [--seconds 60] [--factor 10] [--tokens 32] [--weights int8]

First, as many clients as the server answers together send one request after the other: that is its
peak, in tokens of complete replies per second. Then requests arrive at `--factor` times the rate at
which replies ended, at even intervals, whatever happens to the earlier ones. Goodput is the number
of tokens per second that arrived within the time and belong to replies that were complete in the
end. A refusal must have the status 429 or 503 and the header Retry-After. RELIABILITY asks for at
least 95 % of the peak.
"""

import argparse
import http.client
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from served_peers import Served, served

PORT = 8430
N_TOGETHER = 8
TIMEOUT = 300


@dataclass
class Reply:
    """What one request got."""

    status: int = 0
    has_retry_after: bool = False
    is_complete: bool = False
    began: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    """Times at which tokens arrived."""


def main() -> None:
    """Print the peak and the goodput."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--factor", type=float, default=10)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--weights", default="int8")
    arguments = parser.parse_args()
    name = f"chatwright {arguments.weights}"
    with (
        tempfile.TemporaryDirectory() as folder,
        served(name, arguments.directory, Path(folder), PORT, N_TOGETHER) as server,
    ):
        in_turn(server, arguments.tokens, 5.0)  # warms up
        peak_replies, peak = in_turn(server, arguments.tokens, arguments.seconds / 2)
        rate = arguments.factor * peak_replies
        replies, goodput = arriving(server, arguments.tokens, arguments.seconds, rate)
    report(peak_replies, peak, rate, replies, goodput)


def report(
    peak_replies: float, peak: float, rate: float, replies: list[Reply], goodput: float
) -> None:
    """Print the figures."""
    assert peak, f"the server answered nothing; statuses {Counter(one.status for one in replies)}"
    print(f"peak: {peak:.1f} tokens/s, {peak_replies:.2f} replies/s")
    complete = [one for one in replies if one.is_complete]
    refused = [one for one in replies if one.status in (429, 503)]
    n_explained = sum(one.has_retry_after for one in refused)
    n_other = len(replies) - len(complete) - len(refused)
    print(f"{rate:.1f} requests/s: {len(replies)} requests, {len(complete)} complete replies, ")
    print(f"  {len(refused)} refused ({n_explained} with Retry-After), {n_other} other outcomes")
    if complete:
        waits = [one.arrivals[0] - one.began for one in complete]
        print(f"  first token after {statistics.median(waits):.1f} s (median), {max(waits):.1f} s")
    print(f"goodput: {goodput:.1f} tokens/s, {goodput / peak:.1%} of the peak")


def in_turn(server: Served, tokens: int, seconds: float) -> tuple[float, float]:
    """Let N_TOGETHER clients send requests in turn; return replies and tokens per second."""
    numbers = itertools.count(1_000_000)
    replies: list[Reply] = []
    end = time.monotonic() + seconds

    def client() -> None:
        while time.monotonic() < end:
            replies.append(ask(server, next(numbers), tokens))

    run_threads([threading.Thread(target=client) for _ in range(N_TOGETHER)])
    return counted(replies, end, seconds)


def arriving(server: Served, tokens: int, seconds: float, rate: float) -> tuple[list[Reply], float]:
    """Send requests at a rate; return the replies and the tokens per second in this time."""
    replies: list[Reply] = []
    threads = []
    began = time.monotonic()
    for number in range(int(seconds * rate)):
        time.sleep(max(began + number / rate - time.monotonic(), 0))
        thread = threading.Thread(
            target=lambda number=number: replies.append(ask(server, number, tokens))
        )
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return replies, counted(replies, began + seconds, seconds)[1]


def run_threads(threads: list[threading.Thread]) -> None:
    """Start all threads and wait for them."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counted(replies: list[Reply], end: float, seconds: float) -> tuple[float, float]:
    """Return complete replies and their tokens per second, counting what arrived before `end`."""
    complete = [one for one in replies if one.is_complete]
    n_token = sum(time <= end for one in complete for time in one.arrivals)
    n_reply = sum(one.arrivals[-1] <= end for one in complete)
    return n_reply / seconds, n_token / seconds


def ask(server: Served, number: int, tokens: int) -> Reply:
    """Send one request and read its stream to the end."""
    reply = Reply(began=time.monotonic())
    body: dict[str, Any] = {
        "model": server.model,
        "messages": [{"role": "user", "content": f"Tell me a story about the number {number}."}],
        "max_tokens": tokens,
        "seed": number,
        "stream": True,
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        reply.status = response.status
        reply.has_retry_after = response.getheader("Retry-After") is not None
        for line in response:
            if line.startswith(b"data: {"):
                choices = json.loads(line.removeprefix(b"data: "))["choices"]
                if any(choice["delta"].get("content") for choice in choices):
                    reply.arrivals.append(time.monotonic())
            reply.is_complete |= line.startswith(b"data: [DONE]") and bool(reply.arrivals)
    except (OSError, http.client.HTTPException):
        reply.is_complete = False
    finally:
        connection.close()
    return reply


if __name__ == "__main__":
    main()
