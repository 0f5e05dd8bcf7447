"""The tables of the store, as SQLAlchemy describes them.

`migrations/` makes these tables; a test compares both. Every row of a user has the user's id, so
that each query can ask for the owner. Times are text in ISO 8601, UTC, with microseconds: they sort
by time and are the same in SQLite and PostgreSQL. JSON is text that `json_text.py` writes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only in INTEGER


def _id() -> Column[str]:
    return Column("id", String(40), primary_key=True)


def _time(name: str, *, is_optional: bool = False) -> Column[str]:
    return Column(name, String(32), nullable=is_optional)


def _user(*, is_indexed: bool = True) -> Column[str]:
    key = ForeignKey("users.id", ondelete="CASCADE")
    return Column("user_id", String(40), key, nullable=False, index=is_indexed)


USERS = Table(
    "users",
    METADATA,
    _id(),
    Column("name", String(100), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password_hash", Text, nullable=False),  # "" cannot log in
    Column("is_active", Boolean, nullable=False),
    _time("created"),
)

INVITATIONS = Table(
    "invitations",
    METADATA,
    Column("code_hash", String(64), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("created_by", String(40), ForeignKey("users.id", ondelete="SET NULL")),
    _time("created"),
    _time("expires"),
    Column("used_by", String(40), ForeignKey("users.id", ondelete="SET NULL")),
    _time("used", is_optional=True),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token_hash", String(64), primary_key=True),
    _user(),
    _time("created"),
    _time("expires"),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    _id(),
    _user(),
    Column("name", String(100), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # JSON: a list of names
    _time("created"),
    _time("expires", is_optional=True),
    _time("revoked", is_optional=True),
)

FOLDERS = Table(
    "folders",
    METADATA,
    _id(),
    _user(is_indexed=False),
    Column("name", String(200), nullable=False),
    _time("created"),
    UniqueConstraint("user_id", "name"),
    UniqueConstraint("id", "user_id"),
)

CONVERSATIONS = Table(
    "conversations",
    METADATA,
    _id(),
    _user(is_indexed=False),
    Column("folder_id", String(40), ForeignKey("folders.id", ondelete="SET NULL"), index=True),
    Column("title", String(500), nullable=False),
    Column("shown", String(40)),  # id of the last message of the shown branch
    Column("settings", Text, nullable=False),  # JSON object of the page
    _time("created"),
    _time("updated"),
    UniqueConstraint("id", "user_id"),
    Index("conversations_by_change", "user_id", "updated", "id"),
)

MESSAGES = Table(
    "messages",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("conversation_id", String(40), nullable=False),
    Column("user_id", String(40), nullable=False),
    Column("parent_id", String(40)),
    Column("role", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("parts", Text, nullable=False),  # JSON: see message_json.py
    Column("text", Text, nullable=False),  # the text of the parts, for the search
    Column("model", String(512), nullable=False),
    Column("weights", String(64), nullable=False),  # SHA-256 of the model's weights, or ""
    Column("n_prompt_token", Integer),
    Column("n_cached_token", Integer),
    Column("n_token", Integer),
    Column("receipt", Text),  # JSON object
    _time("created"),
    _time("completed", is_optional=True),
    # A message has the owner of its conversation, and a parent in the same conversation.
    ForeignKeyConstraint(
        ["conversation_id", "user_id"],
        ["conversations.id", "conversations.user_id"],
        ondelete="CASCADE",
    ),
    UniqueConstraint("id", "conversation_id"),
    # Without a cascade: SQLite deletes at most 1,000 levels deep, and branches are longer.
    ForeignKeyConstraint(
        ["parent_id", "conversation_id"], ["messages.id", "messages.conversation_id"]
    ),
    UniqueConstraint("id", "weights"),
    Index("messages_of_conversation", "conversation_id", "number"),
    Index("messages_by_parent", "parent_id", "conversation_id"),
    Index("messages_of_user", "user_id", "number"),
    sqlite_autoincrement=True,
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, index=True),  # the rows of one ranking share it
    _user(is_indexed=False),
    Column("message_id", String(40), nullable=False),
    Column("weights", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("is_up", Boolean),  # thumb
    Column("rank", Integer),  # ranking
    Column("are_all_bad", Boolean),  # ranking
    Column("better", Text),  # correction
    Column("reason", Text, nullable=False),
    _time("created"),
    UniqueConstraint("user_id", "message_id", "kind"),
    # The exact answer, with the hash of the weights that wrote it.
    ForeignKeyConstraint(
        ["message_id", "weights"], ["messages.id", "messages.weights"], ondelete="CASCADE"
    ),
    Index("feedback_of_message", "message_id", "weights"),
    sqlite_autoincrement=True,
)

QUEUE_TASKS = Table(  # prompts with replies that wait to be ranked
    "queue_tasks",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    # The conversation holds the prompt and the replies; its owner filled the queue.
    Column(
        "conversation_id",
        String(40),
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("n_reply", Integer, nullable=False),
    Column("is_gold", Boolean, nullable=False),  # whether the right ranks are known
    _time("created"),
    Index("queue_tasks_by_size", "n_reply", "number"),
    sqlite_autoincrement=True,
)

QUEUE_REPLIES = Table(
    "queue_replies",
    METADATA,
    Column(
        "task_id", String(40), ForeignKey("queue_tasks.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("place", Integer, primary_key=True),  # in the order in which they were added
    Column(
        "message_id",
        String(40),
        ForeignKey("messages.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("right_rank", Integer),  # gold questions
)

QUEUE_LIMITS = Table(  # how many tasks a rater may rank; raters without a row have no limit
    "queue_limits",
    METADATA,
    Column("user_id", String(40), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("most", Integer, nullable=False),
)

SHARED_LINKS = Table(  # who has the token may read one branch, up to one message
    "shared_links",
    METADATA,
    _id(),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("user_id", String(40), nullable=False),
    Column("conversation_id", String(40), nullable=False),
    Column("message_id", String(40), nullable=False),
    _time("created"),
    _time("renewed"),
    ForeignKeyConstraint(
        ["conversation_id", "user_id"],
        ["conversations.id", "conversations.user_id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["message_id", "conversation_id"],
        ["messages.id", "messages.conversation_id"],
        ondelete="CASCADE",
    ),
    Index("shared_links_of_conversation", "conversation_id", "user_id"),
    Index("shared_links_of_message", "message_id", "conversation_id"),
)

LESSON_ANSWERS = Table(
    "lesson_answers",
    METADATA,
    Column("user_id", String(40), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("lesson", String(40), primary_key=True),
    Column("before", Integer),  # number of the chosen option, from 0; null: not answered
    Column("after", Integer),
    Column("has_checked", Boolean, nullable=False),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=False),
    _time("time"),
    Column("actor", String(40), nullable=False),  # id of a user, "host" or "nobody"
    Column("action", String(40), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("details", Text),  # JSON object; null after its content was forgotten
    Column("salt", String(64)),
    Column("details_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("user_id", String(40), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("reply", Text, nullable=False),  # JSON of ids, no text of a conversation
    _time("created"),
)

SNAPSHOTS = Table(  # snapshots of feedback, so that a deletion can name them
    "exports",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    _time("created"),
)

SNAPSHOT_USERS = Table(  # whose texts or feedback a snapshot holds; it stays after a deletion
    "export_users",
    METADATA,
    Column("sha256", String(64), ForeignKey("exports.sha256"), primary_key=True),
    Column("user_id", String(40), primary_key=True),
)

BACKUPS = Table(
    "backups",
    METADATA,
    Column("path", Text, primary_key=True),
    _time("created"),
)
