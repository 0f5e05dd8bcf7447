"""The scheduler as a state machine: requests come, end and are canceled in any order.

Laws: no slot is used twice or lost, no reply is lost, nobody starves, limits hold. Each test at the
end plants a fault that the machine must find.
"""

import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chatwright.engine.messages import EngineFull, RequestId, UserQueueFull
from chatwright.engine.scheduled_reply import ScheduledReply, State
from chatwright.engine.scheduler import Preempted, Scheduler, SchedulerConfig
from chatwright.errors import InputError

CONFIG = SchedulerConfig(
    n_slot=3,
    prefill_tokens=8,
    quantum=3,
    max_waiting=9,
    max_waiting_tokens=120,
    max_user_waiting=6,
    max_user_waiting_tokens=80,
)
USERS = ("ann", "bob", "cyd", "dee")


class SchedulerMachine(RuleBasedStateMachine):
    """Plays the engine: reads the chunks that the scheduler chooses and samples tokens."""

    scheduler_class: type[Scheduler[ScheduledReply]] = Scheduler

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = self.scheduler_class(CONFIG)
        self.numbers = itertools.count()
        self.lengths: dict[ScheduledReply, int] = {}  # of the replies in progress
        self.queues: dict[str, list[ScheduledReply]] = {user: [] for user in USERS}
        self.overtakers: dict[str, Counter[str]] = {}  # free slots of others while a user waits
        self.n_step_unread = 0  # steps since the oldest prompt was read

    @rule(user=st.sampled_from(USERS), n=st.integers(1, 4), n_prompt_token=st.integers(1, 30))
    def submit(self, user: str, n: int, n_prompt_token: int) -> None:
        waiting = [reply for queue in self.queues.values() for reply in queue]
        try:
            self.scheduler.require_room(user, n, n_prompt_token)
        except InputError:
            assert n * n_prompt_token > 80
            return
        except EngineFull as error:
            own = self.queues[user] if isinstance(error, UserQueueFull) else waiting
            most, most_tokens = (6, 80) if isinstance(error, UserQueueFull) else (9, 120)
            n_token = sum(len(reply.prompt) for reply in own)
            assert len(own) + n > most or n_token + n * n_prompt_token > most_tokens
            return
        request_id = RequestId(str(next(self.numbers)))
        replies = [
            ScheduledReply(request_id, i, (7,) * n_prompt_token, user=user) for i in range(n)
        ]
        for reply in replies:
            self.lengths[reply] = 1 + (n_prompt_token * 7 + reply.index * 3) % 12
        self.scheduler.enqueue(replies)
        self._wait(user, replies)

    def _wait(self, user: str, replies: list[ScheduledReply]) -> None:
        if not self.queues[user]:
            self.overtakers[user] = Counter()
        self.queues[user] += replies

    @rule(choice=st.integers(0, 100))
    def cancel(self, choice: int) -> None:
        replies = list(self.lengths)
        if replies:
            self._end(replies[choice % len(replies)], State.CANCELED)

    def _end(self, reply: ScheduledReply, state: State) -> None:
        reply.set_state(state)
        for _ in range(2):  # releasing again does nothing
            self.scheduler.release(reply)
            assert reply.slot is None
        del self.lengths[reply]
        if reply in self.queues[reply.user]:
            self.queues[reply.user].remove(reply)

    @rule(n_step=st.integers(1, 5))
    def step(self, n_step: int) -> None:
        for _ in range(n_step):
            self._step()

    def _step(self) -> None:
        free = self.scheduler.n_free_slot
        held = Counter(reply.user for reply in self.scheduler.running)
        in_turn = {reply: reply.n_in_turn for reply in self.scheduler.running}
        preempted, admitted = self.scheduler.admit()
        self._check_admission(free, held, in_turn, preempted, admitted)
        running = self.scheduler.running
        prefilling = [reply for reply in running if reply.state is State.PREFILL]
        for reply in [reply for reply in running if reply.state is State.DECODE]:
            self._sample(reply)
        chosen, length = self.scheduler.next_chunk(prefilling)
        assert length * len(chosen) <= CONFIG.prefill_tokens
        assert bool(chosen) == bool(prefilling)
        self.n_step_unread = 0 if prefilling[:1] == chosen[:1] else self.n_step_unread + 1
        assert self.n_step_unread <= 1, "the oldest prompt is read at least every second step"
        for reply in chosen:
            reply.n_read += min(reply.n_unread, length)
            if not reply.n_unread:
                self._sample(reply)

    def _check_admission(
        self,
        free: int,
        held: Counter[str],
        in_turn: dict[ScheduledReply, int],
        preempted: list[Preempted[ScheduledReply]],
        admitted: list[ScheduledReply],
    ) -> None:
        victims = iter(preempted)
        for number, reply in enumerate(admitted):
            by_preemption = number >= free
            if by_preemption:
                victim, _ = next(victims)
                assert in_turn[victim] >= CONFIG.quantum
                assert held[victim.user] > held[reply.user]
                held[victim.user] -= 1
                if not self.queues[victim.user]:
                    self._wait(victim.user, [])
                self.queues[victim.user].insert(0, victim)
            held[reply.user] += 1
            assert self.queues[reply.user].pop(0) is reply, "first come, first served"
            self.overtakers[reply.user] = Counter()
            for user, queue in self.queues.items():
                if queue and user != reply.user and not by_preemption:
                    self.overtakers[user][reply.user] += 1
        assert not list(victims)
        assert not (self.scheduler.n_waiting and self.scheduler.n_free_slot)

    def _sample(self, reply: ScheduledReply) -> None:
        reply.generated.append(5)
        reply.n_read = min(reply.n_read + (reply.state is State.DECODE), reply.n_text)
        if len(reply.generated) >= self.lengths[reply]:
            self._end(reply, State.DONE)
        elif reply.state is State.PREFILL:
            reply.set_state(State.DECODE)

    @invariant()
    def no_slot_is_used_twice_and_no_reply_is_lost(self) -> None:
        assert not self.scheduler.problems()
        running = self.scheduler.running
        slots = [reply.slot for reply in running]
        assert len(set(slots)) == len(slots) == CONFIG.n_slot - self.scheduler.n_free_slot
        waiting = Counter(id(reply) for reply in self.scheduler.waiting)
        expected = Counter(id(reply) for queue in self.queues.values() for reply in queue)
        assert waiting == expected
        assert expected + Counter(map(id, running)) == Counter(map(id, self.lengths))

    @invariant()
    def nobody_starves(self) -> None:
        for user, queue in self.queues.items():
            most = max(self.overtakers.get(user, Counter()).values(), default=0)
            assert not queue or most <= 1, "another user got two free slots while this one waited"

    def teardown(self) -> None:
        for _ in range(sum(len(reply.prompt) + 12 for reply in self.lengths) * 12):
            if not self.lengths:
                break
            self._step()
        assert not self.lengths, "every reply ends"
        assert self.scheduler.n_free_slot == CONFIG.n_slot


