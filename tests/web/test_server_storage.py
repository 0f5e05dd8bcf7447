"""Conversations in the server's store: the same in every browser, per user, with ratings."""

import json
import threading

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import action, ask, expect_conversation, question, wait_for_reply
from tests.web.store_server import PASSWORD, log_in, store_server
from tests.web.test_conversations import CHATGPT, menu, talk, titles

pytestmark = pytest.mark.ci


@pytest.fixture(params=[False], ids=["single"])
def server(request, tmp_path):
    """Serve a model that repeats each question, with a store."""
    with store_server(tmp_path, request.param) as server:
        yield server


with_login = pytest.mark.parametrize("server", [True], ids=["accounts"], indirect=True)


def test_another_browser_shows_the_same_conversations_with_all_versions(server, open_page):
    page = open_page(server.address)
    talk(page, "first", "second")
    action(page, 1, "Another reply").click()
    wait_for_reply(page)
    action(page, 0, "Edit this message").click()
    page.get_by_label("Edited message").fill("third")
    page.locator(".edit-buttons").get_by_role("button", name="Send").click()
    expect_conversation(page, "third", "third")
    wait_for_reply(page)
    expect(page.get_by_role("button", name="Delete this version")).to_have_count(0)

    other = open_page(server.address)
    expect(titles(other)).to_have_text(["second", "first"])
    titles(other).first.click()
    expect_conversation(other, "third", "third")
    action(other, 0, "Previous version").click()
    expect_conversation(other, "second", "second")
    expect(other.locator(".turn").nth(1).get_by_test_id("version")).to_have_text("2/2")
    ask(other, "more")
    wait_for_reply(other)
    page.reload()
    expect_conversation(page, "second", "second", "more", "more")
    action(page, 3, "How this reply was made").click()
    expect(page.get_by_test_id("receipt")).to_contain_text("echo")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_test_id("replay-outcome")).to_contain_text("the same text")


WORDS = "one two three four five six "


def gated(server):
    """Let each word of a reply wait; return the gate."""
    server.model.answer = WORDS
    server.model.gate = threading.Semaphore(2)
    return server.model.gate


def answers(server):
    """Return state and text of the answers in the store."""
    user = server.store.users.owner().id
    [conversation] = server.store.conversations.list(user).conversations
    tree = server.store.messages.tree(user, conversation.id)
    return [(one.state, one.message.text) for one in tree if one.message.role == "assistant"]


def test_a_reply_is_whole_although_the_page_was_loaded_again_in_its_middle(server, open_page):
    gate = gated(server)
    page = open_page(server.address)
    page.locator("#open-settings").click()
    page.locator("#temperature").fill("0.9")
    page.keyboard.press("Escape")
    ask(page, "count")
    expect_conversation(page, "count", "one two")
    page.reload()
    expect_conversation(page, "count", "one two")
    expect(page.locator("#stop")).to_be_visible()  # it is still being written
    gate.release(10)
    expect_conversation(page, "count", WORDS.strip())
    wait_for_reply(page)
    assert answers(server) == [("complete", WORDS)]
    expect(page.locator(".remark")).to_have_count(0)
    action(page, 1, "How this reply was made").click()
    expect(page.get_by_test_id("receipt")).to_contain_text("Temperature 0.9")
    expect(page.get_by_test_id("receipt")).to_contain_text(f"{len(WORDS)} tokens")


def test_a_reply_is_whole_although_the_page_was_closed(server, open_page):
    gate = gated(server)
    page = open_page(server.address)
    ask(page, "count")
    expect_conversation(page, "count", "one two")
    page.close()
    gate.release(10)
    other = open_page(server.address)
    titles(other).first.click()
    expect_conversation(other, "count", WORDS.strip())


def test_a_reply_that_was_loaded_again_can_be_stopped_and_continued(server, open_page):
    gate = gated(server)
    page = open_page(server.address)
    ask(page, "count")
    expect_conversation(page, "count", "one two")
    page.reload()
    expect_conversation(page, "count", "one two")
    page.locator("#stop").click()
    wait_for_reply(page)
    expect(page.get_by_text("You stopped this reply.")).to_be_visible()
    assert answers(server) == [("partial", "one two ")]
    gate.release(10)
    page.reload()
    expect_conversation(page, "count", "one two")
    expect(action(page, 1, "Continue this reply")).to_be_visible()


