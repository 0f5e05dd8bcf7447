"""The grammar of a reply with thinking: written texts are accepted, others are not."""

import json

import pytest
from llguidance import LLMatcher

from chatwright.chat.reply_form import ReplyForm
from chatwright.chat.reply_grammar import reply_constraint
from chatwright.chat.vocabulary import vocabulary_of
from chatwright.engine.grammar import check_constraint
from chatwright.engine.grammar_state import GrammarCompiler
from chatwright.engine.messages import Constraint
from chatwright.tokenizer.tokenizer import Tokenizer
from tests.chat.scripted import ByteTokenizer
from tests.chat.test_thinking import SWITCHED, UNSWITCHED, ThinkingTokenizer

NUMBER = Constraint("json_schema", '{"type": "integer"}')
WORD = Constraint("lark", 'start: "a/" /[0-9]/')
PATH = Constraint("regex", "a/[0-9]")


def follows(text: str, constraint: Constraint | None, tokenizer: ByteTokenizer) -> bool:
    """Whether a whole reply follows the constraint and may end after it."""
    assert constraint is not None
    encode = getattr(tokenizer, "encode_reply", tokenizer.encode)
    return follows_ids(encode(text), constraint, tokenizer)  # type: ignore[arg-type]


def follows_ids(token_ids: list[int], constraint: Constraint, tokenizer: Tokenizer) -> bool:
    check_constraint(constraint)
    compiler = GrammarCompiler(vocabulary_of(tokenizer), tokenizer.vocab_size)
    matcher: LLMatcher = compiler.start(constraint, ())._matcher
    return matcher.try_consume_tokens(token_ids) == len(token_ids) and matcher.is_accepting()


@pytest.mark.parametrize("has_tag_tokens", [False, True])
@pytest.mark.parametrize(
    ("data", "thinking", "text", "is_valid"),
    [
        (SWITCHED, None, "<think>\nwell\n</think>\n\n12", True),
        (SWITCHED, None, "12", True),
        (SWITCHED, True, "<think>a { 12</think>\n12", True),
        (SWITCHED, True, "<think>12", False),
        (SWITCHED, True, "<think>a</think>b", False),
        (SWITCHED, None, "x12", False),
        (SWITCHED, False, "12", True),
        (SWITCHED, False, "<think>\nwell\n</think>\n\n12", False),
        (UNSWITCHED, None, "well\n</think>\n\n12", True),
        (UNSWITCHED, None, "12", False),
    ],
)
def test_thinking_is_free_and_the_answer_follows_the_schema(
    data: object, thinking: bool | None, text: str, is_valid: bool, has_tag_tokens: bool
) -> None:
    tokenizer = ThinkingTokenizer(data, has_tag_tokens)  # type: ignore[arg-type]
    constraint = reply_constraint(ReplyForm(NUMBER), tokenizer, thinking)  # type: ignore[arg-type]
    assert follows(text, constraint, tokenizer) == is_valid


@pytest.mark.parametrize("constraint", [WORD, PATH])
def test_grammars_and_expressions_are_followed_after_thinking(constraint: Constraint) -> None:
    tokenizer = ThinkingTokenizer(SWITCHED)
    found = reply_constraint(ReplyForm(constraint), tokenizer)  # type: ignore[arg-type]
    for text, is_valid in (("<think>a/1</think>a/2", True), ("a/2", True), ("a/x", False)):
        assert follows(text, found, tokenizer) == is_valid


def test_without_thinking_the_constraint_is_that_of_the_answer() -> None:
    tokenizer = ByteTokenizer()
    assert reply_constraint(ReplyForm(NUMBER), tokenizer) == NUMBER  # type: ignore[arg-type]
    assert reply_constraint(ReplyForm(), tokenizer) is None  # type: ignore[arg-type]


def test_json_has_one_space_after_a_colon_and_a_comma() -> None:
    tokenizer = ThinkingTokenizer(SWITCHED)
    schema = {"type": "object", "properties": {"a": {"type": "array"}, "b": {}}}
    form = ReplyForm(Constraint("json_schema", json.dumps(schema)))
    constraint = reply_constraint(form, tokenizer)  # type: ignore[arg-type]
    written = json.dumps({"a": [1, 2], "b": {"c": None}})
    assert follows(written, constraint, tokenizer)
    for loose in (written.replace(", ", ","), written.replace(": ", ":"), f"{written} "):
        assert not follows(loose, constraint, tokenizer)
