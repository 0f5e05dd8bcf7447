"""Hashes of passwords: argon2id with 19 MiB of memory, 2 passes, 1 lane.

At most `MAX_AT_ONCE` are computed at the same time, so that many log-ins do not fill the memory.
"""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chatwright.errors import InputError

MIN_LENGTH = 8
MAX_LENGTH = 1000
MAX_AT_ONCE = 2

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = threading.Semaphore(MAX_AT_ONCE)
# Checked where there is no such user, so that the time does not tell whether a name exists.
_HASH_OF_NOBODY = _HASHER.hash("nobody's password")


def hash_password(password: str) -> str:
    """Return the hash to store; InputError for a password of an unusable length."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InputError(
            f"The password has {len(password)} characters.",
            remedy=f"Choose {MIN_LENGTH} to {MAX_LENGTH} characters.",
            field="password",
        )
    with _AT_ONCE:
        return _HASHER.hash(_encoded(password))


def is_password(password: str, stored: str) -> bool:
    """Whether a password has this hash. "" is the hash of no password."""
    if len(password) > MAX_LENGTH:
        return False
    with _AT_ONCE:
        try:
            is_right = _HASHER.verify(stored or _HASH_OF_NOBODY, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False
    return is_right and bool(stored)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other costs, so that the next log-in makes it again."""
    return _HASHER.check_needs_rehash(stored)


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
