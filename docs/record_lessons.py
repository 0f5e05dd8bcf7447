"""Record the stored run of the lessons: what a model answers to each check's first values.

Usage: python docs/record_lessons.py runs/starter/sft

The script serves the model, runs every check of the lessons in a headless browser, and writes the
answers to chatwright/server/lessons/stored.json, with which the page opens each lesson at once. A
check that the model refuses is left out. It needs the `dev` extra (playwright) and chromium.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Response, expect, sync_playwright
from screenshot import REPLY_TIMEOUT, served

STORED = Path(__file__).resolve().parents[1] / "chatwright/server/lessons/stored.json"
PATHS = ("/tokenize", "/api/inspect", "/api/words", "/v1/chat/completions")
N_KEPT = 40
"""Of a long list of next tokens, the first ones are kept; the check shows eight."""
DIGITS = 5


def main() -> None:
    """Parse the argument and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model directory, or the folder of a run")
    with served(parser.parse_args().model) as address:
        model, answers = record(address)
    text = json.dumps({"model": model, "answers": answers}, ensure_ascii=False)
    STORED.write_text(text + "\n", encoding="utf-8")
    print(f"{STORED}: {len(answers)} answers, {STORED.stat().st_size:,} bytes")


def record(address: str) -> tuple[str, list[dict[str, Any]]]:
    """Run every check; return the model's name and the answers, each once."""
    found: dict[str, dict[str, Any]] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(locale="en-US")
        page.goto(address)
        page.locator("#question").wait_for(timeout=REPLY_TIMEOUT)
        page.goto(f"{address}/#/lessons")
        responses: list[Response] = []
        page.on("response", lambda response: responses.append(response))
        view = page.locator("#lessons")
        while True:
            run_check(page)
            following = view.get_by_role("button", name="Next lesson")
            if following.is_disabled():
                break
            following.click()
        model = ""
        for response in responses:
            path = response.url.removeprefix(address)
            if path in PATHS and response.ok:
                body = json.loads(response.request.post_data or "{}")
                model = body.pop("model")
                answer = shortened(path, response.json())
                found[path + json.dumps(body)] = {"path": path, "body": body, "answer": answer}
        browser.close()
    return model, list(found.values())


def run_check(page: Page) -> None:
    """Run the check of the shown lesson, and wait for its end."""
    view = page.locator("#lessons")
    view.get_by_role("button", name="Run", exact=True).click()
    ended = view.get_by_test_id("say").or_(view.locator(".lesson .alert"))
    expect(ended.first).to_be_visible(timeout=REPLY_TIMEOUT)
    expect(view.get_by_role("button", name="Run", exact=True)).to_be_enabled(timeout=REPLY_TIMEOUT)


def shortened(path: str, answer: Any) -> Any:
    """Leave out what no check reads, and round numbers."""
    if path == "/v1/chat/completions":
        names = ("choices", "usage", "chatwright")
        return {name: answer[name] for name in names}
    if "tokens" in answer and len(answer["tokens"]) > N_KEPT:
        return rounded({**answer, "tokens": answer["tokens"][:N_KEPT]})
    return rounded(answer)


def rounded(value: Any) -> Any:
    """Round every number to a few significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


if __name__ == "__main__":
    main()
