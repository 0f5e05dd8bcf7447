"""A recipe: stages in order, from one TOML file. Running it does what is stale, skips what is done, goes on with what was killed.

    stages = ["tokenizer", "pretrain", "sft"]
    [pretrain]
    data = "{data}/books"        # {data} is the --data argument, {stage} the directory another stage left, {here} the recipe's own folder
    from = "{model}"             # a stage's name, or the model given by --from

A stage is done when it left a mark holding the hash of everything it read and of its settings, but for those that only say when something
is saved or told. Other settings or other data make it stale: its old directory is moved aside, never deleted, and it runs anew, as does
everything after it that read from it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.data.files import files_below
from chatwright.pipeline import encoder_stages, expected, stages
from chatwright.pipeline.encoder_configs import ClassifyConfig, MaskedLMConfig
from chatwright.pipeline.stage_configs import (
    DATA_SOURCE_KEYS,
    PretrainConfig,
    SFTConfig,
    StarterConfig,
    TokenizerConfig,
    TranslationConfig,
)
from chatwright.pipeline.translation import run_translation
from chatwright.pipeline.word_vectors import WordVectorsConfig, run_word_vectors
from chatwright.tokenizer.tokenizer import load_tokenizer
from chatwright.training import loop_config
from chatwright.training.loop_config import LoopConfig
from chatwright.training.watcher import Watcher

KINDS: dict[str, type] = {
    "starter": StarterConfig,
    "tokenizer": TokenizerConfig,
    "pretrain": PretrainConfig,
    "sft": SFTConfig,
    "translation": TranslationConfig,
    "masked-lm": MaskedLMConfig,
    "classify": ClassifyConfig,
    "word-vectors": WordVectorsConfig,
}
# Stage kinds that train, and the kinds whose model each starts from unless its table says otherwise.
TRAINED: dict[str, tuple[str, ...]] = {
    "pretrain": (),
    "sft": ("pretrain", "sft"),
    "translation": (),
    "masked-lm": (),
    "classify": ("masked-lm", "classify"),
    "word-vectors": (),
}
# Stages that begin with a tokenizer or with a model: (config, directory, watcher, tokenizer, parent).
START: dict[str, Callable[..., None]] = {
    "pretrain": stages.run_pretrain,
    "translation": run_translation,
    "masked-lm": encoder_stages.run_masked_lm,
    "classify": encoder_stages.run_classify,
    "word-vectors": run_word_vectors,
}
FROM_OUTSIDE = "{model}"
MARK = "stage.json"
SMOKE = {"steps": 20, "warmup": 2, "log_every": 5, "evaluate_every": 10, "save_every": 10}


@dataclass(frozen=True)
class PlannedStage:
    name: str
    kind: str
    table: dict[str, Any]  # as written, before {…} is filled in
    parent: str  # the stage whose model this one starts from, or FROM_OUTSIDE; "" is none

    @property
    def steps(self) -> int:
        """Of a stage that trains."""
        return int(self.table.get("loop", {}).get("steps", LoopConfig().steps))


@dataclass(frozen=True)
class Recipe:
    path: Path
    stages: tuple[PlannedStage, ...]


def packaged_recipe(name: str) -> Path:
    """A recipe that ships with the package (a link to recipes/ in a checkout, a copy in an installed wheel)."""
    here = Path(__file__).parent.parent
    for candidate in (here / "recipes" / f"{name}.toml", here.parent / "recipes" / f"{name}.toml"):
        if candidate.is_file():
            return candidate
    raise ValueError(
        f"{name}.toml: this installation has no such recipe. Give the path of a recipe file."
    )


def recipe_called(path: Path) -> Path:
    """The recipe at `path`, or the one that ships under this name where there is no such file or folder: `own-data`."""
    if path.suffix or len(path.parts) != 1 or path.exists():
        return path
    try:
        return packaged_recipe(path.name)
    except ValueError:
        return path


def read_recipe(path: Path, overrides: Iterable[str] = (), smoke: bool = False) -> Recipe:
    """Parse and check the whole file before anything runs. Raises ValueError naming file, key, cause and remedy."""
    table = config_files.merge(
        config_files.read_toml(path), config_files.parse_overrides(overrides)
    )
    names = table.pop("stages", None)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f'{path}: stages must be a list of stage names, for example stages = ["tokenizer", "pretrain", "sft"].'
        )
    table.pop("about", None)
    if unknown := table.keys() - set(names):
        raise ValueError(f"{path}: [{sorted(unknown)[0]}] belongs to no stage. stages = {names}.")
    planned: list[PlannedStage] = []
    for name in names:
        settings = dict(table.get(name, {}))
        kind = settings.pop("kind", name)
        if kind not in KINDS:
            raise ValueError(
                f'{path}: stage {name!r} is of unknown kind {kind!r}. Known kinds: {", ".join(KINDS)}. Write kind = "…" in [{name}].'
            )
        parents = [p.name for p in planned if p.kind in TRAINED.get(kind, ())]
        parent = settings.pop("from", parents[-1] if parents else "")
        if smoke and kind in TRAINED:
            settings = config_files.merge(settings, {"loop": SMOKE})
        if smoke and kind == "starter":
            settings = config_files.merge(settings, {"size": 0.1})
        config_files.build(KINDS[kind], settings, f"{path}: [{name}]")
        planned.append(PlannedStage(name, kind, settings, parent))
    return Recipe(path, tuple(planned))


def run_recipe(
    recipe: Recipe, out: Path, data: Path | None, watcher: Watcher, model: Path | None = None
) -> Path:
    """Run every stage that is not done. `model` is what stages from "{model}" go on from. Returns the last stage's directory."""
    with writer_lock(out):
        return _run_stages(recipe, out, data, watcher, model)


