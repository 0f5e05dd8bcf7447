"""Translation on Multi30k: our recipe against JoeyNMT (Kreutzer et al. 2019), same data, shape and minutes, in one run on one machine.

    python benchmarks/translation.py FOLDER [--source en --target de] [--recipe recipes/translate-en-de.toml] [--out runs/translation]
                                     [--peer-python PYTHON] [--skip-ours] [--skip-peer] [--smoke]

FOLDER holds train, val, test_2016_flickr and test_2017_flickr as .en.gz, .de.gz, .fr.gz. Ours runs first; the peer is then given as many seconds of
wall clock, validations included on both sides. JoeyNMT 2.3.0 runs on torch 2.13, but it names versions of its other needs that other tools have
left behind, so it lives in an environment of its own:

    python -m venv joey && joey/bin/pip install --no-deps joeynmt==2.3.0 sentencepiece==0.1.99 importlib_metadata==8.4.0 subword-nmt
    joey/bin/pip install torch==2.13.0 numpy sacrebleu sacremoses tensorboard matplotlib plotly pandas pyyaml tqdm packaging zipp

The peer: the tiny Transformer of Wu et al. 2021 (4 + 4 layers, width 128, feed-forward 256, 4 heads, dropout 0.3, label smoothing 0.1, Adam with
betas 0.9 and 0.98, learning rate 5e-3 after 2,000 steps of warm-up, then the inverse square root, 4,096 tokens a step), sentencepiece BPE of as many
pieces as our vocabulary has, and the best of its checkpoints by BLEU on the validation set. Both write with a beam of 5.
"""

import argparse
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import yaml

from chatwright.devices import environment
from chatwright.evaluation.bleu import bleu, tokenized_lowercase_bleu
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.pipeline.translation_suite import TranslationSettings
from chatwright.training.watcher import Watcher

TESTS = ("test_2016_flickr", "test_2017_flickr")
VOCABULARY = """import sentencepiece, sys
texts, prefix, size = sys.argv[1].split(","), sys.argv[2], int(sys.argv[3])
sentencepiece.SentencePieceTrainer.train(input=texts, model_prefix=prefix, vocab_size=size, model_type="bpe", character_coverage=1.0,
                                         unk_id=0, pad_id=1, bos_id=2, eos_id=3, unk_piece="<unk>", pad_piece="<pad>")
made = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
open(prefix + ".vocab.txt", "w").write("".join(made.id_to_piece(i) + "\\n" for i in range(made.vocab_size())))
"""


def ours(args: argparse.Namespace) -> dict[str, object]:
    began = time.perf_counter()
    last = run_recipe(
        read_recipe(args.recipe, smoke=args.smoke), args.out / "ours", args.data, Watcher(say=print)
    )
    seconds = time.perf_counter() - began
    notes = json.loads((last / "model" / "training.json").read_text())
    figures: dict[str, object] = {"seconds": seconds, "training_seconds": notes["seconds"]} | {
        key: notes[key] for key in ("parameters", "steps")
    }
    for test in TESTS:
        settings = TranslationSettings(
            references=args.data / f"{test}.{args.target}.gz", language=args.target
        )
        figures[test] = evaluate(
            last,
            "translation",
            args.data / f"{test}.{args.source}.gz",
            smoke=args.smoke,
            translation=settings,
        )
    return figures


def peer(args: argparse.Namespace, seconds: float, vocab_size: int) -> dict[str, object]:
    where = (args.out / "joeynmt").resolve()
    where.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        for language in (args.source, args.target):
            (where / f"{split}.{language}").write_bytes(
                gzip.decompress((args.data / f"{split}.{language}.gz").read_bytes())
            )
    train = ",".join(str(where / f"train.{language}") for language in (args.source, args.target))
    subprocess.run(
        [args.peer_python, "-c", VOCABULARY, train, str(where / "pieces"), str(vocab_size)],
        check=True,
        capture_output=True,
    )
    (where / "config.yaml").write_text(yaml.safe_dump(joeynmt_config(where, args)))
    trained = _train_for(args, where, seconds)
    figures: dict[str, object] = {"seconds": trained, "parameters": _parameters(where)}
    for test in TESTS:
        sources = (
            gzip.decompress((args.data / f"{test}.{args.source}.gz").read_bytes())
            .decode()
            .splitlines()[: 5 if args.smoke else None]
        )
        references = (
            gzip.decompress((args.data / f"{test}.{args.target}.gz").read_bytes())
            .decode()
            .splitlines()[: len(sources)]
        )
        found = _translate(args, where, sources)
        figures[test] = {
            "bleu": bleu(found, references).bleu,
            "tokenized_lowercase_bleu": tokenized_lowercase_bleu(
                found, references, args.target
            ).bleu,
        }
    return figures


