"""The OpenAPI document names every route and body, and all its references lead somewhere."""

import json
import re
from typing import Any, get_args

import pytest
from starlette.testclient import TestClient

from chatwright.server.app import make_app
from chatwright.server.openapi_document import BODIES
from tests.server.fake_assistant import FakeAssistant


@pytest.fixture(scope="module")
def document() -> Any:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        response = client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return response.json()


def lookup(document: Any, reference: str) -> Any:
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def test_every_reference_leads_to_a_schema_of_the_document(document: Any) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert len(references) > len(BODIES)
    for reference in references:
        assert lookup(document, reference)["type"]


def test_every_route_is_listed_and_every_body_has_its_fields(document: Any) -> None:
    app = make_app(FakeAssistant(), "m")
    app.state.service.engine.close()
    routes = {route.path.replace(":path", "") for route in app.routes if route.include_in_schema}
    assert document["paths"].keys() == routes
    posts = {path for path, operations in document["paths"].items() if "post" in operations}
    assert posts == BODIES.keys()
    for path, body in BODIES.items():
        content = document["paths"][path]["post"]["requestBody"]["content"]
        if path == "/v1/feedback":  # one of several bodies
            assert len(content["application/json"]["schema"]["oneOf"]) == len(
                get_args(get_args(body)[0])
            )
            continue
        schema = lookup(document, content["application/json"]["schema"]["$ref"])
        assert schema["properties"].keys() == body.model_fields.keys()
        assert schema["additionalProperties"] is False
