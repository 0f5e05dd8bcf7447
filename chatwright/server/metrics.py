"""Counts and times for Prometheus: requests, tokens, waiting times, and which model is served.

No text, no user and no key is in them. The names of all metrics begin with `chatwright_`, but for
those of the process (`process_...`), which the library names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from chatwright.chat.reply_events import Finished, TextDelta, ThinkingDelta, ToolCallDelta
from chatwright.server.replies.pending_reply import Failed

FIRST_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150)
BETWEEN_TOKENS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start all counts at 0. `clock` is replaced in tests."""
        self.clock = clock
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "chatwright_http_requests",
            "Answered requests; the route of a refused one is empty.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.replies = Counter(
            "chatwright_replies",
            "Ended replies, by how they ended.",
            ("outcome",),
            registry=self.registry,
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.")
        self.cached_tokens = self._counter(
            "cached_prompt_tokens", "Tokens of prompts that were not read again."
        )
        self.sampled_tokens = self._counter("sampled_tokens", "Sampled tokens.")
        self.first_token = Histogram(
            "chatwright_time_to_first_token_seconds",
            "Time from a request to the first text of its reply.",
            buckets=FIRST_TOKEN_BUCKETS,
            registry=self.registry,
        )
        self.between_tokens = Histogram(
            "chatwright_time_between_tokens_seconds",
            "Time between two pieces of text of a reply.",
            buckets=BETWEEN_TOKENS_BUCKETS,
            registry=self.registry,
        )

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"chatwright_{name}", meaning, registry=self.registry)

    def add_collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Add metrics that `collect` computes when they are asked for."""
        self.registry.register(_Collected(collect))

    def reply_timer(self) -> ReplyTimer:
        """Return the timer of a reply that is asked for now."""
        return ReplyTimer(self)


class ReplyTimer:
    """Records the events of one reply, in the order they happen."""

    def __init__(self, metrics: Metrics) -> None:
        """Start the clock of the reply."""
        self.metrics = metrics
        self._before = metrics.clock()
        self._has_text = False
        self._is_counted = False

    def record(self, event: Any) -> None:
        """Record an event: of a reply, `Failed`, or None after the last one."""
        match event:
            case TextDelta() | ThinkingDelta() | ToolCallDelta():
                now = self.metrics.clock()
                times = self.metrics.between_tokens if self._has_text else self.metrics.first_token
                times.observe(now - self._before)
                self._before = now
                self._has_text = True
            case Finished():
                self._count(event.reason)
                self.metrics.prompt_tokens.inc(event.usage.prompt_tokens)
                self.metrics.cached_tokens.inc(event.usage.cached_tokens)
                self.metrics.sampled_tokens.inc(event.usage.completion_tokens)
            case Failed():
                self._count("refused" if event.error.status < 500 else "failed")
            case None:  # ended without a last event: the client left
                self._count("canceled")

    def _count(self, outcome: str) -> None:
        if not self._is_counted:
            self._is_counted = True
            self.metrics.replies.labels(outcome).inc()


class _Collected(Collector):
    """Metrics computed when they are asked for."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        yield from self._collect()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering computes nothing."""
        return ()


def gauge(name: str, meaning: str, value: float) -> Metric:
    """Return a metric with one value."""
    return GaugeMetricFamily(f"chatwright_{name}", meaning, value)


def info(name: str, meaning: str, labels: dict[str, str]) -> Metric:
    """Return a metric whose labels are the information."""
    return InfoMetricFamily(f"chatwright_{name}", meaning, labels)
