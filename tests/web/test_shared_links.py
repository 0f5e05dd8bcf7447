"""A shared link shows one branch to anyone until it is revoked.

It shows the messages that the branch had when the link was made or last renewed.
"""

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import PHONE, ask, assert_fits_window, question, wait_for_reply
from tests.web.store_server import PASSWORD, log_in, store_server
from tests.web.test_conversations import menu

pytestmark = pytest.mark.ci


def texts(page):
    return page.locator("#shared .text")


def test_a_link_is_made_read_renewed_and_revoked(tmp_path, open_page, accessibility_problems):
    with store_server(tmp_path, has_login=True) as server:
        server.store.users.add("ann", "member", PASSWORD)
        page = open_page(server.address)
        log_in(page, "ann")
        expect(question(page)).to_be_visible()
        ask(page, "What is **bread**?")
        wait_for_reply(page)
        menu(page, "What is")
        page.get_by_role("button", name="Share", exact=True).click()
        dialog = page.locator("#share")
        dialog.get_by_role("button", name="Make a link").click()
        address = dialog.get_by_label("Link").input_value()
        expect(dialog.locator(".share-link")).to_have_count(1)
        assert accessibility_problems(page) == []
        page.keyboard.press("Escape")

        sent = []
        reader = open_page(server.address, PHONE, color_scheme="dark")  # has no session
        reader.on("request", lambda request: sent.append(request))
        reader.goto("about:blank")
        reader.goto(address)
        expect(texts(reader)).to_have_text(["What is **bread**?", "What is bread?"])
        expect(reader.locator("#shared strong")).to_have_text("bread")
        expect(reader.locator("#question")).to_have_count(0)
        assert reader.context.cookies() == []
        assert not any("/api/session" in request.url for request in sent)
        assert_fits_window(reader)
        assert accessibility_problems(reader) == []

        ask(page, "later")
        wait_for_reply(page)
        reader.reload()
        expect(texts(reader)).to_have_count(2)
        menu(page, "What is")
        page.get_by_role("button", name="Share", exact=True).click()
        expect(dialog.get_by_label("Link")).to_have_count(0)  # it is shown once
        with page.expect_response("**/renew"):
            dialog.get_by_role("button", name="Renew").click()
        reader.reload()
        expect(texts(reader)).to_have_count(4)
        dialog.get_by_role("button", name="Revoke").click()
        expect(dialog.locator(".share-link")).to_have_count(0)
        reader.reload()
        expect(reader.get_by_role("alert")).to_contain_text("shows nothing")
        expect(texts(reader)).to_have_count(0)


def test_a_server_without_links_offers_none(tmp_path, open_page):
    with store_server(tmp_path, has_links=False) as server:
        page = open_page(server.address)
        ask(page, "bread")
        wait_for_reply(page)
        menu(page, "bread")
        expect(page.get_by_role("button", name="Rename")).to_be_visible()
        expect(page.get_by_role("button", name="Share", exact=True)).to_have_count(0)