def run(machine: type[SchedulerMachine], n_example: int, n_step: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_example,
            stateful_step_count=n_step,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # without shrinking, which takes long when a fault is planted
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_requests_in_any_order_keep_the_laws() -> None:
    run(SchedulerMachine, n_example=60, n_step=40)


@pytest.mark.full
def test_requests_in_any_order_keep_the_laws_for_long() -> None:
    run(SchedulerMachine, n_example=3000, n_step=100)


def test_many_short_prompts_share_a_step_and_pass_a_long_one() -> None:
    scheduler: Scheduler[ScheduledReply] = Scheduler(SchedulerConfig(prefill_tokens=12))
    lengths = (100, 3, 4, 3)
    replies = [ScheduledReply(RequestId("x"), i, (1,) * n) for i, n in enumerate(lengths)]
    assert scheduler.next_chunk(replies) == ([replies[0]], 12)
    chosen, length = scheduler.next_chunk(replies)
    assert (chosen, length) == ([replies[1], replies[3], replies[2]], 4)
    assert scheduler.next_chunk(replies) == ([replies[0]], 12)


def test_a_user_alone_is_never_preempted_and_quantum_zero_preempts_nobody() -> None:
    for quantum, users in ((2, ("ann", "ann")), (0, ("ann", "bob"))):
        scheduler: Scheduler[ScheduledReply] = Scheduler(SchedulerConfig(n_slot=1, quantum=quantum))
        for number, user in enumerate(users):
            scheduler.enqueue([ScheduledReply(RequestId(str(number)), 0, (1,), user=user)])
        _, [reply] = scheduler.admit()
        reply.set_state(State.DECODE)
        reply.generated += [5] * 50
        assert scheduler.admit() == ([], [])


class NeverTurns(Scheduler[ScheduledReply]):
    """Serves the first user as long as that user has requests."""

    def _admit_next(self, user: str) -> ScheduledReply:
        reply = super()._admit_next(user)
        if user in self._queues:
            self._queues.move_to_end(user, last=False)
        return reply


class LosesSlots(Scheduler[ScheduledReply]):
    """Forgets the slot of a canceled reply."""

    def release(self, reply: ScheduledReply) -> None:
        if reply.state is State.CANCELED and reply.slot is not None:
            self.running.remove(reply)
            reply.slot = None
        super().release(reply)


class LosesPreempted(Scheduler[ScheduledReply]):
    """Does not put a preempted reply back into the queue."""

    def _preempt(self, reply: ScheduledReply) -> None:
        super()._preempt(reply)
        self._unqueue(reply)


class ReadsShortestOnly(Scheduler[ScheduledReply]):
    """Never gives the oldest prompt its turn."""

    def next_chunk(self, ready):  # type: ignore[no-untyped-def]
        self._reads_oldest = False
        return super().next_chunk(ready)


@pytest.mark.parametrize("faulty", [NeverTurns, LosesSlots, LosesPreempted, ReadsShortestOnly])
def test_the_machine_finds_a_planted_fault(faulty: type[Scheduler[ScheduledReply]]) -> None:
    machine = type("Faulty", (SchedulerMachine,), {"scheduler_class": faulty})
    with pytest.raises(AssertionError):
        run(machine, n_example=200, n_step=40)
