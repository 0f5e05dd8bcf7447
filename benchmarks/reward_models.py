"""Train a reward model on sets of human preferences and measure it on their test parts.

    python benchmarks/reward_models.py MODEL FEEDBACK OUT SET [SET ...] [KEY=VALUE ...]

FEEDBACK is what `python recipes/feedback_data.py` wrote; a SET is one of its folders, such as
pandalm. KEY=VALUE are further settings of `chatwright train reward`. For each set, OUT/SET is the
run, and OUT/SET/TEST.md the card of the test part: no prompt of it is in the training part. A run
that is finished is measured again, not trained again.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.rankings import REMEDY, EncodedRankings, encode_rankings
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import RankedRow
from chatwright.engine.reward_forward import RewardForward
from chatwright.evaluation.reward_card import reward_card
from chatwright.tokenizer.tokenizer import Tokenizer


def read(path: Path, tokenizer: Tokenizer, length: int) -> EncodedRankings:
    """Return the rankings with a preference in a snapshot, as rankings of held-out prompts."""
    rows = read_kind(RankedRow, path, DEFAULTS, name="preferences", remedy=REMEDY).rows
    rows = [row for row in rows if len(set(row.ranks)) > 1]
    return encode_rankings(rows, tokenizer, length, ["prompt"] * len(rows))


def measure(run: Path, feedback: Path) -> str:
    """Return the card of a finished run on the test part, beside baselines of the training part."""
    model, tokenizer = model_directory.load(run)
    length = model.config.context_length
    training, test = (read(feedback / f"{part}.jsonl", tokenizer, length) for part in PARTS)
    training = replace(training, rankings=[replace(r, held_out="") for r in training.rankings])
    forward = RewardForward(model)
    scores = [forward.scores(list(ranking.replies)).tolist() for ranking in test.rankings]
    return reward_card(training, test, scores).to_markdown()


PARTS = ("train", "test")


def main(arguments: list[str]) -> None:
    """Train and measure each set that the command line names."""
    model, feedback, out = map(Path, arguments[:3])
    sets = [argument for argument in arguments[3:] if "=" not in argument]
    settings = [argument for argument in arguments[3:] if "=" in argument]
    for name in sets:
        run = out / name
        if not (run / "model").exists():
            command = ["train", "reward", "--from", str(model), "--out", str(run)]
            command += ["--data", str(feedback / name / "train.jsonl"), *settings]
            subprocess.run([sys.executable, "-m", "chatwright", *command], check=True)
        card = measure(run, feedback / name)
        (run / "TEST.md").write_text(card, encoding="utf-8")
        print(f"# {name}\n{card}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
