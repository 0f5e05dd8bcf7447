"""A log-in in a browser from an address that is not loopback, over HTTPS without an authority."""

import pytest

from tests.web.own_network import ADDRESS, run_in_own_network

pytestmark = pytest.mark.ci


def test_a_user_logs_in_and_talks_over_https_with_the_server_s_own_certificate():
    visit = run_in_own_network("tests.web.https_visit")
    assert not visit["reaches_elsewhere"]
    assert visit["address"].startswith(f"https://{ADDRESS}:")
    assert visit["health"] == 200
    assert "ERR_CERT_AUTHORITY_INVALID" in visit["refused"]
    cookie = visit["cookie"]
    assert cookie["name"].startswith("__Host-")
    assert (cookie["secure"], cookie["httpOnly"], cookie["domain"]) == (True, True, ADDRESS)
    assert visit["stored"] == ["abc"]
