"""Conversations that are kept: the list, search, titles, deletion, files."""

import json
import threading

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import (
    PHONE,
    ask,
    assert_fits_window,
    expect_conversation,
    wait_for_reply,
    wait_until,
)

pytestmark = pytest.mark.ci


def talk(page, *texts):
    """Begin a conversation for each text."""
    for text in texts:
        page.get_by_test_id("list-new").click()
        ask(page, text)
        wait_for_reply(page)


def titles(page):
    """Return the locator of the titles in the list."""
    return page.locator("#list .item-title")


def menu(page, title):
    """Open the actions of a conversation."""
    page.get_by_role("button", name=f"Actions for {title}").click()


def downloaded(page, button):
    """Return the name and the text of the file that a button saves."""
    with page.expect_download() as info:
        page.get_by_role("button", name=button, exact=True).click()
    return info.value.suggested_filename, info.value.path().read_text(encoding="utf-8")


def test_conversations_stay_after_a_reload_and_can_be_opened_again(echo_page):
    page, model = echo_page
    talk(page, "first", "second")
    page.reload()
    expect(titles(page)).to_have_text(["second", "first"])
    expect_conversation(page, "second", "second")
    titles(page).filter(has_text="first").click()
    expect_conversation(page, "first", "first")
    ask(page, "more")
    wait_for_reply(page)
    assert [message.text for message in model.seen[-1][0]] == ["first", "first", "more"]
    expect(titles(page)).to_have_text(["first", "second"])  # the latest is on top
    page.go_back()
    expect_conversation(page, "second", "second")


@pytest.mark.parametrize("wanted", ["one", "two", "three"])
def test_a_reply_that_the_page_shows_as_ended_is_stored(echo_page, wanted):
    page, _ = echo_page
    page.evaluate(
        """() => new MutationObserver((changes, observer) => {
            const seen = document.querySelector("#send");
            if (!seen) window.hasWritten = true;
            else if (window.hasWritten) { observer.disconnect(); location.reload(); }
        }).observe(document.body, { childList: true, subtree: true })"""
    )
    with page.expect_navigation(wait_until="load"):
        ask(page, wanted)
    expect(titles(page)).to_have_text([wanted])
    expect_conversation(page, wanted, wanted)


STORED = """
() => new Promise((resolve) => {
  const request = indexedDB.open("chatwright");
  request.onsuccess = () => {
    const turns = request.result.transaction("turns").objectStore("turns").getAll();
    turns.onsuccess = () => {
      request.result.close();
      resolve(turns.result.filter((turn) => turn.role === "assistant").map((turn) => turn.text));
    };
  };
})
"""


def test_a_reply_in_the_browser_loses_at_most_a_second_and_can_be_continued(echo_page):
    page, model = echo_page
    model.answer = "one two three four "
    model.gate = threading.Semaphore(3)
    ask(page, "count")
    expect_conversation(page, "count", "one two three")
    # All that arrived is stored within a second, although nothing more arrives.
    wait_until(page, lambda: page.evaluate(STORED) == ["one two three "])
    expect(titles(page)).to_have_text(["count"])  # the address names the conversation by now
    page.reload()
    expect_conversation(page, "count", "one two three")
    expect(page.get_by_text("This reply is incomplete.")).to_be_visible()
    expect(page.get_by_role("button", name="Continue this reply")).to_be_visible()
    model.gate.release(10)


def test_nothing_can_be_asked_before_the_storage_is_open(echo_page):
    page, _ = echo_page
    held = []
    page.route("**/api/session", lambda route: held.append(route))
    with page.expect_response("**/v1/models"):
        page.reload()
    expect(page.locator("main")).to_be_attached()
    assert not page.get_by_test_id("list-new").is_visible()
    assert not page.locator("#question").is_visible()
    held[0].continue_()
    talk(page, "early")
    page.unroute("**/api/session")
    page.reload()
    expect_conversation(page, "early", "early")


def test_search_finds_titles_and_texts(echo_page):
    page, _ = echo_page
    talk(page, "the lighthouse on the cliff", "bread and butter", "nothing")
    ask(page, "where is the Lighthouse?")
    wait_for_reply(page)
    page.get_by_role("searchbox").fill("LIGHTHOUSE")
    expect(titles(page)).to_have_text(["the lighthouse on the cliff", "nothing"])
    expect(page.locator(".excerpt")).to_have_text("where is the Lighthouse?")
    page.get_by_role("searchbox").fill("zebra")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    expect(titles(page)).to_have_count(3)


def test_a_conversation_is_renamed_and_deleted_after_a_confirmation(echo_page):
    page, _ = echo_page
    talk(page, "one", "two")
    menu(page, "one")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("uno")
    page.get_by_label("Title").press("Enter")
    expect(titles(page)).to_have_text(["two", "uno"])
    page.reload()
    menu(page, "uno")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(titles(page)).to_have_count(2)
    page.get_by_role("button", name="Delete for good?").click()
    expect(titles(page)).to_have_text(["two"])
    page.reload()
    expect(titles(page)).to_have_text(["two"])


