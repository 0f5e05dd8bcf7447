"""A small model for each user, trained within a quota and served to this user alone.

    FOLDER/USER/own_model.json  what the user chose
    FOLDER/USER/training        the stages while they run
    FOLDER/USER/model           the run of the last stage of the finished training

Requests name the model `my-model`, which is the model of whoever asks: there is no name by which
anyone could reach that of another user. Models are opened when they are first asked for; of many,
those that were not used for the longest time are closed.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, json_file, run_directory
from chatwright.errors import InputError
from chatwright.server.errors import ApiError
from chatwright.server.jobs.command_job import CommandJob
from chatwright.server.own_models.training_queue import TrainingQueue
from chatwright.server.replies.pending_reply import Served
from chatwright.server.training_runs.run_folder import PRIVATE_FILE

OWN_MODEL = "my-model"
"""The name under which each user asks for the own model."""
RECIPE = "lesson"
TRAINING, MODEL = "training", "model"
PRETRAIN, LAST_STAGE = "pretrain", "sft"
MIN_STEPS = 40
"""After fewer, a model may never end its replies, and then its training fails."""
N_USER_ID = 33
"""Characters of a user's id in the store."""


@dataclass(frozen=True, kw_only=True)
class OwnModelLimits:
    """The quota of each user, and what all of them share."""

    at_once: int = 2
    """Trainings that run at the same time; the others wait. With 0 all wait."""
    max_steps: int = 400
    """Longest training, in optimizer steps."""
    max_layers: int = 4
    disk_bytes: int = 100_000_000
    """Bytes that a user's models may take on disk, the one in training included."""
    max_open: int = 32
    """Models of users in memory at the same time."""


