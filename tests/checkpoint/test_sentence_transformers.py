"""The files of sentence-transformers are read and written; unknown modules are refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import sentence_transformers
from chatwright.errors import InputError
from chatwright.model.encoder_config import EncoderConfig

CONFIG = EncoderConfig(vocab_size=20, d_model=32, context_length=64)
MEAN = {
    "word_embedding_dimension": 32,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def modules(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{name}" if i else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for i, name in enumerate(names)
    ]


def write(directory: Path, listed: Any, pooling: Any = MEAN, **files: Any) -> Path:
    """Write modules.json, the pooling's config, and further JSON files by name."""
    (directory / "1_Pooling").mkdir()
    contents = {"modules": listed, "1_Pooling/config": pooling, **files}
    for name, content in contents.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


@pytest.mark.parametrize("is_normalized", [False, True])
@pytest.mark.parametrize(
    ("pooling", "kind"),
    [
        (MEAN, "mean"),
        (MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        (MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, "max"),
        ({"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": True}, "cls"),
    ],
)
def test_pooling_and_normalization_are_read(
    tmp_path: Path, pooling: dict[str, Any], kind: str, is_normalized: bool
) -> None:
    names = ["Transformer", "Pooling", *(["Normalize"] if is_normalized else [])]
    settings = sentence_transformers.read_settings(
        write(tmp_path, modules(*names), pooling), CONFIG
    )
    assert settings == {
        "pooling": kind,
        "normalized_vectors": is_normalized,
        "max_text_tokens": 0,  # the model's context: the files limit no text
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sentence_bert_config": {"max_seq_length": 24, "do_lower_case": False}}, 24),
        ({"sentence_bert_config": {"max_seq_length": 512}}, 0),
        ({"sentence_bert_config": {}, "tokenizer_config": {"model_max_length": 40}}, 40),
        ({"tokenizer_config": {"model_max_length": 40}}, 40),
        ({"tokenizer_config": {"model_max_length": 1e30}}, 0),
        (
            {
                "sentence_bert_config": {"max_seq_length": 24},
                "tokenizer_config": {"model_max_length": 8},
            },
            24,
        ),
        ({}, 0),
    ],
)
def test_the_longest_text_is_the_modules_own_or_the_tokenizers(
    tmp_path: Path, files: dict[str, Any], expected: int
) -> None:
    directory = write(tmp_path, modules("Transformer", "Pooling"), **files)
    settings = sentence_transformers.read_settings(directory, CONFIG)
    assert settings["max_text_tokens"] == expected


def test_a_directory_without_modules_has_the_defaults(tmp_path: Path) -> None:
    """The longest text is then the model's context (0)."""
    assert sentence_transformers.read_settings(tmp_path, CONFIG) == {"max_text_tokens": 0}
    assert sentence_transformers.files_read(tmp_path) == set()


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["Transformer", "Pooling", "Dense"], "Dense"),
        (["Transformer", "Pooling", "Dense", "Normalize"], "Dense"),
        (["Transformer", "Pooling", "Normalize", "Dense"], "Dense"),
        (["Transformer", "Normalize", "Pooling"], "Normalize"),
        (["WordEmbeddings", "Pooling"], "WordEmbeddings"),
        (["Transformer", "Transformer"], "Transformer"),
    ],
)
def test_another_module_or_order_is_refused_by_name(
    tmp_path: Path, names: list[str], refused: str
) -> None:
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(write(tmp_path, modules(*names)), CONFIG)
    assert (caught.value.field, caught.value.value) == ("type", refused)


def test_the_module_names_of_newer_versions_are_read(tmp_path: Path) -> None:
    listed = modules("Transformer", "Pooling", "Normalize")
    inner = "sentence_transformers.sentence_transformer.modules"
    listed[0]["type"] = "sentence_transformers.base.modules.transformer.Transformer"
    listed[1]["type"] = f"{inner}.pooling.Pooling"
    listed[2]["type"] = f"{inner}.normalize.Normalize"
    settings = sentence_transformers.read_settings(write(tmp_path, listed), CONFIG)
    assert (settings["pooling"], settings["normalized_vectors"]) == ("mean", True)


def test_a_module_that_is_code_of_the_model_is_refused(tmp_path: Path) -> None:
    listed = modules("Transformer", "Pooling")
    listed[0]["type"] = "custom_st.Transformer"
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(write(tmp_path, listed), CONFIG)
    assert (caught.value.field, caught.value.value) == ("type", "custom_st.Transformer")


