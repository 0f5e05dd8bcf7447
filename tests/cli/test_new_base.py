"""`chatwright new --base` writes a recipe that tunes an open model on the user's conversations."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.pipeline import own_fine_tuning
from chatwright.pipeline.own_fine_tuning import base_model, estimated_cost
from chatwright.pipeline.recipe import read_recipe
from tests.cli.conftest import Command
from tests.pipeline.imported_base import write_imported_base

pytestmark = pytest.mark.uses_global_rng


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and a table as a German Excel saves it."""
    folder = tmp_path_factory.mktemp("new-base")
    write_imported_base(folder, steps=20)
    rows = [f"Wann fährt Boot {i}?;Um {i} Uhr." for i in range(50)]
    (folder / "faq.csv").write_bytes("\r\n".join(["Frage;Antwort", *rows]).encode("cp1252"))
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def make_quick(recipe: Path) -> None:
    text = recipe.read_text()
    text = text.replace("[adapter.lora]", "sample_tokens = 2\nstop_prompts = 0\n\n[adapter.lora]")
    recipe.write_text(text.replace("[merged]", "[adapter.loop]\nsteps = 4\n\n[merged]"))


def test_a_table_from_excel_becomes_a_merged_model_on_top_of_the_base(
    folder: Path, command: Command
) -> None:
    reading = ["--encoding", "cp1252", "--columns", "Frage=prompt,Antwort=completion"]
    outcome = command("new", "b", "--yes", "--base", "base", "--data", "faq.csv", *reading)
    assert outcome.status == 0, outcome.err
    assert "minutes" in outcome.out
    assert "GB of memory" in outcome.out
    assert "fetch" not in outcome.out, "the base is here"
    check = next(line for line in outcome.out.splitlines() if "data check" in line)
    assert "--encoding cp1252" in check
    command_in_readme = check.removeprefix("next:").strip()
    assert command_in_readme in (folder / "b" / "README.md").read_text(encoding="utf-8")
    stages = read_recipe(folder / "b" / "recipe.toml").stages
    assert [stage.kind.name for stage in stages] == ["sft", "merge"]
    assert stages[0].config.encoding == "cp1252"
    assert stages[0].parent == "{here}/../base"
    make_quick(folder / "b" / "recipe.toml")
    built = command("up", "b", "--build-only")
    assert built.status == 0, built.text
    assert "before training" in built.out
    merged, _ = model_directory.load(folder / "b" / "runs" / "merged")
    assert lora.lora_layers(merged) == {}
    data = json.loads((folder / "b/runs/adapter/run.json").read_text())["data"]
    assert data["train"]["documents"] > 45, "the table, and the rows that say who it is"


def test_a_known_model_that_is_not_here_is_fetched_by_the_printed_command(
    folder: Path, command: Command
) -> None:
    outcome = command("new", "known", "--yes", "--base", "smollm2-135m-instruct")
    assert outcome.status == 0, outcome.err
    assert "chatwright fetch smollm2-135m-instruct" in outcome.out
    stages = read_recipe(folder / "known" / "recipe.toml").stages
    assert stages[0].parent == "smollm2-135m-instruct"
    refused = command("up", "known", "--build-only")
    assert refused.status == 2
    assert isinstance(refused.error, InputError)
    assert "fetch" in refused.error.remedy


@pytest.mark.parametrize("base", ["nosuch", "all-minilm-l6-v2", "faq.csv"])
def test_what_cannot_converse_is_no_base(folder: Path, command: Command, base: str) -> None:
    outcome = command("new", "refused", "--yes", "--base", base)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == "--base"
    assert not (folder / "refused").exists()


def test_scratch_and_nothing_are_no_base() -> None:
    assert base_model("") == base_model(own_fine_tuning.SCRATCH) == ""


def test_the_cost_grows_with_weights_and_characters() -> None:
    small = estimated_cost(10**8, 100, 20_000)
    assert estimated_cost(2 * 10**8, 100, 20_000).minutes > small.minutes
    assert estimated_cost(10**8, 100, 200_000).minutes > 2 * small.minutes
    assert estimated_cost(2 * 10**8, 100, 20_000).gigabytes > small.gigabytes


def test_the_number_of_weights_is_that_of_the_base() -> None:
    model, _ = model_directory.load(Path("base"))
    counted = sum(p.numel() for p in model.parameters())
    assert own_fine_tuning.n_weight("base") == pytest.approx(counted, rel=0.05)
