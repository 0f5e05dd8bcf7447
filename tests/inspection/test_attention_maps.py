"""Attention maps contain the weights that the model used; their page shows them safely."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.devices import generator
from chatwright.inspection.attention_maps import AttentionMap, token_labels, translation_maps
from chatwright.inspection.attention_page import attention_page
from chatwright.model.attention import attention_weights
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tokenizer.byte_bpe import ByteBPE

TEXT = "the cat sat on the mat, the dog sat on the log. "
TOKENIZER = ByteBPE.train([TEXT * 20], 300, " ")


def make_model() -> EncoderDecoder:
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


def make_maps(model: EncoderDecoder) -> list[AttentionMap]:
    target_ids = [*TOKENIZER.encode("the dog on the log"), TOKENIZER.control.end]
    return translation_maps(model, TOKENIZER, "the cat sat", target_ids)


def test_maps_have_the_right_tokens_and_their_rows_sum_to_one() -> None:
    cross, encoder, decoder = make_maps(make_model())
    assert encoder.keys == encoder.queries == cross.keys == ["the", "cat", "sat", "⟨end⟩"]
    assert cross.queries == decoder.queries == ["the", "dog", "on", "the", "log", "⟨end⟩"]
    assert decoder.keys == ["⟨bos⟩", "the", "dog", "on", "the", "log"]
    assert [tuple(m.weights.shape) for m in (cross, encoder, decoder)] == [
        (3, 4, 6, 4),
        (2, 4, 4, 4),
        (3, 4, 6, 6),
    ]
    for m in (cross, encoder, decoder):
        torch.testing.assert_close(m.weights.sum(-1), torch.ones(m.weights.shape[:-1]))
    assert torch.equal(decoder.weights, decoder.weights.tril()), "no token sees a later one"


def test_weights_of_the_first_layer_equal_those_computed_from_its_projections() -> None:
    model = make_model()
    _, encoder, _ = make_maps(model)
    ids = torch.tensor([[*TOKENIZER.encode("the cat sat"), TOKENIZER.control.end]])
    attention = model.encoder.blocks[0].attention
    with torch.no_grad():
        x = model.embedding(ids) * 32**0.5 + model.position_embedding.weight[:4]
        q, k = (
            part(x).view(1, 4, 4, 8).transpose(1, 2) for part in (attention.query, attention.key)
        )
        torch.testing.assert_close(encoder.weights[0], attention_weights(q, k)[0])


def test_the_model_has_no_observer_afterwards_even_if_it_raises() -> None:
    model = make_model()
    make_maps(model)
    with pytest.raises(AssertionError, match="context"):
        translation_maps(model, TOKENIZER, "the cat", TOKENIZER.encode("dog " * 40))
    assert not any(getattr(module, "_observers", []) for module in model.modules())


def test_token_labels_mark_control_tokens_and_tokens_inside_a_word() -> None:
    ids = [TOKENIZER.control.bos, *TOKENIZER.encode("the matlog,"), TOKENIZER.control.end]
    assert token_labels(TOKENIZER, ids) == ["⟨bos⟩", "the", "mat", "·log", ",", "⟨end⟩"]


def test_the_page_contains_the_weights_and_escapes_script_tags() -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    m = make_maps(make_model())[0]
    hostile_map = AttentionMap(hostile, hostile, [hostile] * 6, [hostile] * 4, m.weights)
    page = attention_page(hostile, [(hostile, hostile, [hostile_map])])
    assert page.count("<script") == 1
    assert "onerror" not in page.replace("\\u003cimg src=x onerror", "")
    loads = re.search(r"(?:src|href)=[\"']?(?:https?:)?//|url\(|@import|fetch\(", page)
    assert loads is None, "the page loads nothing"
    data = json.loads(re.search(r"const data = (\{.*\})$", page, flags=re.M)[1])
    assert data["texts"][0]["heading"] == hostile
    shown = torch.tensor(data["texts"][0]["maps"][0]["weights"]) / 1000
    torch.testing.assert_close(shown, m.weights, atol=5.1e-4, rtol=0)


def test_the_page_draws_every_head_and_describes_the_token_under_the_pointer(
    tmp_path: Path,
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    hostile = "<img src=x onerror=document.title='ran'>"
    shown = make_maps(make_model())
    (tmp_path / "page.html").write_text(attention_page("Attention", [(hostile, "the dog", shown)]))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.locator("section").count() == 3
        cross = page.locator("section").first
        assert cross.locator(".pick").count() == 3 * (4 + 1) + 1
        cross.get_by_label("layer 2, head 3").click()
        cross.locator(".chip", has_text="log").hover()
        weights = shown[0].weights[1, 2, 4]
        key = shown[0].keys[int(weights.argmax())]
        expected = f"log gives {key} {100 * weights.max():.1f} % of its attention"
        assert cross.locator(".reading").first.inner_text() == expected
        assert page.title() == "Attention"
        assert problems == []
        assert [url for url in requests if not url.startswith("file:")] == []
        browser.close()
