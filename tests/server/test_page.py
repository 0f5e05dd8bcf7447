"""The page's files: no code turns text into markup, and nothing is loaded from elsewhere."""

import re

import pytest

from chatwright.server.app import PAGE, PAGE_FILES

MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"srcdoc|setHTML|\beval\b|new Function|"
    r"set(?:Timeout|Interval)\(\s*[\"'`]|javascript:|\.on[a-z]+\s*=|"
    r"setAttribute\(\s*[\"'](?:on|href|src|style)"
)
OTHER_ORIGIN = re.compile(r"(?:https?:)?//[a-z0-9]|@import|url\(", re.IGNORECASE)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", re.IGNORECASE)


def source(name):
    return (PAGE / name).read_text(encoding="utf-8")


def without_comments_and_namespaces(text):
    return re.sub(
        r"(?m)^\s*//.*$|(?<=[;{}]) //.*$|/\*.*?\*/|http://www\.w3\.org/2000/svg", "", text
    )


def test_the_script_never_makes_markup_from_text():
    assert not MARKUP_FROM_TEXT.search(source("page.js"))


@pytest.mark.parametrize(
    "planted",
    [
        "node.innerHTML = text",
        "document.write(x)",
        'setTimeout("x()", 1)',
        "img.onerror = f",
        'a.setAttribute("href", x)',
        "eval(x)",
    ],
)
def test_the_check_for_markup_finds_planted_code(planted):
    assert MARKUP_FROM_TEXT.search(planted)


@pytest.mark.parametrize("name", sorted(name for name, _ in PAGE_FILES.values()))
def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(name):
    text = without_comments_and_namespaces(source(name))
    assert not OTHER_ORIGIN.search(text)
    if name.endswith(".html"):
        assert not INLINE.search(text)


@pytest.mark.parametrize(
    "planted", ["<script src='https://cdn.example/x.js'>", "url(//x.example/a)", "@import 'x.css'"]
)
def test_the_check_for_other_origins_finds_planted_code(planted):
    assert OTHER_ORIGIN.search(without_comments_and_namespaces(planted))


@pytest.mark.parametrize(
    "planted", ["<script>x()</script>", "<p style='x'>", "<img onerror=x>", "<style>"]
)
def test_the_check_for_inline_code_finds_planted_code(planted):
    assert INLINE.search(planted)


def test_every_id_that_the_script_uses_is_on_the_page():
    used = set(re.findall(r'(?:byId|setText)\("([^"]+)"', source("page.js"))) | {
        "chat",
        "composer",
        "new-chat",
    }
    assert len(used) > 20
    assert used <= set(re.findall(r'\bid="([^"]+)"', source("index.html")))
