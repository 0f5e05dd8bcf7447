"""`chatwright serve` with an encoder, alone or beside a model that replies."""

from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import architectures, model_directory
from chatwright.checkpoint.directory import sha256
from chatwright.checkpoint.model_kind import ENCODER, holds_encoder
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.pipeline.open_engine import open_embedder
from chatwright.server import http_server
from chatwright.tokenizer import wordpiece
from tests.cli.conftest import Command
from tests.server.small_model import TOKENIZER, small_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a decoder (`chat`) and an encoder (`vectors`)."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = wordpiece.train(["the cat sat on the mat"] * 3, 60)
    encoder = Encoder(encoder_preset("nano", vocab_size=tokenizer.vocab_size, head="none"))
    init_weights(encoder, generator(0, "weights"))
    model_directory.save(folder / "vectors", encoder, tokenizer)
    model_directory.save(folder / "chat", small_model(), TOKENIZER)
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command gives to the server, which is not started."""
    calls: list[tuple[Any, ...]] = []

    def serve(
        assistant: object, name: str, address: object, listener: object, **options: object
    ) -> None:
        calls.append((assistant, name, options))

    monkeypatch.setattr(http_server, "serve", serve)
    return calls


def test_an_encoder_is_served_beside_a_model(
    models: Path, served: list[tuple[Any, ...]], command: Command
) -> None:
    command("serve", models / "chat", "--port", "0", "--embeddings", models / "vectors")
    [(assistant, name, options)] = served
    assert (assistant is not None, name, options["embedder"].name) == (True, "chat", "vectors")
    weights = options["identity"].weights
    assert weights == sha256(models / "chat" / "model.safetensors")
    assert options["identity"].batch_dependence_reason is not None


def test_an_encoder_is_served_alone(
    models: Path, served: list[tuple[Any, ...]], command: Command
) -> None:
    command("serve", models / "vectors", "--port", "0")
    [(assistant, name, options)] = served
    assert (assistant, name, options["embedder"].name) == (None, "vectors", "vectors")
    assert options["status"]().state == "ready"


def test_a_decoder_computes_no_vectors(models: Path) -> None:
    assert holds_encoder(models / "vectors")
    assert not holds_encoder(models / "chat")
    assert architectures.by_name(ENCODER, "").model is Encoder
    with pytest.raises(InputError) as caught:
        open_embedder(models / "chat")
    assert caught.value.field == "model"
