"""The served models and their status, shared by all routes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from chatwright.chat.assistant import Assistant
from chatwright.errors import InputError
from chatwright.server.embedder import ServedEmbedder
from chatwright.server.engine_process.remote_engine import RemoteEngine
from chatwright.server.errors import ApiError
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.own_models.own_models import OWN_MODEL, OwnModels
from chatwright.server.replies.engine_thread import EngineThread, Limits
from chatwright.server.replies.pending_reply import AnyAssistant, Served
from chatwright.server.responses_api.store import ResponseStore
from chatwright.server.status import Status
from chatwright.server.teach.improvement_loop import ImprovementLoop
from chatwright.server.training_runs.training_runs import TrainingRuns

log = logging.getLogger("chatwright.server")


class Service:
    """The served model and its status."""

    def __init__(
        self, limits: Limits | None = None, status: Callable[[], Status] | None = None
    ) -> None:
        """Start without a model. `status` returns the status of the build that trains it."""
        self.engine = EngineThread(limits=limits)
        self.model_name = ""
        self.embeddings: ServedEmbedder | None = None
        self.feedback: FeedbackCollector | None = None
        """Takes feedback on replies; None if the server keeps none."""
        self.candidate: Served | None = None
        """The model that answers the canary's share of the requests."""
        self.responses = ResponseStore()
        """The responses of /v1/responses that can be continued."""
        self.adapters: dict[str, Served] = {}
        """The served model with an adapter, by the name that clients ask for."""
        self.runs: TrainingRuns | None = None
        """Shows runs and starts recipes; None if the server was given no folder of runs."""
        self.teach: ImprovementLoop | None = None
        """Improves the model; None if the server serves no directory of versions."""
        self.own_models: OwnModels | None = None
        """Trains and serves small models of users; None if the server has no folder for them."""
        self._status = status

    def publish(
        self,
        assistant: AnyAssistant,
        model_name: str,
        description: str = "",
        identity: ModelIdentity | None = None,
    ) -> None:
        """Serve a model from now on; the server may already be running.

        Args:
            assistant: The assistant with the model.
            model_name: The id that clients ask for. Keep it during a build, so that open pages
                continue to work.
            description: Description for people, such as "step 300 of 900, learning to converse".
            identity: Which weights these are.
        """
        self.model_name = model_name
        if self.adapters:
            log.warning("other weights are served, so their adapters were unloaded")
        self.adapters = {}
        if self.has_open_canary:
            log.warning("other weights are served, so the canary ended: nothing was decided")
            self.end_canary()
        self.engine.set_assistant(assistant, description, identity)

    def publish_embedder(self, embedder: ServedEmbedder) -> None:
        """Serve a model that computes vectors of texts, perhaps beside one that replies."""
        self.embeddings = embedder

    def forget_user(self, user: str) -> None:
        """Erase what this server holds in memory of a user who was deleted from the store.

        These are prefixes of conversations, traces, remembered replies and stored responses.
        """
        for served in (self.engine.served, self.candidate):
            if engine := _remote_engine(served):
                engine.forget_user(user)
        self.responses.forget_user(user)
        if self.own_models is not None:
            self.own_models.delete(user)
        if self.feedback is not None:
            self.feedback.memory.forget_user(user)

    @property
    def is_ready(self) -> bool:
        """Whether a model is served."""
        return self.engine.is_ready or self.embeddings is not None

    @property
    def views(self) -> list[str]:
        """The page's views that this server has beside the conversation."""
        views = {"teach": self.teach, "runs": self.runs}
        return [name for name, view in views.items() if view is not None]

    def status(self) -> Status:
        """Return the status of the build, with the served model."""
        served = self.engine.served
        if self._status is not None:
            status = self._status()
        else:
            status = Status(state="ready" if self.is_ready else "building")
        if served is None:
            return status
        return replace(status, can_chat=True, model=served.description, model_number=served.number)

    def require_model(self, name: str | None) -> Served:
        """Return the served model; None is accepted as its name.

        Raises ApiError (503) if there is no model yet, and ApiError (404) for another name.
        """
        if self.engine.served is None and self.embeddings is not None:
            message = "this server only computes vectors of texts: POST /v1/embeddings"
            raise ApiError(404, message, code="model_not_found", param="model")
        served = self.engine.require_served()
        if name is None or name == self.model_name:
            return served
        if name in self.adapters:
            if cause := self.failed_adapters.get(name):
                message = (
                    f"the adapter {name} is not loaded since the engine was started again: {cause} "
                    f"Then DELETE /v1/adapters/{name}, and POST it to /v1/adapters again."
                )
                raise ApiError(503, message, code="adapter_not_loaded", param="model")
            return self.adapters[name]
        raise unknown_model(name)

    async def model_for(self, name: str | None, user: str) -> Served:
        """Return the served model, or the user's own one if this is its name.

        Args:
            name: The name in the request.
            user: Id of the user; "" on a server without users.

        Raises:
            ApiError: As `require_model`; also (404) if the user has no model yet.
        """
        if name != OWN_MODEL or self.own_models is None:
            return self.require_model(name)
        return await run_in_threadpool(self.own_models.served, user)  # it may have to be opened

    @property
    def failed_adapters(self) -> dict[str, str]:
        """Why adapters could not be loaded again after the engine's restart, by their names."""
        engine = _remote_engine(self.engine.served)
        return {} if engine is None else engine.failed_adapters

    def load_adapter(self, name: str, path: Path) -> Served:
        """Serve the model with an adapter under a name of its own.

        Raises:
            InputError: The name is taken, or the adapter does not fit the served model.
            ApiError: There is no model yet, or it takes no adapters.
        """
        served = self.engine.require_served()
        engine = _remote_engine(served)
        # An engine in this process takes the matrices of an adapter, and not its directory.
        if not isinstance(served.assistant, Assistant) or engine is None:
            raise ApiError(400, "the served model takes no adapters", code="invalid_value")
        if name in (self.model_name, *self.adapters):
            raise InputError(
                f"The name {name!r} is taken.",
                remedy="Choose another name, or unload the adapter first.",
                field="name",
                value=name,
            )
        identity = replace(served.identity, adapter=engine.load_adapter(name, path))
        assistant = served.assistant.with_adapter(name)
        with_adapter = Served(assistant, served.number, f"adapter {name}", identity)
        self.adapters = {**self.adapters, name: with_adapter}
        return with_adapter

    def unload_adapter(self, name: str) -> None:
        """Stop serving an adapter; InputError if there is none, or replies in progress use it."""
        if name not in self.adapters:
            raise InputError(
                f"No adapter {name!r} is loaded.",
                remedy=f"Loaded: {', '.join(self.adapters) or 'none'}.",
                field="name",
                value=name,
            )
        engine: Any = getattr(self.adapters[name].assistant, "engine", None)
        engine.unload_adapter(name)
        self.adapters = {key: value for key, value in self.adapters.items() if key != name}

    def with_canary(self, served: Served) -> Served:
        """Return the model for the next request: `served`, or the candidate of the canary."""
        canary = None if self.feedback is None else self.feedback.canary
        if canary is None or self.candidate is None or served is not self.engine.served:
            return served
        return self.candidate if canary.takes_next() else served

    @property
    def has_open_canary(self) -> bool:
        """Whether thumbs are deciding about a candidate."""
        canary = None if self.feedback is None else self.feedback.canary
        return canary is not None and canary.state == "open"

    def end_canary(self) -> None:
        """Let the served model answer all requests again; nothing is decided."""
        self.candidate = None
        if self.feedback is not None:
            self.feedback.end_canary()

    def publish_candidate(
        self, assistant: AnyAssistant, description: str, identity: ModelIdentity
    ) -> None:
        """Let a candidate answer the canary's share of the requests."""
        number = 1 + self.engine.require_served().number
        self.candidate = Served(assistant, number, description, identity)

    def require_embedder(self, name: str) -> ServedEmbedder:
        """Return the model for vectors of texts; ApiError (404) if it has another name."""
        if self.embeddings is None:
            message = (
                "this server has no model for vectors: chatwright serve DIR --embeddings MODEL"
            )
            raise ApiError(404, message, code="model_not_found", param="model")
        if name != self.embeddings.name:
            raise unknown_model(name)
        return self.embeddings


def unknown_model(name: str) -> ApiError:
    """Return the error for a model that is not served."""
    message = f"the model {name!a} is not served here; GET /v1/models lists what is"
    return ApiError(404, message, code="model_not_found", param="model")


def _remote_engine(served: Served | None) -> RemoteEngine | None:
    """Return the engine of a served model if it runs in the engine's process."""
    engine = None if served is None else getattr(served.assistant, "engine", None)
    return engine if isinstance(engine, RemoteEngine) else None
