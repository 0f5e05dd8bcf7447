"""The library sets how threads wait before torch is imported, and keeps the user's own settings."""

import json
import os
import subprocess
import sys

import pytest

from chatwright.threads import SETTINGS

# Prints the settings at the moment at which torch is imported.
PROGRAM = """
import importlib.abc, json, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print(json.dumps({key: os.environ.get(key) for key in SETTINGS}), flush=True)
            sys.exit()

SETTINGS = json.loads(sys.argv[2])
sys.meta_path.insert(0, Watch())
__import__(sys.argv[1])
"""


def settings_at_import(module: str, environment: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    program = [sys.executable, "-c", PROGRAM, module, json.dumps(list(SETTINGS))]
    ran = subprocess.run(
        program, env=clean | environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("module", ["chatwright.model.linear", "chatwright.engine.engine"])
def test_importing_a_module_of_the_library_sets_how_threads_wait(module: str) -> None:
    assert settings_at_import(module, {}) == SETTINGS


def test_settings_of_the_user_stay() -> None:
    mine = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "7"}
    assert settings_at_import("chatwright.model.linear", mine) == mine
