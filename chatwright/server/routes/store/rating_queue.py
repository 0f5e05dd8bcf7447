"""/api/queue: prompts with replies that raters rank, and how often raters match gold answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.conversation import Message
from chatwright.evaluation.feedback_quality.report import share_json
from chatwright.evaluation.interval import Share
from chatwright.server.request_body.request_parser import ShortText, Strict, Text
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.store.feedback import MAX_REASON, Opinion
from chatwright.store.message_json import parts_to_json
from chatwright.store.messages import Origin
from chatwright.store.rating_queue import MAX_REPLIES, NewTask, RaterFigures

MAX_TASKS = 500
MAX_SKIPPED = 200
MAX_LIMIT = 1_000_000
Rank = Annotated[int, Field(ge=1, le=MAX_REPLIES)]
Ids = Annotated[list[Annotated[str, Field(max_length=100)]], Query(max_length=MAX_SKIPPED)]


class PromptMessage(Strict):
    """One message before the replies."""

    role: Literal["system", "user", "assistant"]
    content: Text


class CandidateReply(Strict):
    """A reply, and who wrote it."""

    content: Text
    model: ShortText = ""
    weights: Annotated[str, Field(max_length=64)] = ""
    """SHA-256 of the weights that wrote it."""


class Task(Strict):
    """A prompt with replies; with right ranks it is a gold question."""

    prompt: Annotated[list[PromptMessage], Field(min_length=1, max_length=100)]
    replies: Annotated[list[CandidateReply], Field(max_length=MAX_REPLIES)]
    right_ranks: Annotated[list[Rank], Field(max_length=MAX_REPLIES)] = Field(default_factory=list)

    def new_task(self) -> NewTask:
        """Return it as the store takes it; InputError if replies or ranks do not fit together."""
        return NewTask(
            tuple(Message(message.role, message.content) for message in self.prompt),
            tuple(Message("assistant", reply.content) for reply in self.replies),
            tuple(Origin(reply.model, reply.weights) for reply in self.replies),
            tuple(self.right_ranks),
        )


class NewTasks(Strict):
    """Tasks for the queue, and the title of the conversation that holds them."""

    title: ShortText = ""
    tasks: Annotated[list[Task], Field(min_length=1, max_length=MAX_TASKS)]


class QueueRanking(Strict):
    """A rater's order of all replies of a task; 1 is the best, equal ranks are a tie."""

    messages: Annotated[list[ShortText], Field(max_length=MAX_REPLIES)]
    """The ids of the replies, in the order of `ranks`."""
    ranks: Annotated[list[Rank], Field(max_length=MAX_REPLIES)]
    are_all_bad: bool = False
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class Limit(Strict):
    """The most tasks that a rater may rank; left out, there is no limit."""

    most: Annotated[int, Field(ge=0, le=MAX_LIMIT)] | None = None


def add(app: FastAPI) -> None:
    """Add the routes. Only administrators fill the queue and see the raters' agreement."""
    raters, admins = needs_user("admin", "member", "rater"), needs_user("admin")
    add_route(app, "GET", "/api/queue/next", offer, raters)
    add_route(app, "POST", "/api/queue/tasks/{id}/ranking", rank, raters)
    add_route(app, "GET", "/api/queue", figures, admins)
    add_route(app, "POST", "/api/queue", fill, admins)
    add_route(app, "PUT", "/api/queue/raters/{id}/limit", limit, admins)


def offer(request: Request, skip: Ids = ()) -> Response:  # type: ignore[assignment]
    """Return the next task of the user; `skip` names tasks to leave out for now."""
    found = store_of(request).queue.offer(user_of(request).id, skip)
    task = None
    if found.task is not None:
        task = {
            "id": found.task.id,
            "prompt": [{"role": m.role, "content": m.text} for m in found.task.prompt],
            "replies": [
                {"id": reply.id, "parts": parts_to_json(reply.message.parts)}
                for reply in found.task.replies
            ],
        }
    return json_response({"task": task, "done": found.n_done, "left": found.n_left})


def rank(request: Request, id: str, body: QueueRanking = body_of(QueueRanking)) -> Response:
    """Store the user's ranking of a task; DELETE /api/feedback/{id} takes it back."""
    opinion = Opinion(
        kind="ranking",
        messages=tuple(body.messages),
        ranks=tuple(body.ranks),
        are_all_bad=body.are_all_bad,
        reason=body.reason,
    )
    given = store_of(request).queue.rank(user_of(request).id, id, opinion)
    return json_response({"id": given.id}, 201)


def figures(request: Request) -> Response:
    """Return the sizes of the queue, and how often each rater agrees with gold questions."""
    found = store_of(request).queue.figures()
    return json_response(
        {
            "tasks": found.n_task,
            "gold": found.n_gold,
            "rankings": found.n_ranking,
            "raters": [_rater(rater) for rater in found.raters],
        }
    )


def fill(request: Request, body: NewTasks = body_of(NewTasks)) -> Response:
    """Add tasks, in a conversation of the administrator: who deletes it removes them."""
    title = body.title or f"Rating queue {datetime.now(UTC):%Y-%m-%d %H:%M}"
    tasks = [task.new_task() for task in body.tasks]
    ids = store_of(request).queue.add(user_of(request).id, title, tasks)
    return json_response({"tasks": list(ids)}, 201)


def limit(request: Request, id: str, body: Limit = body_of(Limit)) -> Response:
    """Limit how many tasks a rater may rank."""
    store_of(request).queue.set_limit(id, body.most, actor=user_of(request).id)
    return Response(status_code=NO_CONTENT)


def _rater(rater: RaterFigures) -> dict[str, Any]:
    return {
        "id": rater.user_id,
        "name": rater.name,
        "done": rater.n_done,
        "most": rater.most,
        "gold": share_json(Share(rater.n_right, rater.n_gold)),
    }
