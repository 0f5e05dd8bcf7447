"""The package can be built and installed without a network, and what it needs at run time is inside it."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *PIP,
            "wheel",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(folder),
            str(ROOT),
        ],
        check=True,
    )
    return next(folder.glob("chatwright-*.whl"))


def test_the_wheel_holds_the_page_and_the_recipes(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "chatwright/server/page/index.html",
        "chatwright/server/page/page.js",
        "chatwright/recipes/starter.toml",
    } <= names


def test_the_wheel_holds_every_module_and_data_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "chatwright"
    files = [*package.rglob("*.py"), *package.rglob("*.toml")]
    files += (package / "data" / "example_rows").iterdir()
    assert (package / "starter" / "patterns" / "people.toml") in files
    assert {str(path.relative_to(ROOT)) for path in files} <= names


def test_an_installed_wheel_finds_its_recipe(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            *PIP,
            "install",
            "--no-index",
            "--no-deps",
            "--target",
            str(tmp_path / "site"),
            str(wheel),
        ],
        check=True,
    )
    code = (
        "import chatwright; from chatwright.pipeline.recipe import packaged_recipe, read_recipe; print(chatwright.__file__); "
        "print(len(read_recipe(packaged_recipe('starter')).stages))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert shown[0].startswith(str(tmp_path / "site"))
    assert shown[1] == "4"


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_house_without_a_network_installs_from_the_wheelhouse(tmp_path: Path) -> None:
    """make wheelhouse, then a new environment with --no-index. Needs a package index for the first half."""
    house = tmp_path / "wheelhouse"
    subprocess.run(
        [
            *PIP,
            "wheel",
            "-c",
            str(ROOT / "constraints.txt"),
            "--wheel-dir",
            str(house),
            f"{ROOT}[serve]",
        ],
        check=True,
    )
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run(
        [
            str(python),
            "-m",
            "pip",
            "--quiet",
            "install",
            "--no-index",
            "--find-links",
            str(house),
            "chatwright[serve]",
        ],
        check=True,
        env={"PIP_CONFIG_FILE": os.devnull, "PATH": os.environ["PATH"]},
    )
    shown = subprocess.run(
        [str(python.parent / "chatwright"), "doctor"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout
    assert "BAD" not in shown
