"""The prefix index as a state machine, compared with a table of whole prefixes."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chatwright.engine.prefix_index import Block, PrefixIndex

SIZE, N_BLOCK = 2, 6
Prefix = tuple[str, tuple[int, ...]]

owners = st.sampled_from(("ann", "bob"))
texts = st.lists(st.integers(0, 1), max_size=10).map(tuple)


class IndexMachine(RuleBasedStateMachine):
    """The slow version: every prefix in whole blocks has a time of use and a set of users."""

    index_class: type[PrefixIndex] = PrefixIndex

    def __init__(self) -> None:
        super().__init__()
        self.index = self.index_class(N_BLOCK, SIZE)
        self.time = 0
        self.used: dict[Prefix, int] = {}
        self.paths: list[tuple[list[Block], list[Prefix]]] = []

    def _prefixes(self, owner: str, text: tuple[int, ...]) -> list[Prefix]:
        return [(owner, text[:end]) for end in range(SIZE, len(text) + 1, SIZE)]

    def _known(self, owner: str, text: tuple[int, ...]) -> list[Prefix]:
        return [prefix for prefix in self._prefixes(owner, text) if prefix in self.used]

    def _use(self, path: list[Block], prefixes: list[Prefix]) -> None:
        assert [tokens_to(block) for block in path] == [text for _, text in prefixes]
        for prefix in reversed(prefixes):
            self.time += 1
            self.used[prefix] = self.time
        self.paths.append((path, prefixes))

    @rule(owner=owners, text=texts)
    def find(self, owner: str, text: tuple[int, ...]) -> None:
        self._use(self.index.find(owner, text), self._known(owner, text))

    @rule(owner=owners, text=texts)
    def extend(self, owner: str, text: tuple[int, ...]) -> None:
        path, n_known = self.index.extend(owner, text)
        known = self._known(owner, text)
        assert n_known == len(known)
        prefixes = list(known)
        for prefix in self._prefixes(owner, text)[n_known:]:
            if len(self.used) == N_BLOCK and not self._evict(prefixes):
                break
            self.used[prefix] = 10**9
            prefixes.append(prefix)
        self._use(path, prefixes)

    def _evict(self, in_use: Sequence[Prefix]) -> bool:
        """Drop the least recently used prefix that nobody uses and that none continues."""
        held = {prefix for _, prefixes in self.paths for prefix in prefixes} | set(in_use)
        parents = {(owner, text[:-SIZE]) for owner, text in self.used}
        unused = [prefix for prefix in self.used if prefix not in held and prefix not in parents]
        if not unused:
            return False
        del self.used[min(unused, key=self.used.__getitem__)]
        return True

    @rule(choice=st.integers(0, 20))
    def release(self, choice: int) -> None:
        if self.paths:
            self.index.release(self.paths.pop(choice % len(self.paths))[0])

    @rule()
    def clear(self) -> None:
        self.index.clear()
        self.used.clear()
        for path, _ in self.paths:
            self.index.release(path)  # of blocks that are forgotten
        self.paths.clear()

    @invariant()
    def the_index_holds_the_same_prefixes(self) -> None:
        assert not self.index.problems([path for path, _ in self.paths])
        assert self.index.n_used == len(self.used) <= N_BLOCK


def tokens_to(block: Block) -> tuple[int, ...]:
    """Return all tokens from the root to the end of this block."""
    return () if block.parent is None else tokens_to(block.parent) + block.tokens


def run(machine: type[IndexMachine], n_example: int, n_step: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=n_example,
            stateful_step_count=n_step,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_index_equals_a_table_of_prefixes() -> None:
    run(IndexMachine, n_example=80, n_step=40)


@pytest.mark.full
def test_the_index_equals_a_table_of_prefixes_for_long() -> None:
    run(IndexMachine, n_example=5000, n_step=100)


class EvictsInUse(PrefixIndex):
    """Counts no references."""

    def _reference(self, path: object) -> None:
        pass

    def release(self, path: object) -> None:
        pass


class EvictsNewest(PrefixIndex):
    """Does not note that a path is used."""

    def _touch(self, path: object) -> None:
        pass


class SharesBetweenOwners(PrefixIndex):
    """Ignores the owner."""

    def _walk(self, owner: object, token_ids: Sequence[int]) -> list[Block]:
        return super()._walk("ann", token_ids)


@pytest.mark.parametrize("faulty", [EvictsInUse, EvictsNewest, SharesBetweenOwners])
def test_the_machine_finds_a_planted_fault(faulty: type[PrefixIndex]) -> None:
    machine = type("Faulty", (IndexMachine,), {"index_class": faulty})
    with pytest.raises(AssertionError):
        run(machine, n_example=300, n_step=40)


def test_problems_finds_a_lost_block_a_wrong_count_and_wrong_tokens() -> None:
    index = PrefixIndex(4, 2)
    path, _ = index.extend("ann", (1, 2, 3, 4))
    assert index.problems([path]) == []
    assert len(index.problems([])) == 2  # both blocks have a reference that nobody holds
    path[0].tokens = (9, 9)
    assert index.problems([path])
    path[0].tokens = (1, 2)
    index._free.pop()
    assert index.problems([path])