@dataclass(frozen=True, kw_only=True)
class OwnSettings:
    """What a user chooses about the own model."""

    layers: int = 2
    steps: int = 200
    """Optimizer steps on texts; half as many on conversations follow."""
    seed: int = 1

    def arguments(self, out: Path) -> list[str]:
        """Return the words after `chatwright` that train the model into a directory."""
        table = {
            f"{PRETRAIN}.model.n_layer": self.layers,
            f"{PRETRAIN}.loop.steps": self.steps,
            f"{LAST_STAGE}.loop.steps": max(1, self.steps // 2),
            f"{PRETRAIN}.loop.seed": self.seed,
            f"{LAST_STAGE}.loop.seed": self.seed,
        }
        settings = [f"{name}={value}" for name, value in table.items()]
        return ["run", RECIPE, *settings, "--out", str(out), "--json"]


class OwnModels:
    """Trains and serves the models of users. Every thread may use it."""

    def __init__(
        self,
        folder: Path,
        open_model: Callable[[Path], Served],
        limits: OwnModelLimits = OwnModelLimits(),
        owner: str = "",
    ) -> None:
        """Show the models that are in the folder; no training runs.

        Args:
            folder: Has a directory for each user. It need not exist yet.
            open_model: Opens the model of a run, to be served.
            limits: The quota of each user.
            owner: Id of the user of a server without a log-in.
        """
        self.folder = folder
        self.limits = limits
        self._open_model = open_model
        self._owner = owner
        n_thread = max(1, (os.cpu_count() or 1) // max(1, limits.at_once))
        self._queue = TrainingQueue(limits.at_once, n_thread, self._take_ended)
        self._lock = threading.RLock()
        self._open: OrderedDict[str, Served] = OrderedDict()

    def state(self, user: str) -> dict[str, Any]:
        """Return the user's settings, training, place in the queue, and whether there is a model.

        `place` is the number of trainings before the user's; null if it does not wait.
        """
        path = self._path(user)
        job = self._queue.job(user)
        return {
            "name": OWN_MODEL,
            "has_model": (path / MODEL).is_dir(),
            "settings": _object(path / PRIVATE_FILE) or None,
            "place": self._queue.place(user),
            "job": None if job is None else job.to_json(),
            "disk_bytes": _size(path),
            "limits": asdict(self.limits),
        }

    def users(self) -> list[str]:
        """Return the ids of the users who have or had a model or a training."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if _is_user_folder(path))

    def train(self, user: str, settings: OwnSettings) -> dict[str, Any]:
        """Queue a training; the finished model takes the place of the user's earlier one.

        Raises:
            ApiError: A setting is above the quota (400), the user's folder is full (409), or a
                training of the user runs or waits (409).
        """
        self._require_within("layers", settings.layers, self.limits.max_layers)
        self._require_within("steps", settings.steps, self.limits.max_steps)
        path = self._path(user)
        with self._lock:
            self._queue.require_idle(user)
            _remove(path / TRAINING)  # of a training that was cut off
            used = _size(path)
            if used > self.limits.disk_bytes:
                message = (
                    f"your models take {used} bytes of {self.limits.disk_bytes}: delete your model"
                )
                raise ApiError(409, message, code="quota_reached")
            path.mkdir(parents=True, exist_ok=True)
            directory.write_text(path / PRIVATE_FILE, json.dumps(asdict(settings)))
            self._queue.put(user, settings.arguments(path / TRAINING))
        return self.state(user)

    def stop(self, user: str) -> dict[str, Any]:
        """End the user's training, or take it out of the queue; an earlier model stays."""
        self._queue.stop(user)
        return self.state(user)

    def delete(self, user: str) -> None:
        """End the user's training, and delete the model."""
        self._queue.stop(user)
        with self._lock:
            self._open.pop(user, None)
            shutil.rmtree(self._path(user), ignore_errors=True)

    def served(self, user: str) -> Served:
        """Return the user's model, opened; ApiError (404) if there is none yet.

        Args:
            user: Id of the user; "" is the owner of a server without a log-in.
        """
        user = user or self._owner
        with self._lock:
            if user not in self._open:
                path = self._path(user) / MODEL if user else None
                if path is None or not path.is_dir():
                    message = "you have no model of your own yet: train one in the lessons"
                    raise ApiError(404, message, code="no_own_model", param="model")
                self._open[user] = self._open_model(path)
            self._open.move_to_end(user)
            while len(self._open) > self.limits.max_open:
                self._open.popitem(last=False)
            return self._open[user]

    def keep_only(self, users: Collection[str]) -> None:
        """Delete what belongs to users who are not in the store any more."""
        for user in set(self.users()) - set(users):
            self.delete(user)

    def close(self) -> None:
        """End every training."""
        self._queue.close()

    def _take_ended(self, user: str, job: CommandJob) -> None:
        """Keep the last stage of a finished training as the user's model, and delete the rest."""
        path = self._path(user)
        with self._lock:
            if job.state == "finished" and (path / TRAINING / LAST_STAGE).is_dir():
                _remove(path / MODEL)
                _remove(path / TRAINING / LAST_STAGE / run_directory.CHECKPOINTS)
                (path / TRAINING / LAST_STAGE).rename(path / MODEL)
                self._open.pop(user, None)
            _remove(path / TRAINING)
            if not any((path / name).exists() for name in (MODEL, PRIVATE_FILE)):
                shutil.rmtree(path, ignore_errors=True)  # it was deleted while the training ended

    def _path(self, user: str) -> Path:
        assert _is_user_id(user), "users come from the store"
        return self.folder / user

    def _require_within(self, name: str, value: int, most: int) -> None:
        if value > most:
            message = f"{name} is {value}, and your quota allows {most}: choose a smaller number"
            raise ApiError(400, message, code="quota_reached", param=name)


def _is_user_id(name: str) -> bool:
    return len(name) == N_USER_ID and name.isascii() and name.isalnum()


def _is_user_folder(path: Path) -> bool:
    """Return whether we made this folder, which `keep_only` may delete."""
    return _is_user_id(path.name) and (path / PRIVATE_FILE).is_file()


def _remove(path: Path) -> None:
    if path.is_dir():
        directory.remove(path)


def _size(path: Path) -> int:
    """Return the bytes of all files below a path; files that vanish meanwhile do not count."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += 0 if file.is_dir() else file.stat().st_size
        except OSError:
            continue
    return total


def _object(file: Path) -> dict[str, Any]:
    try:
        return json_file.read_object(file)
    except InputError:
        return {}
