"""A model that came without a chat format is given our ten control tokens, so that it can learn to converse.

The embedding (and an untied head) grows by the rows they need; each starts as the mean of all others, so that no new token is likelier than an
average one. Every logit of an old token stays as it was.
"""

import dataclasses

import torch
from torch import Tensor

from chatwright.checkpoint.model_directory import assign, build
from chatwright.model.gpt import GPT
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer

TABLES = ("embedding.weight", "head.weight")


def grown(model: GPT, tokenizer: ImportedTokenizer) -> tuple[GPT, ImportedTokenizer]:
    """The model and tokenizer with our control tokens, as new objects."""
    with_control = tokenizer.with_control_tokens()
    assert isinstance(with_control.control, ControlIds), "the tokenizer was given ours"
    first, vocab_size = int(with_control.control.bos), with_control.vocab_size
    made = build(GPT, dataclasses.replace(model.config, vocab_size=vocab_size))
    weights = {name: p.detach() for name, p in model.named_parameters()}
    assign(
        made,
        weights
        | {
            name: _lengthened(weights[name], first, vocab_size)
            for name in TABLES
            if name in weights
        },
    )
    return made.train(model.training), with_control


def is_untaught(model: GPT, control: ControlIds) -> bool:
    """Whether the control tokens still are what `grown` made them: all alike."""
    rows = model.embedding.weight[int(control.bos) :][: len(dataclasses.fields(ControlIds))]
    return bool((rows == rows[0]).all())


def _lengthened(table: Tensor, first: int, n_row: int) -> Tensor:
    """(V, D) -> (n_row, D): the ten rows from `first` on, and what lies beyond the old end, are the mean of those before."""
    mean = table[:first].mean(dim=0)
    longer = torch.cat([table, mean.expand(n_row - len(table), -1)])
    longer[first : first + len(dataclasses.fields(ControlIds))] = mean
    return longer
