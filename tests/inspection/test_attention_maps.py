"""The maps are the weights the model used, every row sums to one, and the page shows them without trusting the text."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.devices import generator
from chatwright.inspection.attention_maps import AttentionMap, labels, translation_maps
from chatwright.inspection.attention_page import attention_page
from chatwright.model.attention import attention_weights
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. "
TOKENIZER = ByteBPE.train([TEXT * 20], 300, " ")


def make() -> EncoderDecoder:
    model = EncoderDecoder(
        EncoderDecoderConfig(
            vocab_size=TOKENIZER.vocab_size,
            context_length=32,
            n_encoder_layer=2,
            n_decoder_layer=3,
            n_head=4,
            head_dim=8,
            d_model=32,
            d_ff=64,
        )
    )
    init_weights(model, generator(0, "weights"))
    return model.eval()


def maps(model: EncoderDecoder) -> list[AttentionMap]:
    return translation_maps(
        model,
        TOKENIZER,
        "the cat sat",
        [*TOKENIZER.encode("the dog on the log"), TOKENIZER.control.end],
    )


def test_shapes_tokens_and_sums() -> None:
    cross, source, written = maps(make())
    assert source.keys == source.queries == cross.keys == ["the", "cat", "sat", "⟨end⟩"]
    assert cross.queries == written.queries == ["the", "dog", "on", "the", "log", "⟨end⟩"]
    assert written.keys == ["⟨bos⟩", "the", "dog", "on", "the", "log"]
    assert [tuple(m.weights.shape) for m in (cross, source, written)] == [
        (3, 4, 6, 4),
        (2, 4, 4, 4),
        (3, 4, 6, 6),
    ]
    for m in (cross, source, written):
        torch.testing.assert_close(m.weights.sum(-1), torch.ones(m.weights.shape[:-1]))
    assert torch.equal(written.weights, written.weights.tril()), (
        "what is not written yet cannot be looked at"
    )


def test_the_first_map_is_worked_out_again_from_the_projections() -> None:
    model = make()
    _, source, _ = maps(model)
    ids = torch.tensor([[*TOKENIZER.encode("the cat sat"), TOKENIZER.control.end]])
    attention = model.encoder.blocks[0].attention
    with torch.no_grad():
        x = model.embedding(ids) * 32**0.5 + model.position_embedding.weight[:4]
        q, k = (
            part(x).view(1, 4, 4, 8).transpose(1, 2) for part in (attention.query, attention.key)
        )
        torch.testing.assert_close(source.weights[0], attention_weights(q, k)[0])


def test_looking_leaves_no_observer_behind_even_when_the_model_fails() -> None:
    model = make()
    maps(model)
    with pytest.raises(AssertionError, match="do not fit a context"):
        translation_maps(model, TOKENIZER, "the cat", TOKENIZER.encode("dog " * 40))
    assert not any(getattr(module, "_observers", []) for module in model.modules())


def test_labels_say_what_goes_on_a_word_and_what_is_no_text() -> None:
    ids = [TOKENIZER.control.bos, *TOKENIZER.encode("the matlog,"), TOKENIZER.control.end]
    assert labels(TOKENIZER, ids) == ["⟨bos⟩", "the", "mat", "·log", ",", "⟨end⟩"]


def test_the_page_is_whole_holds_the_numbers_and_no_text_becomes_a_script() -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    m = maps(make())[0]
    page = attention_page(
        hostile,
        [
            (
                hostile,
                hostile,
                [AttentionMap(hostile, hostile, [hostile] * 6, [hostile] * 4, m.weights)],
            )
        ],
    )
    assert page.count("<script") == 1
    assert "onerror" not in page.replace("\\u003cimg src=x onerror", "")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|url\(|@import|fetch\(", page), (
        "nothing is fetched"
    )
    data = json.loads(re.search(r"const data = (\{.*\})$", page, flags=re.M)[1])
    assert data["texts"][0]["heading"] == hostile
    shown = torch.tensor(data["texts"][0]["maps"][0]["weights"]) / 1000
    torch.testing.assert_close(shown, m.weights, atol=5.1e-4, rtol=0)


def test_in_a_browser_it_draws_every_head_and_follows_the_pointer(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium (apt-get install chromium), which is not here")
    from playwright.sync_api import sync_playwright

    hostile = "<img src=x onerror=document.title='ran'>"
    made = maps(make())
    (tmp_path / "page.html").write_text(attention_page("Attention", [(hostile, "the dog", made)]))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                problems.append(request.url) if not request.url.startswith("file:") else None
            ),
        )
        page.goto((tmp_path / "page.html").as_uri())
        assert page.locator("section").count() == 3
        cross = page.locator("section").first
        assert cross.locator(".pick").count() == 3 * (4 + 1) + 1
        cross.get_by_label("layer 2, head 3").click()
        cross.locator(".chip", has_text="log").hover()
        weights = made[0].weights[1, 2, 4]
        most = made[0].keys[int(weights.argmax())]
        assert (
            cross.locator(".reading").first.inner_text()
            == f"log gives {most} {100 * weights.max():.1f} % of its attention"
        )
        assert page.title() == "Attention"
        assert problems == []
        browser.close()
