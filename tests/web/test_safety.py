"""No script of a reply, a title, a file, a sample or a model's name runs on the page.

Rendering and the content policy are tested alone, so that each of them is enough. A payload that
runs calls `alert`, changes the title of the window, or requests another address; a planted script
shows that each would be noticed.
"""

import random

import pytest
from playwright.sync_api import expect

from chatwright.server.access import guard
from tests.web.page_actions import ask, question, wait_for_reply
from tests.web.test_conversations import menu

pytestmark = pytest.mark.ci

RUN = "window.hits=(window.hits||0)+1"
SCRIPT = "document.body.append(Object.assign(document.createElement('script'), {text: 'RUN'}))"
TEMPLATES = [
    "<script>{run}</script>",
    "<img src=x onerror={run}>",
    "<img src=x onerror='{run}'>",
    "<svg onload={run}>",
    "<svg><script>{run}</script></svg>",
    "<iframe srcdoc='<script>parent.{run}</script>'></iframe>",
    '<iframe src="javascript:parent.{run}"></iframe>',
    "<details open ontoggle={run}>",
    "<input autofocus onfocus={run}>",
    '<a href="javascript:{run}">click</a>',
    "[click](javascript:{run})",
    "[click](JaVaScRiPt:{run})",
    "[click](java\nscript:{run})",
    "[click](&#106;avascript:{run})",
    "[click](data:text/html,<script>{run}</script>)",
    "![x](javascript:{run})",
    '![x](x"onerror="{run})',
    "<javascript:{run}>",
    "[x]: javascript:{run}\n\n[x]",
    "```<img src=x onerror={run}>\ncode\n```",
    "```html\n<script>{run}</script>\n```",
    "`<img src=x onerror={run}>`",
    "$\\href{{javascript:{run}}}{{x}}$",
    "$$\\html{{<img src=x onerror={run}>}}$$",
    '$\\class{{x" onload="{run}}}{{y}}$',
    "$\\style{{background:url(javascript:{run})}}{{y}}$",
    "$\\includegraphics{{javascript:{run}}}$",
    '$\\data{{x="" onmouseover={run}}}{{y}}$',
    "| <img src=x onerror={run}> | b |\n|---|---|\n| <svg onload={run}> | d |",
    "- [ ] <img src=x onerror={run}>",
    "# <img src=x onerror={run}>",
    "> <svg/onload={run}>",
    "<math><mtext><img src=x onerror={run}></mtext></math>",
    "<template><script>{run}</script></template>",
    '<object data="javascript:{run}"></object>',
    '<meta http-equiv=refresh content="0;url=javascript:{run}">',
    "<base href=//evil.example/><script src=x></script>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>",
    "<form action=javascript:{run}><button autofocus>go</button></form>",
    "{{{{constructor.constructor('{run}')()}}}}",
    "{{@html '<img src=x onerror={run}>'}}",
    "\u202e<img src=x onerror={run}>",
    "</div></article><script>{run}</script>",
    "]]><script>{run}</script>",
    "<!--><script>{run}</script>-->",
    "&lt;script&gt;{run}&lt;/script&gt;",
    "&#60;img src=x onerror={run}&#62;",
]
AROUND = ["**{}**", "- {}", "> {}", "a {} b", "\n\n{}\n\n", "*{}", "[{}]"]


def payloads(count):
    """Return payloads of every template, with random prefixes, suffixes and upper case."""
    random_ = random.Random(20)
    found = []
    for index in range(count):
        text = TEMPLATES[index % len(TEMPLATES)].format(run=RUN)
        if index >= len(TEMPLATES):
            text = random_.choice(AROUND).format(text)
            if random_.random() < 0.3:
                text = text.replace("script", "ScRiPt").replace("onerror", "OnErRoR")
        found.append(text)
    return found


