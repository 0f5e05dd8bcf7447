"""Rounds of collecting feedback from simulated raters and improving the starter model.

    rounds = 3
    [collect]           settings of the simulated feedback (pipeline/simulated_feedback.py)
    n_ranking = 1000
    [improve]           settings of each improvement (pipeline/improve/settings.py)
    method = "dpo"

`chatwright run` runs such a recipe. Without [collect], the option --data gives the feedback, and
there is one round. Each round asks the served version, whose replies are ranked, and learns from
the feedback of all rounds so far. A finished round is not repeated. At the end, the version served
after the last round is compared with the one after the first.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import directory, model_directory, registry
from chatwright.data.snapshot import read_snapshot, write_snapshot
from chatwright.errors import InputError
from chatwright.pipeline import model_versions
from chatwright.pipeline.compare import CompareConfig, compare, read_prompts
from chatwright.pipeline.comparison.judge_choice import JudgeOptions, open_judge
from chatwright.pipeline.comparison.samples import open_engine
from chatwright.pipeline.content_hash import hash_json
from chatwright.pipeline.improve import starter_defaults
from chatwright.pipeline.improve.improve import improve
from chatwright.pipeline.improve.improvement_folder import FOLDER
from chatwright.pipeline.improve.loop_report import write_loop_report
from chatwright.pipeline.improve.promotion import decision_metrics
from chatwright.pipeline.improve.read_settings import read_settings
from chatwright.pipeline.improve.settings import ImproveConfig
from chatwright.pipeline.simulated_feedback import SimulationConfig, simulate_feedback
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.starter import make_fact_table
from chatwright.starter import read_settings as read_corpus_settings
from chatwright.training.watcher import Watcher

FEEDBACK_FILE = "feedback.jsonl"
"""The feedback of a round, in its folder."""
POOLED_FILE = "all-feedback.jsonl"
"""The feedback of this round and of all earlier ones."""
N_REPLY = 64
"""Replies that are sampled together."""


@dataclass(frozen=True)
class Loop:
    """The settings of a recipe with rounds."""

    rounds: int
    collect: SimulationConfig | None
    """None: the feedback is given."""
    improve: ImproveConfig
    identity: str
    """Hash of the settings."""


def read_loop(path: Path, overrides: list[str]) -> Loop:
    """Read a recipe with rounds. Raises InputError if a setting is wrong."""
    table = config_files.merge(
        config_files.read_toml(path), config_files.parse_overrides(overrides)
    )
    table.pop("about", None)
    identity = hash_json(table)
    rounds = table.pop("rounds")
    collected = table.pop("collect", None)
    collect = None
    if collected is not None:
        collect = config_files.build(SimulationConfig, collected, f"{path}: [collect]")
    settings = read_settings(table.pop("improve", {}), ())
    if table or not isinstance(rounds, int) or rounds < 1:
        key = next(iter(table), "rounds")
        raise InputError(
            f"{path}: {key} = {table.get(key, rounds)!r}.",
            remedy="A loop has rounds = 1 or more, and the tables [collect] and [improve].",
            field=key,
            value=table.get(key, rounds),
        )
    return Loop(rounds, collect, settings, identity)


def run_loop(
    path: Path, overrides: list[str], model: Path, data: Path | None, watcher: Watcher
) -> Path:
    """Run all rounds that are not finished, and return the path of the report.

    Args:
        path: The recipe.
        overrides: Settings as "improve.dpo.loop.steps=20".
        model: The model to improve, or the directory of its versions.
        data: A snapshot of feedback, for a recipe without [collect].
        watcher: Receives progress and messages.
    """
    loop = read_loop(path, overrides)
    _require_feedback(path, loop, data)
    versions = model_versions.open_registry(model).directory
    folder = versions / FOLDER / f"{path.stem}-{loop.identity[:8]}"
    results = []
    for number in range(1, loop.rounds + 1):
        watcher.say(f"round {number} of {loop.rounds}")
        results.append(_round(loop, number, versions, folder / f"round-{number}", data, watcher))
    final = _compare_rounds(loop, versions, folder, results, watcher)
    return write_loop_report(folder, results, final)


def _round(
    loop: Loop, number: int, versions: Path, folder: Path, data: Path | None, watcher: Watcher
) -> dict[str, Any]:
    """Collect feedback and improve, unless the round was finished before; return its metrics."""
    result_file = folder / "result.json"
    if result_file.is_file():
        saved: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
        if "figures" in saved:  # the name of the metrics in earlier files
            saved["metrics"] = saved.pop("figures")
        return saved
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = data or folder / FEEDBACK_FILE
    if loop.collect:
        if not snapshot.exists():
            _collect(loop.collect, number, versions, snapshot, watcher)
        snapshot = _pool(folder, number)
    improvement = improve(versions, snapshot, loop.improve, watcher)
    read = registry.read(versions)
    events = read.events_of(improvement.version)
    result = {
        "round": number,
        "version": improvement.version.name,
        "is_promoted": improvement.is_promoted,
        "reason": improvement.reason,
        "served": read.current.name,
        "metrics": dict(events[0].metrics),
    }
    directory.write_text(result_file, json.dumps(result, indent=1))
    return result


def _pool(folder: Path, number: int) -> Path:
    """Write the feedback of all rounds so far as one snapshot, and return its path."""
    pooled = folder / POOLED_FILE
    if not pooled.exists():
        rounds = (folder.with_name(f"round-{n}") for n in range(1, number + 1))
        snapshots = [read_snapshot(earlier / FEEDBACK_FILE) for earlier in rounds]
        write_snapshot(pooled, [item for each in snapshots for item in each.feedback])
    return pooled


def _require_feedback(path: Path, loop: Loop, data: Path | None) -> None:
    if (data is None) == (loop.collect is None):
        needs = "simulates its feedback" if loop.collect else "needs feedback"
        remedy = "Leave out --data." if loop.collect else "Give a snapshot with --data FILE."
        raise InputError(f"{path}: this recipe {needs}.", remedy=remedy, field="--data")
    if loop.collect is None and loop.rounds > 1:
        raise InputError(
            f"{path}: rounds is {loop.rounds}, but the same feedback teaches only once.",
            remedy="Set rounds = 1, or add the table [collect].",
            field="rounds",
            value=loop.rounds,
        )


def _collect(
    collect: SimulationConfig, number: int, versions: Path, out: Path, watcher: Watcher
) -> None:
    found = model_directory.find(versions)
    corpus = starter_corpus(versions)
    if corpus is None:
        raise InputError(
            f"{versions}: no starter corpus is beside this model, and simulated raters know only "
            "that.",
            remedy="Give a model of the starter with --from runs/starter.",
            field="--from",
            value=str(versions),
        )
    settings = read_corpus_settings(corpus)
    table = make_fact_table(settings.size, settings.seed)
    watcher.say(f"{found} replies, and simulated raters rank the replies")
    model, tokenizer = model_directory.load(found)
    with open_engine(model, N_REPLY) as engine:
        simulated = simulate_feedback(
            Assistant(engine, tokenizer),
            model_directory.weights_hash(found),
            table,
            replace(collect, seed=collect.seed + number),
        )
    write_snapshot(out, simulated.rankings)


def _compare_rounds(
    loop: Loop, versions: Path, folder: Path, results: list[dict[str, Any]], watcher: Watcher
) -> Mapping[str, Any]:
    """Compare the version after the last round with the one after the first."""
    read = registry.read(versions)
    first, last = (read.version(results[index]["served"]) for index in (0, -1))
    if first == last:
        return {}
    watcher.say(f"comparing {last.name}, after the last round, with {first.name}, after the first")
    prompts = versions / FOLDER / starter_defaults.FOLDER / "judge.jsonl"
    out = folder / "comparison"
    paths = read.path_of(first), read.path_of(last)
    judge = open_judge(JudgeOptions(rules=(starter_defaults.RULES,)), prompts, paths, out)
    config = CompareConfig(**asdict(loop.improve.samples))
    comparison = compare(*paths, read_prompts(prompts), judge, out, config, watcher.say)
    return {"first": first.name, "last": last.name, **decision_metrics(comparison)}
