"""Serve a model: `chatwright serve DIR`."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.open_store import StoreAddress, served_store
from chatwright.cli.options import (
    Adapters,
    AllowHosts,
    CacheMemory,
    Host,
    KeyPath,
    MaxContext,
    MaxReplies,
    ModelDirectory,
    Port,
    RequireKey,
    Tls,
    TlsCert,
    TlsKey,
    Weights,
    memory_limits,
    named_adapters,
    named_model,
    server_address,
)
from chatwright.cli.status_line import StatusLine
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.engine.cache_plan import MemoryLimits
    from chatwright.server.address import Address
    from chatwright.server.service import Service
    from chatwright.server.status import Status
    from chatwright.store.store import Store


def serve(
    directory: ModelDirectory,
    port: Port = 8000,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            help="The name that clients ask for; by default the directory's. A stage of a run, "
            "such as runs/starter/sft, is called starter-sft.",
        ),
    ] = "",
    host: Host = "127.0.0.1",
    accounts: Annotated[
        bool,
        typer.Option(
            "--accounts", help="Ask users to log in; make them with chatwright users add."
        ),
    ] = False,
    store: StoreAddress = "",
    no_shared_links: Annotated[
        bool,
        typer.Option(
            "--no-shared-links",
            help="Users cannot share conversations by links, and links made before open nothing.",
        ),
    ] = False,
    require_key: RequireKey = False,
    keys: KeyPath = None,
    allow_host: AllowHosts = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls: Tls = "",
    max_context: MaxContext = None,
    max_replies: MaxReplies = None,
    cache_memory: CacheMemory = "",
    weights: Weights = "float32",
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="An encoder that computes vectors of texts beside the model: /v1/embeddings.",
            callback=named_model,
        ),
    ] = None,
    adapters: Adapters = None,
    feedback: Annotated[
        Path | None,
        typer.Option(
            "--feedback",
            help="Take feedback on replies (POST /v1/feedback) and append it to this file.",
        ),
    ] = None,
    canary: Annotated[
        str,
        typer.Option(
            "--canary",
            help="A version of the directory that answers a share of the requests until thumbs "
            "decide; needs --feedback.",
        ),
    ] = "",
    canary_share: Annotated[
        float,
        typer.Option(
            "--canary-share", min=0.01, max=0.9, help="Share of the requests for the canary."
        ),
    ] = 0.1,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", help="Show the training runs below this folder on the page."),
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option(
            "--lessons",
            help="Let each user train a small model of the user's own in the lessons, below this "
            "folder; two at once, the others wait. Needs a store.",
        ),
    ] = None,
    improve: Annotated[
        list[str] | None,
        typer.Option(
            "--improve",
            help="A setting of improvements that the page starts, as KEY=VALUE, for example "
            "dpo.loop.steps=200; may be repeated.",
        ),
    ] = None,
) -> None:
    """Serve a chat page and an API.

    The API is compatible with OpenAI's. Both are reachable from this machine only, unless --host
    names another address. If DIRECTORY holds an encoder, only vectors of texts are served.
    """
    limits = memory_limits(max_context, max_replies, cache_memory, weights)
    status = StatusLine(f"Opening {directory}", keeps_lines=True)
    status.show("loading PyTorch")  # before the web server's libraries, which take a second
    with status, served_store(store, accounts, host, not no_shared_links) as users:
        address = server_address(
            host, port, require_key, keys, allow_host, tls_cert, tls_key, users, tls
        )
        with address.open() as listener:  # opened first: a taken port is reported at once
            ratings = None if users is None else users.store
            votes = Votes(feedback, canary, canary_share, runs, tuple(improve or ()), ratings)
            learners = Learners(lessons, ratings, accounts)
            chosen = named_adapters(adapters)
            _serve(
                directory,
                name,
                address,
                listener,
                limits,
                embeddings,
                votes,
                learners,
                chosen,
                status,
            )


@dataclass(frozen=True)
class Votes:
    """Where feedback goes, and what it decides about."""

    log: Path | None
    """The file that feedback is appended to; None: no feedback is taken."""
    canary: str
    """The version that thumbs decide about; "" for none."""
    share: float
    """Share of the requests that the canary answers."""
    runs: Path | None = None
    """The folder whose training runs the page shows."""
    settings: tuple[str, ...] = ()
    """Settings of improvements that the page starts."""
    store: "Store | None" = None
    """The store whose ratings are feedback, too."""

    def __post_init__(self) -> None:
        if self.canary and self.log is None:
            raise InputError(
                f"--canary {self.canary} needs thumbs, and no feedback is taken.",
                remedy="Add --feedback FILE.",
                field="canary",
                value=self.canary,
            )


@dataclass(frozen=True)
class Learners:
    """Where the users' own models are, and who the users are."""

    folder: Path | None
    """None trains none."""
    store: "Store | None"
    has_login: bool

    def __post_init__(self) -> None:
        if self.folder is not None and self.store is None:
            raise InputError(
                f"--lessons {self.folder} needs to know the users, and no store is open.",
                remedy="Leave out --store off, or add --accounts.",
                field="lessons",
                value=str(self.folder),
            )


