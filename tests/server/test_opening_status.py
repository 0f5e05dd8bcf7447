"""The page shows what happens while a model is fetched and opened."""

from chatwright.server.opening_status import OpeningStatus


def test_the_status_follows_the_reports() -> None:
    opening = OpeningStatus("small")
    assert opening.status().state == "opening"
    assert "small" in opening.status().stage
    opening.say("downloading the package")
    opening.downloaded(25, 100)
    assert (opening.status().stage, opening.status().fraction) == ("Downloading the package", 0.25)
    opening.say("importing")
    assert opening.status().fraction is None
    opening.set_ready()
    assert opening.status().state == "ready"
