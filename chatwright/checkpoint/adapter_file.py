"""Read and write the two files of a PEFT adapter: its config and its LoRA factors.

PEFT can store copies of the base's embedding and output head beside the factors. `read_tensors`
returns these copies, so that the caller can compare them with the base.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from chatwright.checkpoint import json_file, safetensors_file
from chatwright.checkpoint.adapter_layout import LoRAFactors
from chatwright.checkpoint.model_files import ADAPTER_CONFIG as CONFIG
from chatwright.errors import InputError

WEIGHTS = "adapter_model.safetensors"
SCORE = "score"
"""Name of the layer that gives the score of a reward model (transformers' and PEFT's name)."""
SAVED_MODULES = "modules_to_save"
"""Setting with the names of layers that are stored whole; only the lists in SCORES are read."""
SCORES = ([SCORE], ["classifier", SCORE])  # PEFT lists two names, and a model has one of them
PREFIX = "base_model.model."  # PEFT wraps the model and puts this before every name
FACTOR = re.compile(r"(?P<layer>.+)\.lora_(?P<factor>[AB])\.weight")
COPY = re.compile(r"(?P<module>.+?)(\.base_layer)?\.(?P<kind>weight|bias)")
# Any value of these settings is accepted. Some are read, such as lora_alpha. Others follow from the
# tensors, such as r. The rest does not change the model's output.
ACCEPTED_SETTINGS = {
    "alora_invocation_tokens",
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}
MERGE_ELSEWHERE = "Merge it into its base with the tool that made it, then import the result."
GET_AGAIN = "Get the adapter again from its source."


def read_config(path: Path) -> dict[str, Any]:
    """Return adapter_config.json. Raises InputError for a setting that is not supported."""
    table = json_file.read_object(path / CONFIG)
    if table.get("peft_type") != "LORA":
        raise InputError(
            f"{path / CONFIG}: peft_type = {table.get('peft_type')!r} is not supported, only LORA.",
            field="peft_type",
            value=table.get("peft_type"),
        )
    for key, value in table.items():
        if key == SAVED_MODULES and value in SCORES:
            continue
        if key not in ACCEPTED_SETTINGS and value not in (None, False, "none", {}, []):
            raise InputError(
                f"{path / CONFIG}: {key} = {value!r} is not supported, and ignoring it would "
                "change the model's output.",
                remedy=MERGE_ELSEWHERE,
                field=key,
                value=value,
            )
    return table


def number(path: Path, table: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Return a setting that must be a number of at least 0 and below a million."""
    value = table.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e6:
        raise InputError(
            f"{path / CONFIG}: {key} = {value!r}: expected a number of at least 0 and below a "
            "million.",
            remedy=GET_AGAIN,
            field=key,
            value=value,
        )
    return float(value)


def write(
    target: Path,
    table: Mapping[str, Any],
    factors: Mapping[str, LoRAFactors],
    score: Tensor | None = None,
) -> None:
    """Write both files.

    Args:
        target: The adapter's directory.
        table: The settings.
        factors: The factors by the names of layers in Hugging Face files.
        score: The weight of a reward model's scalar head.
    """
    tensors = {} if score is None else {f"{PREFIX}{SCORE}.weight": score.detach()}
    for layer, pair in factors.items():
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = pair.a
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = pair.b
    safetensors_file.save(tensors, target / WEIGHTS)
    (target / CONFIG).write_text(json.dumps(table, indent=1), encoding="utf-8")


def read_tensors(
    path: Path, table: Mapping[str, Any]
) -> tuple[dict[str, LoRAFactors], dict[str, Tensor]]:
    """Return the factors by layer, and copies of the base's tensors by name.

    Raises:
        InputError: A factor is missing or does not fit the other one of its layer, or a tensor is
            neither a factor nor a copy.
    """
    tensors = safetensors_file.load(path / WEIGHTS)
    pairs: dict[str, dict[str, Tensor]] = {}
    copies: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        if factor := FACTOR.fullmatch(name):
            pairs.setdefault(factor["layer"], {})[factor["factor"]] = tensor
        elif ".lora_" not in name and name != key and (copy := COPY.fullmatch(name)):
            copies[f"{copy['module']}.{copy['kind']}"] = tensor
        else:
            raise _unsupported_tensor(path, key)
    alphas = _alphas(path, table, set(pairs))
    factors = {
        layer: _factors(path, layer, pair, alphas[layer]) for layer, pair in sorted(pairs.items())
    }
    return factors, copies


def _unsupported_tensor(path: Path, key: str) -> InputError:
    return InputError(
        f"{path / WEIGHTS}: the tensor {key[:200]} is not a LoRA factor of a linear layer.",
        remedy=MERGE_ELSEWHERE,
        field=key,
    )


def _factors(path: Path, layer: str, pair: Mapping[str, Tensor], alpha: float) -> LoRAFactors:
    for factor in "AB":
        if factor not in pair:
            raise InputError(
                f"{path / WEIGHTS}: {layer}.lora_{factor}.weight is missing.",
                remedy=GET_AGAIN,
                field=f"{layer}.lora_{factor}.weight",
            )
    a, b = pair["A"], pair["B"]
    if a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1] or len(a) == 0:
        raise InputError(
            f"{path / WEIGHTS}: the factors of {layer} have the shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}, which cannot be multiplied.",
            remedy=GET_AGAIN,
            field=layer,
            value=(tuple(a.shape), tuple(b.shape)),
        )
    return LoRAFactors(a, b, alpha)


def _alphas(path: Path, table: Mapping[str, Any], layers: set[str]) -> dict[str, float]:
    """Return alpha for each layer.

    PEFT reads the keys of alpha_pattern as regular expressions. Chatwright supports only keys that
    are the end of a layer's name.
    """
    alphas = dict.fromkeys(layers, number(path, table, "lora_alpha"))
    patterns = table.get("alpha_pattern") or {}
    for pattern in patterns:
        matching = [name for name in layers if name == pattern or name.endswith("." + pattern)]
        if not matching:
            raise InputError(
                f"{path / CONFIG}: alpha_pattern has the key {pattern!r}, which is not the end of "
                "a layer's name.",
                remedy=MERGE_ELSEWHERE,
                field="alpha_pattern",
                value=pattern,
            )
        alphas |= dict.fromkeys(matching, number(path, patterns, pattern))
    return alphas
