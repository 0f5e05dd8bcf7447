"""Folders of conversations: made, renamed, filled, and deleted without their conversations."""

import pytest
from playwright.sync_api import expect

from tests.web.page_actions import expect_conversation
from tests.web.store_server import store_server
from tests.web.test_conversations import menu, talk, titles

pytestmark = pytest.mark.ci


@pytest.fixture(params=["browser", "store"])
def place(request, tmp_path, open_page):
    """Yield a page whose conversations are kept in the browser or in the server's store."""
    if request.param == "browser":
        page, _ = request.getfixturevalue("echo_page")
        yield page, lambda: page.reload()
        return
    with store_server(tmp_path) as server:
        page = open_page(server.address)

        def check():
            user = server.store.users.owner().id
            stored = {folder.id: folder.name for folder in server.store.conversations.folders(user)}
            for one in server.store.conversations.list(user).conversations:
                assert one.folder is None or one.folder in stored
            page.reload()

        yield page, check


def test_a_conversation_moves_into_a_folder_and_stays_when_it_is_deleted(place):
    page, reload = place
    talk(page, "bread", "boats")
    page.get_by_role("button", name="New folder").click()
    name = page.get_by_label("Name of the folder")
    name.fill("Kitchen")
    name.press("Enter")
    folder = page.locator("#list .folder")
    expect(folder).to_contain_text("Kitchen 0")
    menu(page, "bread")
    page.locator(".move select").select_option("Kitchen")
    expect(folder).to_contain_text("Kitchen 1")
    expect(titles(page)).to_have_text(["boats"])  # the folder is closed
    reload()
    expect(folder).to_contain_text("Kitchen 1")
    folder.get_by_role("button", name="Kitchen", exact=False).first.click()
    folder.locator(".item-title").click()
    expect_conversation(page, "bread", "bread")
    page.get_by_role("button", name="Actions for Kitchen").click()
    page.get_by_role("button", name="Rename").click()
    name.fill("Food")
    name.press("Enter")
    expect(folder).to_contain_text("Food 1")
    page.get_by_role("searchbox").fill("brea")  # the search looks into folders
    expect(titles(page)).to_have_text(["bread"])
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Actions for Food").click()
    page.get_by_role("button", name="Delete the folder").click()
    expect(folder).to_have_count(0)
    expect(titles(page)).to_have_count(2)
    reload()
    expect(titles(page)).to_have_count(2)
    expect(folder).to_have_count(0)


def test_a_conversation_is_taken_out_of_its_folder(accessibility_problems, place):
    page, reload = place
    talk(page, "bread")
    page.get_by_role("button", name="New folder").click()
    page.keyboard.type("Kitchen")
    page.keyboard.press("Enter")
    menu(page, "bread")
    page.locator(".move select").select_option("Kitchen")
    expect(page.locator("#list .folder .item-title")).to_have_text("bread")  # it is shown
    menu(page, "bread")
    assert accessibility_problems(page) == []
    page.locator(".move select").select_option("none")
    expect(page.locator("#list .folder .item-title")).to_have_count(0)
    reload()
    expect(titles(page)).to_have_text(["bread"])
    expect(page.locator("#list .folder")).to_contain_text("Kitchen 0")


def test_two_folders_of_one_name_are_refused_by_the_store(tmp_path, open_page):
    with store_server(tmp_path) as server:
        page = open_page(server.address)
        for _ in range(2):
            page.get_by_role("button", name="New folder").click()
            page.get_by_label("Name of the folder").fill("Kitchen")
            page.get_by_label("Name of the folder").press("Enter")
            expect(page.locator("#list .folder")).to_have_count(1)
        expect(page.locator(".list-foot [role=status]")).to_contain_text("already")
