"""Every stage kind reads other encodings, delimiters and column names, and skips bad rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.rows import DataError
from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage
from chatwright.pipeline.stage_kinds import STAGE_KINDS, stage_kind
from chatwright.training.watcher import Watcher

WORDS = ("caf\u00e9", "gar\u00e7on", "\u00e9t\u00e9", "na\u00efve", "h\u00f4tel")
KINDS = [kind.name for kind in STAGE_KINDS if kind.trains]


def sentences() -> Iterator[str]:
    for a in WORDS:
        for b in WORDS:
            for c in WORDS[:2]:
                yield f"the {a} and the {b} see a {c}; that is all, or not"


def table(path: Path, columns: tuple[str, str]) -> Path:
    """Write a cp1252 table with semicolons, quotes, and one row that has an empty cell."""
    rows = [";".join((*columns, "number")), ";;"]
    rows += [f'"{text}";"label {i % 2}";"{i}"' for i, text in enumerate(sentences())]
    rows.insert(5, ' ;"label 0";"x"')
    path.write_bytes("\r\n".join(rows).encode("cp1252"))
    return path


COLUMNS = {
    "classify": {"review": "text", "verdict": "label"},
    "translation": {"review": "source", "verdict": "target"},
    "sft": {"review": "prompt", "verdict": "completion"},
    "dpo": {"number": "prompt", "review": "chosen", "verdict": "rejected"},
    "reward": {"number": "prompt", "review": "chosen", "verdict": "rejected"},
    "grpo": {"review": "prompt", "number": "answer"},
    "ppo": {"review": "prompt", "number": "answer"},
    "embedding": {"review": "anchor", "verdict": "positive"},
}
NEEDED = {
    "grpo": ("reward.rules.stops=1.0", "rollouts.reply_tokens=8"),
    "ppo": ("reward.rules.stops=1.0", "rollouts.reply_tokens=8"),
}
"""Settings that a kind has no defaults for."""


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of one training step, by the kind of stage that starts from them."""
    folder = tmp_path_factory.mktemp("parent")
    (folder / "texts.txt").write_text("\n".join(sentences()))
    for kind in ("pretrain", "masked-lm"):
        options = StageOptions(
            data=str(folder / "texts.txt"),
            out=folder / kind,
            overrides=("model.size=nano", "model.context_length=64", "loop.steps=1"),
            vocab_size=300,
        )
        prepare_stage(stage_kind(kind), options, Watcher()).run(folder / kind, Watcher())
    decoder = folder / "pretrain"
    learn_from_replies = dict.fromkeys(("sft", "dpo", "reward", "grpo", "ppo"), decoder)
    return {**learn_from_replies, "embedding": folder / "masked-lm"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_reads_a_european_table_and_skips_bad_rows(
    kind: str, tmp_path: Path, parents: dict[str, Path]
) -> None:
    data = table(tmp_path / "data.csv", ("review", "verdict"))
    size = () if kind in ("word-vectors", *parents) else ("model.size=nano",)

    def options(skip: bool) -> StageOptions:
        return StageOptions(
            data=str(data),
            out=tmp_path / f"run-{skip}",
            overrides=(*size, *NEEDED.get(kind, ()), "validation_share=0.2"),
            reading=ReadOptions(
                encoding="cp1252",
                rename_columns=COLUMNS.get(kind, {"review": "text"}),
                skip_bad_rows=skip,
            ),
            parent=parents.get(kind),
            vocab_size=300,
        )

    with pytest.raises(DataError) as caught:
        prepare_stage(stage_kind(kind), options(skip=False), Watcher())
    assert caught.value.location.number == 6
    lines: list[str] = []
    prepare_stage(stage_kind(kind), options(skip=True), Watcher(say=lines.append))
    assert any(line.startswith("left out") and "line 6" in line for line in lines)
