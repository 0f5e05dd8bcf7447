"""The registry as a state machine: which version is served after which events."""

from pathlib import Path

import pytest

from chatwright.checkpoint import registry
from chatwright.checkpoint.registry import Version
from chatwright.errors import InputError


def version(number: int) -> Version:
    return Version(
        id=f"{number:064x}", name=f"v{number}", path=f"models/{number}", weights=f"{number:03x}"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        registry.add(tmp_path, version(number))
    return tmp_path


def served(folder: Path) -> list[str]:
    return [v.name for v in registry.read(folder).served]


def test_the_first_version_is_served_and_later_ones_await_a_decision(folder: Path) -> None:
    read = registry.read(folder)
    assert read.current == version(1)
    assert [read.state(v) for v in read.versions] == ["served", "not decided", "not decided"]


def test_rollbacks_lead_back_through_what_was_served(folder: Path) -> None:
    registry.promote(folder, "v3", "better")
    registry.promote(folder, "v2", "better")
    assert served(folder) == ["v1", "v3", "v2"]
    assert registry.rollback(folder).name == "v3"
    assert registry.rollback(folder).name == "v1"
    with pytest.raises(InputError):
        registry.rollback(folder)
    registry.promote(folder, "v2", "after all")
    registry.promote(folder, "v3", "after all")
    assert registry.rollback(folder, "v1").name == "v1"
    assert served(folder) == ["v1"]


def test_a_refused_version_needs_force_and_the_registry_remembers_it(folder: Path) -> None:
    registry.refuse(folder, "v2", "worse", {"win_rate": 0.4})
    assert registry.read(folder).state(version(2)) == "refused"
    with pytest.raises(InputError) as caught:
        registry.promote(folder, "v2", "I like it")
    assert caught.value.field == "version"
    assert served(folder) == ["v1"]
    registry.promote(folder, "v2", "I like it", is_forced=True)
    last = registry.read(folder).events[-1]
    assert (last.is_forced, last.reason, served(folder)) == (True, "I like it", ["v1", "v2"])


def test_versions_are_found_by_name_id_and_beginning_of_the_id(tmp_path: Path) -> None:
    long = Version(id="abcdef12" * 8, name="v1", path=".", weights="1")
    registry.add(tmp_path, long)
    read = registry.read(tmp_path)
    assert read.version("v1") == read.version(long.id) == read.version("abcdef1") == long
    for name in ("v2", "abc", ""):
        with pytest.raises(InputError):
            read.version(name)


def test_what_cannot_be_recorded_is_refused(folder: Path, tmp_path: Path) -> None:
    before = (folder / registry.REGISTRY_FILE).read_bytes()
    with pytest.raises(InputError):
        registry.add(folder, version(2))
    with pytest.raises(InputError):
        registry.promote(folder, "v1", "again")
    with pytest.raises(InputError):
        registry.rollback(folder, "v2")
    with pytest.raises(InputError):
        registry.read(tmp_path / "elsewhere")
    assert (folder / registry.REGISTRY_FILE).read_bytes() == before


def test_a_preferred_version_is_recorded_with_its_votes_and_not_served(folder: Path) -> None:
    registry.prefer(folder, "v2", "votes", {"candidate_votes": 70})
    read = registry.read(folder)
    assert (read.state(version(2)), served(folder)) == ("not decided", ["v1"])
    [event] = read.events_of(version(2))
    assert (event.kind, event.metrics) == ("preferred", {"candidate_votes": 70})
