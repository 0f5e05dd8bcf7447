"""Write requests and events as JSON, and read them again.

Python writes a float with as many digits as it needs, so every number is read back with its bits.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from chatwright.engine.messages import (
    Constraint,
    Event,
    PromptScored,
    Request,
    RequestFinished,
    RequestId,
    SamplingConfig,
    TokenSampled,
    TokenScore,
)

Json = dict[str, Any]


def request_to_json(request: Request) -> Json:
    """Return the JSON form of a request."""
    data = _fields_of(request)
    sampling = _fields_of(request.sampling)
    sampling["logit_bias"] = [list(pair) for pair in request.sampling.logit_bias.items()]
    constraint = request.constraint
    return {
        **data,
        "constraint": None if constraint is None else _fields_of(constraint),
        "token_ids": list(request.token_ids),
        "sampling": sampling,
        "stop_ids": sorted(request.stop_ids),
        "banned_ids": sorted(request.banned_ids),
    }


def request_from_json(data: Json) -> Request:
    """Read what `request_to_json` wrote."""
    sampling = dict(data["sampling"])
    sampling["logit_bias"] = {int(token_id): bias for token_id, bias in sampling["logit_bias"]}
    sampling["stop"] = tuple(sampling["stop"])
    # Receipts of older versions do not have the field.
    sampling["heads_off"] = tuple((layer, head) for layer, head in sampling.get("heads_off", ()))
    constraint = None if data["constraint"] is None else Constraint(**data["constraint"])
    changed = {"sampling": SamplingConfig(**sampling), "constraint": constraint}
    return Request(**{**data, **changed})


def event_to_json(event: Event) -> Json:
    """Return the JSON form of an event."""
    data = _fields_of(event)
    if isinstance(event, PromptScored):
        data["scores"] = [_fields_of(score) for score in event.scores]
    return {"event": type(event).__name__, **data}


def event_from_json(data: Json) -> Event:
    """Read what `event_to_json` wrote."""
    data = dict(data)
    kind = data.pop("event")
    request_id = RequestId(data.pop("request_id"))
    match kind:
        case "TokenSampled":
            alternatives = _pairs(data.pop("alternatives"))
            return TokenSampled(request_id, **data, alternatives=alternatives)
        case "RequestFinished":
            return RequestFinished(request_id, **data)
        case "PromptScored":
            scores = tuple(
                TokenScore(score["token_id"], score["log_prob"], _pairs(score["alternatives"]))
                for score in data["scores"]
            )
            return PromptScored(request_id, data["index"], scores)
        case _:
            raise AssertionError(f"unknown event {kind!r}")


def _fields_of(value: Any) -> Json:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _pairs(values: list[list[Any]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(token_id), float(log_prob)) for token_id, log_prob in values)
