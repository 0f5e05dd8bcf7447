"""Replies in Markdown: which nodes they become, whole and while they are written."""

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import ask, wait_for_reply

pytestmark = pytest.mark.ci

# Markdown, and the elements with their texts that it must become, in order. Written by hand.
EXAMPLES = {
    "a **b** and *c* and ~~d~~": "<p>a <strong>b</strong> and <em>c</em> and <del>d</del></p>",
    "# One\n\n#### Four": "<h3>One</h3><h6>Four</h6>",
    "- a\n- b\n  1. c": "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>",
    "> quoted `code`": "<blockquote><p>quoted <code>code</code></p></blockquote>",
    "one\ntwo": "<p>one<br>two</p>",
    "3. three": "<ol><li>three</li></ol>",
    "a\n\n---\n\nb": "<p>a</p><hr><p>b</p>",
    "&lt;b&gt; &amp; &#65;": "<p><b> & A</p>",
    "2 * 3 * 4 and snake_case_name": "<p>2 * 3 * 4 and snake_case_name</p>",
    "\\*not\\*": "<p>*not*</p>",
}

# The elements and texts below a node, as written in EXAMPLES.
OUTLINE = """
(node) => {
  const outline = (node) => [...node.childNodes].map((child) => {
    if (child.nodeType === Node.TEXT_NODE) return child.textContent;
    const name = child.localName;
    return ["br", "hr"].includes(name) ? `<${name}>` : `<${name}>${outline(child)}</${name}>`;
  }).join("");
  return outline(node);
}
"""


def shown(page):
    """Return the last reply."""
    return page.locator(".turn.assistant .markdown").last


@pytest.mark.parametrize("markdown", EXAMPLES)
def test_markdown_becomes_these_nodes(echo_page, markdown):
    page, _ = echo_page
    ask(page, markdown)
    wait_for_reply(page)
    assert shown(page).evaluate(OUTLINE) == EXAMPLES[markdown]


def test_links_show_their_host_and_only_three_schemes_are_links(echo_page):
    page, _ = echo_page
    ask(
        page,
        "[a](https://example.org/path) [b](mailto:me@example.org) [c](javascript:alert(1)) "
        "[d](data:text/html,x) [e](/relative) [f](https://bank.example@evil.example/) "
        "![g](https://example.org/g.png) https://plain.example/x",
    )
    wait_for_reply(page)
    links = shown(page).locator("a")
    assert links.evaluate_all("all => all.map((link) => link.href)") == [
        "https://example.org/path",
        "mailto:me@example.org",
        "https://example.org/g.png",
        "https://plain.example/x",
    ]
    for link in links.all():
        assert set(link.get_attribute("rel").split()) >= {"noopener", "noreferrer"}
        assert link.get_attribute("target") == "_blank"
    expect(shown(page)).to_contain_text("a (example.org)")
    expect(shown(page)).to_contain_text("c (javascript:alert(1))")
    expect(shown(page)).to_contain_text("f (https://bank.example@evil.example/)")
    expect(shown(page).locator("img")).to_have_count(0)


def test_code_is_highlighted_and_copied_whole(echo_page):
    page, _ = echo_page
    code = 'def f(x):\n    return "<b>" + x  # a comment'
    ask(page, f"Look:\n\n```python\n{code}\n```\n\nand\n\n```nosuch\na b\n```")
    wait_for_reply(page)
    expect(shown(page).locator("pre .hljs-keyword")).to_have_text(["def", "return"])
    expect(shown(page).locator("pre .hljs-comment")).to_have_text("# a comment")
    expect(shown(page).locator("pre code").first).to_have_text(code)
    expect(shown(page).locator("pre code").last).to_have_text("a b")
    shown(page).get_by_role("button", name="Copy code").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == code


def test_the_copy_button_of_a_reply_copies_its_source(echo_page):
    page, _ = echo_page
    ask(page, "a **b**")
    wait_for_reply(page)
    page.locator(".turn.assistant").get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "a **b**"


