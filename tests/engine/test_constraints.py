"""Constrained replies: valid by independent validators, batch-invariant, replayable, bounded."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chatwright.engine import grammar_state
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.message_codec import request_from_json, request_to_json
from chatwright.engine.messages import (
    Constraint,
    Request,
    RequestFinished,
    SamplingConfig,
    TokenSampled,
)
from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError
from chatwright.model.gpt import GPT

MakeModel = Callable[..., GPT]
PIECES = [
    b'{"',
    b'": ',
    b'", "',
    b'"}',
    b"true",
    b"null",
    b"12",
    b" the",
    b"\\u",
    "é".encode(),
    b", ",
]
TOKENS = [bytes([byte]) for byte in range(256)] + PIECES + [b""] * 3
CALL, OTHER, END = range(len(TOKENS) - 3, len(TOKENS))
VOCABULARY = Vocabulary(TOKENS, frozenset({CALL, OTHER, END}), frozenset({END}))
N_IDS = len(TOKENS) + 2  # two ids of the model have no token
SHORT = {"type": "string", "maxLength": 6}
PERSON = {
    "type": "object",
    "properties": {"name": SHORT, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    PERSON,
    {"enum": ["red", "green", 3, None, {"a": [1]}]},
    {"type": "array", "items": PERSON, "minItems": 1, "maxItems": 2},
    {"type": "array", "prefixItems": [SHORT, {"type": "boolean"}], "items": False, "minItems": 2},
    {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": -5, "maximum": 5}]},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    {"type": "string", "format": "date"},
    {
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/leaf"}, "kind": {"const": "node"}},
        "required": ["kind"],
        "additionalProperties": False,
        "$defs": {"leaf": {"type": "object", "properties": {"n": {"type": "null"}}}},
    },
]
SCHEMAS[-1]["$defs"]["leaf"]["additionalProperties"] = False


@pytest.fixture
def engine(make_model: MakeModel) -> Iterator[Engine]:
    model = make_model(vocab_size=N_IDS, context_length=256)
    with Engine(model, EngineConfig(n_slot=16)) as engine:
        engine.set_vocabulary(VOCABULARY)
        yield engine


def request(constraint: Constraint | None, seed: int = 0, **sampling: Any) -> Request:
    config = SamplingConfig(seed=seed, **{"max_tokens": 200, **sampling})
    return Request([5, 9, seed % 50], config, stop_ids={END, CALL, OTHER}, constraint=constraint)


def schema(value: dict[str, Any]) -> Constraint:
    return Constraint("json_schema", json.dumps(value))


Reply = tuple[list[tuple[int, float]], str]
"""Tokens with their log-probabilities, and the reason of the end."""


def replies(engine: Engine, requests: Sequence[Request]) -> list[Reply]:
    """Return the first reply to each request, all sampled together."""
    tokens: dict[str, list[tuple[int, float]]] = defaultdict(list)
    reasons: dict[str, str] = {}
    keys = [engine.submit(one) for one in requests]
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenSampled) and event.index == 0:
                tokens[event.request_id].append((event.token_id, event.log_prob))
            elif isinstance(event, RequestFinished) and event.index == 0:
                assert not event.error
                reasons[event.request_id] = event.reason
    return [(tokens[key], reasons[key]) for key in keys]


def text_of(reply: Reply) -> str:
    content = (TOKENS[token] for token, _ in reply[0] if token < len(TOKENS))
    return b"".join(content).decode("utf-8", errors="replace")


def is_valid(text: str, value: dict[str, Any]) -> bool:
    try:
        instance = json.loads(text)
    except ValueError:
        return False
    checker = Draft202012Validator.FORMAT_CHECKER
    return bool(Draft202012Validator(value, format_checker=checker).is_valid(instance))


def test_every_constrained_reply_is_valid_and_no_free_one_is(engine: Engine) -> None:
    pairs = [(value, seed) for seed in range(15) for value in SCHEMAS]
    sampled = replies(engine, [request(schema(value), seed) for value, seed in pairs])
    texts = [text_of(reply) for reply in sampled]
    assert {reason for _, reason in sampled} == {"stop"}
    for (value, _), text in zip(pairs, texts, strict=True):
        assert is_valid(text, value), (text, value)
        outside = re.sub(r'"(\\.|[^"\\])*"', '""', text)
        assert outside == re.sub(r"\s*([,:])\s*", r"\1 ", outside.strip()), "free white space"
    assert len(set(texts)) > 60, "equal replies would prove little"
    free = replies(engine, [request(None, seed, max_tokens=20) for _, seed in pairs[:50]])
    assert not any(
        is_valid(text_of(reply), value) for reply, (value, _) in zip(free, pairs[:50], strict=True)
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("constraint", "pattern"),
    [
        (Constraint("regex", "[a-c]{3,7}-(yes|no)"), "[a-c]{3,7}-(yes|no)"),
        (Constraint("lark", 'start: "<" WORD ("," WORD)~1..2 ">"\nWORD: /[a-z]{1,3}/'), None),
    ],
)
def test_grammars_and_expressions_are_followed(
    engine: Engine, constraint: Constraint, pattern: str | None, temperature: float
) -> None:
    pattern = pattern or "<[a-z]{1,3}(,[a-z]{1,3}){1,2}>"
    requests = [request(constraint, seed, temperature=temperature) for seed in range(20)]
    for reply in replies(engine, requests):
        assert re.fullmatch(pattern, text_of(reply))
        assert reply[1] == "stop"


def test_a_control_token_is_sampled_only_where_a_grammar_names_it(engine: Engine) -> None:
    constraint = Constraint("lark", f'start: "a" <[{CALL}]>')
    assert CALL in VOCABULARY.control_ids
    for tokens, reason in replies(engine, [request(constraint, seed) for seed in range(5)]):
        assert [token for token, _ in tokens] == [ord("a"), CALL]
        assert reason == "stop"
    either = Constraint("lark", f'start: /[ab]/~2 | <[{CALL}]> "c" <[{OTHER}]>')
    found = {
        tuple(token for token, _ in tokens)
        for tokens, _ in replies(engine, [request(either, seed) for seed in range(60)])
    }
    a, b = b"ab"
    assert found <= {(x, y, END) for x in (a, b) for y in (a, b)} | {(CALL,)}
    assert (CALL,) in found, "the reply ends at a control token of its stop ids"
    text = replies(engine, [request(Constraint("regex", "[^b]{5}"), seed) for seed in range(30)])
    sampled = {token for tokens, _ in text for token, _ in tokens}
    assert not sampled & {CALL, OTHER}
    assert max(sampled) < len(TOKENS), "an id without a token"


def test_a_reply_has_the_same_bits_alone_in_a_batch_and_through_json(engine: Engine) -> None:
    requests = [
        request(schema(SCHEMAS[seed % len(SCHEMAS)]) if seed % 3 else None, seed, max_tokens=30)
        for seed in range(12)
    ]
    together = replies(engine, requests)
    assert [replies(engine, [one])[0] for one in requests] == together
    engine.set_vocabulary(Vocabulary.from_json(json.loads(json.dumps(VOCABULARY.to_json()))))
    copies = [request_from_json(json.loads(json.dumps(request_to_json(one)))) for one in requests]
    assert [one.constraint for one in copies] == [one.constraint for one in requests]
    assert replies(engine, copies) == together


def test_proposed_tokens_and_small_chunks_change_no_bit(make_model: MakeModel) -> None:
    found = []
    for n_proposed, n_prefill in ((0, 256), (4, 2)):
        config = EngineConfig(n_slot=6, prefill_tokens=n_prefill, speculative_tokens=n_proposed)
        with Engine(make_model(vocab_size=N_IDS, context_length=256), config) as engine:
            engine.set_vocabulary(VOCABULARY)
            constraint = Constraint("regex", "(true12 the){6,9}")
            requests = [request(constraint, seed, temperature=seed % 2) for seed in range(4)]
            found.append(replies(engine, requests))
    assert found[0] == found[1]


def test_each_of_several_replies_has_its_own_place_in_the_grammar(engine: Engine) -> None:
    apart = [replies(engine, [request(schema(PERSON), 7, n=n)])[0] for n in (1, 3)]
    assert apart[0] == apart[1]
    best = replies(engine, [request(schema(PERSON), 7, n=1, best_of=4)])[0]
    assert is_valid(text_of(best), PERSON)


def test_a_schema_that_needs_more_tokens_ends_with_length(engine: Engine) -> None:
    value = {"type": "string", "minLength": 100}
    tokens, reason = replies(engine, [request(schema(value), max_tokens=9)])[0]
    assert (len(tokens), reason) == (9, "length")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"type": "strin"}, "json_schema"),
        ({"properties": {"a": {"items": {"type": "nope"}}}}, "json_schema.properties.a.items"),
        ({"anyOf": [{"type": "null"}, {"uniqueItems": True}]}, "json_schema.anyOf.1"),
        ({"$defs": {"a": {"pattern": "("}}, "$ref": "#/$defs/a"}, "json_schema.$defs.a"),
        ({"$ref": "http://localhost/x"}, "json_schema"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "json_schema"),
        ({"enum": ["x" * 40_000]}, "json_schema"),
    ],
)
def test_a_wrong_schema_is_refused_with_its_place(
    engine: Engine, value: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError) as error:
        engine.submit(request(schema(value)))
    assert error.value.field == field
    assert not engine.has_work


@pytest.mark.parametrize(
    "constraint",
    [
        Constraint("json_schema", "[1]"),
        Constraint("json_schema", "{"),
        Constraint("regex", "("),
        Constraint("lark", "start: nowhere"),
        Constraint("lark", "start: <[900]>"),
        Constraint("lark", "start: /[/"),
    ],
)
def test_wrong_grammars_are_refused(engine: Engine, constraint: Constraint) -> None:
    with pytest.raises(InputError) as error:
        engine.submit(request(constraint))
    assert error.value.field == constraint.kind


def test_few_compiled_grammars_are_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_state, "MAX_GRAMMARS", 3)
    requests = [request(Constraint("regex", f"a{{{n}}}"), max_tokens=20) for n in range(1, 9)]
    for _ in range(2):
        assert [len(text_of(reply)) for reply in replies(engine, requests)] == [*range(1, 9)]
    assert engine._grammar_compiler is not None
    assert len(engine._grammar_compiler._compiled) == 3
