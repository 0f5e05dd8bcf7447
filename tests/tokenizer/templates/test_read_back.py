"""What a model learns to write is read back as the answer, in every format."""

from pathlib import Path

import pytest

from chatwright.chat.reply_stream import ReplyStream
from chatwright.conversation import Message, assistant_message
from chatwright.engine.messages import RequestFinished, RequestId, SamplingConfig, TokenSampled
from chatwright.tokenizer.chat_template import render, render_prompt
from tests.tokenizer.templates.cases import CASES, write_case
from tests.tokenizer.templates.test_published_templates import open_case

EXPRESSIBLE = [name for name, case in CASES.items() if not case.is_refused]
QUESTION = [Message("user", "the quick fox?")]
ANSWERS = ["over 12 lazy dogs", "a\n\n- b\n- c", "42", "Zwölf 東京 🙂", "User"]


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_learned_answer_is_read_back(name: str, tmp_path: Path) -> None:
    tokenizer = open_case(write_case(tmp_path, name))
    assert tokenizer.chat_format is not None
    thoughts = ["", "so\nthen"] if tokenizer.chat_format.thinking_tags else [""]
    for answer in ANSWERS:
        for thinking in thoughts:
            message = assistant_message(thinking, answer)
            rendered = render([*QUESTION, message], tokenizer)
            # A row without thinking, of a model that thinks, has an empty block after its prompt.
            start = (
                rendered.answers[0][0] if not thinking else len(render_prompt(QUESTION, tokenizer))
            )
            stream = ReplyStream(tokenizer, SamplingConfig(), start)
            if not thinking and tokenizer.chat_format.layout.opens_thinking:
                continue  # its prompt begins thinking, so it cannot write this row
            for token_id in rendered.token_ids[start : rendered.answers[0][1]]:
                list(stream.take(TokenSampled(RequestId(0), 0, token_id, 0.0)))
            list(stream.take(RequestFinished(RequestId(0), 0, "stop")))
            assert stream.finished is not None
            read = stream.finished.message
            # Llama 2's answers end with a space before their end token.
            space = " " if name == "llama2" else ""
            assert (read.thinking, read.text) == (thinking, answer + space)


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_training_row_begins_with_its_prompt(name: str, tmp_path: Path) -> None:
    """Except in formats whose template gives rows without thinking another beginning."""
    tokenizer = open_case(write_case(tmp_path, name))
    assert tokenizer.chat_format is not None
    thinks = tokenizer.chat_format.layout.opens_thinking
    answer = assistant_message("so" if thinks else "", "over 12 lazy dogs")
    rendered = render([*QUESTION, answer], tokenizer)
    prompt = render_prompt(QUESTION, tokenizer)
    assert rendered.token_ids[: len(prompt)] == prompt
    assert not any(rendered.loss_mask[: len(prompt)])
