"""Fixtures for tests of the page: a real browser, real servers, and small untrained models.

No test sleeps: a reply can pause in its middle (at a gate), and the browser waits for the text that
it should show.
"""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from chatwright.engine.engine import Engine
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from tests.web.page_actions import DESKTOP
from tests.web.served_models import SEEDS, Build, EchoAssistant, GatedModel, make_model

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 20_000  # milliseconds until a test fails, also on a busy machine
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium (apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def engines():
    """Two models with different replies, each twice: served, and as a twin without a server."""
    with ExitStack() as stack:
        yield [
            [stack.enter_context(Engine(make_model(seed))) for _ in ("served", "twin")]
            for seed in SEEDS
        ]


@pytest.fixture(scope="module")
def weights():
    """The same two models, not served."""
    return [make_model(seed).eval() for seed in SEEDS]


@pytest.fixture
def models(engines):
    gated = [GatedModel(*pair) for pair in engines]
    yield gated
    for model in gated:
        model.gate.set()


@pytest.fixture
def build(models):
    """Yield a server during a build. At the end all gates open, so that no reply stays paused."""
    build = Build()
    yield build
    for model in models:
        model.gate.set()
    build.stop()


@pytest.fixture
def open_page(browser):
    """Open an address in a new window.

    At the end, fail if the console reported an error (a violation of the content policy is one), or
    if the page asked another origin for anything.
    """
    contexts = []
    problems = []

    def record(message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            problems.append(message.text)

    def start(address, viewport=DESKTOP, **options):
        options = {"reduced_motion": "reduce", "locale": "en-US"} | options
        context = browser.new_context(viewport=viewport, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", record)

        def check_origin(request):
            if not request.url.startswith((address, "blob:", "data:")):
                problems.append(f"a request to {request.url}")

        page.on("request", check_origin)
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def page(build, models, open_page):
    """Open the page with a finished model; the message box has the focus."""
    build.finish(models[0])
    page = open_page(build.address)
    expect(page.locator("#question")).to_be_focused()
    return page


@pytest.fixture
def echo_page(open_page):
    """Open a page whose model repeats each question; yield the page and the model."""
    assistant = EchoAssistant()
    status = OpeningStatus("echo")
    status.set_ready()
    with serve_in_thread("echo", 0, status=status.status) as (service, address):
        service.publish(assistant, "echo")
        assistant.service = service
        yield open_page(address), assistant


@pytest.fixture
def accessibility_problems():
    """Return a function that lists the serious findings of axe-core on a page."""
    if not AXE.exists():
        pytest.skip("needs the packages of the page: make web")
    script = AXE.read_text(encoding="utf-8")

    def find(page):
        page.evaluate(script)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            (problem["id"], problem["nodes"][0]["html"][:200])
            for problem in found["violations"]
            if problem["impact"] in ("serious", "critical")
        ]

    return find