def _run_stages(
    recipe: Recipe, out: Path, data: Path | None, watcher: Watcher, model: Path | None
) -> Path:
    watcher = expected.watched(watcher, recipe.path, settings_hash(recipe))
    for number, planned in enumerate(recipe.stages, 1):
        where = out / planned.name
        parent = _parent(recipe, planned, out, model)
        inputs, settings = _inputs(recipe, planned, out, data, parent)
        mark = {
            "kind": planned.kind,
            "inputs": _hash([planned.kind, _deciding(planned.table), inputs]),
        }
        if _is_done(where, mark):
            watcher.say(f"[{number}/{len(recipe.stages)}] {planned.name}: done before")
            continue
        _set_aside_if_stale(where, mark, watcher)
        watcher.say(f"[{number}/{len(recipe.stages)}] {planned.name}")
        where.mkdir(exist_ok=True)
        _write_mark(where, mark | {"done": False})
        config: Any = config_files.build(
            KINDS[planned.kind], settings, f"{recipe.path}: [{planned.name}]"
        )
        _run_stage(recipe, planned, config, out, watcher, parent)
        _write_mark(where, mark | {"done": True})
    return out / recipe.stages[-1].name


def settings_hash(recipe: Recipe) -> str:
    """Of every stage's name, kind and deciding settings, overrides included."""
    return _hash([[stage.name, stage.kind, _deciding(stage.table)] for stage in recipe.stages])


def _deciding(table: dict[str, Any]) -> dict[str, Any]:
    """A stage's settings without those that decide nothing of its result, which may be changed in its middle."""
    return (
        table | {"loop": loop_config.without_bookkeeping(table["loop"])}
        if "loop" in table
        else table
    )


def servable_checkpoint(recipe: Recipe, out: Path, path: Path) -> str:
    """What to call the model of a checkpoint below `out`, or "" where its stage has not taught it to converse."""
    run = path.parent.parent
    stage = next((s for s in recipe.stages if run == out / s.name), None)
    if stage is None or not (stage.kind == "sft" or stage.table.get("chat")):
        return ""
    return f"step {int(path.name.removeprefix('step-')):,} of {stage.steps:,} of {'reading' if stage.kind == 'pretrain' else 'learning to converse'}"


def newest_servable_checkpoint(recipe: Recipe, out: Path) -> Path | None:
    """The newest checkpoint of an unfinished build that can converse."""
    if (out / recipe.stages[-1].name / "model").exists():
        return None
    for stage in reversed(recipe.stages):
        found = directory.newest_valid(out / stage.name / "checkpoints", "step-*")
        if found is not None and servable_checkpoint(recipe, out, found):
            return found
    return None


def _parent(recipe: Recipe, planned: PlannedStage, out: Path, model: Path | None) -> Path | None:
    if planned.parent != FROM_OUTSIDE:
        return out / planned.parent if planned.parent else None
    if model is None:
        raise ValueError(
            f"{recipe.path}: [{planned.name}] goes on from a model that you have: give its folder with --from DIR."
        )
    return model


def _run_stage(
    recipe: Recipe,
    planned: PlannedStage,
    config: Any,
    out: Path,
    watcher: Watcher,
    parent: Path | None,
) -> None:
    where = out / planned.name
    match planned.kind:
        case "starter":
            stages.run_starter(config, where, watcher)
        case "tokenizer":
            stages.run_tokenizer(config, where, watcher)
        case kind if kind in START:
            tokenizers = [s.name for s in recipe.stages if s.kind == "tokenizer"]
            if parent is None and not tokenizers:
                raise ValueError(
                    f'{recipe.path}: [{planned.name}] needs a tokenizer: put "tokenizer" before it in stages, or a from.'
                )
            tokenizer = (
                load_tokenizer(out / tokenizers[0] / "tokenizer")
                if parent is None
                else stages.tokenizer_of(parent)
            )
            START[kind](config, where, watcher, tokenizer, parent)
        case "sft":
            if parent is None:
                raise ValueError(
                    f'{recipe.path}: [{planned.name}] needs a model to start from: put "pretrain" before it in stages.'
                )
            stages.run_sft(config, where, watcher, parent)


