"""Train JoeyNMT on Multi30k for a given time and score it, for benchmarks/translation.py."""

import argparse
import gzip
import subprocess
import time
from pathlib import Path

import yaml

from chatwright.evaluation.bleu import bleu, tokenized_lowercase_bleu
from chatwright.pipeline.recipe import read_recipe

TESTS = ("test_2016_flickr", "test_2017_flickr")
SMOKE_SENTENCES = 5
# Run by the peer's Python, whose sentencepiece is another version.
LEARN_VOCABULARY = """
import sentencepiece, sys
texts, prefix, size = sys.argv[1].split(","), sys.argv[2], int(sys.argv[3])
sentencepiece.SentencePieceTrainer.train(
    input=texts, model_prefix=prefix, vocab_size=size, model_type="bpe", character_coverage=1.0,
    unk_id=0, pad_id=1, bos_id=2, eos_id=3, unk_piece="<unk>", pad_piece="<pad>")
pieces = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
with open(prefix + ".vocab.txt", "w") as file:
    file.writelines(pieces.id_to_piece(i) + "\\n" for i in range(pieces.vocab_size()))
"""


class Peer:
    """JoeyNMT, trained for a given time on the same data."""

    def __init__(self, args: argparse.Namespace, seconds: float) -> None:
        self.args = args
        self.seconds = seconds
        self.folder = (args.out / "joeynmt").resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def train_and_score(self) -> dict[str, object]:
        """Train until the time is over and score the best checkpoint on the test sets."""
        self.write_data()
        self.learn_vocabulary()
        config = yaml.safe_dump(joeynmt_config(self.folder, self.args))
        (self.folder / "config.yaml").write_text(config)
        figures: dict[str, object] = {"seconds": self.train()}
        figures["parameters"] = self.n_parameter()
        for test in TESTS:
            figures[test] = self.score(test)
        return figures

    def write_data(self) -> None:
        """Unpack the training and validation sets."""
        for split in ("train", "val"):
            for language in (self.args.source, self.args.target):
                packed = (self.args.data / f"{split}.{language}.gz").read_bytes()
                (self.folder / f"{split}.{language}").write_bytes(gzip.decompress(packed))

    def learn_vocabulary(self) -> None:
        """Learn a SentencePiece vocabulary of our vocabulary's size from both languages."""
        languages = (self.args.source, self.args.target)
        texts = ",".join(str(self.folder / f"train.{language}") for language in languages)
        stages = read_recipe(self.args.recipe).stages
        size = next(s.table["vocab_size"] for s in stages if s.kind.name == "tokenizer")
        script = [self.args.peer_python, "-c", LEARN_VOCABULARY]
        arguments = [texts, str(self.folder / "pieces"), str(size)]
        subprocess.run([*script, *arguments], check=True, capture_output=True)

    def train(self) -> float:
        """Train until the time is over and return the seconds. Validations save checkpoints."""
        started = time.perf_counter()
        command = [self.args.peer_python, "-m", "joeynmt", "train", "config.yaml", "--skip-test"]
        log_file = self.folder / "log.txt"
        with log_file.open("w") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
            try:
                process.wait(timeout=self.seconds)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
        if not (self.folder / "model" / "best.ckpt").exists():
            raise SystemExit(
                f"JoeyNMT saved no checkpoint in {self.seconds:.0f} s. See the end of {log_file}, "
                "or give it more time."
            )
        return time.perf_counter() - started

    def n_parameter(self) -> int:
        """Return the number of parameters from the log."""
        lines = (self.folder / "log.txt").read_text().splitlines()
        line = next(line for line in lines if "Total params" in line)
        return int(line.rsplit(":", 1)[1].replace(",", ""))

    def score(self, test: str) -> dict[str, float]:
        """Translate a test set and return its BLEU."""
        sources = self.read_test(test, self.args.source)
        references = self.read_test(test, self.args.target)
        translations = self.translate(sources)
        tokenized = tokenized_lowercase_bleu(translations, references, self.args.target)
        return {
            "bleu": bleu(translations, references).bleu,
            "tokenized_lowercase_bleu": tokenized.bleu,
        }

    def read_test(self, test: str, language: str) -> list[str]:
        """Return the sentences of one side of a test set."""
        text = gzip.decompress((self.args.data / f"{test}.{language}.gz").read_bytes()).decode()
        return text.splitlines()[: SMOKE_SENTENCES if self.args.smoke else None]

    def translate(self, sources: list[str]) -> list[str]:
        """Translate sentences with the best checkpoint."""
        result = subprocess.run(
            [self.args.peer_python, "-m", "joeynmt", "translate", "config.yaml"],
            cwd=self.folder,
            input="\n".join(sources) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        # JoeyNMT prints notes before the translations.
        translations = result.stdout.splitlines()[-len(sources) :]
        assert len(translations) == len(sources), "one line for each sentence"
        return translations


def joeynmt_config(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Return JoeyNMT's configuration."""
    return {
        "name": "multi30k",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": data_config(folder, args),
        "testing": {
            "load_model": str(folder / "model" / "best.ckpt"),
            "beam_size": 5,
            "beam_alpha": 1.0,
            "batch_size": 64,
            "batch_type": "sentence",
            "max_output_length": 80,
            "eval_metrics": ["bleu"],
        },
        "training": training_config(args.smoke),
        "model": model_config(),
    }


def data_config(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Return the part of the configuration that names the data."""
    side = {
        "max_length": 64,
        "lowercase": False,
        "level": "bpe",
        "voc_min_freq": 1,
        "voc_limit": 100_000,
        "voc_file": str(folder / "pieces.vocab.txt"),
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(folder / "pieces.model")},
    }
    return {
        "train": str(folder / "train"),
        "dev": str(folder / "val"),
        "test": str(folder / "val"),
        "dataset_type": "plain",
        "src": {"lang": args.source} | side,
        "trg": {"lang": args.target} | side,
    }


def training_config(smoke: bool) -> dict[str, object]:
    """Return the part of the configuration about training."""
    return {
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
        "updates": 6 if smoke else 10_000_000,
        "validation_freq": 3 if smoke else 500,
        "logging_freq": 1 if smoke else 100,
        "early_stopping_metric": "bleu",
        "keep_best_ckpts": 1,
        "overwrite": True,
        "shuffle": True,
    }


def model_config() -> dict[str, object]:
    """Return the part of the configuration about the model."""
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
        "initializer": "xavier_uniform",
        "embed_initializer": "xavier_uniform",
        "bias_initializer": "zeros",
        "tied_embeddings": True,
        "tied_softmax": True,
        "encoder": half,
        "decoder": half,
    }
