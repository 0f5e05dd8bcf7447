"""The fields of a foreign config.json, read one by one: each with its type and range, and what nobody read can be told.

A field that changes what a model computes and that we cannot honour is refused by name; silence would import another model.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LARGEST = 2**24

# Fields that say nothing about what a decoder or encoder computes from token ids at inference.
IRRELEVANT = frozenset(
    {
        "_name_or_path",
        "architectures",
        "bos_token_id",
        "chatwright",
        "dtype",
        "eos_token_id",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "keys_to_ignore_at_inference",
        "label2id",
        "model_type",
        "n_ctx",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "pretraining_tp",
        "reorder_and_upcast_attn",
        "return_dict",
        "task_specific_params",
        "torch_dtype",
        "transformers_version",
        "unk_token_id",
        "use_cache",
        # of heads for other tasks
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    }
)
# Kinds of dropout that are not ours: said where they were used, for they change how the model goes on learning, not what it computes.
OTHER_DROPOUT = frozenset(
    {
        "activation_dropout",
        "attention_dropout",
        "attention_probs_dropout_prob",
        "attn_pdrop",
        "decoder_layerdrop",
        "encoder_layerdrop",
    }
)


class PublicConfig(Mapping[str, Any]):
    """A table that knows where it stands and which of its fields were read."""

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self.table, self.where = dict(table), where
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        if name not in self.table:
            raise ValueError(
                f"{self.where}: {name} is missing. Get config.json again from where the model came."
            )
        return self.table[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or `default` where it is absent or null."""
        self._read.add(name)
        value = self.table.get(name)
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def integer(
        self, name: str, default: int | None = None, lowest: int = 1, highest: int = LARGEST
    ) -> int:
        value = self._present(name, default)
        if type(value) is not int or not lowest <= value <= highest:
            raise self.refused(name, f"a whole number from {lowest} to {highest:,} is expected")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        value = self._present(name, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            raise self.refused(name, "a finite number of at least 0 is expected")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._present(name, default)
        if type(value) is not bool:
            raise self.refused(name, "true or false is expected")
        return value

    def one_of(self, name: str, known: Mapping[str, Any], default: str | None = None) -> Any:
        """What the field's value stands for in `known`."""
        value = self._present(name, default)
        if not isinstance(value, str) or value not in known:
            raise self.refused(name, f"only {', '.join(map(repr, known))} can be computed here")
        return known[value]

    def must_be(self, name: str, *allowed: Any) -> None:
        """Absent, or one of `allowed`: anything else would be another computation than ours."""
        if self.get(name, allowed[0]) not in allowed:
            raise self.refused(name, f"only {' or '.join(map(repr, allowed))} can be computed here")

    def refused(self, name: str, why: str) -> ValueError:
        return ValueError(
            f"{self.where}: {name} = {str(self.table.get(name))[:80]!r}: {why}. Nothing was imported."
        )

    def unread(self, irrelevant: Iterable[str] = IRRELEVANT) -> list[str]:
        """Fields nobody asked for, but for those that say nothing about what the model computes, and dropout that is off."""
        off = {name for name in OTHER_DROPOUT & self.table.keys() if not self.table[name]}
        return sorted(self.table.keys() - self._read - set(irrelevant) - off)

    def _present(self, name: str, default: Any) -> Any:
        value = self.get(name, default)
        if value is None:
            raise ValueError(
                f"{self.where}: {name} is missing. Get config.json again from where the model came."
            )
        return value