def _inputs(
    recipe: Recipe, planned: PlannedStage, out: Path, data: Path | None, parent: Path | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """What the stage reads, by content hash, and its settings with every {…} filled in."""
    settings = dict(planned.table)
    inputs: dict[str, str] = {}
    for key in DATA_SOURCE_KEYS:
        if not settings.get(key):
            continue
        found = [
            _filled_in(recipe, planned, key, text, out, data)
            for text in written_sources(settings[key])
        ]
        hashes = [content_hash(Path(place)) for place in found]
        settings[key], inputs[key] = (
            (found[0], hashes[0]) if isinstance(settings[key], str) else (found, _hash(hashes))
        )
    if planned.table.get("distillation", {}).get("teacher"):
        teacher = _filled_in(
            recipe,
            planned,
            "distillation.teacher",
            planned.table["distillation"]["teacher"],
            out,
            data,
        )
        settings["distillation"] = planned.table["distillation"] | {"teacher": teacher}
        inputs["teacher"] = model_directory.weights_hash(Path(teacher))
    if parent is not None:
        inputs["from"] = (
            model_directory.weights_hash(parent)
            if planned.parent == FROM_OUTSIDE
            else _mark_hash(parent)
        )
    if planned.kind in START and parent is None:
        inputs["tokenizer"] = "|".join(
            _mark_hash(out / s.name) for s in recipe.stages if s.kind == "tokenizer"
        )
    return inputs, settings


def written_sources(value: Any) -> list[str]:
    """What a recipe may write for `data`, `chat` or `texts`: one path or a list of them."""
    return [value] if isinstance(value, str) else list(value or ())


def _filled_in(
    recipe: Recipe, planned: PlannedStage, key: str, text: str, out: Path, data: Path | None
) -> str:
    places = {"here": str(recipe.path.parent)} | {s.name: str(out / s.name) for s in recipe.stages}
    if data is not None:
        places["data"] = str(data)
    try:
        return text.format_map(places)
    except KeyError as missing:
        remedy = (
            "give it with --data PATH"
            if missing.args == ("data",)
            else f"the places known are {list(places)}"
        )
        raise ValueError(
            f"{recipe.path}: [{planned.name}] {key} = {text!r} names {{{missing.args[0]}}}: {remedy}."
        ) from None


def outside_data(recipe: Recipe, out: Path, data: Path | None) -> dict[tuple[str, str], list[Path]]:
    """The files and folders that the recipe reads and none of its own stages makes, by stage and key."""
    made = ["{" + stage.name + "}" for stage in recipe.stages]
    found = {
        (stage.name, key): [
            Path(_filled_in(recipe, stage, key, text, out, data))
            for text in written_sources(stage.table.get(key))
            if not any(place in text for place in made)
        ]
        for stage in recipe.stages
        for key in DATA_SOURCE_KEYS
    }
    return {where: places for where, places in found.items() if places}


def content_hash(path: Path) -> str:
    """Of a file, or of every file below a folder by relative name: of those that are read, so that a .git in it makes nothing stale."""
    if not path.exists():
        raise ValueError(
            f"{path}: no such file or folder. Give the data with --data PATH, or correct the recipe."
        )
    files = [path] if path.is_file() else [p for p in files_below(path) if p.is_file()]
    return _hash([[str(p.relative_to(path)), directory.sha256(p)] for p in files])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _read_mark(where: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((where / MARK).read_text()))
    except (OSError, ValueError):
        return {}


def _mark_hash(where: Path) -> str:
    return str(_read_mark(where).get("inputs", ""))


def _write_mark(where: Path, mark: dict[str, Any]) -> None:
    directory.write_text(where / MARK, json.dumps(mark))


def _is_done(where: Path, mark: dict[str, Any]) -> bool:
    return _read_mark(where) == mark | {"done": True}


def _set_aside_if_stale(where: Path, mark: dict[str, Any], watcher: Watcher) -> None:
    if not where.exists() or _mark_hash(where) == mark["inputs"]:
        return
    number = next(
        n for n in range(1, 10_000) if not where.with_name(f"{where.name}.old-{n}").exists()
    )
    aside = where.with_name(f"{where.name}.old-{number}")
    where.rename(aside)
    watcher.say(f"{where.name} was made from other settings or data; it is kept as {aside.name}")
