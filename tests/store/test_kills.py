"""`kill -9` while a program writes: what it acknowledged is there, and no turn is half stored."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatwright.store.store import Store

PROGRAM = Path(__file__).with_name("write_load.py")
LONGEST_RUN = 0.4  # seconds of writing before a kill


def run_until_killed(address: str, user: str, conversation: str, when: str, wait: float):
    """Return the lines that the program printed before it was killed."""
    command = [sys.executable, PROGRAM, address, user, conversation, when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "ready\n"
            lines = [program.stdout.readline()]  # at least one write is acknowledged
            end = time.monotonic() + wait
            while time.monotonic() < end:
                lines.append(program.stdout.readline())
        finally:
            program.send_signal(signal.SIGKILL)
        lines += program.stdout.readlines()
    return [line.split() for line in lines if line.endswith("\n")]


def missing(store: Store, user: str, conversation: str, lines) -> list[str]:
    """Return what was acknowledged and is not in the store."""
    messages = {stored.id: stored for stored in store.messages.tree(user, conversation)}
    feedback = {given.id for given in store.feedback.of_conversation(user, conversation)}
    for question, answers in children(messages.values()).items():
        assert len(answers) == 1, f"{question} has {len(answers)} answers: half a turn"
    lost = []
    for kind, *ids in lines:
        if kind == "f":
            lost += [id_ for id_ in ids if id_ not in feedback]
        else:
            lost += [id_ for id_ in ids if id_ not in messages]
        if kind == "a" and ids[0] in messages and messages[ids[0]].state != "complete":
            lost.append(ids[0])
    return lost


def children(messages):
    """Return the answers of each question."""
    found = {stored.id: [] for stored in messages if stored.message.role == "user"}
    for stored in messages:
        if stored.message.role == "assistant":
            found[stored.parent].append(stored.id)
    return found


def kill_many(address: str, n_kill: int, when: str = "late") -> tuple[int, int]:
    """Return the numbers of acknowledged and of lost writes over so many kills."""
    choose = random.Random(11)
    with Store(address) as store:
        user = store.users.add("ann", "member", "correct horse").id
    n_line = n_lost = 0
    for _ in range(n_kill):
        with Store(address) as store:
            conversation = store.conversations.create(user).id
        wait = choose.uniform(0, LONGEST_RUN)
        lines = run_until_killed(address, user, conversation, when, wait)
        with Store(address) as store:
            n_lost += len(missing(store, user, conversation, lines))
            assert store.messages.fail_pending() <= 1
            store.audit.verify()
        n_line += len(lines)
    return n_line, n_lost


@pytest.mark.ci
def test_no_acknowledged_write_is_lost_by_a_kill(address):
    n_line, n_lost = kill_many(address, 8)
    assert n_line >= 8
    assert n_lost == 0


@pytest.mark.ci
def test_a_write_that_is_acknowledged_too_early_is_noticed(tmp_path):
    # Whether a kill falls between the acknowledgment and the commit is a matter of chance.
    for attempt in range(8):
        _, n_lost = kill_many(str(tmp_path / f"{attempt}.db"), 8, "early")
        if n_lost:
            break
    assert n_lost > 0


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_200_kills_lose_no_acknowledged_write(address):
    n_line, n_lost = kill_many(address, 200)
    print(f"{n_line} acknowledged writes")
    assert n_lost == 0
