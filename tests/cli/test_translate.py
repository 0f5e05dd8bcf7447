"""`chatwright translate`: one line in, one line out; scores, JSON, the page and the pairs."""

import io
import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.data.readers.sentence_pairs import read_pairs
from chatwright.devices import generator
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.pipeline.translate_texts import TranslatedText, write_pairs
from chatwright.tasks.translate import Translated
from chatwright.tokenizer.byte_bpe import ByteBPE
from tests.cli.conftest import Command, Outcome

LINES = ["the cat sat", "", "a dog on a log"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = ByteBPE.train(LINES * 4, 290, " ")
    config = EncoderDecoderConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=24,
        n_encoder_layer=1,
        n_decoder_layer=1,
        n_head=2,
        head_dim=8,
        d_model=16,
        d_ff=32,
    )
    translator = EncoderDecoder(config)
    init_weights(translator, generator(0, "weights"))
    path = tmp_path_factory.mktemp("models") / "translator"
    model_directory.save(path, translator, tokenizer)
    return path


@pytest.fixture
def translate(model: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> "Command":
    """Return a function that runs `chatwright translate MODEL ARGUMENTS`, with `stdin` piped in."""

    def run(*arguments: object, stdin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        return command("translate", model, *arguments)

    return run


def test_an_argument_a_file_and_a_pipe_give_the_same_translations(
    translate: Command, tmp_path: Path
) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n")
    piped = translate(stdin="\n".join(LINES))
    from_file = translate("--file", tmp_path / "lines.txt")
    assert piped.status == from_file.status == 0, piped.err
    assert piped.out == from_file.out
    lines = piped.out.split("\n")
    assert len(lines) == 4
    assert lines[1] == "", "an empty line keeps its position"
    assert translate(LINES[2]).out == lines[2] + "\n"


def test_json_holds_every_hypothesis_with_its_score(translate: Command) -> None:
    options = ("--beam", 4, "--n-best", 3, "--length-penalty", 0)
    found = json.loads(translate(LINES[0], *options, "--json").out)
    assert found["source"] == LINES[0]
    scores = [t["score"] for t in found["translations"]]
    assert len(scores) == 3
    assert all(t["score"] == t["log_prob"] for t in found["translations"])
    shown = translate(LINES[0], *options).out.splitlines()
    assert [float(line.split()[0]) for line in shown] == pytest.approx(scores, abs=1e-4)


def test_greedy_is_a_beam_of_one(translate: Command) -> None:
    assert translate(LINES[0], "--greedy").out == translate(LINES[0], "--beam", 1).out


def test_the_attention_page_is_written_and_named(translate: Command, tmp_path: Path) -> None:
    outcome = translate(LINES[0], "--attention", tmp_path / "page.html")
    assert "<title>" in (tmp_path / "page.html").read_text()
    assert str(tmp_path / "page.html") in outcome.err


def test_a_line_longer_than_the_context_is_translated_in_pieces_and_named(
    translate: Command, tmp_path: Path
) -> None:
    long = "the cat sat; a dog on a log. " * 4
    outcome = translate("--attention", tmp_path / "page.html", stdin=f"the cat\n{long}\na dog\n")
    assert outcome.status == 0, outcome.err
    assert "line 2: longer than the model's context" in outcome.err
    assert "line 1" not in outcome.err.replace("line 1: the translation had no end", "")
    [_, found, _] = map(
        json.loads, translate("--json", stdin=f"the cat\n{long}\na dog\n").out.splitlines()
    )
    assert " ".join(found["pieces"]).split() == long.split()
    assert (tmp_path / "page.html").exists()


def translated(number: int, source: str, text: str, ended: bool = True) -> TranslatedText:
    best = Translated(text, (), -1.0, -1.0, ended)
    second = Translated("second best", (), -2.0, -2.0, True)
    return TranslatedText(number, source, [best, second])


def test_the_pairs_for_the_other_direction_can_be_read_as_training_data(
    translate: Command, tmp_path: Path
) -> None:
    texts = [
        translated(1, "the cat", "le chat"),
        translated(2, "", ""),
        translated(3, "a dog\ton a log ", "un chien\tsur un rondin"),
        translated(4, "the mat", "le le le", ended=False),
        translated(5, "a cat", ""),
    ]
    assert write_pairs(texts, tmp_path / "pairs.tsv") == 2
    pairs = [(pair.source, pair.target) for pair in read_pairs(tmp_path / "pairs.tsv")]
    assert pairs == [("le chat", "the cat"), ("un chien sur un rondin", "a dog on a log")]
    outcome = translate("--pairs", tmp_path / "all.tsv", stdin="\n".join(LINES))
    assert f"of 3 texts in {tmp_path / 'all.tsv'}" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "names"),
    [
        (["the cat", "--n-best", "3", "--greedy"], "", ["n_best", "3", "1"]),
        (["the cat", "--file", "x.txt"], "", ["--file"]),
        (["the cat", "--length-penalty", "nan"], "", ["length_penalty", "nan"]),
        ([__file__], "", [f"--file {__file__}"]),
        ([], "\n\n", []),
        (["--attention", "x.html"], "the cat\n" * 21, ["--attention", "20", "21"]),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_any_output(
    translate: Command, arguments: list[str], stdin: str, names: list[str]
) -> None:
    outcome = translate(*arguments, stdin=stdin)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert [name for name in names if name not in outcome.err] == []
