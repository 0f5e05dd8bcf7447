"""An untrained decoder of two layers in the engine's process."""

from contextlib import contextmanager

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from tests.web.served_models import CONTEXT, TOKENIZER, settings


class LettersAssistant(Assistant):
    """Replies with a fixed number of letters; an untrained model might end at once."""

    def reply(self, conversation, sampling=None, *options, **named):
        sampling = settings(sampling or SamplingConfig())
        return super().reply(conversation, sampling, *options, **named)

    def continue_ids(self, token_ids, sampling=None, **options):
        return super().continue_ids(token_ids, settings(sampling or SamplingConfig()), **options)


def traced_model():
    """Return the model that is served."""
    shape = {"n_layer": 2, "n_head": 2, "n_kv_head": 1, "head_dim": 16, "d_model": 32, "d_ff": 64}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=CONTEXT, **shape))
    init_weights(model, generator(5, "init"))
    return model.eval()


@contextmanager
def serve_traced_model(path):
    """Save the model at a path and serve it; yield the server's address."""
    model_directory.save(path, traced_model(), TOKENIZER)
    process = EngineProcess(warn=lambda message: None)
    engine = RemoteEngine(process, path, MemoryLimits(), 2)
    status = OpeningStatus("m")
    status.set_ready()
    try:
        with serve_in_thread("m", 0, status=status.status) as (service, address):
            service.publish(LettersAssistant(engine, TOKENIZER, reports_waiting=True), "m")
            yield address
    finally:
        process.close()
