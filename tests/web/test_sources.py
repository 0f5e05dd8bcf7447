"""The page's sources and built files: no markup from text, nothing from elsewhere, small."""

import gzip
import re
from pathlib import Path

import pytest

from chatwright.server.app import PAGE, PAGE_FILES

SOURCES = Path(__file__).resolve().parents[2] / "web"
MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"srcdoc|setHTML|\{@html|\beval\b|new Function|"
    r"set(?:Timeout|Interval)\(\s*[\"'`]|javascript:|\.on[a-z]+\s*=[^=]|"
    r"setAttribute\(\s*[\"'](?:on|href|src|style)|\sstyle=\"|<style"
)
OTHER_ORIGIN = re.compile(r"(?:https?:)?//[a-z0-9]|@import|url\(", re.IGNORECASE)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", re.IGNORECASE)
MAX_BYTES = 500_000
MAX_FIRST_LOAD = 80_000  # bytes of compressed JavaScript


def sources():
    """Return the text of each source file, without comments of a line."""
    found = {}
    for path in sorted((SOURCES / "src").rglob("*")):
        if path.suffix in (".ts", ".svelte", ".css"):
            text = path.read_text(encoding="utf-8")
            found[str(path.relative_to(SOURCES))] = re.sub(r"(?m)^\s*(?://|<!--).*$", "", text)
    return found


def test_no_source_makes_markup_from_text():
    found = {
        (name, match.group())
        for name, text in sources().items()
        for match in MARKUP_FROM_TEXT.finditer(text)
    }
    # A request of the browser's database reports by a handler only.
    database = {name for name, code in found if code.startswith(".on")}
    assert database == {"src/conversation/indexed_db.ts"}
    assert [code for name, code in found if name not in database] == []


@pytest.mark.parametrize(
    "planted",
    [
        "node.innerHTML = text",
        "document.write(x)",
        'setTimeout("x()", 1)',
        "img.onerror = f",
        'a.setAttribute("href", x)',
        "eval(x)",
        "{@html text}",
        '<p style="color: red">',
    ],
)
def test_the_check_for_markup_finds_planted_code(planted):
    assert MARKUP_FROM_TEXT.search(planted)


def test_no_source_names_an_address():
    for name, text in sources().items():
        addresses = set(re.findall(r"(?:https?|wss?)://[a-z0-9./]+", text, re.IGNORECASE))
        assert addresses <= {"http://www.w3.org/1998/Math/MathML"}, name


@pytest.mark.parametrize("name", ["index.html", "page.css", "icon.svg"])
def test_no_built_file_loads_from_elsewhere_or_holds_inline_code(name):
    text = (PAGE / name).read_text(encoding="utf-8")
    assert not OTHER_ORIGIN.search(text.replace("http://www.w3.org/2000/svg", ""))
    if name.endswith(".html"):
        assert not INLINE.search(text)


@pytest.mark.parametrize(
    "planted", ["<script src='https://cdn.example/x.js'>", "url(//x.example/a)", "@import 'x.css'"]
)
def test_the_check_for_other_origins_finds_planted_code(planted):
    assert OTHER_ORIGIN.search(planted)


@pytest.mark.parametrize(
    "planted", ["<script>x()</script>", "<p style='x'>", "<img onerror=x>", "<style>"]
)
def test_the_check_for_inline_code_finds_planted_code(planted):
    assert INLINE.search(planted)


def test_the_built_page_is_small():
    assert sum((PAGE / name).stat().st_size for name, _ in PAGE_FILES.values()) <= MAX_BYTES
    # What a file imports without a condition is loaded with it.
    loaded: set[str] = set()
    waiting = {"page.js"}
    while waiting:
        name = waiting.pop()
        loaded.add(name)
        code = (PAGE / name).read_text(encoding="utf-8")
        waiting |= set(re.findall(r'from\s*"\./([\w.-]+)"', code)) - loaded
    assert len(loaded) < len(list(PAGE.glob("*.js"))), "some files are loaded when needed"
    sizes = [len(gzip.compress((PAGE / name).read_bytes(), 9)) for name in loaded]
    assert sum(sizes) <= MAX_FIRST_LOAD


def test_every_language_has_a_message_for_every_key():
    texts = {
        code: (SOURCES / "src" / "messages" / f"{code}.ts").read_text(encoding="utf-8")
        for code in ("en", "de", "fr")
    }
    keys = {code: re.findall(r'(?m)^  "([\w.]+)":', text) for code, text in texts.items()}
    assert len(keys["en"]) > 100
    assert keys["de"] == keys["en"]
    assert keys["fr"] == keys["en"]
    code = "".join(text for name, text in sources().items() if "messages" not in name)
    made = ("settings.", "app.rate", "app.teach", "app.runs")  # their keys are put together
    unused = [key for key in keys["en"] if f'"{key}"' not in code and not key.startswith(made)]
    assert unused == []


def test_the_rate_teach_and_runs_views_have_every_message_in_every_language():
    folder = SOURCES / "src" / "messages"
    texts = {code: (folder / f"teach_{code}.ts").read_text("utf-8") for code in ("en", "de", "fr")}
    keys = {code: re.findall(r'(?m)^  "([\w.]+)":', text) for code, text in texts.items()}
    assert len(keys["en"]) > 50
    assert keys["de"] == keys["en"]
    assert keys["fr"] == keys["en"]
    code = "".join(text for name, text in sources().items() if "messages" not in name)
    made = ("teach.event.", "runs.first", "runs.weight", "runs.trained", "runs.param")
    made += ("runs.running", "runs.finished", "runs.stopped")
    assert [key for key in keys["en"] if f'"{key}"' not in code and not key.startswith(made)] == []