def _train_for(args: argparse.Namespace, where: Path, seconds: float) -> float:
    """Train until the time is over. Its checkpoints lie there from every validation on; the best is what is scored."""
    began = time.perf_counter()
    with (where / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [args.peer_python, "-m", "joeynmt", "train", "config.yaml", "--skip-test"],
            cwd=where,
            stdout=log,
            stderr=log,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    if not (where / "model" / "best.ckpt").exists():
        raise ValueError(
            f"{where / 'log.txt'}: JoeyNMT made no checkpoint in {seconds:.0f} s. See the end of that file; give it more time."
        )
    return time.perf_counter() - began


def _translate(args: argparse.Namespace, where: Path, sources: list[str]) -> list[str]:
    result = subprocess.run(
        [args.peer_python, "-m", "joeynmt", "translate", "config.yaml"],
        cwd=where,
        input="\n".join(sources) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    found = result.stdout.splitlines()[-len(sources) :]
    assert len(found) == len(sources), "a line in, a line out"
    return found


def _parameters(where: Path) -> int:
    line = next(
        line for line in (where / "log.txt").read_text().splitlines() if "Total params" in line
    )
    return int(line.rsplit(":", 1)[1].replace(",", ""))


def joeynmt_config(where: Path, args: argparse.Namespace) -> dict[str, object]:
    side = {
        "max_length": 64,
        "lowercase": False,
        "level": "bpe",
        "voc_min_freq": 1,
        "voc_limit": 100_000,
        "voc_file": str(where / "pieces.vocab.txt"),
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(where / "pieces.model")},
    }
    half = {
        "type": "transformer",
        "num_layers": 4,
        "num_heads": 4,
        "embeddings": {"embedding_dim": 128, "scale": True, "dropout": 0.0},
        "hidden_size": 128,
        "ff_size": 256,
        "dropout": 0.3,
        "layer_norm": "pre",
    }
    return {
        "name": "multi30k",
        "model_dir": str(where / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(where / "train"),
            "dev": str(where / "val"),
            "test": str(where / "val"),
            "dataset_type": "plain",
            "src": {"lang": args.source} | side,
            "trg": {"lang": args.target} | side,
        },
        "testing": {
            "load_model": str(where / "model" / "best.ckpt"),
            "beam_size": 5,
            "beam_alpha": 1.0,
            "batch_size": 64,
            "batch_type": "sentence",
            "max_output_length": 80,
            "eval_metrics": ["bleu"],
        },
        "training": {
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "normalization": "tokens",
            "learning_rate": 0.005,
            "learning_rate_warmup": 2000,
            "scheduling": "warmupinversesquareroot",
            "learning_rate_min": 1e-8,
            "label_smoothing": 0.1,
            "loss": "crossentropy",
            "batch_size": 4096,
            "batch_type": "token",
            "epochs": 10_000,
            "updates": 6 if args.smoke else 10_000_000,
            "validation_freq": 3 if args.smoke else 500,
            "logging_freq": 1 if args.smoke else 100,
            "early_stopping_metric": "bleu",
            "keep_best_ckpts": 1,
            "overwrite": True,
            "shuffle": True,
        },
        "model": {
            "initializer": "xavier_uniform",
            "embed_initializer": "xavier_uniform",
            "bias_initializer": "zeros",
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": half,
            "decoder": half,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--recipe", type=Path, default=Path("recipes/translate-en-de.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/translation"))
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="for the peer, where ours is skipped"
    )
    parser.add_argument("--skip-ours", action="store_true")
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument(
        "--smoke", action="store_true", help="a few steps each: to see that everything works"
    )
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    vocab_size = int(
        next(stage.table["vocab_size"] for stage in recipe.stages if stage.kind.name == "tokenizer")
    )
    results: dict[str, object] = {"environment": environment()}
    seconds = args.seconds
    if not args.skip_ours:
        results["ours"] = made = ours(args)
        seconds = float(str(made["seconds"]))
    if not args.skip_peer:
        results["joeynmt"] = peer(args, 600.0 if args.smoke else seconds, vocab_size)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=1))
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
