"""Print a win rate of two models: `chatwright compare BASELINE CANDIDATE --prompts FILE`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import MODEL_HELP, named_model
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.pipeline.comparison.judge_choice import JudgeOptions
    from chatwright.pipeline.comparison.result import Comparison

OUT = Path("runs/compare")


def compare(
    baseline: Annotated[
        Path,
        typer.Argument(
            metavar="BASELINE", help=f"Model to compare with. {MODEL_HELP}", callback=named_model
        ),
    ],
    candidate: Annotated[
        Path,
        typer.Argument(
            metavar="CANDIDATE", help="Model, for example after training.", callback=named_model
        ),
    ],
    prompts: Annotated[
        Path,
        typer.Option("--prompts", help="Held-out prompts: rows with prompt, and answer and kind."),
    ],
    rules: Annotated[
        str,
        typer.Option(
            "--rules",
            help="Judge by rules, with commas between: right_number, exact, tool_call (compare "
            "with the answer), or starter.",
        ),
    ] = "",
    reward_model: Annotated[
        Path | None,
        typer.Option("--reward-model", help="Judge by a reward model that trained neither model."),
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option("--votes", help="Judge by people's rankings of these replies: a snapshot."),
    ] = None,
    votes_out: Annotated[
        Path | None,
        typer.Option("--votes-out", help="Write the replies as blind pairs for people to rate."),
    ] = None,
    judge_url: Annotated[
        str,
        typer.Option(
            "--judge-url",
            help="Judge by a model behind an OpenAI-compatible API, for example "
            "http://127.0.0.1:8080/v1. Prompts and replies are sent there.",
        ),
    ] = "",
    judge_model: Annotated[str, typer.Option("--judge-model", help="Name of that model.")] = "",
    judge_key_file: Annotated[
        Path | None, typer.Option("--judge-key-file", help="File with the key of that API.")
    ] = None,
    judge_key_env: Annotated[
        str, typer.Option("--judge-key-env", help="Environment variable with that key.")
    ] = "",
    samples: Annotated[
        int, typer.Option("--samples", help="Replies of each model to each prompt.", min=1)
    ] = 4,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Temperature of the replies.", min=0)
    ] = 0.8,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", help="Longest reply, in tokens.", min=1)
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the replies.")] = 0,
    skills: Annotated[
        int,
        typer.Option(
            "--skills",
            help="Also compare the skills of the starter, with so many test questions of each.",
            min=0,
        ),
    ] = 0,
    texts: Annotated[
        Path | None, typer.Option("--texts", help="Also compare bits per byte on these texts.")
    ] = None,
    training_data: Annotated[
        list[Path] | None,
        typer.Option("--training-data", help="Data of the training; prompts in it are left out."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results; replies in it are used again.")
    ] = OUT,
) -> None:
    """Compare two models on held-out prompts.

    Both models reply to each prompt, and a judge decides which reply is better. Give one judge:
    --rules, --reward-model, --votes, or --judge-url.
    """
    from chatwright.pipeline import compare as comparing
    from chatwright.pipeline.comparison.judge_choice import open_judge

    config = comparing.CompareConfig(
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        skills=skills,
        texts=texts,
        training_data=tuple(training_data or ()),
    )
    rows = comparing.read_prompts(prompts)
    if votes_out is not None:
        n = comparing.write_pairs_to_rate(baseline, candidate, rows, votes_out, out, config, _say)
        print(f"{votes_out}: {n:,} blind pairs; rate them with chatwright rate --pairs {votes_out}")
        if not (rules or reward_model or votes or judge_url):
            return
    options = _judge_options(
        rules, reward_model, votes, judge_url, judge_model, judge_key_file, judge_key_env
    )
    judge = open_judge(options, prompts, (baseline, candidate), out)
    comparison = comparing.compare(baseline, candidate, rows, judge, out, config, _say)
    _print(comparison)
    print(f"Figures: {out / comparing.RESULT_FILE}. Replies: {out / comparing.REPORT_FILE}")


def _judge_options(
    rules: str,
    reward_model: Path | None,
    votes: Path | None,
    url: str,
    model: str,
    key_file: Path | None,
    key_variable: str,
) -> "JudgeOptions":
    from chatwright.evaluation.chat_api import ChatApiConfig
    from chatwright.pipeline.comparison.judge_choice import JudgeOptions, read_key

    if bool(url) != bool(model):
        raise InputError(
            "--judge-url and --judge-model need each other.",
            remedy="Give both.",
            field="--judge-model" if url else "--judge-url",
        )
    api = ChatApiConfig(url=url, model=model, key=read_key(key_file, key_variable)) if url else None
    names = tuple(name.strip() for name in rules.split(",") if name.strip())
    return JudgeOptions(rules=names, reward_model=reward_model, votes=votes, api=api)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _print(comparison: "Comparison") -> None:
    from chatwright.pipeline.comparison.summary import (
        capability_rows,
        main_rows,
        model_rows,
        rate_rows,
        verdict_line,
    )

    c = comparison
    for title, rows in (
        ("", [*model_rows(c), *main_rows(c)]),
        ("By kind of prompt", rate_rows(c.by_kind)),
        ("Win rate if the judge lacks one rule", rate_rows(c.without_rule)),
        ("Capabilities, baseline and candidate", capability_rows(c)),
    ):
        if not rows:
            continue
        if title:
            print(f"\n{title}")
        for name, value in rows:
            print(f"{name:34} {value}")
    print(f"\n{verdict_line(c)}")
