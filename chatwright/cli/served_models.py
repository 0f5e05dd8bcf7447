"""Open models in the engine's process and serve them, without torch in this process."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import registry, versions
from chatwright.cli.status_line import NoStatus, StatusLine
from chatwright.commands import command_line
from chatwright.engine.cache_plan import SERVED_REPLIES, MemoryLimits
from chatwright.errors import InputError
from chatwright.server.embedder import ServedEmbedder
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.opened_model import OpenedModel
from chatwright.server.engine_process.remote_engine import RemoteEmbedder, RemoteEngine
from chatwright.server.feedback.canary import Canary
from chatwright.server.served_versions import follow_versions
from chatwright.server.service import Service
from chatwright.tokenizer.tokenizer import load_tokenizer


@dataclass(frozen=True)
class OpenedAssistant:
    """An assistant whose engine runs in the engine's process."""

    assistant: Assistant
    facts: OpenedModel
    description: str
    """Which version of the registry this is; "" without one."""


class ServedModels:
    """Opens models in one engine process."""

    def __init__(self, process: EngineProcess, limits: MemoryLimits) -> None:
        """Take the process, and what the user set about memory."""
        self._process = process
        self._limits = limits

    def with_limits(self, cache_memory: int, max_replies: int) -> "ServedModels":
        """Return the same process with other limits on the memory of each model."""
        return ServedModels(
            self._process,
            replace(self._limits, cache_memory=cache_memory, max_replies=max_replies),
        )

    def open_model(self, directory: Path, status: StatusLine | None = None) -> OpenedAssistant:
        """Open a model for talking. A model of the starter comes with its simulated tools.

        Args:
            directory: A model directory, a training run, or a directory of versions.
            status: Shows what is being done, and notes about memory.

        Raises:
            InputError: The directory holds no model for talking, or it does not fit in memory.
        """
        status = status or NoStatus("")

        def show(text: str, is_note: bool) -> None:
            (status.note if is_note else status.show)(text)

        engine = RemoteEngine(self._process, directory, self._limits, SERVED_REPLIES, show)
        facts = engine.facts
        tools = None
        if facts.is_starter:
            from chatwright.starter import SimulatedTools  # imported here: it takes 0.1 s

            tools = SimulatedTools()
        tokenizer = load_tokenizer(facts.directory)
        assistant = Assistant(engine, tokenizer, tools, reports_waiting=True)
        return OpenedAssistant(assistant, facts, versions.served_description(directory))

    def publish(
        self,
        service: Service,
        directory: Path,
        description: str = "",
        status: StatusLine | None = None,
    ) -> OpenedAssistant:
        """Open a model and serve it in place of the current one.

        Args:
            service: The server's; its name of the model stays.
            directory: A model directory, a training run, or a directory of versions.
            description: Description for people; by default the version.
            status: Shows what is being done.
        """
        opened = self.open_model(directory, status)
        service.publish(
            opened.assistant,
            service.model_name,
            description or opened.description,
            opened.facts.identity,
        )
        return opened

    def start_canary(self, service: Service, directory: Path, name: str, share: float) -> None:
        """Let a version of the registry answer a share of the requests until thumbs decide.

        When thumbs decide, the decision is recorded in the registry. A worse candidate is refused;
        a preferred one awaits `chatwright models promote`.

        Args:
            service: The server's; it serves the current version.
            directory: The directory of the versions.
            name: The candidate's name or id.
            share: Share of the requests that the candidate answers.

        Raises:
            InputError: The registry has no such version, or it is served already.
        """
        assert service.feedback is not None, "a canary needs a collector of thumbs"
        versions = registry.read(directory)
        version = versions.version(name)
        if version == versions.current:
            raise InputError(
                f"{version.name} is the version that is served already.",
                remedy=f"Choose another: {command_line('models', 'list', directory)}",
                field="canary",
                value=name,
            )
        opened = self.open_model(versions.path_of(version))
        description = f"version {version.name}, canary"
        identity = replace(opened.facts.identity, version=version.name)
        service.publish_candidate(opened.assistant, description, identity)
        canary = Canary(identity.weights, versions.current.weights, share)

        def decided(canary: Canary) -> None:
            service.candidate = None
            if canary.state == "refused":
                reason = "canary: users' votes prefer the served version"
                registry.refuse(directory, version.name, reason, canary.metrics())
            else:
                reason = "canary: users' votes prefer this version to the served one"
                registry.prefer(directory, version.name, reason, canary.metrics())
            print(f"canary {version.name}: {canary.state}", file=sys.stderr, flush=True)

        service.feedback.start_canary(canary, decided)

    def open_embedder(self, directory: Path) -> ServedEmbedder:
        """Open an encoder; InputError if the directory holds none."""
        embedder = RemoteEmbedder(self._process, directory)
        return ServedEmbedder(embedder, directory.resolve().name, embedder.facts.identity)

    def follow(
        self, directory: Path, served: Path, service: Service
    ) -> AbstractContextManager[None]:
        """Serve another version as soon as the registry of `directory` names it.

        Args:
            directory: The directory of the versions.
            served: The model directory that is served at the beginning.
            service: The server's.
        """

        def publish(_model: Path) -> None:
            self.publish(service, directory)

        def warn(message: str) -> None:
            print(message, file=sys.stderr, flush=True)

        return follow_versions(directory, served, publish, warn)


@contextmanager
def served_models(limits: MemoryLimits) -> Iterator[ServedModels]:
    """Start the engine's process; it ends with the context."""
    process = EngineProcess()
    try:
        yield ServedModels(process, limits)
    finally:
        process.close()
