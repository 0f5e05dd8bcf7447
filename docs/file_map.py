"""Rewrite the file map in README.md from the first sentence of every file's docstring: python docs/file_map.py"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- file map: python docs/file_map.py -->", "<!-- end of file map -->"


def first_sentence(path: Path) -> str:
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", text)[0].rstrip(".:;").replace("|", "\\|")


def table() -> str:
    files = sorted(p for p in (ROOT / "chatwright").rglob("*.py") if p.stat().st_size)
    rows = [f"| `{p.relative_to(ROOT)}` | {first_sentence(p)} |" for p in files]
    return "\n".join(["| file | what it is |", "|---|---|", *rows])


def main() -> None:
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main()
