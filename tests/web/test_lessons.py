"""The lessons: every check runs on the served model, and the answers can be saved."""

import json
import math
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chatwright.inspection.decoder_trace import trace_decoder
from chatwright.server.app import LESSONS
from chatwright.server.own_models.own_models import OwnModelLimits, OwnModels
from chatwright.server.replies.pending_reply import Served
from tests.server.own_models.test_own_models import give_model
from tests.web.page_actions import PHONE, wait_until
from tests.web.served_models import TOKENIZER
from tests.web.store_server import store_server
from tests.web.traced_model import serve_traced_model, traced_model

NOT_STORED = ("embeddings", "reward", "rl")  # refused by the starter, or computed in the page
CHECKS = Path(__file__).resolve().parents[2] / "web" / "src" / "lessons" / "checks.ts"


def lessons(language):
    return json.loads((LESSONS / f"{language}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", ["de", "fr"])
def test_each_language_has_the_same_lessons(language):
    for english, other in zip(lessons("en"), lessons(language), strict=True):
        assert other.keys() == english.keys()
        assert other["id"] == english["id"]
        assert len(other["text"]) == len(english["text"])
        question = english["question"]
        assert other["question"]["answer"] == question["answer"] < len(question["options"])
        assert len(other["question"]["options"]) == len(question["options"])


def test_each_lesson_has_a_check():
    code = CHECKS.read_text(encoding="utf-8")
    checks = re.findall(r"(?m)^  (\w+): \{$", code.split("export const CHECKS")[1])
    assert checks == [lesson["id"] for lesson in lessons("en")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_traced_model(tmp_path_factory.mktemp("lessons") / "model") as address:
        yield address


def open_lessons(open_page, address, *options, **named):
    """Open the page at the address of the lessons."""
    page = open_page(address, *options, **named)
    page.goto(f"{address}/#/lessons")
    return page


def run(view):
    """Run the check of the shown lesson; return what it says."""
    view.get_by_role("button", name="Run", exact=True).click()
    said = view.get_by_test_id("say")
    expect(view.get_by_test_id("stored")).to_have_count(0)
    expect(said).to_be_visible()
    return said.inner_text()


def trace(text):
    ids = [TOKENIZER.control.bos, *TOKENIZER.encode(text)]
    return trace_decoder(traced_model(), ids)


def check(view, lesson):
    """Run the check of a lesson and compare its figures with those of a trace."""
    fields = view.get_by_test_id("check").get_by_role("textbox")
    rows = view.get_by_test_id("result").locator("tbody tr")
    match lesson:
        case "tokens":
            fields.fill("abc")
            assert "4 tokens" in run(view)
            expected = ["a", "b", "c"]
            assert rows.locator("td:first-child").all_inner_texts()[1:] == expected
        case "embeddings":
            fields.fill("a - b + c")
            run(view)
            expect(rows).to_have_count(8)
        case "attention":
            fields.first.fill("abc")
            view.get_by_role("spinbutton").fill("32")  # 2 heads of 4 x 4
            assert run(view).startswith("Right.")
            weights = rows.locator("meter").evaluate_all("all => all.map((m) => m.value)")
            assert weights == pytest.approx(trace("abc").attention(0)[0, 3].tolist(), rel=1e-4)
        case "masks":
            assert "is 0.0000." in run(view)
            assert rows.locator("td:nth-child(2)").all_inner_texts()[:3] == ["1", "2", "3"]
        case "loss":
            fields.first.fill("abc")
            said = run(view)
            assert f"{math.log(TOKENIZER.vocab_size):.3f}" in said
            loss = -trace("abc").token_log_probs().mean()
            expect(rows.first.locator("td").nth(2)).to_have_text(f"{loss:.3f}")
        case "sampling":
            view.get_by_role("slider").fill("0")
            run(view)
            drawn = rows.locator("td:nth-child(3) meter").evaluate_all("a => a.map((m) => m.value)")
            assert drawn == [1.0] + [0.0] * 9
        case "context":
            run(view)
            assert int(rows.nth(1).locator("td").nth(2).inner_text()) > 0  # from the cache
        case "reward":
            assert "73.1 %" in run(view)  # 1 / (1 + exp(-1))
        case _:
            run(view)


@pytest.mark.ci
def test_the_whole_path(address, open_page):
    page = open_lessons(open_page, address)
    view = page.locator("#lessons")
    for number, lesson in enumerate(lessons("en")):
        expect(view.get_by_role("heading", level=3)).to_have_text(lesson["title"])
        before, after = view.get_by_role("group").all()
        wrong = (lesson["question"]["answer"] + 1) % 3
        before.get_by_role("radio").nth(wrong).check()
        check(view, lesson["id"])
        after.get_by_role("radio").nth(lesson["question"]["answer"]).check()
        expect(after.get_by_role("status")).to_have_text("Right.")
        expect(view.get_by_test_id("progress")).to_contain_text(f"{number + 1} of 13")
        if number < 12:
            view.get_by_role("button", name="Next lesson").click()
    with page.expect_download() as download:
        view.get_by_role("button", name="Save answers").click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert saved["answers"] == [
        {"lesson": lesson["id"], "before": False, "after": True, "checked": True}
        for lesson in lessons("en")
    ]
    page.goto(address)  # the answers stay in the browser
    page.get_by_role("button", name="Lessons").click()
    expect(view.get_by_test_id("progress")).to_contain_text("13 of 13")


@pytest.mark.ci
def test_each_lesson_opens_with_a_stored_run_and_asks_no_model(address, open_page):
    page = open_lessons(open_page, address)
    view = page.locator("#lessons")
    asked = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    shown = []
    for number, lesson in enumerate(lessons("en")):
        view.get_by_role("navigation").get_by_role("button").nth(number).click()
        expect(view.get_by_role("heading", level=3)).to_have_text(lesson["title"])
        if lesson["id"] not in NOT_STORED:
            expect(view.get_by_test_id("stored")).to_contain_text("starter")
            expect(view.get_by_test_id("say")).to_be_visible()
            shown.append(lesson["id"])
    assert len(shown) == 10
    assert asked == []


@contextmanager
def class_server(folder):
    """Yield a server with a store, on which trainings of own models only wait."""
    with store_server(folder) as server:
        ids, opened = server.store.users.owner().id, []

        def open_model(run):
            opened.append(run)
            return Served(server.model, 1, "your own model")

        limits = OwnModelLimits(at_once=0)
        own = OwnModels(folder / "lessons", open_model, limits, owner=ids)
        server.service.own_models = own
        yield server, own, ids
        own.close()


@pytest.mark.ci
def test_a_training_waits_in_the_queue_and_is_stopped(tmp_path, open_page):
    with class_server(tmp_path) as (server, own, user):
        view = open_lessons(open_page, server.address).locator("#lessons")
        panel = view.get_by_test_id("own-model")
        expect(panel.get_by_role("status")).to_have_text("not trained yet")
        panel.locator("summary").click()
        panel.get_by_label("Layers").fill("3")
        panel.get_by_label("Steps").fill("50")
        panel.get_by_role("button", name="Train").click()
        expect(panel.get_by_role("status")).to_have_text("waiting, 0 before you")
        state = own.state(user)
        assert (state["place"], state["settings"]["layers"], state["settings"]["steps"]) == (
            0,
            3,
            50,
        )
        panel.get_by_role("button", name="Stop").click()
        expect(panel.get_by_role("status")).to_have_text("not trained yet")
        assert own.state(user)["place"] is None


@pytest.mark.ci
def test_checks_switch_to_the_own_model_and_answers_reach_the_server(tmp_path, open_page):
    with class_server(tmp_path) as (server, own, user):
        give_model(own.folder, user)
        page = open_lessons(open_page, server.address)
        view = page.locator("#lessons")
        expect(view.get_by_test_id("own-model").get_by_role("status")).to_have_text("ready")
        choice = view.get_by_label("Run the checks on")
        expect(choice).to_have_value("my-model")
        view.get_by_test_id("check").get_by_role("textbox").fill("ab")
        for name in ("my-model", "echo"):
            choice.select_option(name)
            with page.expect_request("**/tokenize") as asked:
                run(view)
            assert asked.value.post_data_json["model"] == name
        before, after = view.locator("fieldset").all()
        for question, option in ((before, 2), (after, 0)):
            question.get_by_role("radio").nth(option).check()

        def stored() -> list[tuple[int | None, int | None, bool]]:
            lessons = server.store.lessons.of_user(user)
            return [(one.before, one.after, one.has_checked) for one in lessons]

        wait_until(page, lambda: stored() == [(2, 0, True)])
        other = open_lessons(open_page, server.address)  # another browser of the same user
        expect(other.get_by_test_id("progress")).to_contain_text("1 of 13")


@pytest.mark.ci
@pytest.mark.parametrize(("locale", "name"), [("de-DE", "Lektionen"), ("fr-FR", "Le\u00e7ons")])
def test_lessons_in_another_language_on_a_phone(address, open_page, locale, name):
    page = open_lessons(open_page, address, PHONE, locale=locale)
    view = page.locator("#lessons")
    expect(view.get_by_role("heading", name=name)).to_be_visible()
    title = lessons(locale[:2])[0]["title"]
    expect(view.get_by_role("heading", level=3)).to_have_text(title)
    assert view.evaluate("(d) => d.scrollWidth <= d.clientWidth")
