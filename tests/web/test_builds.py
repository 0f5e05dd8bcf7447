"""The page while a model is fetched or built, and its announcements of new models.

Replies are compared with those of the same model without a server.
"""

import re

import pytest
from playwright.sync_api import expect

from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from tests.web.page_actions import (
    DESKTOP,
    PHONE,
    ask,
    assert_fits_window,
    expect_conversation,
    wait_for_reply,
)
from tests.web.served_models import Build

pytestmark = pytest.mark.ci

BUILD_FINISHED = "The build is finished. The finished model replies from now on."


def test_a_model_that_is_fetched_shows_its_download_and_then_replies(models, open_page):
    opening = OpeningStatus("small")
    with serve_in_thread("small", 0, status=opening.status) as (service, address):
        page = open_page(address, PHONE)
        expect(page.get_by_role("heading", name="Opening small")).to_be_visible()
        opening.say("downloading")
        opening.downloaded(25, 100)
        expect(page.get_by_role("heading", name="Downloading")).to_be_visible()
        expect(page.locator("#time-left")).to_have_text("25 %")
        expect(page.locator("#no-results")).to_be_hidden()
        service.publish(models[0], "small")
        opening.set_ready()
        expect(page.get_by_label("Your message")).to_be_visible()
        expect(page.locator("#build-bar")).to_be_hidden()
        expect(page.locator("#welcome code").first).to_have_text("chatwright up")
        assert_fits_window(page)
        ask(page, "hi")
        expect_conversation(page, "hi", models[0].reply_alone("hi"))
        expect(page.locator(".news")).to_have_count(0)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_build_shows_its_progress_and_then_the_finished_model(build, models, open_page, viewport):
    page = open_page(build.address, viewport)
    expect(page.get_by_role("heading", name="Preparing the texts")).to_be_visible()
    expect(page.locator("#time-left")).to_have_text("0 % · time left unknown")
    expect(page.get_by_label("Your message")).to_be_hidden()

    build.report("pretrain", 0, loss=7.5, samples=[("The", "xq")])
    build.report("pretrain", 50, loss=4.25, samples=[("The", "The sea is")])
    expect(page.get_by_role("heading", name="Learning to read")).to_be_visible()
    # 50 of 400 steps are done, and 350 seconds are left.
    expect(page.locator("#time-left")).to_have_text("12 % · about 6 minutes left")
    expect(page.locator("#loss-change")).to_have_text("7.50 → 4.25")
    expect(page.locator(".sample .text")).to_have_text(["The sea is", "xq"])
    assert_fits_window(page)

    build.report("sft", 0)
    build.report("sft", 100, samples=[("Hello!", "Hh"), ("Who are you?", "I")])
    build.report(
        "sft", 200, samples=[("Hello!", "Hello! How are you?"), ("Who are you?", "I am a model.")]
    )
    build.publish(models[0], "step 200 of 300, learning to converse")
    expect(page.get_by_label("Your message")).to_be_visible()
    expect(page.locator("#welcome-title")).to_contain_text("while it learns")
    bar = page.locator("#build-bar")
    expect(bar).to_contain_text("75 % · about 2 minutes left")
    expect(bar).to_contain_text("Replying now: step 200 of 300, learning to converse")
    expect(page.get_by_text("I am a model.")).to_be_hidden()
    bar.locator("summary").click()
    expect(page.locator(".sample")).to_contain_text(["Hello!", "Who are you?"])
    expect(page.locator(".sample .text")).to_have_text(
        ["Hello! How are you?", "Hh", "I am a model.", "I"]
    )
    assert_fits_window(page)
    bar.locator("summary").click()
    expect(page.locator(".sample .text").first).to_be_hidden()

    ask(page, "hi")
    reply = models[0].reply_alone("hi")
    expect_conversation(page, "hi", reply)
    build.finish(models[1])
    expect(page.get_by_text(BUILD_FINISHED)).to_be_visible()
    expect(bar).to_be_hidden()
    expect_conversation(page, "hi", reply)
    ask(page, "and now?")
    expect_conversation(
        page, "hi", reply, "and now?", models[1].reply_alone("hi", reply, "and now?")
    )
    expect(page.locator(".news")).to_have_count(1)
    assert_fits_window(page)


def test_a_better_model_that_arrives_during_a_reply_is_announced_after_it(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    models[0].gate.clear()
    ask(page, "one")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    build.publish(models[1], "step 200")
    expect(page.get_by_text("Replying now: step 200")).to_be_visible()
    expect(page.locator(".news")).to_have_count(0)  # not during the reply
    models[0].gate.set()
    wait_for_reply(page)
    expect(page.locator(".news")).to_have_text(
        ["A better trained model replies from now on (step 200)."]
    )
    build.publish(models[1], "step 300")  # no message was sent since: the line is replaced
    expect(page.locator(".news")).to_have_text(
        ["A better trained model replies from now on (step 300)."]
    )
    ask(page, "two")
    first = models[0].reply_alone("one")
    assert first != models[1].reply_alone("one"), "equal models would prove nothing"
    expect_conversation(page, "one", first, "two", models[1].reply_alone("one", first, "two"))
    shown = page.locator("#turns > *").evaluate_all("all => all.map((node) => node.className)")
    assert shown == ["turn user", "turn assistant", "news", "turn user", "turn assistant"]


def test_an_announcement_before_the_first_message_is_shown_in_the_welcome(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    expect(page.locator("#welcome-title")).to_contain_text("while it learns")
    build.finish(models[1])
    expect(page.locator("#welcome-title")).to_have_text("Ask it something")
    expect(page.locator("#welcome-news")).to_have_text(BUILD_FINISHED)


def test_a_reply_announces_a_new_model_while_the_status_is_unreachable(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    page.route("**/api/status", lambda route: route.abort())
    expect(page.locator("#notice")).to_contain_text("does not answer")
    build.publish(models[1], "step 200")
    ask(page, "two")
    expect(page.locator("#turns > *").nth(3)).to_have_text(
        "A better trained model replies from now on (step 200)."
    )


def test_a_build_that_fails_before_a_model_is_served_shows_its_message(build, open_page):
    build.report("pretrain", 0)
    build.status.set_failed("the loss is not finite at step 7: lower the learning rate")
    page = open_page(build.address, PHONE)
    expect(page.get_by_role("heading", name="The build stopped")).to_be_visible()
    expect(
        page.get_by_text("The loss is not finite at step 7: lower the learning rate", exact=True)
    ).to_be_visible()
    expect(page.get_by_label("Your message")).to_be_hidden()
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_after_a_failed_build_the_model_served_before_still_replies(build, models, open_page):
    build.report("sft", 0)
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    build.status.set_failed("the disk is full")
    expect(page.get_by_role("alert").filter(has_text="The disk is full\n")).to_be_visible()
    first = models[0].reply_alone("one")
    ask(page, "two")
    expect_conversation(page, "one", first, "two", models[0].reply_alone("one", first, "two"))


def test_the_page_works_again_after_the_server_stopped_and_started(open_page, models):
    build = Build()
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    build.stop()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    first = models[0].reply_alone("one")
    ask(page, "two")
    expect(page.get_by_label("Your message")).to_have_value("two")
    expect_conversation(page, "one", first)

    second = Build(int(build.address.rsplit(":", 1)[1]))
    try:
        second.finish(models[1])
        expect(page.locator("#notice")).to_be_hidden()
        page.get_by_label("Your message").press("Enter")
        expect_conversation(page, "one", first, "two", models[1].reply_alone("one", first, "two"))
    finally:
        second.stop()
