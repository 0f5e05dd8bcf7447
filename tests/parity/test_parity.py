"""Every family equals its independent implementation, and the published table lists exactly what is tried here."""

import re
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import families
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt import GPT
from tests.parity.case import Case, largest, measure, read_back
from tests.parity.families import CASES

TOLERANCE = 1e-4
PAGE = Path(__file__).resolve().parents[2] / "docs" / "PARITY.md"


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family}: {case.branch}")
def test_outputs_equal_those_of_transformers(case: Case, tmp_path: Path) -> None:
    assert measure(case, tmp_path, ["float32"])["float32"] <= TOLERANCE


@pytest.mark.uses_global_rng
@torch.no_grad()
def test_a_wrong_setting_and_a_forgotten_weight_are_far_above_the_tolerance(tmp_path: Path) -> None:
    """The control: outputs are large enough, and different enough, for a mistake to show."""
    [case] = [
        case for case in CASES if (case.family, case.branch) == ("mistral", "window of 8 tokens")
    ]
    theirs = case.make()
    ours = read_back(theirs, tmp_path)
    assert isinstance(ours, GPT)
    object.__setattr__(ours.config, "window", 9)
    assert largest(case.outputs(theirs, ours, torch.float32)) > 100 * TOLERANCE
    object.__setattr__(ours.config, "window", 8)
    ours.blocks[2].attention_norm.weight.fill_(1.0)
    assert largest(case.outputs(theirs, ours, torch.float32)) > 100 * TOLERANCE


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family}: {case.branch}")
def test_what_is_read_is_written_again_the_same(case: Case, tmp_path: Path) -> None:
    """The way out is the way in: some family expresses what was imported, and reads its own words as the same config."""
    config = read_back(case.make(), tmp_path).config
    family = families.for_config(config)
    assert family is not None
    assert family.from_public(PublicConfig(family.to_public(config), "here")) == config


def test_the_page_lists_every_case_and_no_other() -> None:
    rows = re.findall(
        r"^\| ([^|]+?) \| ([^|]+?) \| (?:[\d.e-]+ \| )([\d.e-]+) \|", PAGE.read_text(), flags=re.M
    )
    assert [(family, branch) for family, branch, _ in rows] == [
        (case.family, case.branch) for case in CASES
    ]
    assert all(float(difference) <= TOLERANCE for *_, difference in rows)
