"""A small untrained decoder, its tokenizer, and a client of a server with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.app import make_app
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["abcdefgh é🙂"])
CONTEXT = 96
# Without this bias an untrained model would end its replies at once.
NO_CONTROL_TOKENS = {str(id_): -100 for id_ in TOKENIZER.control.all()}


def small_model(seed: int = 5, context_length: int = CONTEXT) -> GPT:
    shape = {"n_layer": 2, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 128}
    config = GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=context_length, **shape)
    model = GPT(config)
    init_weights(model, generator(seed, "init"))
    return model


@contextmanager
def client_of_engine(engine: Engine) -> Iterator[TestClient]:
    """Yield a client; at the end every reply must have released its slot."""
    app = make_app(Assistant(engine, TOKENIZER), "m")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client
        assert app.state.service.engine.wait_until_idle(30)
    assert engine.n_free_slot == engine.config.n_slot, "a reply kept its slot in the cache"
