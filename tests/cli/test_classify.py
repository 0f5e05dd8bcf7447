"""`chatwright classify`: a text, a file or a pipe; as a table, lines or JSON; and the page."""

import io
import json
import re
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.inspection.label_attention import label_attention
from chatwright.inspection.label_page import label_page
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.tokenizer import encoder_tokens_of
from tests.cli.conftest import Command

TEXTS = [
    "the cat sat on the mat",
    "a dog and a log",
    "it is <b>dull</b> & </script> long, so very long that it takes two pieces at the least, "
    "or even more",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = wordpiece.train(TEXTS * 3, 90)
    config = encoder_preset(
        "nano",
        vocab_size=tokenizer.vocab_size,
        context_length=16,
        head="labels",
        labels=("bad", "good"),
    )
    model = Encoder(config)
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
    path = tmp_path_factory.mktemp("classifier") / "m"
    model_directory.save(path, model, tokenizer)
    return path


def test_the_table_of_one_text_shows_the_numbers_of_its_json(
    directory: Path, command: Command
) -> None:
    table = [line.split() for line in command("classify", directory, TEXTS[0]).out.splitlines()]
    found = json.loads(command("classify", directory, TEXTS[0], "--json").out)
    assert found["text"] == TEXTS[0]
    assert found["label"] == table[0][1]
    shown = [[f"{share:.4f}", label] for label, share in found["probabilities"].items()]
    assert shown == table
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)


def test_an_argument_a_file_and_a_pipe_give_the_same_probabilities(
    directory: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [json.loads(command("classify", directory, text, "--json").out) for text in TEXTS]
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n")
    rows = [json.dumps({"text": text, "label": "good"}) for text in TEXTS]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "a.tsv").write_text("label\ttext\n" + "\n".join(f"good\t{text}" for text in TEXTS))
    for file in ("a.txt", "a.jsonl", "a.tsv"):
        lines = command("classify", directory, tmp_path / file, "--json").out.splitlines()
        assert [json.loads(line) for line in lines] == alone, file
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    lines = command("classify", directory).out.splitlines()
    shown = [line.split("\t")[::2] for line in lines]
    assert shown == [[found["label"], found["text"]] for found in alone]


def test_the_shown_attention_is_that_of_the_cls_token(directory: Path) -> None:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    [piece] = encoder_tokens_of(tokenizer).chunks(tokenizer.encode(TEXTS[0]), 16)
    shown = label_attention(model, tokenizer, piece)
    observed: list[torch.Tensor] = []
    for block in model.blocks:
        block.attention.observe(lambda weights: observed.append(weights))
    with torch.no_grad():
        model.hidden_states(torch.tensor([piece]))
    cls_rows = torch.stack([weights[0, :, 0] for weights in observed])
    torch.testing.assert_close(shown.weights, cls_rows, atol=1e-6, rtol=1e-5)
    assert shown.weights.shape == (2, 2, len(piece))
    assert shown.tokens[0].startswith("⟨")
    assert "".join(shown.tokens[1:-1]).replace("·", "") == TEXTS[0].replace(" ", "")


def test_the_attention_page_is_complete_and_needs_no_network(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    page = tmp_path / "page.html"
    command("classify", directory, TEXTS[2], "--attention", page)
    html = page.read_text()
    assert not re.search(r"""(src|href)=|@import|url\(|https?://""", html)
    assert html.count("</script>") == 1, "a text with </script> must not end the page's script"
    match = re.search(r"const texts = (.*)\n", html)
    assert match
    [text] = json.loads(match.group(1))
    assert len(text["pieces"]) > 1
    tokens = [token.lstrip("·") for piece in text["pieces"] for token in piece["tokens"]]
    assert "dull" in "".join(tokens)
    weights = [head for piece in text["pieces"] for layer in piece["weights"] for head in layer]
    assert all(sum(head) == pytest.approx(10_000, abs=20) for head in weights)
    assert "/* the texts */" not in label_page([])


def test_a_text_may_be_longer_than_any_path(directory: Path, command: Command) -> None:
    review = "the cat sat on the mat " * 300
    assert json.loads(command("classify", directory, review, "--json").out)["text"] == review


@pytest.mark.parametrize("name", ["reviews.txt", "no/such/reviews.jsonl.xz", "R.TSV"])
def test_the_name_of_a_missing_file_is_not_classified_as_a_text(
    directory: Path, name: str, command: Command
) -> None:
    outcome = command("classify", directory, name)
    assert (outcome.status, outcome.out) == (2, "")
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == name


def test_more_texts_than_the_attention_page_shows_are_refused(
    directory: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n" * 21))
    outcome = command("classify", directory, "--attention", tmp_path / "p.html")
    assert (outcome.status, outcome.out) == (2, "")
    assert isinstance(outcome.error, InputError)
    assert (outcome.error.field, outcome.error.value) == ("--attention", 21)


def test_an_encoder_without_labels_is_refused_with_the_command_that_teaches_some(
    tmp_path: Path, command: Command
) -> None:
    tokenizer = wordpiece.train(TEXTS * 3, 90)
    model = Encoder(encoder_preset("nano", vocab_size=tokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "masked", model, tokenizer)
    outcome = command("classify", tmp_path / "masked", "a text")
    assert outcome.status == 2
    assert "chatwright train classify" in outcome.last_line
