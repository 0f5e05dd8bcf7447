"""Improve a model from feedback, in steps of which finished ones are never repeated.

    feedback -> judge         a reward model that compares replies, if no judge is named
             -> reward model  gives the rewards of the training, for ppo and grpo only
             -> training -> comparison by the judge -> promoted or refused

DIR is the directory of the model's versions. Its folder improve/N holds the data, the stages and
the comparison of the Nth improvement. The result is a version in the registry of DIR, also if it is
refused. The same command continues an interrupted improvement.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import registry
from chatwright.checkpoint.lock import writer_lock
from chatwright.checkpoint.registry import Registry, Version
from chatwright.commands import command_line
from chatwright.data.snapshot import Snapshot, read_snapshot
from chatwright.errors import InputError
from chatwright.evaluation.judges import Judge
from chatwright.evaluation.win_rate import WinRate
from chatwright.pipeline import model_versions
from chatwright.pipeline.compare import CompareConfig, compare, read_prompts
from chatwright.pipeline.comparison.judge_choice import JudgeOptions, open_judge
from chatwright.pipeline.comparison.samples import SampleConfig
from chatwright.pipeline.content_hash import content_hash, hash_json
from chatwright.pipeline.data_sources import path_strings
from chatwright.pipeline.improve import plan
from chatwright.pipeline.improve.feedback_checks import check_feedback
from chatwright.pipeline.improve.improvement_folder import (
    FOLDER,
    ImprovementFolder,
    open_improvement_folder,
    version_trained_in,
)
from chatwright.pipeline.improve.judge_check import REMEDY, require_judge
from chatwright.pipeline.improve.methods import Method, choose, count
from chatwright.pipeline.improve.parts import (
    FeedbackParts,
    split_feedback,
    write_part,
    write_prompts,
)
from chatwright.pipeline.improve.promotion import Decision, decide
from chatwright.pipeline.improve.settings import ImproveConfig
from chatwright.pipeline.improve.starter_defaults import with_starter_defaults
from chatwright.pipeline.recipe import Recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training.watcher import Watcher

COMPARISON = "comparison"


@dataclass(frozen=True)
class Improvement:
    """The outcome of an improvement."""

    versions: Path
    """The directory of the versions."""
    version: Version
    is_promoted: bool
    reason: str
    folder: Path
    """Where its stages and its comparison are."""


def improve(model: Path, feedback: Path, config: ImproveConfig, watcher: Watcher) -> Improvement:
    """Improve the served version of a model, and promote or refuse the result.

    Args:
        model: A directory of versions, the folder of a recipe's stages, or a model.
        feedback: A snapshot of feedback.
        config: The settings.
        watcher: Receives progress and messages.

    Raises:
        InputError: The feedback is too little, damaged or about other models, or a setting is
            wrong.
        RunFailed: The training failed, for example because it learned nothing.
    """
    snapshot = read_snapshot(feedback)
    opened = model_versions.open_registry(model)
    folder = opened.directory / FOLDER
    with writer_lock(folder):
        config = with_starter_defaults(config, opened.path_of(opened.current), folder, watcher)
        if config.prompts:
            read_prompts(Path(config.prompts))  # a wrong file is found before the training
        return _Run(opened, snapshot, config, watcher).run()


class _Run:
    """One call of `improve`."""

    def __init__(
        self, opened: Registry, snapshot: Snapshot, config: ImproveConfig, watcher: Watcher
    ) -> None:
        self.registry = opened
        self.snapshot = snapshot
        self.config = config
        self.watcher = watcher
        self.parent = opened.current
        self.parent_path = opened.path_of(opened.current)

    def run(self) -> Improvement:
        """Take the steps that are not finished."""
        kept = check_feedback(self.snapshot, self.registry, self.config, self.watcher)
        parts = split_feedback(kept, self._judging_share())
        counts = count(parts.training)
        method = choose(self.config.method, counts)
        self.watcher.say(
            f"method {method.name}: {counts.n_pair:,} pairs and {counts.n_thumb:,} thumbs by "
            f"{len(counts.raters):,} raters to learn from"
        )
        current = open_improvement_folder(self.registry.directory, self._identity(method))
        decided = self._decided(current)
        if decided is not None:
            return decided
        trains_judge = self._trains_judge(parts)
        self._write_data(current.folder, parts)
        recipe = plan.make_recipe(
            self.config, method, counts, current.folder, self.parent_path, trains_judge
        )
        accuracy = self._check_judge(recipe, current.folder, parts) if trains_judge else None
        trained = run_recipe(recipe, current.folder, None, self.watcher, self.parent_path)
        version = version_trained_in(registry.read(self.registry.directory), current.folder)
        if version is None:
            version = model_versions.add(
                self.registry.directory,
                trained,
                parent=self.parent,
                feedback=self.snapshot.sha256,
                method=method.name,
                config=dict(plan.stage_settings(recipe)),
            )
        decision = self._compare(current.folder, trained, trains_judge, accuracy)
        return self._record(version, decision, current.folder)

    def _identity(self, method: Method) -> str:
        """Hash what identifies this improvement; files count by their content."""
        table = config_files.to_table(self.config)
        # `practice` names the prompts that ppo and grpo answer while they learn.
        for key in ("prompts", "votes", "texts", "practice"):
            table[key] = [content_hash(Path(path)) for path in path_strings(table[key])]
        return hash_json([self.snapshot.sha256, self.parent.id, method.name, table])

    def _judging_share(self) -> float:
        """Return the share of the feedback kept for the comparison; 0 if it needs none."""
        config = self.config
        return 0.0 if config.names_judge and config.prompts else config.judging_share

    def _trains_judge(self, parts: FeedbackParts) -> bool:
        """Return whether the judge is to be trained: a reward model, on the judging feedback."""
        if self.config.names_judge:
            return False
        n_pair = count(parts.judging).n_pair
        if n_pair >= plan.MIN_JUDGING_PAIRS:
            return True
        raise InputError(
            f"Nothing can judge the result: no judge was named, and the {n_pair:,} pairs kept for "
            f"judging are too few to learn a judge from; it needs {plan.MIN_JUDGING_PAIRS}.",
            remedy=REMEDY,
            field="rules",
            value=n_pair,
        )

    def _decided(self, current: ImprovementFolder) -> Improvement | None:
        """Return the outcome, if this very improvement was decided before."""
        version = version_trained_in(self.registry, current.folder)
        if version is None or not (events := self.registry.events_of(version)):
            return None
        self.watcher.say(
            f"this improvement was made before: {version.name} was {events[0].kind}. The same "
            "feedback, settings and start give the same result"
        )
        is_promoted = events[0].kind == "promoted"
        folder = current.folder
        return Improvement(self.registry.directory, version, is_promoted, events[0].reason, folder)

    def _write_data(self, folder: Path, parts: FeedbackParts) -> None:
        write_part(folder / plan.TRAINING_FILE, parts.training)
        write_prompts(folder / plan.PRACTICE_FILE, parts.training)
        if parts.judging:
            write_part(folder / plan.JUDGING_FILE, parts.judging)
            write_prompts(folder / plan.PROMPTS_FILE, parts.judging)

    def _check_judge(self, recipe: Recipe, folder: Path, parts: FeedbackParts) -> WinRate | None:
        """Train the judge, the first stage, and refuse one that is at chance before the others."""
        judge = dataclasses.replace(recipe, stages=recipe.stages[:1])
        trained = run_recipe(judge, folder, None, self.watcher, self.parent_path)
        accuracy = require_judge(trained, parts.training)
        if accuracy is None:
            self.watcher.warn("the judge could not be measured: the other feedback holds no pairs")
        else:
            self.watcher.say(
                f"the judge orders {accuracy.value:.1%} of {accuracy.n_comparison:,} other pairs "
                f"as the raters did (95 % interval {accuracy.low:.1%} to {accuracy.high:.1%})"
            )
        return accuracy

    def _compare(
        self, folder: Path, trained: Path, trains_judge: bool, accuracy: WinRate | None
    ) -> Decision:
        self.watcher.say(f"comparing {trained} with {self.parent_path}")
        prompts_file = Path(self.config.prompts or folder / plan.PROMPTS_FILE)
        out = folder / COMPARISON
        models = (self.parent_path, trained)
        judge = self._judge(folder, prompts_file, models, trains_judge)
        samples = {
            field.name: getattr(self.config.samples, field.name)
            for field in dataclasses.fields(SampleConfig)
        }
        settings = CompareConfig(
            **samples,
            skills=self.config.skills,
            texts=Path(self.config.texts) if self.config.texts else None,
            training_data=(folder / plan.TRAINING_FILE,),
        )
        rows = read_prompts(prompts_file)
        comparison = compare(*models, rows, judge, out, settings, self.watcher.say)
        return decide(comparison, self.config.promotion, accuracy)

    def _judge(
        self, folder: Path, prompts_file: Path, models: Sequence[Path], trains_judge: bool
    ) -> Judge:
        chosen: dict[str, Any] = {}
        if trains_judge or self.config.reward_model:
            chosen["reward_model"] = Path(self.config.reward_model or folder / plan.JUDGE)
        if self.config.rules:
            chosen["rules"] = tuple(rule.strip() for rule in self.config.rules.split(","))
        if self.config.votes:
            chosen["votes"] = Path(self.config.votes)
        options = JudgeOptions(**chosen)
        return open_judge(options, prompts_file, models, folder / COMPARISON)

    def _record(self, version: Version, decision: Decision, folder: Path) -> Improvement:
        versions = self.registry.directory
        if registry.read(versions).current != self.parent:
            # Someone promoted or rolled back meanwhile: the comparison is with another model.
            decision = Decision(
                False,
                "another version was served meanwhile, with which it was not compared; "
                f"it {'won' if decision.is_promoted else 'did not win'} against "
                f"{self.parent.name}: {decision.reason}",
                decision.metrics,
            )
        record = registry.promote if decision.is_promoted else registry.refuse
        record(versions, version.id, decision.reason, decision.metrics)
        return Improvement(versions, version, decision.is_promoted, decision.reason, folder)


def closing_line(improvement: Improvement) -> str:
    """Return what was decided, why, and the next command."""
    name, versions = improvement.version.name, improvement.versions
    report = improvement.folder / COMPARISON / "report.html"
    if improvement.is_promoted:
        undo = command_line("models", "rollback", versions)
        return (
            f"{name} is promoted and served from now on: {improvement.reason}. "
            f"See {report}. Undo it: {undo}"
        )
    force = command_line("models", "promote", versions, name, "--force", "--reason", "TEXT")
    return (
        f"{name} is refused, and the model stays as it was: {improvement.reason}. "
        f"See {report}. To serve it nevertheless: {force}"
    )