@pytest.mark.parametrize("path", ["../other", "/etc", "a/b", "..", ".hidden", ""])
def test_a_module_outside_its_own_folder_is_refused(tmp_path: Path, path: str) -> None:
    listed = modules("Transformer", "Pooling")
    listed[1]["path"] = path
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(write(tmp_path, listed), CONFIG)
    assert (caught.value.field, caught.value.value) == ("Pooling", path)


def test_an_encoder_in_a_folder_of_its_own_is_refused(tmp_path: Path) -> None:
    listed = modules("Transformer", "Pooling")
    listed[0]["path"] = "0_Transformer"
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(write(tmp_path, listed), CONFIG)
    assert caught.value.field == "Transformer"


@pytest.mark.parametrize("listed", [[], modules("Transformer"), {}, "text", [7], [None, None]])
def test_a_damaged_list_of_modules_is_refused(tmp_path: Path, listed: Any) -> None:
    with pytest.raises(InputError):
        sentence_transformers.read_settings(write(tmp_path, listed), CONFIG)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pooling_mode_cls_token": True}, "pooling_mode_mean_tokens"),
        ({"pooling_mode_mean_tokens": False}, "pooling_mode_mean_tokens"),
        (
            {"pooling_mode_mean_tokens": False, "pooling_mode_mean_sqrt_len_tokens": True},
            "pooling_mode_mean_sqrt_len_tokens",
        ),
        (
            {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True},
            "pooling_mode_lasttoken",
        ),
        ({"pooling_mode": "weightedmean"}, "pooling_mode"),
        ({"pooling_mode": ["mean", "cls"]}, "pooling_mode"),
        ({"word_embedding_dimension": 48}, "word_embedding_dimension"),
    ],
)
def test_another_pooling_is_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    directory = write(tmp_path, modules("Transformer", "Pooling"), MEAN | change)
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(directory, CONFIG)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("sentence_bert_config", {"do_lower_case": True}, "do_lower_case"),
        ("sentence_bert_config", {"max_seq_length": 0}, "max_seq_length"),
        ("sentence_bert_config", {"max_seq_length": "long"}, "max_seq_length"),
        ("sentence_bert_config", {"max_seq_length": float("nan")}, "max_seq_length"),
        ("sentence_bert_config", {"max_seq_length": True}, "max_seq_length"),
        ("sentence_bert_config", {"transformer_task": "fill-mask"}, "transformer_task"),
        ("2_Normalize/config", {"module_input_name": "token_embeddings"}, "module_input_name"),
        (
            "config_sentence_transformers",
            {"default_prompt_name": "query", "prompts": {"query": "query: "}},
            "default_prompt_name",
        ),
    ],
)
def test_a_setting_that_would_change_the_vectors_is_refused(
    tmp_path: Path, name: str, content: dict[str, Any], field: str
) -> None:
    (tmp_path / "2_Normalize").mkdir()
    listed = modules("Transformer", "Pooling", "Normalize")
    directory = write(tmp_path, listed, **{name: content})
    with pytest.raises(InputError) as caught:
        sentence_transformers.read_settings(directory, CONFIG)
    assert caught.value.field == field


def test_prompts_that_are_not_used_by_default_are_listed(tmp_path: Path) -> None:
    settings = {"default_prompt_name": None, "prompts": {"query": "query: ", "document": ""}}
    directory = write(
        tmp_path, modules("Transformer", "Pooling"), config_sentence_transformers=settings
    )
    sentence_transformers.read_settings(directory, CONFIG)
    assert sentence_transformers.prompts(directory) == {"query": "query: "}


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("is_normalized", [False, True])
@pytest.mark.parametrize("length", [0, 24])
def test_what_is_written_is_read_again(
    tmp_path: Path, pooling: Any, is_normalized: bool, length: int
) -> None:
    settings = {
        "pooling": pooling,
        "normalized_vectors": is_normalized,
        "max_text_tokens": length,
    }
    config = EncoderConfig(vocab_size=20, d_model=32, context_length=64, **settings)
    sentence_transformers.write(tmp_path, config)
    assert sentence_transformers.read_settings(tmp_path, CONFIG) == settings
    assert {path.name for path in tmp_path.iterdir()} == sentence_transformers.files_read(tmp_path)
