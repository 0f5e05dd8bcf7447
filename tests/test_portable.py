"""The program runs without POSIX-only features, in paths with spaces and non-ASCII letters."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.portable_program import POSIX_MODULES

ROOT = Path(__file__).resolve().parents[1]


def test_training_resuming_and_chatting_run_without_posix_only_features(tmp_path: Path) -> None:
    program = [sys.executable, "-X", "warn_default_encoding", "-m", "tests.portable_program"]
    ran = subprocess.run(
        [*program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.splitlines()[-1] == "done"


def calls_and_imports() -> Iterator[tuple[str, ast.Call | ast.Import | ast.ImportFrom]]:
    for path in sorted((ROOT / "chatwright").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call | ast.Import | ast.ImportFrom):
                yield f"{path.name}:{node.lineno}", node


def test_no_module_imports_a_posix_only_module() -> None:
    posix_imports = []
    for line, node in calls_and_imports():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        posix_imports += [f"{line} {name}" for name in names if name in POSIX_MODULES]
    assert posix_imports == []


def test_every_text_file_is_opened_with_an_explicit_encoding() -> None:
    """Without one, Windows uses a legacy code page."""
    without_encoding = []
    for line, node in calls_and_imports():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        # checkpoint.directory.write_text writes UTF-8; members of a zip_file are bytes.
        if owner in ("os", "directory", "zip_file"):
            continue
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        is_binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
        is_text = node.func.attr in ("read_text", "write_text") or (
            node.func.attr == "open" and node.args and not is_binary
        )
        if is_text and "utf-8" not in ast.unparse(node):
            without_encoding.append(f"{line} {ast.unparse(node)}")
    assert without_encoding == []
