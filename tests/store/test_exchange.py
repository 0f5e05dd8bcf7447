"""Conversations survive export and import; files of ChatGPT and Open WebUI are read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.conversation import Message, Text, Thinking, ToolCall, ToolResult
from chatwright.errors import InputError
from chatwright.store.conversation_json import export_to_json, insert_whole, whole_from_json
from chatwright.store.errors import NotFound
from chatwright.store.markdown import branch_to_markdown
from chatwright.store.messages import Answer, Origin, TokenCounts
from chatwright.store.other_exports import read_export

CHATGPT = {
    "title": "Opening hours",
    "create_time": 1700000000.25,
    "update_time": 1700000100,
    "current_node": "a2",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["sys"]},
        "sys": {
            "id": "sys",
            "parent": "root",
            "message": {
                "author": {"role": "system"},
                "content": {"content_type": "text", "parts": [""]},
            },
        },
        "u1": {
            "id": "u1",
            "parent": "sys",
            "message": {
                "author": {"role": "user"},
                "create_time": 1700000001,
                "content": {"content_type": "multimodal_text", "parts": [{"x": 1}, "When?"]},
            },
        },
        "a1": {
            "id": "a1",
            "parent": "u1",
            "message": {
                "author": {"role": "assistant"},
                "content": {"content_type": "text", "parts": ["At nine."]},
                "metadata": {"model_slug": "gpt-4"},
            },
        },
        "call": {
            "id": "call",
            "parent": "u1",
            "message": {
                "author": {"role": "assistant"},
                "recipient": "browser",
                "content": {"content_type": "code", "text": "search()"},
            },
        },
        "result": {
            "id": "result",
            "parent": "call",
            "message": {"author": {"role": "tool"}, "content": {"parts": ["found"]}},
        },
        "a2": {
            "id": "a2",
            "parent": "result",
            "message": {
                "author": {"role": "assistant"},
                "content": {"content_type": "text", "parts": ["At seven."]},
                "metadata": {"model_slug": "gpt-4"},
            },
        },
    },
}
OPEN_WEBUI = {
    "title": "Opening hours",
    "created_at": 1700000000,
    "updated_at": 1700000100,
    "chat": {
        "history": {
            "currentId": "a1",
            "messages": {
                "a1": {
                    "parentId": "u1",
                    "role": "assistant",
                    "content": "At nine.",
                    "model": "llama",
                    "timestamp": 1700000002,
                },
                "u1": {"parentId": None, "role": "user", "content": "When?"},
                "a2": {"parentId": "u1", "role": "assistant", "content": "At seven."},
            },
        }
    },
}


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


def texts(whole):
    by_id = {stored.id: stored for stored in whole.messages}
    return [
        (
            stored.message.role,
            stored.message.text,
            stored.parent and by_id[stored.parent].message.text,
        )
        for stored in whole.messages
    ]


def test_chatgpts_branches_survive_without_its_tools():
    whole = read_export(CHATGPT)
    assert texts(whole) == [
        ("user", "When?", None),
        ("assistant", "At nine.", "When?"),
        ("assistant", "At seven.", "When?"),
    ]
    assert (whole.title, whole.shown) == ("Opening hours", "a2")
    assert whole.created == "2023-11-14T22:13:20.250000+00:00"
    assert [stored.origin.model for stored in whole.messages] == ["", "gpt-4", "gpt-4"]
    assert whole.messages[0].created == "2023-11-14T22:13:21.000000+00:00"


def test_open_webuis_branches_survive():
    whole = read_export(OPEN_WEBUI)
    assert texts(whole) == [
        ("user", "When?", None),
        ("assistant", "At nine.", "When?"),
        ("assistant", "At seven.", "When?"),
    ]
    assert (whole.shown, whole.messages[1].origin.model) == ("a1", "llama")


def test_an_exported_conversation_comes_back_with_new_ids(store, ann):
    conversation = store.conversations.create(ann, "title", settings={"temperature": 0.5}).id
    question, pending = store.messages.add(
        ann, conversation, None, Message("user", "When?"), answer_by=Origin("m", "ab" * 32)
    )
    parts = (Thinking("hm"), Text("At seven."), ToolCall("c", "clock", {"a": 1}))
    answer = Answer(Message("assistant", parts), "partial", TokenCounts(3, 2, 1), {"seed": 7})
    store.messages.complete(ann, pending.id, answer)
    store.messages.add(ann, conversation, pending.id, Message("tool", (ToolResult("c", "7"),)))
    other = store.messages.add_answer(ann, conversation, question.id, Origin("m"))
    store.messages.complete(ann, other.id, Answer(Message("assistant", "Never.")))
    store.conversations.update(ann, conversation, shown=pending.id)

    exported = export_to_json(
        store.conversations.get(ann, conversation), store.messages.tree(ann, conversation)
    )
    whole = whole_from_json(json.loads(json.dumps(exported)))
    copy = insert_whole(store.database, ann, whole)
    again = export_to_json(copy, store.messages.tree(ann, copy.id))
    new_ids = {
        old["id"]: new["id"]
        for old, new in zip(exported["messages"], again["messages"], strict=True)
    }
    text = json.dumps(exported)
    for old, new in new_ids.items():
        assert old != new
        text = text.replace(old, new)
    assert json.loads(text) == again


def test_an_import_that_fails_stores_nothing(store, ann):
    whole = read_export(CHATGPT)
    with pytest.raises(NotFound):
        insert_whole(store.database, ann, whole, "no folder")
    assert store.conversations.list(ann).conversations == ()
    assert store.search.find(ann, "seven") == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "parent", "role", "parts", "type", "text", "author", "content"])
            | st.sampled_from(["message", "parentId", "state", "tokens", "receipt", "x", "prompt"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
EXPORTS = st.fixed_dictionaries(
    {},
    optional={
        "title": VALUES,
        "mapping": st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
        "chat": st.fixed_dictionaries(
            {
                "history": st.fixed_dictionaries(
                    {}, optional={"messages": VALUES, "currentId": VALUES}
                )
            }
        ),
        "messages": st.lists(VALUES, max_size=3),
        "current_node": VALUES,
        "shown": VALUES,
        "settings": VALUES,
        "created": VALUES,
        "update_time": VALUES,
    },
)


@settings(max_examples=60, deadline=None)
@given(values=EXPORTS)
def test_no_file_fails_in_another_way_than_with_an_explanation(values):
    try:
        whole = read_export(values)
    except InputError:
        return  # the test below checks its fields
    seen = {None}
    for stored in whole.messages:
        assert stored.parent in seen
        seen.add(stored.id)
    assert whole.shown in seen


@pytest.mark.parametrize("values", [7, None, [], {}, {"chat": 1}, {"messages": [{}]}])
def test_what_is_no_export_is_named(values):
    with pytest.raises(InputError) as caught:
        read_export(values)
    assert caught.value.field in ("conversations", "messages.0.role")


def test_a_cycle_of_parents_ends():
    node = {"message": {"author": {"role": "user"}, "content": {"parts": ["x"]}}}
    mapping = {"a": {**node, "parent": "b"}, "b": {**node, "parent": "a"}, "c": node}
    assert len(read_export({"mapping": mapping}).messages) == 1


def test_markdown_holds_the_texts_of_the_branch(store, ann):
    conversation = store.conversations.create(ann).id
    _, pending = store.messages.add(
        ann, conversation, None, Message("user", "When?"), answer_by=Origin("starter")
    )
    parts = (Thinking("a\nb"), Text("At *seven*."), ToolCall("c", "clock", {"a": "```"}))
    store.messages.complete(ann, pending.id, Answer(Message("assistant", parts)))
    branch = store.messages.branch(ann, pending.id)
    assert branch_to_markdown("Two\nlines", branch) == (
        "# Two lines\n\n## User\n\nWhen?\n\n## Assistant (starter)\n\n> a\n> b\n\nAt *seven*.\n\n"
        'Tool call `clock`:\n\n````\n{"a": "```"}\n````\n'
    )
