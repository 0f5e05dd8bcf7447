"""Models of sentence-transformers are imported and exported with equal vectors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.pipeline.import_export import export_model, import_model
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.tasks.embed import Embedder
from chatwright.training.watcher import Watcher
from tests.parity.case import make_random
from tests.pipeline.imported_models import ENCODER_SHAPES, ENCODERS, n_token, write_encoder
from tests.tokenizer import example_tokenizers

pytestmark = pytest.mark.uses_global_rng

CLASSES = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "distilbert": "DistilBertModel",
    "albert": "AlbertModel",
    "mobilebert": "MobileBertModel",
}
POOLING_FIELDS = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
}
TEXTS = [
    "the quick brown fox",
    "jump",
    "The dog, the lazy dog; a fox jumps over the lazy dogs and the fox jumps over the dogs",
    "x",
    "fox fox fox",
]
MAX_LENGTH = 14
KINDS = [("mean", True), ("mean", False), ("cls", False), ("max", True)]


def write_sentence_model(
    directory: Path, family: str, pooling: str = "mean", is_normalized: bool = False
) -> Path:
    """Save an encoder of this family without a head, and the files of sentence-transformers."""
    import transformers

    directory.mkdir()
    example_tokenizers.write_word_pieces(directory)
    model_class = getattr(transformers, CLASSES[family])
    config = model_class.config_class(**ENCODER_SHAPES[family], vocab_size=n_token(directory))
    model: Any = make_random(model_class, config)
    model.save_pretrained(directory)
    names = ["Transformer", "Pooling", *(["Normalize"] if is_normalized else [])]
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{name}" if i else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for i, name in enumerate(names)
    ]
    for name in names[1:]:
        (directory / modules[names.index(name)]["path"]).mkdir()
    pooling_config: dict[str, Any] = {"word_embedding_dimension": 32}
    pooling_config |= {field: kind == pooling for kind, field in POOLING_FIELDS.items()}
    _write(directory / "modules.json", modules)
    _write(directory / "1_Pooling" / "config.json", pooling_config)
    _write(
        directory / "sentence_bert_config.json",
        {"max_seq_length": MAX_LENGTH, "do_lower_case": False},
    )
    return directory


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value))


@torch.no_grad()
def reference_vectors(
    directory: Path, pooling: str, is_normalized: bool, max_length: int = MAX_LENGTH
) -> Tensor:
    """Compute the vectors with transformers, each text alone."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(directory).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    rows = []
    for text in TEXTS:
        encoded = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        hidden = model(**encoded).last_hidden_state[0]  # (T, D)
        assert len(hidden) <= max_length
        pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        rows.append(F.normalize(pooled, dim=0) if is_normalized else pooled)
    return torch.stack(rows)


def our_vectors(directory: Path) -> Tensor:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    with EmbeddingForward(model) as forward:
        return torch.stack([text.vector for text in Embedder(forward, tokenizer).embed(TEXTS)])


@pytest.mark.parametrize("family", CLASSES)
def test_every_family_of_encoders_gives_the_vectors_of_transformers(
    tmp_path: Path, family: str
) -> None:
    source = write_sentence_model(tmp_path / "source", family)
    imported = import_model(str(source), tmp_path / "model")
    assert not {"modules.json", "1_Pooling", "sentence_bert_config.json"} & set(imported.unused)
    vectors = our_vectors(tmp_path / "model")
    expected = reference_vectors(source, "mean", False)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-4)
    # The longest text is cut; without the cut its vector would be another one.
    model, tokenizer = model_directory.load(
        tmp_path / "model", kind=Encoder, changes={"max_text_tokens": 0}
    )
    [whole] = Embedder(EmbeddingForward(model), tokenizer).embed([TEXTS[2]])
    assert float((whole.vector - expected[2]).abs().max()) > 0.01


