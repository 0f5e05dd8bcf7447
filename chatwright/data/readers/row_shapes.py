"""Rows from records: which columns a record has decides what kind of row it is.

Columns that no kind of row reads are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.commands import quoted
from chatwright.data.preferences import feedback_row
from chatwright.data.readers.chat_rows import (
    chat_row,
    is_thumb,
    preference_row,
    prompt_row,
    thumb_row,
)
from chatwright.data.readers.feedback_json import feedback_from_json, is_feedback
from chatwright.data.readers.messages import row_is_learned
from chatwright.data.readers.record import Record
from chatwright.data.readers.text_pair_shapes import to_scored_pair, to_text_pair
from chatwright.data.readers.values import (
    RENAME,
    kind_of,
    require_columns,
    require_filled,
    require_string,
)
from chatwright.data.rows import (
    DataError,
    LabeledText,
    Location,
    MissingColumns,
    Row,
    SentencePair,
    TextRow,
)

KNOWN_SHAPES = (
    "text",
    "messages",
    "prompt+completion",
    "prompt+chosen+rejected",
    "instruction+output (Alpaca)",
    "conversations (ShareGPT)",
)
"""Shapes of rows for pretraining, fine-tuning and preferences."""
TASK_SHAPES = (
    "prompt+answer",
    "prompt+completion+label (true or false)",
    "text+label",
    "source+target",
    "anchor+positive",
    "sentence1+sentence2+score",
)
"""Shapes of rows for rewards, thumbs, a classifier, a translator and vectors of texts."""
ALL_SHAPES = ", ".join(KNOWN_SHAPES + TASK_SHAPES)
PLAIN_NAME = re.compile(r"[\w -]{1,40}")
"""Column names that can stand in --columns and in an error message."""


def to_row(record: Record) -> Row:
    """Return the row of a record. Raises DataError.

    If several shapes fit, the order is: feedback, preference, thumb, conversation, text, prompt,
    text pair, scored pair, sentence pair.
    """
    location = record.location
    values = _named_values(record)
    filled = {name for name, value in values.items() if value is not None}
    is_conversation = bool(
        {"messages", "conversations"} & filled or {"prompt", "completion"} <= filled
    )
    if is_feedback(values):
        return feedback_row(feedback_from_json(values, location))
    if {"chosen", "rejected"} <= filled:
        return preference_row(values, location)
    if is_conversation and is_thumb(values):
        return thumb_row(values, location)
    if (
        is_conversation
        or {"instruction", "output"} <= filled
        or {"instruction", "response"} <= filled
    ):
        return chat_row(values, location)
    if "text" in filled:
        return _text_row(values, location)
    # A prompt with other columns may be a conversation whose reply has an unknown column name.
    if "prompt" in filled and ({"answer", "kind"} & filled or filled <= {"prompt", "system"}):
        return prompt_row(values, location)
    if {"anchor", "positive"} <= filled:
        return to_text_pair(record)
    if {"sentence1", "sentence2", "score"} <= filled:
        return to_scored_pair(record)
    if {"source", "target"} <= filled or not record.has_header:
        return to_pair(record)
    names = [f"{name} (null)" if values[name] is None else name for name in values]
    remedy = f"{_as_conversations(names)}name them {ALL_SHAPES}; {RENAME}"
    raise MissingColumns(location, names, remedy)


def _as_conversations(names: Sequence[str]) -> str:
    """Return the option that reads two columns as questions and answers; "" for other tables."""
    if len(names) != 2 or not all(PLAIN_NAME.fullmatch(name) for name in names):
        return ""
    prompt, completion = names
    option = quoted(f"{prompt}=prompt,{completion}=completion")
    return f"read them as questions and answers with --columns {option}, or "


def _named_values(record: Record) -> Mapping[str, Any]:
    values = record.values
    if isinstance(values, list) and values and all(isinstance(item, Mapping) for item in values):
        return {"messages": values}  # a conversation without a column name
    if isinstance(values, Mapping):
        return values
    raise DataError(
        record.location,
        f"the row is {kind_of(values)}, not an object with named columns",
        f"write one of: {ALL_SHAPES}",
    )


def _text_row(values: Mapping[str, Any], location: Location) -> TextRow:
    text = require_string(values["text"], "text", location)
    if not text.strip():
        raise DataError(location, "text is empty", "fill it or remove the row", field="text")
    if not row_is_learned(values):
        raise DataError(
            location, "the text is marked as not to be learned", "remove the row", field="train"
        )
    return TextRow(text, location, label_name(values.get("label")) or None)


def to_labeled(record: Record) -> LabeledText:
    """Return the text and the label of a record, without white space around them.

    Raises DataError.
    """
    location = record.location
    remedy = f"name one column text and one label; {RENAME}"
    values = require_columns(record, ("text", "label"), remedy)
    text = require_string(values["text"], "text", location).strip()
    label = label_name(values["label"])
    if label is None:
        raise DataError(
            location,
            f"the label is {kind_of(values['label'])}",
            "write the label's name, or a whole number",
            field="label",
        )
    require_filled({"text": text, "label": label}, "fill it or remove the row", location)
    return LabeledText(text, label, location)


def label_name(value: Any) -> str | None:
    """Return the name of a label, "" for an empty one; None for a value that cannot be a label."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip()


def to_pair(record: Record, columns: tuple[int, int] = (1, 2)) -> SentencePair:
    """Return the two sides of a record. Raises DataError.

    `columns` says which columns of a record without a header are source and target, from 1.
    """
    values = record.values
    if not record.has_header:
        return _numbered_pair(record, columns)
    names = ("source", "target")
    if isinstance(values, Mapping) and not values.keys() >= {*names}:
        names = ("prompt", "completion") if values.keys() >= {"prompt", "completion"} else names
    remedy = f"name the columns source and target, or prompt and completion; {RENAME}"
    sides = require_columns(record, names, remedy)
    source, target = (require_string(sides[name], name, record.location) for name in names)
    return sentence_pair(source, target, record.location)


def _numbered_pair(record: Record, columns: tuple[int, int]) -> SentencePair:
    n_column = len(record.values)
    if max(columns) > n_column:
        raise DataError(
            record.location,
            f"the line has {n_column} column(s), and column {max(columns)} is asked for",
            "put a tab between source and target, or set columns = [source, target]",
            field="columns",
        )
    source, target = (record.values[str(column)] for column in columns)
    return sentence_pair(source, target, record.location)


def sentence_pair(source: str, target: str, location: Location) -> SentencePair:
    """Return the pair without white space around its sides. Raises DataError for an empty side."""
    source = source.strip()
    target = target.strip()
    remedy = "fill it or remove the line on both sides"
    require_filled({"source": source, "target": target}, remedy, location)
    return SentencePair(source, target, location)
