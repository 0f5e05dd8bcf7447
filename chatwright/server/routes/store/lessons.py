"""/api/lessons: a user's own small model, the answers to the questions, and the class's effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.errors import ApiError
from chatwright.server.jobs.plain_json import plain_json
from chatwright.server.own_models.class_effect import class_effect
from chatwright.server.own_models.own_models import MIN_STEPS, OwnModels, OwnSettings
from chatwright.server.request_body.request_parser import Nothing, Strict
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.server.service import Service
from chatwright.store.lesson_answers import LessonAnswer

LESSONS = Path(__file__).parents[2] / "lessons"
"""The texts of the lessons, one file for each language."""
Option = Annotated[int, Field(ge=0, le=20)]


class Train(Strict):
    """What the user chooses about the own model."""

    layers: Annotated[int, Field(ge=1)] = OwnSettings.layers
    steps: Annotated[int, Field(ge=MIN_STEPS)] = OwnSettings.steps
    seed: Annotated[int, Field(ge=0, le=1_000_000)] = OwnSettings.seed


class Answered(Strict):
    """The options that the user chose before and after a lesson."""

    before: Option | None = None
    after: Option | None = None
    checked: bool = False
    """Whether the check of the lesson was run."""


def add(app: FastAPI, service: Service) -> None:
    """Add the routes. A user sees the own model and answers; an administrator those of all."""
    everyone, admins = needs_user(), needs_user("admin")

    def own_models(request: Request) -> OwnModels:
        store_of(request)  # says that there is none, if so
        if service.own_models is None:
            message = "this server trains no models of users: start it with --lessons DIR"
            raise ApiError(404, message, code="no_own_models")
        return service.own_models

    def read_model(request: Request) -> Response:
        """Return the user's training, place in the queue, and whether there is a model."""
        return _json(own_models(request).state(user_of(request).id))

    def train(request: Request, body: Train = body_of(Train)) -> Response:
        """Queue a training."""
        settings = OwnSettings(layers=body.layers, steps=body.steps, seed=body.seed)
        return _json(own_models(request).train(user_of(request).id, settings), 201)

    def stop(request: Request, body: Nothing = body_of(Nothing)) -> Response:
        """End the training, or take it out of the queue."""
        return _json(own_models(request).stop(user_of(request).id))

    def delete(request: Request) -> Response:
        """End the training, and delete the model."""
        own_models(request).delete(user_of(request).id)
        return Response(status_code=NO_CONTENT)

    def all_models(request: Request) -> Response:
        """List the models of all users."""
        found, users = own_models(request), store_of(request).users.list()
        names = {user.id: user.name for user in users}
        states = [
            {"user": {"id": id_, "name": names.get(id_)}, **found.state(id_)}
            for id_ in found.users()
        ]
        return _json({"models": states})

    add_route(app, "GET", "/api/lessons/model", read_model, everyone)
    add_route(app, "POST", "/api/lessons/model", train, everyone)
    add_route(app, "POST", "/api/lessons/model/stop", stop, everyone)
    add_route(app, "DELETE", "/api/lessons/model", delete, everyone)
    add_route(app, "GET", "/api/lessons/models", all_models, admins)
    add_route(app, "GET", "/api/lessons/answers", answers, everyone)
    add_route(app, "PUT", "/api/lessons/answers/{lesson}", answer, everyone)
    add_route(app, "GET", "/api/lessons/effect", effect, admins)


def answers(request: Request) -> Response:
    """Return the user's answers by lesson."""
    found = store_of(request).lessons.of_user(user_of(request).id)
    return json_response({"answers": {answer.lesson: _answer(answer) for answer in found}})


def answer(request: Request, lesson: str, body: Answered = body_of(Answered)) -> Response:
    """Store the user's answers to the question of a lesson."""
    store, user = store_of(request), user_of(request).id
    if lesson not in RIGHT_OPTIONS:
        raise ApiError(404, "there is no such lesson", code="not_found")
    stored = LessonAnswer(
        lesson=lesson, before=body.before, after=body.after, has_checked=body.checked
    )
    store.lessons.put(user, stored)
    return Response(status_code=NO_CONTENT)


def effect(request: Request) -> Response:
    """Return how the class answered before and after each lesson, without names."""
    return json_response(class_effect(store_of(request).lessons.of_all(), RIGHT_OPTIONS))


def _read_right_options() -> dict[str, int]:
    lessons = json.loads((LESSONS / "en.json").read_text(encoding="utf-8"))
    return {lesson["id"]: lesson["question"]["answer"] for lesson in lessons}


RIGHT_OPTIONS = _read_right_options()
"""Number of the right option of each lesson's question; the same in every language."""


def _answer(answer: LessonAnswer) -> dict[str, Any]:
    return {"before": answer.before, "after": answer.after, "checked": answer.has_checked}


def _json(value: Any, status: int = 200) -> Response:
    return json_response(plain_json(value), status)
