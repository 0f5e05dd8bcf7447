"""Open a model for replies or for vectors of texts, within the memory of this machine."""

from collections.abc import Callable
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.devices import available_memory
from chatwright.engine.cache_plan import MemoryLimits, plan_cache
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.formats import keeps_quantized
from chatwright.engine.forward import token_memory
from chatwright.model.encoder import Encoder
from chatwright.model.gpt import GPT
from chatwright.model.linear import quantized_weights
from chatwright.tasks.embed import Embedder
from chatwright.tokenizer.tokenizer import Tokenizer

SPECULATIVE_TOKENS = 7
"""Tokens that are checked together where a reply repeats its text; more seldom are all right."""

Show = Callable[[str], None]
"""Receives a text for the user."""


def open_text_model(
    path: Path, limits: MemoryLimits, n_reply: int, show: Show, note: Show
) -> Engine:
    """Load a decoder and open its engine; the arguments are those of `open_engine`."""
    show("reading the weights")
    model, _ = load_for_format(path, limits.weights)
    return open_engine(model, limits, n_reply, show, note)


def load_for_format(path: Path, weights: str) -> tuple[GPT, Tokenizer]:
    """Load a decoder for an engine with this format of weights."""
    return model_directory.load(path, keeps_quantized=keeps_quantized(weights))


def open_engine(model: GPT, limits: MemoryLimits, n_reply: int, show: Show, note: Show) -> Engine:
    """Open an engine that keeps only weights packed for inference; nothing else can use the model.

    Args:
        model: The model.
        limits: What the user set about memory.
        n_reply: Number of replies that are generated together, if they fit and the user set none.
        show: Receives what is being done now.
        note: Receives what the user should know about memory and precision.

    Raises:
        InputError: The model gives no next token, does not fit in memory, or this machine cannot
            use the format of the weights.
    """
    memory = token_memory(model, EngineConfig().prefill_tokens)
    plan = plan_cache(limits, memory, model.config.context_length, n_reply, available_memory())
    if plan.note:
        note(plan.note)
    if keeps_quantized(limits.weights) and not quantized_weights(model):
        note(
            "This model holds no weights as a GGUF file stores them, so its weights are int8. "
            "chatwright import --keep-quantized keeps them; training and merging do not."
        )
    show("packing the weights")
    config = EngineConfig(
        n_slot=plan.n_slot,
        context_length=plan.context_length,
        prefix_cache_bytes=plan.prefix_bytes if model.device.type == "cpu" else 0,
        weights=limits.weights,
        speculative_tokens=SPECULATIVE_TOKENS,
    )
    engine = Engine(model, config, keeps_weights=False)
    if plan.n_slot > 1:  # a single reply has no other in its batch
        show("checking that replies do not depend on each other")
        if engine.batch_dependence_reason:
            note(
                "Replies may differ in their last digits when several are generated together: "
                f"{engine.batch_dependence_reason}."
            )
    return engine


def open_embedder(path: Path) -> Embedder:
    """Load the encoder of a model directory or a training run.

    Raises:
        InputError: The directory holds no encoder.
    """
    model, tokenizer = model_directory.load(path, kind=Encoder)
    return Embedder(EmbeddingForward(model), tokenizer)
