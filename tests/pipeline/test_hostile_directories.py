"""Damaged and hostile model directories are loaded or rejected, and no code in them runs.

The long form (make test-full) tries 660 directories and also limits time and memory for each.
"""

import pickle
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import model_directory
from chatwright.model.model import Model
from chatwright.pipeline.import_export import import_model
from chatwright.tokenizer.templates.run_template import PROGRAM
from tests.pipeline.hostile_changes import CHANGES, PICKLE
from tests.pipeline.imported_models import ENCODERS, write, write_encoder, write_marian

pytestmark = [
    pytest.mark.uses_global_rng,
    pytest.mark.skipif(sys.platform == "win32", reason="makes named pipes and links"),
]
MAX_SECONDS, MAX_MEGABYTES = 1.0, 256
# Audit events of the Python interpreter for running a program or connecting to a network.
FORBIDDEN_EVENTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
    "ctypes.dlopen",
)
DECODERS = ("llama", "gpt2", "qwen2", "smollm3", "mistral")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Directories of other tools, and the same models as imported (in the folder "ours")."""
    folder = tmp_path_factory.mktemp("sources")
    public = [
        *(write(folder / family, family) for family in DECODERS),
        *(write_encoder(folder / family, family) for family in ENCODERS),
        write_marian(folder / "marian"),
    ]
    (folder / "ours").mkdir()
    for source in public:
        import_model(str(source), folder / "ours" / source.name)
    return [*public, *(folder / "ours").iterdir()]


@dataclass
class EventRecorder:
    """Records forbidden audit events while it is recording."""

    events: list[str] = field(default_factory=list)
    is_recording: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and str(PROGRAM) in arguments[1]:
            return  # the process that renders the chat template, with its limits
        if self.is_recording and event in FORBIDDEN_EVENTS:
            self.events.append(event)

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        self.is_recording = True
        self.events.clear()
        try:
            yield self.events
        finally:
            self.is_recording = False


@pytest.fixture(scope="module")
def recorder() -> EventRecorder:
    recorder = EventRecorder()
    sys.addaudithook(recorder)  # an audit hook cannot be removed
    return recorder


def test_the_recorder_sees_code_in_a_pickle_file(
    recorder: EventRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, a recorder that records nothing would pass the other test."""
    monkeypatch.chdir(tmp_path)
    with recorder.recording() as events:
        pickle.loads(PICKLE)
    assert {"pickle.find_class", "os.system"} <= set(events)
    assert (tmp_path / "ran").exists()


def megabytes(name: str) -> float:
    """Return VmHWM (peak memory since `reset_peak_memory`) or VmRSS (memory now), in MB."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


def reset_peak_memory() -> float:
    """Reset the peak and return the memory in use, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return megabytes("VmRSS")


def error_message(path: Path, out: Path, is_ours: bool) -> str | None:
    """Load or import a directory; return the error message, or None if it is a valid model."""
    try:
        if is_ours:
            model_directory.load(path, kind=Model)
        else:
            import_model(str(path), out)
    except ValueError as error:
        return str(error)
    if not is_ours:
        model_directory.load(out, kind=Model)
        shutil.rmtree(out)
    return None


@pytest.mark.parametrize(
    ("count", "seed", "is_measured"),
    [
        (66, 0, False),
        pytest.param(660, 1, True, marks=[pytest.mark.full, pytest.mark.timeout(1200)]),
    ],
    ids=["short", "full"],
)
def test_a_changed_directory_is_read_or_rejected_with_its_name(
    count: int,
    seed: int,
    is_measured: bool,
    sources: list[Path],
    recorder: EventRecorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sources").symlink_to(sources[0].parent)
    draw, n_rejected = random.Random(seed), Counter[str]()
    seconds, peaks = [], []  # of each directory: (amount, change, number)
    for number in range(count):
        source, change = draw.choice(sources), CHANGES[number % len(CHANGES)]
        path = tmp_path / f"hostile-{number}"
        shutil.copytree(source, path)
        change(path, draw)
        resident = reset_peak_memory() if is_measured else 0.0
        start = time.process_time()
        with recorder.recording() as events:
            message = error_message(path, tmp_path / "out", source.parent.name == "ours")
        case = change.__name__, number
        seconds.append((time.process_time() - start, *case))
        peaks.append((megabytes("VmHWM") - resident if is_measured else 0.0, *case))
        assert message is None or path.name in message, (source.name, *case, message)
        assert events == [], (source.name, *case)
        n_rejected[change.__name__] += message is not None
        shutil.rmtree(path)
    assert [p.name for p in tmp_path.iterdir()] == ["sources"], "a file was created"
    assert {name for name, n in n_rejected.items() if n} == {c.__name__ for c in CHANGES}
    assert n_rejected.total() > count / 2
    if is_measured:  # docs/RESULTS.md lists the printed values
        with capsys.disabled():
            print(
                f"\n{count} directories: {n_rejected.total()} rejected, "
                f"{count - n_rejected.total()} read; slowest {max(seconds)}, "
                f"most memory (MB) {max(peaks)}"
            )
        assert max(seconds)[0] < MAX_SECONDS
        assert max(peaks)[0] < MAX_MEGABYTES
