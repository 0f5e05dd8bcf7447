"""Log in over HTTPS at an address that is not loopback; print as JSON what happened.

Run by test_https.py in a network namespace of its own. The server is the real program with `--tls
self-signed`. One browser trusts another certificate, one trusts the server's.
"""

import base64
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Error, Playwright, expect, sync_playwright

from chatwright.checkpoint import model_directory
from chatwright.server.access.access_keys import FILE_VARIABLE
from chatwright.server.access.self_signed import self_signed
from chatwright.store.store import Store
from tests.server.served_program import get_pinned, running_program
from tests.server.small_model import TOKENIZER, small_model
from tests.web.own_network import ADDRESS, reaches_elsewhere
from tests.web.page_actions import ask, wait_for_reply
from tests.web.store_server import PASSWORD, log_in

PATIENCE = 60_000  # milliseconds


def browser_that_trusts(driver: Playwright, certificate: Path):
    """Start a browser that accepts this certificate, by its public key, and no other one."""
    content = x509.load_pem_x509_certificate(certificate.read_bytes())
    key = content.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return driver.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", f"--ignore-certificate-errors-spki-list={digest}"],
    )


def error_of(driver: Playwright, certificate: Path, address: str) -> str:
    """Return why a browser that trusts a certificate does not open an address."""
    browser = browser_that_trusts(driver, certificate)
    try:
        browser.new_page().goto(address)
    except Error as error:
        return error.message
    finally:
        browser.close()
    return ""


def main() -> None:
    """Make the visit."""
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        model_directory.save(folder / "m", small_model(), TOKENIZER)
        with Store(str(folder / "store.db")) as store:
            ann = store.users.add("ann", "admin", PASSWORD)
        environment = {
            "CHATWRIGHT_STORE": str(folder / "store.db"),
            FILE_VARIABLE: str(folder / "keys.json"),
        }
        options = ["--host", ADDRESS, "--accounts", "--tls", "self-signed"]
        with running_program(folder / "m", *options, environment=environment) as program:
            health = get_pinned(f"{program.address}/health", program.fingerprint)
            other = self_signed(folder / "other", ADDRESS)
            refused = error_of(driver, other.certificate, program.address)
            browser = browser_that_trusts(driver, folder / "tls-cert.pem")
            page = browser.new_page(locale="en-US")
            page.set_default_timeout(PATIENCE)
            page.goto(program.address)
            log_in(page, "ann")
            ask(page, "abc")
            wait_for_reply(page)
            [cookie] = page.context.cookies()
            browser.close()
        with Store(str(folder / "store.db")) as store:
            [conversation] = store.conversations.list(ann.id).conversations
            tree = store.messages.tree(ann.id, conversation.id)
    report = {
        "address": program.address,
        "health": health,
        "refused": refused,
        "cookie": cookie,
        "stored": [one.message.text for one in tree if one.message.role == "user"],
        "reaches_elsewhere": reaches_elsewhere(),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
