"""The inspector's answers about a served reply equal numpy float64, which reads the files itself.

`numpy_decoder.py` shares no code with the product. Models: the starter's shape, an imported model
with grouped heads, and in the tier full SmolLM2-135M and the built starter.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.messages import Request, SamplingConfig, TokenSampled
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.head_name import Head
from chatwright.pipeline.import_export import import_model
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from tests import real_models
from tests.inspection import numpy_decoder
from tests.pipeline import imported_models
from tests.server.small_model import TOKENIZER

pytestmark = [pytest.mark.ci, pytest.mark.uses_global_rng]

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
N_REPLY = 24
SWAPPED = (Head(0, 0), Head(0, 1))


@contextmanager
def served(path: Path, weights: str = "float32") -> Iterator[RemoteEngine]:
    process = EngineProcess(warn=lambda message: None)
    try:
        yield RemoteEngine(process, path, MemoryLimits(weights=weights), 2)
    finally:
        process.close()


def reply_of(engine: RemoteEngine, prompt: list[int], n_token: int) -> list[int]:
    """Return the prompt and a sampled reply."""
    sampling = SamplingConfig(seed=3, max_tokens=n_token)
    request_id = engine.submit(Request(prompt, sampling))
    sampled: list[int] = []
    while engine.has_work:
        for event in engine.step():
            assert event.request_id == request_id
            if isinstance(event, TokenSampled):
                sampled.append(event.token_id)
    assert len(sampled) == n_token
    return [*prompt, *sampled]


def weights_of(engine: RemoteEngine, ids: list[int], layer: int, head: int) -> Any:
    """Return the attention weights of one head as the engine's process answers. (T, T)."""
    query = {"what": "attention", "token_ids": ids, "layer": layer, "head": head}
    found = engine.inspect(query)
    return np.frombuffer(base64.b64decode(found["weights"]), "<f4").reshape(found["shape"])


def differences(
    engine: RemoteEngine, path: Path, ids: list[int], off: tuple[Head, ...] = ()
) -> dict[str, float]:
    """Return the largest difference of each kind of answer from numpy.

    Of log-probabilities and entropies it is relative to the number where that is above 1.
    """
    logits, attention, _ = numpy_decoder.run(path, ids, off)
    log_probs = logits - logits.max(-1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    named = {"token_ids": ids, "heads_off": [list(head) for head in off]}
    found = {"attention": 0.0, "entropy": 0.0, "next": 0.0}
    for layer, expected in enumerate(attention):
        for head in range(len(expected)):
            weights = weights_of(engine, ids, layer, head) if not off else expected[head]
            difference = float(np.abs(weights - expected[head]).max())
            found["attention"] = max(found["attention"], difference)
    tokens = engine.inspect({"what": "tokens", **named})["tokens"][1:]
    expected = log_probs[np.arange(len(ids) - 1), ids[1:]]
    scored = np.array([token["log_prob"] for token in tokens])
    scale = np.maximum(1, np.abs(expected))
    found["log_prob"] = float((np.abs(scored - expected) / scale).max())
    for position in (0, len(ids) // 2, len(ids) - 1):
        heads = engine.inspect({"what": "heads", "position": position, **named})["heads"]
        for head in heads:
            row = attention[head["layer"]][head["head"]][position, : position + 1]
            entropy = -(row * np.log2(np.maximum(row, 1e-300))).sum()
            difference = abs(head["entropy"] - float(entropy)) / max(1, float(entropy))
            found["entropy"] = max(found["entropy"], difference)
        answer = engine.inspect({"what": "next", "top": 20, "position": position, **named})
        for token in answer["tokens"]:
            expected_share = np.exp(log_probs[position, token["id"]])
            found["next"] = max(found["next"], abs(token["probability"] - float(expected_share)))
    return found


def starter_shape(tmp_path: Path) -> Path:
    """Save a random model with the starter's architecture, smaller."""
    config = GPTConfig(
        vocab_size=TOKENIZER.vocab_size,
        context_length=64,
        n_layer=4,
        n_head=3,
        n_kv_head=3,
        head_dim=64,
        d_model=192,
        d_ff=768,
        activation="relu2",
        n_previous=3,
        embedding_norm=True,
        tied=False,
        init="zero",
    )
    model = GPT(config)
    init_weights(model, generator(3, "init"))
    for name, parameter in model.named_parameters():  # what begins at 0 would hide mistakes
        if parameter.ndim == 2:
            parameter.data.normal_(0.0, 0.06, generator=generator(len(name), "weights"))
    model_directory.save(tmp_path / "starter", model.eval(), TOKENIZER)
    return tmp_path / "starter"


def imported_with_grouped_heads(tmp_path: Path) -> Path:
    """Import a random Llama of transformers with two query heads for each key/value head."""
    source = imported_models.write(tmp_path / "source", "llama")
    import_model(str(source), tmp_path / "imported")
    return tmp_path / "imported"


@pytest.mark.parametrize("make", [starter_shape, imported_with_grouped_heads])
def test_answers_about_a_served_reply_equal_numpy(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path)
    with served(path) as engine:
        ids = reply_of(engine, PROMPT, N_REPLY)
        found = differences(engine, path, ids)
        assert max(found.values()) < 1e-5, found
        # A head that is off: the probabilities follow.
        off = (Head(1, 2),)
        assert differences(engine, path, ids, off)["log_prob"] < 1e-5
        # Positive controls: the weights of two heads swapped, and another head off.
        first, second = (weights_of(engine, ids, *head) for head in SWAPPED)
        _, attention, _ = numpy_decoder.run(path, ids)
        assert np.abs(first - attention[0][1]).max() > 1e-3
        assert np.abs(second - attention[0][0]).max() > 1e-3
        query = {"what": "tokens", "token_ids": ids, "heads_off": [[1, 1]]}
        wrong = [token["log_prob"] for token in engine.inspect(query)["tokens"][1:]]
        logits, _, _ = numpy_decoder.run(path, ids, off)
        shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = shifted[np.arange(len(ids) - 1), ids[1:]]
        assert np.abs(np.array(wrong) - expected).max() > 1e-4


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "starter"])
def test_answers_about_a_reply_of_a_real_model_equal_numpy(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = real_models.find(f"{name}/model.safetensors", tmp_path).parent
    choose = np.random.default_rng(5)
    with served(path) as engine:
        prompt = [int(id_) for id_ in choose.integers(engine.vocab_size, size=40)]
        ids = reply_of(engine, prompt, 40)
        found = differences(engine, path, ids)
    with capsys.disabled():
        print(f"\n{name}, {len(ids)} tokens: largest differences {found}")
    with served(path, "int8") as engine:
        rounded = differences(engine, path, ids)
    with capsys.disabled():
        print(f"int8 weights: {rounded}")
    assert max(found.values()) < 1e-5
    assert max(rounded.values()) > 1e-4  # int8 is another model; the comparison notices
