"""Every model family gives the outputs of transformers, and docs/PARITY.md lists all cases."""

import re
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import families
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt import GPT
from tests.parity.case import Case, largest_difference, measure, read_back
from tests.parity.families import CASES

TOLERANCE = 1e-4
PAGE = Path(__file__).resolve().parents[2] / "docs" / "PARITY.md"
ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \| (?:[\d.e-]+ \| )([\d.e-]+) \|", re.MULTILINE)


def case_name(case: Case) -> str:
    return f"{case.family}: {case.variant}"


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_outputs_equal_those_of_transformers(case: Case, tmp_path: Path) -> None:
    assert measure(case, tmp_path, ["float32"])["float32"] <= TOLERANCE


@pytest.mark.uses_global_rng
@torch.no_grad()
def test_a_wrong_setting_or_an_unread_weight_exceeds_the_tolerance(tmp_path: Path) -> None:
    """Without this, outputs near zero would pass the comparison whatever the model computes."""
    [case] = [case for case in CASES if case_name(case) == "mistral: sliding window of 8 tokens"]
    reference = case.make_reference()
    model = read_back(reference, tmp_path)
    assert isinstance(model, GPT)
    object.__setattr__(model.config, "window", 9)
    pairs = case.outputs(reference, model, torch.float32)
    assert largest_difference(pairs) > 100 * TOLERANCE
    object.__setattr__(model.config, "window", 8)
    model.blocks[2].attention_norm.weight.fill_(1.0)
    pairs = case.outputs(reference, model, torch.float32)
    assert largest_difference(pairs) > 100 * TOLERANCE


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_an_imported_config_survives_export_and_import(case: Case, tmp_path: Path) -> None:
    config = read_back(case.make_reference(), tmp_path).config
    family = families.for_config(config)
    assert family is not None
    assert family.from_public(PublicConfig(family.to_public(config), "config.json")) == config


def test_the_page_lists_every_case_and_no_other() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    listed = [(family, variant) for family, variant, _ in rows]
    assert listed == [(case.family, case.variant) for case in CASES]
    assert all(float(difference) <= TOLERANCE for *_, difference in rows)
