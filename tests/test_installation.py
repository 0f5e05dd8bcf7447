"""The package builds and installs without a network, with all files it needs at run time."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*PIP, "wheel", *offline, "--wheel-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("chatwright-*.whl"))


def test_the_wheel_holds_the_page_the_recipes_and_every_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "chatwright/server/page/index.html" in names
    assert "chatwright/recipes/starter.toml" in names
    # Files below chatwright/, as git lists them, so that caches do not count.
    listed = subprocess.run(
        ["git", "ls-files", "chatwright"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert sorted(set(listed.stdout.split()) - names) == []


def test_an_installed_wheel_finds_its_recipe(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    offline = ["--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*PIP, "install", *offline, str(wheel)], check=True)
    program = (
        "import chatwright; from chatwright.pipeline.packaged_recipes import packaged_recipe\n"
        "from chatwright.pipeline.recipe import read_recipe\n"
        "print(chatwright.__file__); print(len(read_recipe(packaged_recipe('starter')).stages))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    file, n_stage = ran.stdout.splitlines()
    assert file.startswith(str(site))
    assert n_stage == "4"


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_machine_without_a_network_installs_from_a_folder_of_wheels(tmp_path: Path) -> None:
    """Build the wheels of all dependencies with a package index; install them without one."""
    wheelhouse = tmp_path / "wheelhouse"
    constraints = ["-c", str(ROOT / "constraints.txt")]
    subprocess.run(
        [*PIP, "wheel", *constraints, "--wheel-dir", str(wheelhouse), f"{ROOT}[serve]"], check=True
    )
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    offline = ["--no-index", "--find-links", str(wheelhouse)]
    subprocess.run(
        [str(python), "-m", "pip", "--quiet", "install", *offline, "chatwright[serve]"],
        check=True,
        env={"PIP_CONFIG_FILE": os.devnull, "PATH": os.environ["PATH"]},
    )
    doctor = [str(python.parent / "chatwright"), "doctor"]
    ran = subprocess.run(doctor, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "BAD" not in ran.stdout
