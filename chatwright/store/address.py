"""Where the store of this user is: a file in the user's data folder, or what a variable names.

The folder is `~/.local/share/chatwright` on Linux, `~/Library/Application Support/chatwright` on
macOS and `chatwright` in %LOCALAPPDATA% on Windows. CHATWRIGHT_STORE names another file, or
a database in PostgreSQL with its password, which command lines would show to other users.
"""

import os
import sys
from pathlib import Path

VARIABLE = "CHATWRIGHT_STORE"
FILE = "store.db"


def store_address(given: str = "") -> str:
    """Return the address that was given, or the default one. Its folder is created if missing.

    A home folder that cannot be written raises OSError.
    """
    if address := given or os.environ.get(VARIABLE):
        return address
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / FILE)


def data_folder() -> Path:
    """Return the folder for what cannot be computed again."""
    home = Path(os.path.expanduser("~").replace("~", os.devnull))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "chatwright"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "chatwright"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "chatwright"
