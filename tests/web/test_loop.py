"""The Teach and Runs views: what they show, decisions, and the whole loop on a real model."""

import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chatwright.checkpoint import registry
from chatwright.cli.loop_views import loop_views
from chatwright.cli.served_models import served_models
from chatwright.data.feedback_log import FeedbackLog, read_log
from chatwright.data.snapshot import read_snapshot
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.server.feedback.canary import Canary
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.http_server import serve_in_thread
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.opening_status import OpeningStatus
from tests.pipeline.improve.conftest import folder, trained  # noqa: F401
from tests.pipeline.improve.planted_preference import N_PROMPT, QUICK, feedback, question
from tests.web.loop_server import loop_server
from tests.web.page_actions import (
    DESKTOP,
    PHONE,
    ask,
    expect_conversation,
    wait_for_reply,
    wait_until,
)
from tests.web.served_models import EchoAssistant

pytestmark = pytest.mark.ci

TITLES = {"en-US": ("Teach", "Runs"), "de-DE": ("Lehren", "L\u00e4ufe")}
TITLES["fr-FR"] = ("Enseigner", "Entra\u00eenements")
REASON = "our users asked for it"


@pytest.fixture
def server(tmp_path):
    with loop_server(tmp_path) as server:
        yield server


def open_view(page, view):
    """Open a view by its link in the list."""
    if page.viewport_size == PHONE:
        page.get_by_role("button", name="Show conversations").click()
    page.locator(f"nav.views a[href='#/{view}']").click()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_both_views_fit_and_axe_finds_nothing_serious(
    server, open_page, accessibility_problems, viewport
):
    page = open_page(server.address, viewport, color_scheme="dark")
    open_view(page, "teach")
    expect(page.locator("#versions li")).to_have_count(4)
    page.locator("[data-version=v3] > .version button").click()
    assert accessibility_problems(page) == []
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
    open_view(page, "runs")
    expect(page.locator("#run .chart")).to_be_visible()
    assert accessibility_problems(page) == []
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")


@pytest.mark.parametrize("locale", TITLES)
def test_the_views_speak_the_language_of_the_page(server, open_page, locale):
    page = open_page(server.address, locale=locale)
    open_view(page, "teach")
    expect(page.locator("h2")).to_have_text(TITLES[locale][0])
    page.locator("nav.views a[href='#/runs']").click()
    expect(page.locator("h2")).to_have_text(TITLES[locale][1])


def test_a_canary_is_started_and_ended_on_the_page(server, open_page):
    service, started = server.service, []
    weights = {one.name: one.weights for one in registry.read(server.versions).versions}

    def start_canary(name, share):
        started.append((name, share))
        service.publish_candidate(EchoAssistant(), name, ModelIdentity(weights=weights[name]))
        canary = Canary(weights[name], weights["v2"], share)
        service.feedback.start_canary(canary, lambda canary: None)

    service.teach.start_canary = start_canary
    page = open_page(server.address)
    open_view(page, "teach")
    tries = page.get_by_role("button", name="Try as a canary")
    expect(tries).to_have_count(3)  # v2 is served
    page.locator("[data-version=v4] > .version").get_by_role("button", name="Try").click()
    expect(page.locator("#canary")).to_contain_text("v4 answers 10")
    assert started == [("v4", 0.1)]
    assert service.candidate is not None
    expect(tries).to_have_count(0)
    page.get_by_role("button", name="End the canary").click()
    expect(page.locator("#canary")).to_have_count(0)
    expect(tries).to_have_count(3)
    assert service.candidate is None


def test_the_feedback_is_counted(server, open_page):
    page = open_page(server.address)
    open_view(page, "teach")
    expect(page.get_by_test_id("n-feedback")).to_have_text("29")
    expect(page.locator("#improve")).to_contain_text("DPO")
    page.locator("#feedback summary").click()
    expect(page.locator("#feedback tbody tr")).to_have_count(2)


