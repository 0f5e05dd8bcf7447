"""The check of batch invariance is remembered, made again on change, and never blindly trusted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from chatwright.engine import batch_invariance, invariance_cache
from chatwright.engine.engine import Engine
from chatwright.engine.forward import Forward
from chatwright.engine.invariance_cache import batch_dependence_reason
from chatwright.model.gpt import GPT
from chatwright.model.packed_weight import Float32Weight, FusedActivation

MakeModel = Callable[..., GPT]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(invariance_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def n_checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the whole checks: one entry each, with the model's context length."""
    checked: list[int] = []
    real = invariance_cache.find_difference

    def counted(forward: Forward) -> str:
        checked.append(forward.config.context_length)
        return real(forward)

    monkeypatch.setattr(invariance_cache, "find_difference", counted)
    return checked


def open_forward(model: GPT) -> Forward:
    forward = Forward(model)
    if not forward.has_packed_kernels:
        pytest.skip("this torch build has no packed linear kernel")
    return forward


def test_a_result_is_remembered_for_every_model_of_the_same_settings(
    make_model: MakeModel, n_checked: list[int], folder: Path
) -> None:
    with open_forward(make_model()) as forward:
        assert batch_dependence_reason(forward) == ""
        assert batch_dependence_reason(forward) == ""
    other = make_model()
    with torch.no_grad():
        other.embedding.weight.mul_(0.5)
    with open_forward(other) as forward:
        assert batch_dependence_reason(forward) == ""
    assert n_checked == [64]
    [file] = folder.rglob("*.json")
    assert json.loads(file.read_text())["difference"] == ""


def test_a_change_of_machine_build_shape_threads_or_source_is_checked_again(
    make_model: MakeModel, n_checked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_forward(make_model()) as forward:
        batch_dependence_reason(forward)
        assert n_checked == [64]
        with monkeypatch.context() as patch:
            patch.setattr(torch.__config__, "show", lambda: "another build")
            batch_dependence_reason(forward)
        with monkeypatch.context() as patch:
            patch.setattr(invariance_cache, "environment", lambda: {"processor": "another"})
            batch_dependence_reason(forward)
        with monkeypatch.context() as patch:
            patch.setattr(invariance_cache, "source_hash", lambda: "edited")
            batch_dependence_reason(forward)
        torch.set_num_threads(2)  # the fixture one_thread restores it
        batch_dependence_reason(forward)
        torch.set_num_threads(1)
        batch_dependence_reason(forward)
        assert n_checked == [64] * 5
    for changes in ({"d_ff": 83}, {"context_length": 32}):
        with open_forward(make_model(**changes)) as forward:
            batch_dependence_reason(forward)
    assert n_checked == [64] * 6 + [32]


def test_a_check_can_be_asked_for_although_its_result_is_known(
    make_model: MakeModel, n_checked: list[int]
) -> None:
    with open_forward(make_model()) as forward:
        batch_dependence_reason(forward)
        batch_dependence_reason(forward, checks_again=True)
    assert n_checked == [64, 64]


def test_a_difference_is_remembered_too(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariance_cache, "find_difference", lambda *_: "a difference")
    with open_forward(make_model()) as forward:
        assert batch_dependence_reason(forward) == "a difference"
        monkeypatch.setattr(invariance_cache, "find_difference", lambda *_: "")
        assert batch_dependence_reason(forward) == "a difference"
        assert batch_dependence_reason(forward, checks_again=True) == ""
        assert batch_dependence_reason(forward) == ""


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"difference": 1}', "{}", "[" * 100_000, '{"difference": "' + "x" * 10**6],
    ids=lambda text: text[:20],
)
def test_a_damaged_file_is_ignored(
    make_model: MakeModel, n_checked: list[int], folder: Path, content: str
) -> None:
    with open_forward(make_model()) as forward:
        batch_dependence_reason(forward)
        [file] = folder.rglob("*.json")
        file.write_text(content)
        assert batch_dependence_reason(forward) == ""
        assert batch_dependence_reason(forward) == ""
    assert n_checked == [64, 64]


def test_a_folder_that_cannot_be_written_is_no_error(
    make_model: MakeModel,
    n_checked: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(invariance_cache.FOLDER_VARIABLE, str(tmp_path / "file"))
    with open_forward(make_model()) as forward:
        assert batch_dependence_reason(forward) == batch_dependence_reason(forward) == ""
    assert n_checked == [64, 64]


def test_without_a_home_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invariance_cache.FOLDER_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(invariance_cache.os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(invariance_cache.sys, "platform", "linux")
    with pytest.raises(NotADirectoryError):
        (invariance_cache.cache_folder() / "x").mkdir(parents=True)


# A kernel that depends on the batch must be found although a result is remembered.


def test_a_linear_kernel_that_depends_on_the_batch_is_found_in_spite_of_a_remembered_result(
    make_model: MakeModel, n_checked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Float32Weight.matmul

    def wrong(
        self: Float32Weight, rows: Tensor, bias: Tensor | None, activation: FusedActivation
    ) -> Tensor:
        return right(self, rows, bias, activation) * (1 + 1e-6 * (len(rows) > 1))

    with open_forward(make_model()) as forward:
        assert batch_dependence_reason(forward) == ""
    monkeypatch.setattr(Float32Weight, "matmul", wrong)
    with Engine(make_model()) as engine:
        assert "rows have different bits" in engine.batch_dependence_reason
    assert n_checked == [64]


def test_attention_that_depends_on_the_batch_is_found_in_spite_of_a_remembered_result(
    make_model: MakeModel, n_checked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = batch_invariance.attend_tiled

    def wrong(q: Tensor, *rest: object) -> Tensor:
        return right(q, *rest) * (1 + 1e-7 * q.shape[2])  # type: ignore[arg-type]

    with open_forward(make_model()) as forward:
        assert batch_dependence_reason(forward) == ""
        monkeypatch.setattr(batch_invariance, "attend_tiled", wrong)
        assert "attention" in batch_dependence_reason(forward)
    assert n_checked == [64]
