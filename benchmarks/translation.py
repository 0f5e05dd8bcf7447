r"""Compare our translation recipe with JoeyNMT on Multi30k: same data, shape and minutes.

    python benchmarks/translation.py FOLDER [--source en --target de] [--recipe RECIPE]
                                     [--out runs/translation] [--peer-python PYTHON]
                                     [--skip-ours] [--skip-peer] [--smoke]

FOLDER holds train, val, test_2016_flickr and test_2017_flickr as .en.gz, .de.gz and .fr.gz. Ours
runs first. Then the peer gets as many seconds of wall clock; both sides include their validations.

The peer is JoeyNMT 2.3.0 (Kreutzer et al. 2019). It runs on torch 2.13 but requires old versions of
other packages, so it needs an environment of its own:

    python -m venv joey
    joey/bin/pip install --no-deps joeynmt==2.3.0 sentencepiece==0.1.99 \
        importlib_metadata==8.4.0 subword-nmt
    joey/bin/pip install torch==2.13.0 numpy sacrebleu sacremoses tensorboard matplotlib plotly \
        pandas pyyaml tqdm packaging zipp

It trains the tiny Transformer of Wu et al. 2021: 4 + 4 layers, d_model 128, feed-forward 256, 4
heads, dropout 0.3, label smoothing 0.1, Adam with betas 0.9 and 0.98, learning rate 5e-3 after
2,000 steps of warm-up, then the inverse square root, 4,096 tokens a step. Its vocabulary is a
SentencePiece BPE of our vocabulary's size. Its best checkpoint by validation BLEU is scored. Both
sides decode with a beam of 5.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from joeynmt_peer import TESTS, Peer

from chatwright.devices import environment
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.pipeline.translation_suite import TranslationSettings
from chatwright.training.watcher import Watcher


def main() -> None:
    """Train and score both, and write the figures as JSON."""
    args = parse_arguments()
    results: dict[str, object] = {"environment": environment()}
    seconds = args.seconds
    if not args.skip_ours:
        ours = train_and_score_ours(args)
        results["ours"] = ours
        seconds = float(str(ours["seconds"]))
    if not args.skip_peer:
        peer = Peer(args, 600.0 if args.smoke else seconds)
        results["joeynmt"] = peer.train_and_score()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=1))
    print(json.dumps(results, indent=1))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the files of Multi30k")
    parser.add_argument("--source", default="en", help="language to translate from")
    parser.add_argument("--target", default="de", help="language to translate to")
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("translate-en-de"))
    parser.add_argument("--out", type=Path, default=Path("runs/translation"))
    parser.add_argument("--peer-python", default=sys.executable, help="Python with JoeyNMT")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="for the peer, if ours is skipped"
    )
    parser.add_argument("--skip-ours", action="store_true")
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to check the path")
    return parser.parse_args()


def train_and_score_ours(args: argparse.Namespace) -> dict[str, object]:
    """Run our recipe and score it on the test sets."""
    started = time.perf_counter()
    recipe = read_recipe(args.recipe, smoke=args.smoke)
    last_stage = run_recipe(recipe, args.out / "ours", args.data, Watcher(say=print))
    seconds = time.perf_counter() - started
    notes = json.loads((last_stage / "model" / "training.json").read_text())
    figures: dict[str, object] = {
        "seconds": seconds,
        "training_seconds": notes["seconds"],
        "parameters": notes["parameters"],
        "steps": notes["steps"],
    }
    for test in TESTS:
        references = args.data / f"{test}.{args.target}.gz"
        figures[test] = evaluate(
            last_stage,
            "translation",
            args.data / f"{test}.{args.source}.gz",
            smoke=args.smoke,
            translation=TranslationSettings(references=references, language=args.target),
        )
    return figures


if __name__ == "__main__":
    main()
