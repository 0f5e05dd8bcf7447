"""chatwright classify: a text, a file or a pipe, as a table, lines or JSON; and the page of what <cls> looked at."""

import io
import json
import re
from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.cli.app import app, report
from chatwright.devices import generator
from chatwright.inspection.label_attention import label_attention
from chatwright.inspection.label_page import label_page
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.tokenizer import encoder_tokens_of

TEXTS = [
    "the cat sat on the mat",
    "a dog and a log",
    "it is <b>dull</b> & </script> long, so very long that it takes two pieces at the least, or even more",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = wordpiece.train(TEXTS * 3, 90)
    model = Encoder(
        encoder_preset(
            "nano",
            vocab_size=tokenizer.vocab_size,
            context_length=16,
            head="labels",
            labels=("bad", "good"),
        )
    )
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
    path = tmp_path_factory.mktemp("classifier") / "m"
    model_directory.save(path, model, tokenizer)
    return path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    app([str(a) for a in arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_one_text_gives_a_table_and_json_the_same_numbers(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [line.split() for line in called(capsys, "classify", directory, TEXTS[0]).splitlines()]
    found = json.loads(called(capsys, "classify", directory, TEXTS[0], "--json"))
    assert found["text"] == TEXTS[0]
    assert found["label"] == table[0][1]
    assert [(f"{share:.4f}", name) for name, share in found["probabilities"].items()] == [
        (share, name) for share, name in table
    ]
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)


def test_a_file_a_pipe_and_each_text_alone_give_the_same_bits(
    directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = [json.loads(called(capsys, "classify", directory, text, "--json")) for text in TEXTS]
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n")
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"text": text, "label": "good"}) for text in TEXTS)
    )
    (tmp_path / "a.tsv").write_text("label\ttext\n" + "\n".join(f"good\t{text}" for text in TEXTS))
    for file in ("a.txt", "a.jsonl", "a.tsv"):
        assert [
            json.loads(line)
            for line in called(
                capsys, "classify", directory, tmp_path / file, "--json"
            ).splitlines()
        ] == alone
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    lines = called(capsys, "classify", directory).splitlines()
    assert [line.split("\t")[::2] for line in lines] == [
        [found["label"], found["text"]] for found in alone
    ]


def test_the_attention_is_that_of_cls_and_the_page_needs_no_network(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    [piece] = encoder_tokens_of(tokenizer).chunks(tokenizer.encode(TEXTS[0]), 16)
    seen = label_attention(model, tokenizer, piece)
    rows: list[torch.Tensor] = []
    for block in model.blocks:
        block.attention.observe(lambda weights: rows.append(weights))
    with torch.no_grad():
        model.hidden_states(torch.tensor([piece]))
    torch.testing.assert_close(
        seen.weights, torch.stack([weights[0, :, 0] for weights in rows]), atol=1e-6, rtol=1e-5
    )
    assert seen.weights.shape == (2, 2, len(piece))
    assert seen.tokens[0].startswith("⟨")
    assert "".join(seen.tokens[1:-1]).replace("·", "") == TEXTS[0].replace(" ", "")
    page = tmp_path / "page.html"
    called(capsys, "classify", directory, TEXTS[2], "--attention", page)
    html = page.read_text()
    assert not re.search(r"""(src|href)=|@import|url\(|https?://""", html)
    assert html.count("</script>") == 1  # the text's own cannot end the script
    found = json.loads(re.search(r"const texts = (.*)\n", html).group(1))  # type: ignore[union-attr]
    assert len(found[0]["pieces"]) > 1
    assert "dull" in "".join(
        token.lstrip("·") for part in found[0]["pieces"] for token in part["tokens"]
    )
    assert all(
        sum(row) == pytest.approx(10_000, abs=20)
        for part in found[0]["pieces"]
        for heads in part["weights"]
        for row in heads
    )
    assert label_page([]).count("/* the texts */") == 0


def test_a_text_may_be_longer_than_a_path_can_be(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    review = "the cat sat on the mat " * 300
    assert json.loads(called(capsys, "classify", directory, review, "--json"))["text"] == review
    assert called(capsys, "classify", directory, review)


@pytest.mark.parametrize("name", ["reviews.txt", "no/such/reviews.jsonl.xz", "R.TSV"])
def test_what_looks_like_a_file_and_is_none_is_not_labelled(directory: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: no such file"):
        app(["classify", str(directory), name], standalone_mode=False)


def test_a_row_that_is_no_text_is_not_passed_over(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "a dog"})
        + "\n"
        + json.dumps({"prompt": "a dog", "completion": "a log"})
    )
    with pytest.raises(ValueError, match="a.jsonl, line 2: the row is a conversation, not a text"):
        app(["classify", str(directory), str(tmp_path / "a.jsonl")], standalone_mode=False)


def test_what_cannot_be_done_says_why(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n" * 21))
    with pytest.raises(ValueError, match="at most 20 texts, and 21 were given"):
        app(
            ["classify", str(directory), "--attention", str(tmp_path / "p.html")],
            standalone_mode=False,
        )
    tokenizer = wordpiece.train(TEXTS * 3, 90)
    model = Encoder(encoder_preset("nano", vocab_size=tokenizer.vocab_size))
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "masked", model, tokenizer)
    with pytest.raises(
        ValueError,
        match="no labels .its head is 'masked_lm'.. Teach it some: chatwright train classify",
    ) as error:
        app(["classify", str(tmp_path / "masked"), "a text"], standalone_mode=False)
    assert report(error.value) == 2