def assert_nothing_ran(page):
    """Click all links that a reply made, and check that no payload ran or became an element."""
    page.evaluate(
        """() => document.addEventListener("click", (event) => {
          if (event.target.closest("a[target=_blank]")) event.preventDefault();
        }, true)"""
    )
    for link in page.locator("main a").all():
        link.dispatch_event("click")
    assert page.evaluate("window.hits || 0") == 0
    elements = "script, img, iframe, object, embed, form, link, style, base, meta, svg[onload]"
    assert page.locator(f".turn :is({elements})").count() == 0
    handlers = page.locator(".turn *").evaluate_all(
        "all => all.flatMap((node) => [...node.attributes])"
        ".map(({name}) => name).filter((name) => /^on|^style$|srcdoc/.test(name))"
    )
    assert handlers == []


def converse(page, model, texts):
    """Show each text as a reply."""
    for text in texts:
        model.answer = text
        ask(page, "go")
        wait_for_reply(page)


def test_no_payload_in_a_reply_runs(echo_page):
    page, model = echo_page
    converse(page, model, payloads(len(TEMPLATES)))
    assert_nothing_ran(page)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_none_of_a_thousand_payloads_in_replies_runs(echo_page):
    page, model = echo_page
    converse(page, model, payloads(1000))
    assert_nothing_ran(page)


def test_rendering_alone_keeps_payloads_from_running(echo_page, monkeypatch):
    headers = dict(guard.SECURITY_HEADERS)
    del headers["content-security-policy"]
    monkeypatch.setattr(guard, "SECURITY_HEADERS", headers)
    page, model = echo_page
    assert "content-security-policy" not in page.reload().headers
    # Without the policy a planted script runs: what follows would notice one.
    page.evaluate(SCRIPT.replace("RUN", RUN))
    assert page.evaluate("window.hits") == 1
    page.evaluate("window.hits = 0")
    converse(page, model, payloads(len(TEMPLATES)))
    assert_nothing_ran(page)


@pytest.mark.parametrize(
    "plant",
    [
        SCRIPT,
        "document.body.setAttribute('onclick', 'RUN'); document.body.click()",
        "document.body.innerHTML = '<img src=x onerror=RUN>'",
        "eval('RUN')",
        "setTimeout('RUN', 0)",
        "Object.assign(document.createElement('a'), {href: 'javascript:RUN'}).click()",
    ],
)
def test_the_policy_alone_keeps_scripts_from_running(build, models, browser, plant):
    build.finish(models[0])
    context = browser.new_context()
    page = context.new_page()
    page.goto(build.address)
    expect(question(page)).to_be_visible()
    # Run by a script of the page's own origin, as a flaw in the page's code would.
    code = f"try {{ {plant.replace('RUN', RUN)} }} catch (error) {{ window.refused = error.name }}"
    script = {"content_type": "text/javascript", "body": code}
    page.route("**/planted.js", lambda route: route.fulfill(**script))
    page.evaluate(
        "() => new Promise((resolve) => {"
        " const script = document.createElement('script');"
        " const policy = trustedTypes.createPolicy('test', {createScriptURL: (url) => url});"
        " script.src = policy.createScriptURL('/planted.js'); script.onload = resolve;"
        " document.head.append(script); })"
    )
    drawn = "new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))"
    page.evaluate(drawn)
    assert page.evaluate("window.hits || 0") == 0
    context.close()


def test_markup_in_every_other_text_stays_text(build, models, open_page):
    text = f"<b>bold</b><img src=x onerror={RUN}>"
    build.report("sft", 0, samples=[(text, text)])
    build.status.warn(text)
    page = open_page(build.address)
    expect(page.locator(".sample .text")).to_have_text(text)
    build.publish(models[0], text)
    expect(page.get_by_text(f"Replying now: {text}")).to_be_visible()
    page.locator("#open-settings").click()
    page.get_by_label("System prompt").fill(text)
    page.keyboard.press("Escape")
    ask(page, text)
    wait_for_reply(page)
    expect(page.locator(".turn.user .text")).to_have_text(text)
    title = text[:60]
    expect(page.locator("#list .item-title")).to_have_text(title)
    menu(page, title)
    page.get_by_role("button", name="How this reply was made").click()
    expect(page.get_by_test_id("receipt")).to_contain_text(text)  # the model's description
    expect(page.locator("b, img")).to_have_count(0)
    assert page.evaluate("window.hits || 0") == 0
