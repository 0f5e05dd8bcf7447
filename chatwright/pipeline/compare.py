"""Compare two models: both reply to the same held-out prompts, and a judge decides.

    comparison = compare(Path("runs/sft"), Path("runs/dpo"), prompts, judge, out)
    comparison.win_rate      how often the candidate's reply is better, with an interval
    comparison.verdict       "better", "worse" or "no difference shown"

The first model is the baseline, the second the candidate. Replies and answers of a judge are kept
in `out`: a stopped comparison continues, and another judge costs no new replies.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import PromptRow
from chatwright.errors import InputError
from chatwright.evaluation.judges import Judge
from chatwright.pipeline.comparison.blind_pairs import write_blind_pairs
from chatwright.pipeline.comparison.capabilities import compare_bits_per_byte, compare_skills
from chatwright.pipeline.comparison.kept_results import KeptResults
from chatwright.pipeline.comparison.metrics import comparison_metrics, judge_replies
from chatwright.pipeline.comparison.prompt_overlap import without_training_prompts
from chatwright.pipeline.comparison.report import write_report
from chatwright.pipeline.comparison.result import Comparison, to_json
from chatwright.pipeline.comparison.samples import Replies, SampleConfig, sample_replies

KEPT_FILE = "kept.jsonl"
RESULT_FILE = "comparison.json"
REPORT_FILE = "report.html"
PROMPTS_REMEDY = 'give rows such as {"prompt": "What is 2 + 3?", "answer": "5"}'


@dataclass(frozen=True, kw_only=True)
class CompareConfig(SampleConfig):
    """What is compared, and how replies are sampled."""

    skills: int = 0
    """Test questions of each skill of the starter's exam; 0 measures no skills."""
    texts: Path | None = None
    """Texts on which bits per byte are measured."""
    training_data: tuple[Path, ...] = ()
    """Training data of the models; prompts in it are left out."""


def read_prompts(path: Path) -> list[PromptRow]:
    """Return the prompts at `path`. Raises DataError if there are none."""
    read = read_kind(PromptRow, path, DEFAULTS, name="prompts", remedy=PROMPTS_REMEDY)
    return read.rows


def compare(
    baseline: Path,
    candidate: Path,
    prompts: Sequence[PromptRow],
    judge: Judge,
    out: Path,
    config: CompareConfig = CompareConfig(),
    say: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Let two models reply to prompts and judge the replies.

    Write `out`/comparison.json and `out`/report.html.

    Args:
        baseline: Directory of a model, for example the model before training.
        candidate: Directory of the model compared with it.
        prompts: Held-out prompts.
        judge: Decides which of two replies is better.
        out: Folder of the results; replies and test results in it are used again.
        config: Number of samples and their settings, and what else is measured.
        say: Called with what is being done.

    Raises:
        InputError: No prompt is left, nothing was judged, or a directory holds no model for chat.
    """
    new, known = _held_out(prompts, config.training_data)
    with writer_lock(out):
        kept = KeptResults(out / KEPT_FILE)
        rows, replies = _both_reply((baseline, candidate), new, config, kept, say)
        say(f"judging by {judge.name}")
        outcomes = judge_replies(judge, rows, *replies)
        comparison = Comparison(
            baseline=str(baseline),
            candidate=str(candidate),
            judge=judge.name,
            **comparison_metrics(judge, rows, *replies, outcomes, config.seed),
            n_too_long=len(new) - len(rows),
            n_overlap=len(known),
            overlap_checked=bool(config.training_data),
            skills=compare_skills(baseline, candidate, config.skills, kept, say)
            if config.skills
            else {},
            bits_per_byte=(
                compare_bits_per_byte(baseline, candidate, config.texts, kept, say)
                if config.texts
                else None
            ),
            prompts=tuple(rows),
            replies=replies,
            outcomes=outcomes,
        )
        weights = [model_directory.weights_hash(path) for path in (baseline, candidate)]
        text = json.dumps(to_json(comparison, weights, config), indent=1)
        directory.write_text(out / RESULT_FILE, text)
        write_report(out / REPORT_FILE, comparison)
    return comparison


def _held_out(
    prompts: Sequence[PromptRow], training: tuple[Path, ...]
) -> tuple[list[PromptRow], list[PromptRow]]:
    new, known = without_training_prompts(prompts, training) if training else (list(prompts), [])
    if not new:
        raise InputError(
            f"None of the {len(prompts)} prompts is left: all are in the training data.",
            remedy="Give prompts that neither model was trained on.",
            field="--prompts",
            value=len(prompts),
        )
    return new, known


def _both_reply(
    models: tuple[Path, Path],
    prompts: Sequence[PromptRow],
    config: CompareConfig,
    kept: KeptResults,
    say: Callable[[str], None],
) -> tuple[list[PromptRow], tuple[Replies, Replies]]:
    """Return the prompts that both models can read, and the replies of both."""
    baseline, candidate = (sample_replies(path, prompts, config, kept, say) for path in models)
    answered = [i for i in range(len(prompts)) if baseline[i] and candidate[i]]
    if not answered:
        raise InputError(
            f"All {len(prompts)} prompts are too long for the context of one of the models.",
            remedy="Give shorter prompts, or allow fewer tokens for a reply (max_tokens).",
            field="--prompts",
            value=len(prompts),
        )
    rows = [prompts[i] for i in answered]
    return rows, ([baseline[i] for i in answered], [candidate[i] for i in answered])


def write_pairs_to_rate(
    baseline: Path,
    candidate: Path,
    prompts: Sequence[PromptRow],
    file: Path,
    out: Path,
    config: CompareConfig = CompareConfig(),
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Write both models' replies as blind pairs for people to rate; return the number of pairs.

    Without a judge: the snapshot of the ratings is one (`VoteJudge`). Arguments as in `compare`.
    """
    new, _ = _held_out(prompts, config.training_data)
    with writer_lock(out):
        kept = KeptResults(out / KEPT_FILE)
        rows, replies = _both_reply((baseline, candidate), new, config, kept, say)
    weights = (model_directory.weights_hash(baseline), model_directory.weights_hash(candidate))
    return write_blind_pairs(file, rows, replies, weights, config.seed)