def test_formulas_become_mathml_and_prices_stay_text(echo_page):
    page, _ = echo_page
    ask(page, "With $x^2$ and\n\n$$\\frac{a}{b}$$\n\nit costs $5 or $6. \\(y\\) is $\\nosuch{$.")
    wait_for_reply(page)
    expect(shown(page).locator("math")).to_have_count(3)
    expect(shown(page).locator("math msup")).to_have_count(1)
    expect(shown(page).locator(".display math mfrac")).to_have_count(1)
    expect(shown(page)).to_contain_text("it costs $5 or $6.")
    expect(shown(page).locator(".math code")).to_have_text("\\nosuch{")  # cannot be read


# What TeX and MathML say about each formula, written by hand; "mi" and "mo" are left out.
FORMULAS = {
    r"x_i^2": "<msubsup>x i <mn>2</mn></msubsup>",
    r"f'(x)": "<msup>f ′</msup> ( x )",
    r"\frac12": "<mfrac><mn>1</mn> <mn>2</mn></mfrac>",
    r"\sqrt[3]{a+b}": "<mroot><mrow>a + b</mrow> <mn>3</mn></mroot>",
    r"\left(\frac{a}{b}\right]": "<mrow>( <mfrac>a b</mfrac> ]</mrow>",
    r"\left\{ x \right.": "<mrow>{ x</mrow>",
    r"\mathbb{R}^n": "<msup>ℝ n</msup>",
    r"\mathcal{L}(\theta)": "ℒ ( θ )",
    r"\mathbf{x}\cdot\mathbf{w}": "𝐱 ⋅ 𝐰",
    r"a \ne b \le c \to \infty": "a ≠ b ≤ c → ∞",
    r"\hat{y}": "<mover>y ^</mover>",
    r"\text{if } x": "<mtext>if\u00a0</mtext> x",
    r"\binom{n}{k}": "<mrow>( <mfrac>n k</mfrac> )</mrow>",
    r"\operatorname{softmax}(z)": "softmax ( z )",
    r"\underbrace{a}_{n}": "<munder><munder>a ⏟</munder> n</munder>",
    r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}": (
        "<mrow>( <mtable><mtr><mtd><mn>1</mn></mtd> <mtd><mn>2</mn></mtd></mtr> "
        "<mtr><mtd><mn>3</mn></mtd> <mtd><mn>4</mn></mtd></mtr></mtable> )</mrow>"
    ),
    r"\begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}": (
        "<mrow>{ <mtable><mtr><mtd>x</mtd> <mtd>x > <mn>0</mn></mtd></mtr> "
        "<mtr><mtd><mn>0</mn></mtd> <mtd><mtext>else</mtext></mtd></mtr></mtable></mrow>"
    ),
    r"\sum_{i=1}^n i": "<munderover>∑ <mrow>i = <mn>1</mn></mrow> n</munderover> i",
    r"\lim_{x \to 0} \sin x": "<munder>lim <mrow>x → <mn>0</mn></mrow></munder> sin x",
    r"\int_0^1 x\,dx": "<msubsup>∫ <mn>0</mn> <mn>1</mn></msubsup> x <mspace/> d x",
    r"p \mid q \% \{1\}": "p ∣ q % { <mn>1</mn> }",
}
# Unknown commands, open groups, and more nesting than is read.
UNREADABLE = [r"\nosuch", "{a", "a}", r"\frac{a}", r"\left( a", r"\begin{x}\end{x}", r"x_1_2"]
UNREADABLE += ["{" * 60 + "}" * 60]
MATH_OUTLINE = """
node => (function text(one) {
  if (one.nodeType === 3) return one.data;
  const inside = [...one.childNodes].map(text).join(one.childElementCount ? " " : "");
  if (["mi", "mo", "math"].includes(one.localName)) return inside;
  return `<${one.localName}${inside ? `>${inside}</${one.localName}>` : "/>"}`;
})(node)
"""


