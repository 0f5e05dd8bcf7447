"""Ids, secrets and times of the store."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

SECRET_BYTES = 32


def new_id(prefix: str) -> str:
    """Return a random id of 128 bits; the prefix is one letter that names the kind."""
    return prefix + secrets.token_hex(16)


def new_secret() -> str:
    """Return a random text of 256 bits, for sessions, API keys and invitations."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_hash(secret: str) -> str:
    """Return the SHA-256 of a random secret, under which the store finds it.

    A fast hash is enough for 256 random bits; passwords have `passwords.py`.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def now() -> str:
    """Return the time as the store writes it: ISO 8601, UTC, microseconds."""
    return time_after(timedelta(0))


def time_after(wait: timedelta) -> str:
    """Return the time after a wait, as the store writes it."""
    return (datetime.now(UTC) + wait).isoformat(timespec="microseconds")
