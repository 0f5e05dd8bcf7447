"""Simulated feedback: `chatwright feedback simulate` and `chatwright feedback prompts`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import ModelDirectory
from chatwright.cli.status_line import StatusLine
from chatwright.commands import command_line


class PromptPart(StrEnum):
    """The parts of the prompts that raters may see."""

    TRAINING = "training"
    VALIDATION = "validation"


def simulate(
    directory: ModelDirectory,
    out: Annotated[Path, typer.Argument(help="The snapshot to write, a new .jsonl file.")],
    pairs: Annotated[
        int, typer.Option("--pairs", help="Number of prompts whose replies are ranked.", min=1)
    ] = 500,
    replies: Annotated[
        int, typer.Option("--replies", help="Replies to each prompt.", min=2, max=9)
    ] = 2,
    raters: Annotated[int, typer.Option("--raters", help="Number of raters.", min=1)] = 5,
    noise: Annotated[
        float, typer.Option("--noise", help="Probability that a rater reverses an order.")
    ] = 0.05,
    hostile: Annotated[
        float, typer.Option("--hostile", help="Share of raters who always reverse their order.")
    ] = 0.0,
    rater_temperature: Annotated[
        float,
        typer.Option(
            "--rater-temperature",
            help="Scale of the random part of a rater's judgment, which is from 0 to 1.",
        ),
    ] = 0.0,
    overlap: Annotated[
        float, typer.Option("--overlap", help="Share of prompts that a second rater ranks too.")
    ] = 0.1,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Temperature of the sampling.", min=0.0)
    ] = 0.8,
    part: Annotated[
        PromptPart, typer.Option("--part", help="Which prompts: for training or for validation.")
    ] = PromptPart.TRAINING,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
) -> None:
    """Let simulated raters rank replies of a starter model.

    The raters are programs that know the starter corpus. All feedback is marked as simulated.
    """
    with StatusLine(f"Simulating feedback on {directory}") as status:
        status.show("loading PyTorch")
        from chatwright.cli.load_model import open_sampling_assistant
        from chatwright.cli.rating.sources import require_starter_corpus
        from chatwright.data.snapshot import write_snapshot
        from chatwright.pipeline.collect import CollectConfig
        from chatwright.pipeline.simulated_feedback import SimulationConfig, simulate_feedback
        from chatwright.starter import make_fact_table, read_settings
        from chatwright.starter.feedback.raters import RaterSettings

        corpus = read_settings(require_starter_corpus(directory))
        config = SimulationConfig(
            n_ranking=pairs,
            overlap=overlap,
            part=part.value,
            seed=seed,
            raters=RaterSettings(
                n_rater=raters, noise=noise, hostile=hostile, temperature=rater_temperature
            ),
            collect=CollectConfig(n_reply=replies, temperature=temperature),
        )
        assistant, weights = open_sampling_assistant(directory, status)
        simulated = simulate_feedback(
            assistant,
            weights,
            make_fact_table(corpus.size, corpus.seed),
            config,
            lambda done, total: status.show(f"{done} of {total} ranked"),
        )
        snapshot = write_snapshot(out, simulated.rankings)
    n_equal, n_prompt = simulated.n_equal, simulated.n_prompt
    print(f"SIMULATED: {len(simulated.rankings)} rankings by {raters} programs, not by people")
    print(f"{simulated.n_tie} ties; {n_equal} of {n_prompt} prompts left out for equal replies")
    print(f"written to {snapshot.path}")
    print(f"next: {command_line('train', 'reward', '--from', directory, '--data', out)}")


def prompts(
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    training: Annotated[
        int, typer.Option("--training", help="Prompts for training.", min=1)
    ] = 2000,
    validation: Annotated[
        int, typer.Option("--validation", help="Prompts for validating a reward model.", min=1)
    ] = 300,
    judge: Annotated[
        int, typer.Option("--judge", help="Prompts for the judge of win rates.", min=1)
    ] = 400,
    size: Annotated[float, typer.Option("--size", help="Size of the starter corpus.")] = 1.0,
    corpus_seed: Annotated[
        int, typer.Option("--corpus-seed", help="Seed of the starter corpus.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the prompts.")] = 0,
) -> None:
    """Write prompts of the starter corpus: training.jsonl, validation.jsonl and judge.jsonl.

    The three files share no name, no combination of numbers or words, and no wording.
    """
    from chatwright.starter import make_fact_table
    from chatwright.starter.feedback.prompts import write_prompt_sets

    table = make_fact_table(size, corpus_seed)
    for name, n_row in write_prompt_sets(out, table, seed, training, validation, judge).items():
        print(f"{out / name}: {n_row} prompts")
