"""An untrained decoder of two layers, for the view into a reply and the lessons."""

from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from tests.web.served_models import CONTEXT, TOKENIZER


def traced_model():
    shape = {"n_layer": 2, "n_head": 2, "n_kv_head": 1, "head_dim": 16, "d_model": 32, "d_ff": 64}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=CONTEXT, **shape))
    init_weights(model, generator(5, "init"))
    return model.eval()