@pytest.mark.parametrize(("pooling", "is_normalized"), KINDS)
def test_pooling_and_normalization_survive_import_and_export(
    tmp_path: Path, pooling: str, is_normalized: bool
) -> None:
    source = write_sentence_model(tmp_path / "source", "bert", pooling, is_normalized)
    import_model(str(source), tmp_path / "model")
    expected = reference_vectors(source, pooling, is_normalized)
    torch.testing.assert_close(our_vectors(tmp_path / "model"), expected, atol=1e-5, rtol=1e-4)
    assert export_model(tmp_path / "model", tmp_path / "exported").gap.largest == 0
    import_model(str(tmp_path / "exported"), tmp_path / "again")
    assert torch.equal(our_vectors(tmp_path / "again"), our_vectors(tmp_path / "model"))
    exported = reference_vectors(tmp_path / "exported", pooling, is_normalized)
    assert torch.equal(exported, expected)


def test_a_plain_encoder_gets_the_mean_over_its_tokens(tmp_path: Path) -> None:
    source = write_sentence_model(tmp_path / "source", "bert")
    for name in ("modules.json", "sentence_bert_config.json"):
        (source / name).unlink()
    import_model(str(source), tmp_path / "model")
    model, _ = model_directory.load(tmp_path / "model", kind=Encoder)
    settings = (model.config.pooling, model.config.normalized_vectors, model.config.text_length)
    assert settings == ("mean", False, 66)


def test_an_unknown_module_is_refused_by_name_and_nothing_is_imported(tmp_path: Path) -> None:
    source = write_sentence_model(tmp_path / "source", "bert", is_normalized=True)
    modules = json.loads((source / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.Dense"
    _write(source / "modules.json", modules)
    with pytest.raises(InputError) as caught:
        import_model(str(source), tmp_path / "model")
    assert (caught.value.field, caught.value.value) == ("type", "Dense")
    assert not (tmp_path / "model").exists()


def test_the_import_says_how_texts_become_vectors(tmp_path: Path) -> None:
    source = write_sentence_model(tmp_path / "source", "bert", "cls", is_normalized=True)
    _write(
        source / "config_sentence_transformers.json",
        {"prompts": {"query": "query: "}, "default_prompt_name": None},
    )
    notes = " ".join(import_model(str(source), tmp_path / "model").notes)
    for part in ("cls", "14 tokens", "length 1", "'query: '"):
        assert part in notes


@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_with_a_head_is_trained_on_pairs_and_exported_without_it(
    tmp_path: Path, family: str
) -> None:
    import_model(str(write_encoder(tmp_path / "source", family)), tmp_path / "model")
    rows = [{"anchor": f"the fox {i}", "positive": f"dog {i}"} for i in range(20)]
    data = tmp_path / "pairs.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    settings = ["loop.steps=2", "loop.precision=float32", "validation_share=0.2"]
    options = StageOptions(
        data=str(data), out=tmp_path / "run", overrides=settings, parent=tmp_path / "model"
    )
    prepare_stage(stage_kind("embedding"), options, Watcher()).run(tmp_path / "run", Watcher())
    export_model(tmp_path / "run", tmp_path / "exported")
    vectors = our_vectors(tmp_path / "run")
    expected = reference_vectors(tmp_path / "exported", "mean", False, 66)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("pooling", "is_normalized"), KINDS)
def test_sentence_transformers_gives_equal_vectors_for_source_and_export(
    tmp_path: Path, pooling: str, is_normalized: bool
) -> None:
    library = pytest.importorskip(
        "sentence_transformers", reason="sentence-transformers is not installed"
    )
    source = write_sentence_model(tmp_path / "source", "bert", pooling, is_normalized)
    import_model(str(source), tmp_path / "model")
    export_model(tmp_path / "model", tmp_path / "exported")
    vectors = our_vectors(tmp_path / "model")
    for directory in (source, tmp_path / "exported"):
        reference = library.SentenceTransformer(str(directory), device="cpu")
        expected = reference.encode(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-4)
    reference.save(str(tmp_path / "saved"))  # in the layout of the library's current version
    import_model(str(tmp_path / "saved"), tmp_path / "again")
    assert torch.equal(our_vectors(tmp_path / "again"), vectors)
