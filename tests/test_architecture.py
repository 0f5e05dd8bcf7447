"""Rules for the source code: allowed imports, no cycles, file names, no dangerous functions."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "chatwright"
# Modules that every package may import.
SHARED_MODULES = {
    "conversation",
    "config",
    "commands",
    "devices",
    "durable_file",
    "errors",
    "settings",
    "threads",
}
# Package -> the packages that it may import.
MAY_IMPORT = {
    "tokenizer": set(),
    "model": set(),
    "data": {"tokenizer"},
    "starter": {"data", "tokenizer"},
    "checkpoint": {"model", "tokenizer"},
    "engine": {"model"},
    "chat": {"engine", "tokenizer"},
    "tasks": {"engine", "tokenizer"},
    "evaluation": {"model", "data", "tokenizer", "engine", "chat", "tasks", "starter"},
    "inspection": {"model", "tokenizer", "engine"},
    "training": {"data", "model", "engine", "checkpoint", "evaluation", "tokenizer"},
    "pipeline": {
        "training",
        "evaluation",
        "checkpoint",
        "data",
        "starter",
        "chat",
        "tasks",
        "inspection",
        "tokenizer",
        "engine",
        "model",
        "store",
    },
    "store": set(),
    "server": {
        "store",
        "evaluation",
        "chat",
        "data",
        "engine",
        "inspection",
        "pipeline",
        "checkpoint",
        "tasks",
        "training",
        "tokenizer",
    },
    "__main__": {"cli"},
    "cli": {
        "server",
        "store",
        "pipeline",
        "inspection",
        "training",
        "evaluation",
        "checkpoint",
        "data",
        "starter",
        "chat",
        "tasks",
        "tokenizer",
        "engine",
        "model",
    },
}


def modules() -> dict[str, Path]:
    return {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in PACKAGE.rglob("*.py")
    }


def imports_of(path: Path) -> set[str]:
    """List the chatwright modules a file imports, also inside functions and for type checkers."""
    known = modules()
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            imported |= submodules or {node.module or ""}
    return {name for name in imported if name.split(".")[0] == "chatwright"}


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def violations(graph: dict[str, set[str]]) -> list[str]:
    wrong = []
    for module, targets in graph.items():
        package = package_of(module)
        is_shared = package in SHARED_MODULES
        for target in targets:
            other = package_of(target)
            if other in ("", package) or (other in SHARED_MODULES and not is_shared):
                continue
            if other not in MAY_IMPORT.get(package, SHARED_MODULES if is_shared else set()):
                wrong.append(f"{module} imports {target}")
    return wrong


def cycles(graph: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return {name: imports_of(path) for name, path in modules().items()}


def test_packages_import_only_the_packages_that_may_import_allows(
    graph: dict[str, set[str]],
) -> None:
    assert violations(graph) == []


def test_there_are_no_import_cycles(graph: dict[str, set[str]]) -> None:
    assert cycles(graph) == []


def test_the_checks_find_a_planted_upward_import_and_a_planted_cycle() -> None:
    planted = {
        "chatwright.model.gpt": {"chatwright.engine.engine"},
        "chatwright.engine.engine": {"chatwright.model.gpt"},
    }
    assert violations(planted) == ["chatwright.model.gpt imports chatwright.engine.engine"]
    assert cycles(planted)


def test_the_file_map_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "file_map.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run docs/file_map.py"


def test_no_module_has_a_vague_name_such_as_utils() -> None:
    vague = {"utils", "common", "helpers", "core", "manager", "base", "misc"}
    assert [name for name in modules() if vague & set(name.split("."))] == []


def test_every_skipped_test_gives_a_reason() -> None:
    silent = [
        f"{p}:{n}"
        for p in (ROOT / "tests").rglob("test_*.py")
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if re.search(r"pytest\.skip\(\)|mark\.skip(\(\))?$|skipif\([^)]*\)$", line)
        and "reason" not in line
    ]
    assert silent == []


def test_no_dangerous_function_is_called() -> None:
    """No pickle, no torch.save or torch.load, no eval or exec, no os.system, no global seeding."""
    banned = {
        "pickle",
        "torch.save",
        "torch.load",
        "eval",
        "exec",
        "os.system",
        "torch.manual_seed",
        "random.seed",
        "numpy.random.seed",
    }
    found = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            imported = {a.name for a in node.names} if isinstance(node, ast.Import) else set()
            if called in banned or imported & banned:
                found.append(f"{name}:{node.lineno} {called or imported}")
    assert found == []