def _serve(
    directory: Path,
    name: str,
    address: "Address",
    listener: socket.socket,
    limits: "MemoryLimits",
    embeddings: Path | None,
    votes: Votes,
    learners: Learners,
    adapters: Mapping[str, Path],
    status: StatusLine,
) -> None:
    from chatwright.checkpoint.find_model import find
    from chatwright.checkpoint.model_kind import holds_encoder
    from chatwright.cli.loop_views import loop_views
    from chatwright.cli.own_models import own_models
    from chatwright.cli.served_models import served_models
    from chatwright.pipeline.model_names import served_name
    from chatwright.server.deleted_users import follow_deletions
    from chatwright.server.feedback.collector import FeedbackCollector
    from chatwright.server.http_server import serve as serve_app
    from chatwright.server.replies.engine_thread import Limits

    name = name or served_name(directory)
    if holds_encoder(find(directory)):
        _require_no_second_encoder(directory, embeddings)
        with served_models(limits) as models:
            encoder = replace(models.open_embedder(directory), name=name)
            status.erase()
            serve_app(None, name, address, listener, status=_encoder_status, embedder=encoder)
        return
    with served_models(limits) as models:
        embedder = None if embeddings is None else models.open_embedder(embeddings)
        opened = models.open_model(directory, status)
        status.erase()

        @contextmanager
        def beside(service: "Service") -> Iterator[None]:
            for adapter, path in adapters.items():
                service.load_adapter(adapter, path)
            if votes.log is not None:
                service.feedback = FeedbackCollector(votes.log)
            if votes.canary:
                models.start_canary(service, directory, votes.canary, votes.share)
            deletions: AbstractContextManager[None] = nullcontext()
            if votes.store is not None:
                deletions = follow_deletions(votes.store.audit, service.forget_user)
            with (
                deletions,
                models.follow(directory, opened.facts.directory, service),
                loop_views(
                    service,
                    directory,
                    votes.log,
                    votes.runs,
                    votes.settings,
                    votes.store,
                    models,
                ),
                own_models(service, models, learners.folder, learners.store, learners.has_login),
            ):
                yield

        serve_app(
            opened.assistant,
            name,
            address,
            listener,
            limits=Limits.of_engine(opened.facts.n_slot),
            description=opened.description,
            identity=opened.facts.identity,
            embedder=embedder,
            beside=beside,
        )


def _require_no_second_encoder(directory: Path, embeddings: Path | None) -> None:
    """Raise InputError if vectors would be computed by two models."""
    if embeddings is not None:
        raise InputError(
            f"{directory} is an encoder itself, so --embeddings {embeddings} is one too many.",
            remedy="Leave out --embeddings, or serve a model that replies.",
            field="embeddings",
            value=str(embeddings),
        )


def _encoder_status() -> "Status":
    from chatwright.server.status import Status

    return Status(state="ready", stage="Vectors of texts: POST /v1/embeddings", fraction=1.0)
