"""Keys of the HTTP API: a file of hashed keys, and their look-up by the server.

A key is shown once, when it is made. The file holds only its SHA-256, which is enough: a key has
256 random bits, so nobody can guess it from the hash. The file is readable by its owner only. The
server reads it again when it changes, so a revoked key stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from chatwright.durable_file import sync_directory, sync_open_file
from chatwright.errors import InputError

SCOPES = ("chat", "embeddings", "metrics", "admin")
"""What a key may be good for. `admin` includes all others."""
FILE_VARIABLE = "CHATWRIGHT_KEYS"
MAX_FILE_BYTES = 10_000_000
PREFIX = "cw-"
READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """What is known about a key; not the key itself."""

    id: str
    name: str
    """Whose key it is, for people."""
    sha256: str
    scopes: tuple[str, ...]
    created: int
    """Seconds since 1970."""
    expires: int | None = None
    """Seconds since 1970; None: never."""

    def is_valid(self, now: float) -> bool:
        """Return whether the key has not expired at `now`, in seconds since 1970."""
        return self.expires is None or now < self.expires


class KeyFile:
    """The file with the keys."""

    def __init__(self, path: Path) -> None:
        """Name the file, which need not exist yet."""
        self.path = path

    def read(self) -> list[AccessKey]:
        """Return all keys, oldest first; InputError for a damaged file or one open to others."""
        try:
            with self.path.open("rb") as file:
                self._require_private(os.fstat(file.fileno()))
                content = json.loads(file.read(MAX_FILE_BYTES))
            return [_read_key(record) for record in content["keys"]]
        except FileNotFoundError:
            return []
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"{self.path} is not a file of keys.",
                remedy="Move it away, and make new keys: chatwright keys add NAME",
                field="keys",
                value=str(self.path),
            ) from None

    def add(
        self, name: str, scopes: Iterable[str] = ("chat", "embeddings"), seconds: int | None = None
    ) -> tuple[str, AccessKey]:
        """Make a key; return it with its record. It cannot be shown again.

        Args:
            name: Whose key it is.
            scopes: What the key is good for, from SCOPES.
            seconds: After how many seconds the key expires; None: never.

        Raises:
            InputError: The name is empty or taken, or a scope is unknown.
        """
        text = PREFIX + secrets.token_urlsafe(32)
        now = int(time.time())
        key = AccessKey(
            id=f"key_{secrets.token_hex(8)}",
            name=name,
            sha256=_hash(text),
            scopes=known_scopes(scopes),
            created=now,
            expires=None if seconds is None else now + seconds,
        )
        with self._lock():
            keys = self.read()
            _require_new_name(name, keys)
            self._write([*keys, key])
        return text, key

    def revoke(self, name_or_id: str) -> AccessKey:
        """Delete a key and return its record; InputError if there is none with this name or id."""
        with self._lock():
            keys = self.read()
            found = [key for key in keys if name_or_id in (key.id, key.name)]
            if not found:
                raise InputError(
                    f"There is no key {name_or_id!a} in {self.path}.",
                    remedy="chatwright keys list shows the names.",
                    field="key",
                    value=name_or_id,
                )
            self._write([key for key in keys if key not in found])
        return found[0]

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=10)

    def _write(self, keys: list[AccessKey]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        # Owner-only from the first byte: a later chmod would leave a moment to read it.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"format": 1, "keys": [asdict(key) for key in keys]}, file, indent=1)
            sync_open_file(file)
        temporary.replace(self.path)
        sync_directory(self.path.parent)

    def _require_private(self, found: os.stat_result) -> None:
        if os.name == "posix" and found.st_mode & READABLE_BY_OTHERS:
            raise InputError(
                f"{self.path} is open to other users of this machine "
                f"(mode {stat.S_IMODE(found.st_mode):o}).",
                remedy=f"chmod 600 {self.path}",
                field="keys",
                value=str(self.path),
            )


class KeyRing:
    """The keys as the server looks them up. Changes of the file count from the next request."""

    def __init__(self, file: KeyFile) -> None:
        """Read the file; InputError if it holds no key that is valid now."""
        self.file = file
        self._seen: tuple[int, int] | None = None
        self._keys: list[AccessKey] = []
        self._refresh()
        if not any(key.is_valid(time.time()) for key in self._keys):
            raise InputError(
                f"{file.path} holds no valid key, so nobody could use the server.",
                remedy="Make one: chatwright keys add NAME",
                field="keys",
                value=str(file.path),
            )

    def find(self, text: str) -> AccessKey | None:
        """Return the record of a key; None if it is unknown, revoked or expired.

        Raises InputError if the file has changed and cannot be read: then no key is valid.
        """
        self._refresh()
        given = _hash(text)
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, given)]
        return found[0] if found and found[0].is_valid(time.time()) else None

    def _refresh(self) -> None:
        try:
            status = self.file.path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            seen = (0, 0)
        if seen != self._seen:
            self._keys = []
            self._keys = self.file.read()
            self._seen = seen


def default_path() -> Path:
    """Return the user's file of keys; the environment variable CHATWRIGHT_KEYS names another."""
    if path := os.environ.get(FILE_VARIABLE):
        return Path(path)
    home = Path(os.path.expanduser("~").replace("~", os.devnull))
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "chatwright" / "keys.json"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_key(record: dict[str, Any]) -> AccessKey:
    known = {field.name for field in fields(AccessKey)}
    key = AccessKey(**{name: value for name, value in record.items() if name in known})
    int(key.sha256, 16)
    if not (key.expires is None or isinstance(key.expires, int)):
        raise ValueError("expires is not a number")
    return replace(key, scopes=known_scopes(key.scopes))


def known_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes without repetitions; InputError names one that does not exist."""
    given = tuple(dict.fromkeys(scopes))
    for scope in given:
        if scope not in SCOPES:
            raise InputError(
                f"{scope!a} is not a scope of a key.",
                remedy=f"Choose from {', '.join(SCOPES)}.",
                field="scope",
                value=scope,
            )
    return given


def _require_new_name(name: str, keys: list[AccessKey]) -> None:
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise InputError(
            f"{name!a} cannot be the name of a key.",
            remedy="Write a name of 1 to 100 printable characters.",
            field="name",
            value=name,
        )
    if any(name in (key.name, key.id) for key in keys):
        raise InputError(
            f"There is already a key named {name!a}.",
            remedy=f"Choose another name, or first: chatwright keys revoke {name}",
            field="name",
            value=name,
        )
