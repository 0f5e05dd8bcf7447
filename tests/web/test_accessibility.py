"""What a screen reader, another language, another theme and another size find on the page."""

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import DESKTOP, PHONE, ask, assert_fits_window, question, wait_for_reply

pytestmark = pytest.mark.ci

MARKDOWN = (
    "# Title\n\nA [link](https://example.org/), `code`, $x^2$.\n\n- [x] done\n\n"
    "```python\nprint('a long line' * 2)  # a comment that is longer than a phone is wide\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote"
)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    build, models, open_page, accessibility_problems, viewport, scheme
):
    build.report("sft", 0, loss=3.0, samples=[("Hello!", "Hh")])
    build.report("sft", 1, loss=2.0)
    page = open_page(build.address, viewport, color_scheme=scheme)
    expect(page.locator("#stage")).to_be_visible()
    assert accessibility_problems(page) == []
    build.publish(models[0], "step 1")
    expect(question(page)).to_be_visible()
    assert accessibility_problems(page) == []
    page.locator("summary").click()
    for text in ("one", MARKDOWN):
        ask(page, text)
        wait_for_reply(page)
    page.get_by_role("button", name="Another reply").last.click()
    wait_for_reply(page)
    page.get_by_role("button", name="How this reply was made").last.click()
    page.get_by_role("button", name="Edit this message").last.click()
    assert accessibility_problems(page) == []
    page.locator("#open-settings").click()
    assert accessibility_problems(page) == []
    page.keyboard.press("Escape")
    if viewport == PHONE:
        page.get_by_role("button", name="Show conversations").click()
    page.locator(".item-menu").first.click()
    assert accessibility_problems(page) == []


def test_axe_finds_nothing_serious_in_markdown(echo_page, accessibility_problems):
    page, _ = echo_page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ask(page, MARKDOWN)
        wait_for_reply(page)
        expect(page.locator(".hljs-comment").last).to_be_visible()
        assert accessibility_problems(page) == []


def test_axe_finds_a_planted_problem(page, accessibility_problems):
    page.evaluate("document.querySelector('#send').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('#send').removeAttribute('title')")
    assert "button-name" in [name for name, _ in accessibility_problems(page)]


def test_turns_are_announced_and_named(page):
    ask(page, "one")
    wait_for_reply(page)
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
    names = page.get_by_role("article").evaluate_all("all => all.map((node) => node.ariaLabel)")
    assert names == ["You", "Model"]


LANGUAGES = {
    "de-CH": ("de", "Ihre Nachricht", "Temperatur 0,3"),
    "fr-CA": ("fr", "Votre message", "Température 0,3"),
    "pt-BR": ("en", "Your message", "Temperature 0.3"),
}


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_page_speaks_the_browsers_language(build, models, open_page, locale):
    code, label, setting = LANGUAGES[locale]
    build.finish(models[0])
    page = open_page(build.address, PHONE, locale=locale)
    expect(page.get_by_label(label)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", code)
    expect(page.locator("#in-force")).to_have_text(setting)
    page.locator("#open-settings").click()
    assert_fits_window(page)


def test_a_chosen_language_and_theme_stay(page):
    page.locator("#open-settings").click()
    page.get_by_label("Language").select_option("de")
    expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
    page.get_by_label("Farben").select_option("dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(23, 25, 28)"
    page.reload()
    expect(page.get_by_label("Ihre Nachricht")).to_be_visible()
    assert page.evaluate(background) == "rgb(23, 25, 28)"