def test_formulas_become_the_mathml_that_tex_means(echo_page):
    page, _ = echo_page
    ask(page, "\n\n".join(f"$${formula}$$" for formula in FORMULAS))
    wait_for_reply(page)
    expect(shown(page).locator("math")).to_have_count(len(FORMULAS))
    found = [math.evaluate(MATH_OUTLINE) for math in shown(page).locator("math").all()]
    assert dict(zip(FORMULAS, found, strict=True)) == FORMULAS


def test_formulas_that_cannot_be_read_stay_source(echo_page):
    page, _ = echo_page
    ask(page, "\n\n".join(f"$${formula}$$" for formula in [*UNREADABLE, "x"]))
    wait_for_reply(page)
    expect(shown(page).locator("math")).to_have_text(["x"])
    expect(shown(page).locator(".math code")).to_have_text(UNREADABLE)


def test_tables_and_tasks(echo_page):
    page, _ = echo_page
    ask(page, "| a | b |\n|---|--:|\n| 1 | **2** |\n\n- [x] done\n- [ ] open")
    wait_for_reply(page)
    expect(shown(page).locator("td")).to_have_text(["1", "2"])
    expect(shown(page).locator("td strong")).to_have_text("2")
    boxes = shown(page).locator("input[type=checkbox]")
    assert boxes.evaluate_all("all => all.map((box) => [box.checked, box.disabled])") == [
        [True, True],
        [False, True],
    ]


LONG = """# Title

A paragraph with **bold text**, `code`, a [link](https://example.org/x) and $x^2$.

1. one
2. two

   more of two

```python
print("# no heading")

| no | table |
```

| a | b |
|---|---|
| 1 | 2 |

> quote
> more

Last *words* here, [ref].

[ref]: https://example.org/ref
"""


def test_a_streamed_reply_ends_as_the_whole_one(echo_page):
    page, model = echo_page
    ask(page, LONG)
    wait_for_reply(page)
    expect(shown(page).locator("a")).to_have_count(2)
    streamed = shown(page).evaluate(OUTLINE)
    page.reload()  # now the reply is drawn whole
    expect(shown(page).locator("a")).to_have_count(2)
    expect(shown(page).locator(".hljs-string")).to_have_count(1)
    expect(shown(page).locator("math")).to_have_count(1)
    assert shown(page).evaluate(OUTLINE) == streamed
    assert model.seen[0][0][-1].text == LONG


def test_an_unfinished_reply_shows_no_markers_and_keeps_its_finished_blocks(echo_page):
    page, model = echo_page
    text = (
        "# Heading\n\nSome **bold words that *come slowly*** and `a piece` of [a link](http://a/)."
    )
    model.gate = threading.Semaphore(0)
    ask(page, text)
    seen = []
    blocks = []
    for word in re.findall(r"\S+", text):
        model.gate.release()
        if letters := re.sub(r"\(.*|[^\w]", "", word):
            expect(shown(page)).to_contain_text(letters)
            seen.append(shown(page).inner_text())
            blocks.append(shown(page).evaluate_handle("node => node.firstElementChild"))
    wait_for_reply(page)
    assert len(seen) == 13
    assert not [text for text in seen if re.search(r"[*`\[\]]", text)]
    for later in blocks[2:]:
        assert page.evaluate("([a, b]) => a === b", [blocks[1], later])
    expect(shown(page).locator("strong")).to_have_text("bold words that come slowly")


def test_hostile_nesting_and_length_are_shown_as_text(echo_page):
    page, model = echo_page
    for hostile in (
        ">" * 3000 + " deep",
        "- " * 2000 + "deep",
        "[" * 5000 + "x",
        "*a_" * 5000,
        "a" * 60_000,
        "|" * 3000,
        "`" * 3001 + "x",
        "<" * 5000,
        "$" * 4999,
    ):
        model.answer = hostile
        ask(page, "go")
        wait_for_reply(page)
        ended = hostile[-1:]
        expect(shown(page)).to_contain_text(ended)
        page.get_by_test_id("list-new").click()
