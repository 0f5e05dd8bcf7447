"""A tour of the whole page without a network: nothing is asked of another origin."""

import pytest

from tests.web.own_network import run_in_own_network

pytestmark = pytest.mark.ci

VIEWS = ["chat", "inside", "lessons", "ranking", "teach", "runs"]


@pytest.fixture(scope="module")
def tour():
    """Make the tour where only this machine exists; return what it recorded."""
    return run_in_own_network("tests.web.tour")


def test_the_page_works_whole_without_a_network(tour):
    assert not tour["reaches_elsewhere"]
    assert tour["seen"] == VIEWS
    assert tour["errors"] == []


def test_nothing_is_asked_of_another_origin(tour):
    own = (*(f"{address}/" for address in tour["addresses"]), "about:", "blob:", "data:")
    assert len(tour["requests"]) > 20
    assert [url for url in tour["requests"] if not url.startswith(own)] == []


def test_nothing_is_asked_that_the_server_does_not_have(tour):
    assert tour["refused"] == []
