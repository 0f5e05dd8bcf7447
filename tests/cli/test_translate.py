"""chatwright translate: a line in, a line out, whichever way the lines come; scores, JSON and the page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.cli.translate import write_pairs
from chatwright.data.sentence_pairs import read_pairs
from chatwright.devices import generator
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tasks.translate import Translated
from chatwright.tokenizer.byte_bpe import ByteBPE

CHATWRIGHT = [sys.executable, "-m", "chatwright"]
LINES = ["the cat sat", "", "a dog on a log"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = ByteBPE.train(LINES * 4, 290, " ")
    made = EncoderDecoder(
        EncoderDecoderConfig(
            vocab_size=tokenizer.vocab_size,
            context_length=24,
            n_encoder_layer=1,
            n_decoder_layer=1,
            n_head=2,
            head_dim=8,
            d_model=16,
            d_ff=32,
        )
    )
    init_weights(made, generator(0, "weights"))
    path = tmp_path_factory.mktemp("models") / "translator"
    model_directory.save(path, made, tokenizer)
    return path


def translate(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHATWRIGHT, "translate", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_argument_file_and_pipe_give_the_same_lines(model: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n")
    piped, filed = (
        translate(model, stdin="\n".join(LINES)),
        translate(model, "--file", tmp_path / "lines.txt"),
    )
    assert piped.returncode == filed.returncode == 0, piped.stderr
    assert piped.stdout == filed.stdout
    out = piped.stdout.split("\n")
    assert len(out) == 4
    assert out[1] == "", "an empty line stays where it is"
    assert translate(model, LINES[2]).stdout == out[2] + "\n"


def test_json_holds_every_hypothesis_with_its_score_and_page_is_written(
    model: Path, tmp_path: Path
) -> None:
    result = translate(
        model,
        LINES[0],
        "--beam",
        4,
        "--n-best",
        3,
        "--length-penalty",
        0,
        "--json",
        "--attention",
        tmp_path / "page.html",
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["source"] == LINES[0]
    scores = [t["score"] for t in found["translations"]]
    assert len(scores) == 3
    assert all(t["score"] == t["log_prob"] for t in found["translations"])
    assert "<title>" in (tmp_path / "page.html").read_text()
    assert "page.html (opens in any browser, without a network)" in result.stderr
    listed = translate(
        model, LINES[0], "--beam", 4, "--n-best", 3, "--length-penalty", 0
    ).stdout.splitlines()
    assert [float(line.split()[0]) for line in listed] == pytest.approx(scores, abs=1e-4)
    greedy = translate(model, LINES[0], "--greedy").stdout
    assert greedy == translate(model, LINES[0], "--beam", 1).stdout


def test_pairs_for_the_other_direction_are_read_as_they_were_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def made(text: str, ended: bool = True) -> list[Translated]:
        return [
            Translated(text, (), -1.0, -1.0, ended),
            Translated("second best", (), -2.0, -2.0, True),
        ]

    texts = ["the cat", "", "a dog\ton a log ", "the mat", "a cat"]
    found = [
        made("le chat"),
        made(""),
        made("un chien\tsur un rondin"),
        made("le le le", ended=False),
        made(""),
    ]
    write_pairs(texts, found, tmp_path / "pairs.tsv")
    assert "pairs: 2 of 5 texts" in capsys.readouterr().err
    assert [(pair.source, pair.target) for pair in read_pairs(tmp_path / "pairs.tsv")] == [
        ("le chat", "the cat"),
        ("un chien sur un rondin", "a dog on a log"),
    ]
    result = translate(model, "--pairs", tmp_path / "all.tsv", stdin="\n".join(LINES))
    assert f"of 3 texts in {tmp_path / 'all.tsv'}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (
            ["the cat", "--n-best", "3", "--greedy"],
            "",
            r"n_best (3) must be at least 1 and at most the width of the beam (1)",
        ),
        (["the cat", "--file", "x.txt"], "", "a text and --file are both given"),
        (["dog " * 30], "", "text 1 has"),
        (["the cat", "--length-penalty", "nan"], "", "length_penalty (nan) must be from -10 to 10"),
        (
            [__file__],
            "",
            f"is a file, not a sentence. To translate what is in it: --file {__file__}",
        ),
        ([], "\n\n", "it is empty"),
        (
            ["--attention", "x.html"],
            "the cat\n" * 21,
            "--attention shows at most 20 sentences, and 21 were given",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    model: Path, arguments: list[str], stdin: str, message: str
) -> None:
    result = translate(model, *arguments, stdin=stdin)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""


def test_a_model_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    from chatwright.model import gpt
    from chatwright.model.presets import preset

    tokenizer = ByteBPE.train(LINES * 4, 290)
    decoder = gpt.GPT(preset("nano", vocab_size=tokenizer.vocab_size))
    gpt.init_weights(decoder, generator(0, "weights"))
    model_directory.save(tmp_path / "gpt", decoder, tokenizer)
    result = translate(tmp_path / "gpt", "the cat")
    assert (result.returncode, result.stdout) == (2, "")
    assert "holds a model of the kind 'gpt', which cannot do this" in result.stderr
    assert f"What it can do: chatwright chat {tmp_path / 'gpt'}" in result.stderr
