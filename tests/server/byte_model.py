"""A small untrained decoder that can write any text, and a client of a server with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.devices import generator
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.app import make_app
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.tokenizer import Tokenizer

TOKENIZER = ByteBPE.train(['the cat: "sat", {"a": [1, 2]}', "the cat is here, the dog is not"], 290)
CONTEXT = 1536


def byte_model(tokenizer: Tokenizer = TOKENIZER, seed: int = 5) -> GPT:
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 128}
    config = GPTConfig(vocab_size=tokenizer.vocab_size, context_length=CONTEXT, **shape)
    model = GPT(config)
    init_weights(model, generator(seed, "init"))
    return model


@contextmanager
def client_of(tokenizer: Tokenizer = TOKENIZER) -> Iterator[TestClient]:
    """Yield a client of a server; at the end every reply must have released its slot."""
    with Engine(byte_model(tokenizer), EngineConfig(n_slot=8)) as engine:
        app = make_app(Assistant(engine, tokenizer), "m")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            yield client
            assert app.state.service.engine.wait_until_idle(30)
        assert engine.n_free_slot == engine.config.n_slot, "a reply kept its slot in the cache"
