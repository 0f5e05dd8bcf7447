"""Add Chatwright's ten control tokens to an imported model that has no chat format.

The embedding and an untied output head get a row for each new token. Each new row starts as the
mean of the old rows, so a new token's logit is the mean of the old logits. The logits of the old
tokens do not change.
"""

import dataclasses
import math

import torch
from torch import Tensor

from chatwright.checkpoint import quantized_tensors
from chatwright.checkpoint.build_model import assign_weights, build
from chatwright.model.gpt import GPT
from chatwright.model.linear import quantized_weights
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer

VOCABULARY_MATRICES = ("embedding.weight", "head.weight")  # one row per token
N_CONTROL_TOKEN = len(dataclasses.fields(ControlIds))


def add_control_tokens(model: GPT, tokenizer: ImportedTokenizer) -> tuple[GPT, ImportedTokenizer]:
    """Return a new model and a new tokenizer that have the control tokens."""
    new_tokenizer = tokenizer.with_control_tokens()
    assert isinstance(new_tokenizer.control, ControlIds), "the tokenizer has our control tokens"
    first_id = int(new_tokenizer.control.bos)
    config = dataclasses.replace(model.config, vocab_size=new_tokenizer.vocab_size)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name in VOCABULARY_MATRICES:
        if name in weights:
            weights[name] = _with_new_rows(weights[name], first_id, config.vocab_size)
    quantized = quantized_weights(model)
    saved = sum(4 * math.prod(weight.shape) for weight in quantized.values())
    new_model = build(GPT, config, bytes_saved=saved)
    assign_weights(new_model, weights)
    for name, weight in quantized.items():
        quantized_tensors.assign(new_model, name, weight)
    return new_model.train(model.training), new_tokenizer


def has_untrained_control_tokens(model: GPT, control: ControlIds) -> bool:
    """Return whether the control tokens' rows are all equal, as `add_control_tokens` made them."""
    rows = model.embedding.weight[int(control.bos) :][:N_CONTROL_TOKEN]
    return bool((rows == rows[0]).all())


def _with_new_rows(matrix: Tensor, first_id: int, vocab_size: int) -> Tensor:
    """Set the control tokens' rows and all added rows to the mean of the rows before `first_id`.

    (V, D) -> (vocab_size, D).
    """
    mean = matrix[:first_id].mean(dim=0)
    longer = torch.cat([matrix, mean.expand(vocab_size - len(matrix), -1)])
    longer[first_id : first_id + N_CONTROL_TOKEN] = mean
    return longer
