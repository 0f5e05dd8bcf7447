"""Read the fields of another tool's config.json one by one, each with its type and range.

A field whose value changes the model's output but is not supported raises an error: ignoring it
would import a different model. `unread` lists the fields that were not read.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chatwright.errors import InputError

LARGEST = 2**24  # above any size in a model's settings

# Fields that do not change the logits that a model computes from token ids.
IRRELEVANT = frozenset(
    {
        "_name_or_path",
        "architectures",
        "bos_token_id",
        "cache_implementation",
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
        # Settings of heads for other tasks.
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    }
)
# Kinds of dropout that Chatwright does not have. `unread` lists those that are not zero, which
# change further training, but not the logits.
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
    """A JSON object that records which of its fields were read and names its file in errors."""

    def __init__(self, table: Mapping[str, Any], source: str, prefix: str = "") -> None:
        """Copy the JSON object `table`.

        Args:
            table: The fields by name.
            source: The file that errors name.
            prefix: The part of every field's name that `table` leaves out, for errors.
        """
        self.table = dict(table)
        self.source = source
        self.prefix = prefix
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        if name not in self.table:
            raise self._missing(name)
        return self.table[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field, or `default` if it is absent or null."""
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
        """Return an integer field from `lowest` to `highest`."""
        value = self._present(name, default)
        if type(value) is not int or not lowest <= value <= highest:
            raise self.error(name, f"expected an integer from {lowest} to {highest:,}")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        """Return a finite number of at least 0."""
        value = self._present(name, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            raise self.error(name, "expected a finite number of at least 0")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return a boolean field."""
        value = self._present(name, default)
        if type(value) is not bool:
            raise self.error(name, "expected true or false")
        return value

    def one_of(self, name: str, known: Mapping[str, Any], default: str | None = None) -> Any:
        """Return the value in `known` for the key that the field holds."""
        value = self._present(name, default)
        if not isinstance(value, str) or value not in known:
            raise self.error(name, f"the supported values are {', '.join(map(repr, known))}")
        return known[value]

    def must_be(self, name: str, *allowed: Any) -> None:
        """Require that the field is absent, null, or one of the supported values."""
        if self.get(name, allowed[0]) not in allowed:
            raise self.error(name, f"only {' or '.join(map(repr, allowed))} is supported")

    def error(self, name: str, reason: str) -> InputError:
        """Return the error for a field that cannot be used."""
        value = self.table.get(name)
        return InputError(
            f"{self.source}: {self.prefix}{name} = {str(value)[:80]!r}: {reason}. Nothing was "
            "imported.",
            field=self.prefix + name,
            value=value,
        )

    def unread(self, irrelevant: Iterable[str] = IRRELEVANT) -> list[str]:
        """Return the names of fields that were not read.

        Fields that do not change the logits are left out, and so are kinds of dropout that are off.
        """
        off = {name for name in OTHER_DROPOUT & self.table.keys() if not self.table[name]}
        return sorted(self.table.keys() - self._read - set(irrelevant) - off)

    def _present(self, name: str, default: Any) -> Any:
        value = self.get(name, default)
        if value is None:
            raise self._missing(name)
        return value

    def _missing(self, name: str) -> InputError:
        return InputError(
            f"{self.source}: {self.prefix}{name} is missing.",
            remedy="Get the file again from the model's source.",
            field=self.prefix + name,
        )