def test_a_reply_goes_on_while_another_conversation_is_shown(page, models):
    models[0].gate.clear()
    ask(page, "one")
    expect(page.locator(".turn.assistant .text")).not_to_be_empty()
    page.get_by_test_id("list-new").click()
    expect(page.locator(".turn")).to_have_count(0)
    models[0].gate.set()
    expect(titles(page)).to_have_text(["one"])
    titles(page).click()
    expect_conversation(page, "one", models[0].reply_alone("one"))


def test_an_exported_file_is_read_again_with_all_versions(echo_page, open_page):
    page, _ = echo_page
    talk(page, "one")
    page.get_by_role("button", name="Edit this message").click()
    page.get_by_label("Edited message").fill("two **bold**")
    page.locator(".edit-buttons").get_by_role("button", name="Send").click()
    expect(page.locator(".turn .text").last).to_have_text("two bold")
    wait_for_reply(page)
    menu(page, "one")
    name, text = downloaded(page, "Export as JSON")
    assert name == "one.json"
    menu(page, "one")
    name, markdown = downloaded(page, "Export as Markdown")
    assert name == "one.md"
    assert markdown.startswith("# one\n\n**You** (")
    assert markdown.count("two **bold**") == 2
    _, everything = downloaded(page, "Export all")
    assert json.loads(everything)["conversations"] == json.loads(text)["conversations"]

    other = open_page(page.url.split("#")[0])
    file = {"name": "one.json", "mimeType": "application/json", "buffer": text.encode()}
    other.locator("#import-file").set_input_files([file])
    expect(other.get_by_text("1 conversation imported.")).to_be_visible()
    titles(other).click()
    expect_conversation(other, "two **bold**", "two bold")
    other.get_by_role("button", name="Previous version").click()
    expect_conversation(other, "one", "one")


CHATGPT = [
    {
        "title": "From ChatGPT",
        "create_time": 1.0,
        "current_node": "d",
        "mapping": {
            "a": {"id": "a", "parent": None, "message": None, "children": ["b"]},
            "b": {
                "id": "b",
                "parent": "a",
                "message": {
                    "author": {"role": "system"},
                    "content": {"content_type": "text", "parts": ["Be kind."]},
                },
            },
            "c": {
                "id": "c",
                "parent": "b",
                "message": {
                    "author": {"role": "user"},
                    "content": {"content_type": "text", "parts": ["hello"]},
                    "create_time": 2.0,
                },
            },
            "d": {
                "id": "d",
                "parent": "c",
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "text", "parts": ["hi <b>there</b>"]},
                    "create_time": 3.0,
                },
            },
        },
    }
]
OPEN_WEBUI = [
    {
        "id": "x",
        "title": "outer",
        "chat": {
            "title": "From Open WebUI",
            "history": {
                "currentId": "2",
                "messages": {
                    "1": {"id": "1", "parentId": None, "role": "user", "content": "hey"},
                    "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "you"},
                },
            },
        },
    }
]


def test_exports_of_chatgpt_and_open_webui_are_read(echo_page):
    page, _ = echo_page
    files = [
        {"name": "a.json", "mimeType": "application/json", "buffer": json.dumps(body).encode()}
        for body in (CHATGPT, OPEN_WEBUI)
    ]
    page.locator("#import-file").set_input_files(files)
    expect(page.get_by_text("2 conversations imported.")).to_be_visible()
    titles(page).filter(has_text="From ChatGPT").click()
    expect_conversation(page, "hello", "hi <b>there</b>")
    page.locator("#open-settings").click()
    expect(page.get_by_label("System prompt")).to_have_value("Be kind.")
    page.keyboard.press("Escape")
    titles(page).filter(has_text="From Open WebUI").click()
    expect_conversation(page, "hey", "you")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[1, null]", b"\xff\xfe", b'[{"chat": 1}]']
)
def test_a_file_without_conversations_is_refused(echo_page, content):
    page, _ = echo_page
    file = {"name": "x.json", "mimeType": "application/json", "buffer": content}
    page.locator("#import-file").set_input_files([file])
    expect(page.get_by_text("This file holds no conversations")).to_be_visible()
    expect(titles(page)).to_have_count(0)


def test_the_list_covers_the_page_on_a_phone_and_closes(build, models, open_page):
    build.finish(models[0])
    page = open_page(build.address, PHONE)
    ask(page, "one")
    wait_for_reply(page)
    expect(page.locator("#list")).to_be_hidden()
    page.get_by_role("button", name="Show conversations").click()
    expect(page.locator("#list")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_hidden()
    page.get_by_role("button", name="Show conversations").click()
    page.get_by_test_id("list-new").click()
    expect(page.locator("#list")).to_be_hidden()
    expect(page.locator(".turn")).to_have_count(0)
    page.get_by_role("button", name="Show conversations").click()
    titles(page).click()
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator("#list")).to_be_hidden()
    assert_fits_window(page)


def test_without_the_browsers_database_the_page_works_and_says_so(build, models, open_page):
    build.finish(models[0])
    page = open_page(build.address)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', {value: undefined})")
    page.reload()
    expect(page.get_by_text("conversations are lost")).to_be_visible()
    talk(page, "one", "two")
    expect(titles(page)).to_have_text(["two", "one"])
    titles(page).filter(has_text="one").click()
    expect_conversation(page, "one", models[0].reply_alone("one"))
