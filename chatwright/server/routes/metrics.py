"""GET /metrics: counts and times in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import Metric
from starlette.responses import Response

from chatwright import __version__
from chatwright.server.access.route_access import needs
from chatwright.server.metrics import gauge, info
from chatwright.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the route."""
    metrics = service.engine.metrics
    metrics.add_collector(lambda: state_of(service))

    # Not async: a thread of the pool writes the text, and other requests continue.
    @app.get("/metrics", dependencies=[needs("metrics")])
    def scrape() -> Response:
        """Return counts and times for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def state_of(service: Service) -> Iterator[Metric]:
    """Yield what the server is doing now, and which model it serves."""
    engine = service.engine
    yield gauge("open_replies", "Accepted replies that have not ended.", engine.n_open)
    yield gauge("max_open_replies", "Most replies that are accepted.", engine.limits.max_open)
    yield info("build", "Version of the program.", {"version": __version__})
    if served := engine.served:
        labels = {
            "model": service.model_name,
            "weights": served.identity.weights,
            "version": served.identity.version,
        }
        yield info("model", "The model that replies.", labels)
        yield gauge("models_served", "Number of models served so far.", served.number)