def test_a_refused_version_is_promoted_with_a_reason_while_a_reply_is_written(server, open_page):
    server.assistants[0].gate = gate = threading.Semaphore(2)
    chat = open_page(server.address)
    ask(chat, "one two three four")
    expect(chat.locator(".turn .text").last).to_have_text("one two ")
    page = open_page(server.address)
    open_view(page, "teach")
    refused = page.locator("[data-version=v3] > .version")
    refused.get_by_role("button", name="Promote").click()
    confirm = refused.get_by_role("button", name="Serve v3")
    expect(confirm).to_be_disabled()
    refused.get_by_role("textbox").fill(REASON)
    confirm.click()
    expect(refused).to_contain_text("served")
    wait_until(page, lambda: registry.read(server.versions).events[-1].kind == "promoted")
    event = registry.read(server.versions).events[-1]
    assert (event.reason, event.is_forced) == (REASON, True)
    wait_until(page, lambda: len(server.assistants) == 2)  # the server has opened the version
    gate.release(10)
    wait_for_reply(chat)
    expect_conversation(chat, "one two three four", "one two three four")
    ask(chat, "who?")
    wait_for_reply(chat)
    expect(chat.locator(".turn .text").last).to_have_text("I am 3")
    earlier = page.locator("[data-version=v2] > .version")
    earlier.get_by_role("button", name="Roll back to it").click()
    earlier.get_by_role("textbox").fill("it was worse")
    earlier.get_by_role("button", name="Serve v2").click()
    expect(earlier).to_contain_text("rolled back")
    assert registry.read(server.versions).current.name == "v2"


def test_a_run_is_shown_with_curves_and_its_samples_by_step(server, open_page):
    page = open_page(server.address)
    open_view(page, "runs")
    run = page.locator("#run")
    expect(run).to_have_attribute("data-run", "starter/sft")  # it is being trained
    expect(run).to_contain_text("step 43 of 100")
    expect(run.locator("polyline")).to_have_count(2)
    expect(run.locator(".sample-list dd")).to_have_text("reply at 40")
    run.get_by_role("slider").fill("1")
    expect(run.locator(".sample-list dd")).to_have_text("reply at 10")
    page.get_by_role("button", name="starter/pretrain").click()
    expect(run).to_have_attribute("data-state", "finished")
    expect(run).to_contain_text("Relative change of the weights")


def test_the_conversation_is_still_there_after_another_view(server, open_page):
    page = open_page(server.address)
    ask(page, "hello")
    wait_for_reply(page)
    open_view(page, "teach")
    expect(page.locator("#composer")).to_have_count(0)
    page.locator("nav.views a").first.click()
    expect_conversation(page, "hello", "hello")


def test_the_loop_on_the_page_with_a_real_model(folder: Path, open_page) -> None:  # noqa: F811
    """Talk, rate, improve, read the decision, and roll back."""
    log = folder / "log.jsonl"
    for item in read_snapshot(feedback(folder, lambda _: (1, 2))).feedback:
        FeedbackLog(log).append(item)
    settings = [*QUICK, "rules=right_number", f"prompts={folder / 'prompts.jsonl'}"]
    model = folder / "model"
    status = OpeningStatus("m")
    status.set_ready()
    limits = MemoryLimits()
    with served_models(limits) as models, serve_in_thread("m", 0, status=status.status) as served:
        service, address = served
        opened = models.publish(service, model)
        service.feedback = FeedbackCollector(log)
        with (
            models.follow(model, opened.facts.directory, service),
            loop_views(service, model, log, folder, settings),
        ):
            page = open_page(address)
            for number in range(2):
                ask(page, question(number))
                wait_for_reply(page)
                page.get_by_role("button", name="Compare with another reply").last.click()
                page.get_by_role("button", name="A is better").click()
                page.locator("#compare").get_by_role("button", name="Close").click()
            assert len(read_log(log).feedback) == N_PROMPT + 2
            open_view(page, "teach")
            expect(page.get_by_test_id("n-feedback")).to_have_text(str(N_PROMPT + 2))
            page.locator("#improve").get_by_role("button", name="Start").click()
            expect(page.locator("#job")).to_have_attribute("data-state", "running")
            expect(page.locator("#decision")).to_be_visible(timeout=300_000)
            expect(page.locator("#decision")).to_contain_text("v2 is better")
            event = registry.read(model).events[-1]
            rate = event.metrics["win_rate"]
            shown = f"{100 * rate:.1f}".removesuffix(".0")
            expect(page.locator("#win-rate")).to_contain_text(shown)
            first = page.locator("[data-version=v1] > .version")
            first.get_by_role("button", name="Roll back to it").click()
            first.get_by_role("textbox").fill("I liked it more")
            first.get_by_role("button", name="Serve v1").click()
            expect(first).to_contain_text("rolled back")
            assert registry.read(model).current.name == "v1"
            page.locator("nav.views a[href='#/runs']").click()
            expect(page.locator("#runs .run-list")).to_contain_text("improve/1/dpo")
