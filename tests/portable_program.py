"""Train, save, resume and chat as on a system that is not POSIX. Run by test_portable.py.

What Windows lacks is taken away first: POSIX-only modules and functions, and opening directories.
Text files without an explicit encoding are an error, because that of Windows is not UTF-8.
"""

import contextlib
import importlib
import io
import os
import pkgutil
import shutil
import signal
import sys
import warnings
from pathlib import Path

POSIX_MODULES = {"curses", "fcntl", "grp", "pty", "pwd", "readline", "resource", "termios", "tty"}
POSIX_FUNCTIONS = {"fork", "getuid", "geteuid", "getgid", "killpg", "mkfifo", "sysconf", "uname"}
POSIX_SIGNALS = {"SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGWINCH", "SIGTSTP"}
TEXT = "The cat sat on the mat and the dog sat on the log. Größe, 日本.\r\n"


def take_away_what_only_posix_has() -> None:
    # These libraries choose their implementation by sys.platform when they are imported.
    for name in ("psutil", "torch"):
        importlib.import_module(name)
    for name in POSIX_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in POSIX_FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    for name in POSIX_SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)
    os_open = os.open

    def open_no_directory(path: str, flags: int, *rest: object, **options: object) -> int:
        if isinstance(path, str | os.PathLike) and os.path.isdir(path):
            raise PermissionError(13, "Windows opens no directories", str(path))
        return os_open(path, flags, *rest, **options)  # type: ignore[arg-type]

    os.open = open_no_directory
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # as on Windows
    warnings.filterwarnings("error", category=EncodingWarning, module="chatwright")


def import_everything() -> None:
    import chatwright

    for module in pkgutil.walk_packages(chatwright.__path__, "chatwright."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def run(*arguments: object, stdin: str = "") -> str:
    """Run a `chatwright` command in this process and return its output."""
    from chatwright.cli import app

    sys.argv = ["chatwright", *map(str, arguments)]
    sys.stdin = io.StringIO(stdin)
    status: object = None
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            app.main()
        except SystemExit as exited:
            status = exited.code
    assert status in (0, None), f"{arguments}: exit status {status}"
    return output.getvalue()


def main(folder: Path) -> None:
    take_away_what_only_posix_has()
    import_everything()
    folder = folder / "mein Ordner ä 日本"
    folder.mkdir()
    text = folder / "Größe.txt"
    text.write_bytes((TEXT * 200).encode())
    options = ["--data", text, "--out", folder / "run 1", "--vocab-size", "280"]
    settings = ["model.size=nano", "batches.rows=2", "loop.steps=4", "loop.save_every=2"]
    run("train", "pretrain", *options, *settings, "sample_tokens=2")
    weights = folder / "run 1" / "model" / "model.safetensors"
    finished = weights.read_bytes()
    # As if the run had been killed after step 2.
    shutil.rmtree(folder / "run 1" / "model")
    for checkpoint in (folder / "run 1" / "checkpoints").glob("step-*4"):
        shutil.rmtree(checkpoint)
    run("train", "pretrain", *options, *settings, "sample_tokens=2")
    assert weights.read_bytes() == finished, "the resumed run has other weights"
    table = folder / "Fragen.csv"
    rows = [f"Wo ist Katze {i}?,Auf Größe {i}." for i in range(40)]
    table.write_bytes(("prompt,completion\r\n" + "\r\n".join(rows) + "\r\n").encode())
    assert "40" in run("data", "check", table)
    parent = ["--from", folder / "run 1"]
    small = ["batches.rows=2", "loop.steps=2", "sample_tokens=2", "stop_prompts=0"]
    run("train", "sft", *parent, "--data", table, "--out", folder / "sft", *small)
    reply = run("chat", folder / "sft", "max_tokens=4", "--json", stdin="Wo ist Katze 3?\r\n")
    assert '"role": "assistant"' in reply, reply
    print("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