def test_settings_titles_search_and_deletion_reach_the_store(server, open_page):
    page = open_page(server.address)
    talk(page, "the lighthouse on the cliff", "bread")
    page.locator("#open-settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.locator("#temperature").fill("0.9")
    page.keyboard.press("Escape")
    menu(page, "bread")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("loaf")
    page.get_by_label("Title").press("Enter")
    expect(titles(page).first).to_have_text("loaf")
    page.reload()
    expect(page.locator("#in-force")).to_have_text("Temperature 0.9")
    page.locator("#open-settings").click()
    expect(page.get_by_label("System prompt")).to_have_value("Be brief.")
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("lighthou")
    expect(titles(page)).to_have_text(["the lighthouse on the cliff"])
    page.get_by_role("searchbox").fill("bread")
    expect(titles(page)).to_have_text(["loaf"])
    expect(page.locator(".excerpt")).to_have_text("bread")
    page.get_by_role("searchbox").fill("")
    menu(page, "loaf")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete for good?").click()
    expect(titles(page)).to_have_text(["the lighthouse on the cliff"])
    user = server.store.users.owner().id
    assert [one.title for one in server.store.conversations.list(user).conversations] == [
        "the lighthouse on the cliff"
    ]


def test_files_are_imported_into_the_store(server, open_page):
    page = open_page(server.address)
    talk(page, "mine")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export all").click()
    own = saved.value.path().read_bytes()
    files = [
        {"name": "a.json", "mimeType": "application/json", "buffer": body}
        for body in (own, json.dumps(CHATGPT).encode())
    ]
    page.locator("#import-file").set_input_files(files)
    expect(page.get_by_text("2 conversations imported.")).to_be_visible()
    expect(titles(page)).to_have_count(3)
    titles(page).filter(has_text="From ChatGPT").click()
    expect_conversation(page, "hello", "hi <b>there</b>")


def test_ratings_belong_to_the_stored_message(server, open_page):
    page = open_page(server.address)
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "Good reply").click()
    page.get_by_label("Why?").fill("short")
    page.locator(".rating-form").get_by_role("button", name="Send").click()
    expect(page.get_by_text("Stored for the next training.")).to_be_visible()
    action(page, 1, "Compare with another reply").click()
    compare = page.get_by_role("dialog", name="Which reply is better?")
    compare.get_by_role("button", name="Equally good").click()
    expect(compare).to_contain_text("Seed")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.get_by_test_id("version")).to_contain_text("/2")
    pressed = page.locator(".rating [aria-pressed=true]")
    if pressed.count() == 0:  # the other version is shown
        page.get_by_role("button", name=("Previous version")).click()
    expect(pressed).to_have_attribute("aria-label", "Good reply")


@with_login
def test_users_log_in_and_see_only_their_own(server, open_page):
    for name in ("ada", "bob"):
        server.store.users.add(name, "member", PASSWORD)
    page = open_page(server.address)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    log_in(page, "ada")
    expect(question(page)).to_be_visible()
    talk(page, "of ada")
    page.get_by_role("button", name="Log out (ada)").click()
    log_in(page, "bob")
    expect(question(page)).to_be_visible()
    expect(titles(page)).to_have_count(0)
    talk(page, "of bob")
    page.reload()
    expect(titles(page)).to_have_text(["of bob"])


@with_login
def test_an_invitation_makes_an_account(server, open_page):
    admin = server.store.users.add("root", "admin", PASSWORD)
    code = server.store.invitations.create("member", inviter=admin)
    page = open_page(server.address)
    page.get_by_role("button", name="I have an invitation").click()
    page.get_by_label("Invitation").fill(code)
    page.get_by_label("Name").fill("cleo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make an account").click()
    expect(page.get_by_role("button", name="Log out (cleo)")).to_be_visible()


NO_STORE = {"store": False, "mode": "single", "user": None}


def talk_before_the_store(page, *texts):
    """Keep conversations in the browser, as with a server that had no store yet."""
    page.route("**/api/session", lambda route: route.fulfill(json=NO_STORE))
    page.reload()
    talk(page, *texts)
    action(page, 1, "Another reply").click()
    wait_for_reply(page)
    page.unroute("**/api/session")
    page.goto(page.url.split("#")[0])
    page.reload()
    return page.get_by_role("group", name="Conversations of this browser")


def stored_titles(server):
    user = server.store.users.owner().id
    found = server.store.conversations.list(user).conversations
    return sorted(conversation.title for conversation in found)


def test_conversations_of_the_browser_move_to_the_store_when_the_user_says_so(server, open_page):
    page = open_page(server.address)
    offer = talk_before_the_store(page, "first", "second")
    expect(offer).to_contain_text("2 conversations")
    expect(titles(page)).to_have_count(0)
    assert stored_titles(server) == []
    offer.get_by_role("button", name="Move").click()
    expect(titles(page)).to_have_count(2)
    assert stored_titles(server) == ["first", "second"]
    titles(page).filter(has_text="second").click()
    expect_conversation(page, "second", "second")
    expect(page.locator(".turn").nth(1).get_by_test_id("version")).to_have_text("2/2")
    page.reload()
    expect(titles(page)).to_have_count(2)
    expect(offer).to_have_count(0)


def test_conversations_stay_in_the_browser_if_the_user_keeps_them(server, open_page):
    page = open_page(server.address)
    offer = talk_before_the_store(page, "first")
    offer.get_by_role("button", name="Keep in this browser").click()
    expect(offer).to_have_count(0)
    page.reload()
    expect(page.get_by_text("Your conversations appear here.")).to_be_visible()
    expect(offer).to_have_count(0)
    assert stored_titles(server) == []
    page.route("**/api/session", lambda route: route.fulfill(json=NO_STORE))
    page.reload()
    expect(titles(page)).to_have_text(["first"])
