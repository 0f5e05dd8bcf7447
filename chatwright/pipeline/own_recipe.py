"""Write the folder that `chatwright new` creates: a recipe, data, and a README."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from chatwright.commands import command_line
from chatwright.data import own_folder
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.errors import InputError
from chatwright.pipeline import own_fine_tuning
from chatwright.pipeline.packaged_recipes import RECIPE


@dataclass(frozen=True)
class Budget:
    """The settings of a recipe that takes the time `time` on two processor cores.

    The models have no n-gram embeddings, because these overfit small data. On 400 kB of text, the
    best validation loss was 4.73 with them, and 4.41 with the preset "tiny".
    """

    time: str  # in words, for the recipe and the README
    vocab_size: int
    model: str  # lines of TOML
    pretrain_steps: int
    sft_steps: int


BUDGETS = {
    "minutes": Budget("about ten minutes", 2048, 'size = "tiny"\ncontext_length = 256', 800, 500),
    "hour": Budget("about an hour", 4096, 'size = "small"\ncontext_length = 256', 2500, 1500),
    "night": Budget(
        "a night, six to ten hours", 4096, 'size = "medium"\ncontext_length = 512', 5000, 2500
    ),
}

ONLY_IDENTITY_STEPS = 60  # optimizer steps that are enough to memorize a few dozen rows


@dataclass(frozen=True, kw_only=True)
class OwnFolder:
    """The user's answers to the questions of `chatwright new`."""

    name: str
    assistant: str
    """Name of the assistant."""
    about: str
    """Purpose of the assistant: the end of the sentence "I am here to ..."."""
    time: str
    """A key of BUDGETS; a model with a base takes the time that its data need."""
    base: str = ""
    """The open model to start from, as a name or a path; "" trains from random weights."""
    reading: ReadOptions = DEFAULTS
    """How to read `data`."""
    data: Path | None = None
    """The user's file or folder; None copies the examples."""
    has_texts: bool = True
    """Whether `data` holds texts."""
    has_conversations: bool = True
    """Whether `data` holds conversations."""


def write(parent: Path, own: OwnFolder) -> Path:
    """Create the folder parent/NAME. If an error occurs, delete it again.

    Raises:
        InputError: The folder already exists. It is not changed.
    """
    folder = parent / own.name
    require_free(folder)
    folder.mkdir()
    try:
        (folder / "data").mkdir()
        if own.data is None:
            own_folder.write_examples(folder / "data")
        own_folder.write_identity(folder / "data", own.assistant, own.about)
        (folder / RECIPE).write_text(recipe_text(own, folder), encoding="utf-8")
        (folder / "README.md").write_text(readme_text(own), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def require_free(folder: Path) -> None:
    """Raise InputError if the folder, or a file or link of this name, exists."""
    if os.path.lexists(folder):
        raise InputError(
            f"{folder}: a file or folder with this name already exists.",
            remedy="Choose another name, or rename the existing one.",
            field="NAME",
            value=str(folder),
        )


def recipe_text(own: OwnFolder, folder: Path) -> str:
    """Return the recipe as TOML, with comments that explain its settings."""
    budget = BUDGETS[own.time]
    paths = _data_paths(own, folder)
    data = _toml(paths[0] if len(paths) == 1 else paths)
    if own.base:
        return own_fine_tuning.recipe_text(
            command_line("up", own.name),
            _toml(f"{own.assistant}, here to {own.about}"),
            _toml(_base(own, folder)),
            data,
            _reading(own),
            f"texts = {data}            # read beside the conversations\n" if own.has_texts else "",
        )
    sft_steps = budget.sft_steps if own.has_conversations else ONLY_IDENTITY_STEPS
    return f"""\
# Written by chatwright new. To build it and talk to it: {command_line("up", own.name)}
# {{here}} is the folder of this file. data may be a file, a folder, or a list of them.
# {_moving_note(own)}
about = {_toml(f"{own.assistant}, here to {own.about}")}
stages = ["tokenizer", "pretrain", "sft"]

[tokenizer]                      # learns the pieces that words are made of, from all data
data = {data}
{_reading(own)}vocab_size = {budget.vocab_size}
space_before = true          # a word is the same token at the beginning of a text and inside it

{_pretrain_section(own, data)}
sample_prompts = ["Hello!", "Who are you?"]

[pretrain.model]                 # sizes: "tiny", "small", "medium", "large"
# This one takes {budget.time} in all on two processor cores.
{budget.model}
dropout = 0.2                    # a model learns small data by heart quickly; dropout slows that

[pretrain.loop]
steps = {budget.pretrain_steps}                     # if the validation loss rises again, take fewer
evaluate_every = 100
save_every = 100                 # you can talk to each saved model while the build continues

{_sft_section(own, data)}

[sft.loop]
steps = {sft_steps}
evaluate_every = 100
save_every = 100
"""


def _pretrain_section(own: OwnFolder, data: str) -> str:
    if own.has_texts:
        return f"""\
[pretrain]                       # learns to read and write, from texts and conversations
data = {data}
chat = {data}
{_reading(own)}validation_share = 0.1           # not trained on, to measure on
chat_validation_share = 0.1      # the same conversations as in [sft]"""
    return f"""\
# There were no texts when this was written: the model learns to read and write from the
# conversations alone. When you have texts, add to [pretrain]: data = {data}
# and to [sft]: texts = {data}

[pretrain]
chat = {data}
{_reading(own)}chat_validation_share = 0.1      # not trained on; the same ones as in [sft]"""


def _sft_section(own: OwnFolder, data: str) -> str:
    note = ""
    if not own.has_conversations:
        note = """\
# There were no conversations when this was written: the model learns from data/identity.jsonl
# alone, so it will say who it is and little else. Add conversations to data/ (questions with the
# answers you want) and raise steps.

"""
    texts = ""
    comment = "learns to answer, from the conversations"
    if own.has_texts:
        texts = f"texts = {data}            # read again, so that they are not forgotten\n"
    return f"""\
{note}[sft]                            # {comment}
data = {data}
{_reading(own)}{texts}validation_share = 0.1
sample_prompts = ["Hello!", "Who are you?", "What can you do?"]"""


def _data_paths(own: OwnFolder, folder: Path) -> list[str]:
    """Return the paths that the recipe reads: the user's data, if given, and the folder data/."""
    inside = "{here}/data"
    if own.data is None:
        return [inside]
    if own.data.is_absolute():
        return [_without_placeholders(str(own.data)), inside]
    relative = Path(os.path.relpath(own.data, folder)).as_posix()
    return [f"{{here}}/{_without_placeholders(relative)}", inside]


def _base(own: OwnFolder, folder: Path) -> str:
    """Return the base as the recipe names it: a known name, or a path from the recipe's folder."""
    path = Path(own.base)
    if not path.exists():
        return own.base
    if path.is_absolute():
        return _without_placeholders(own.base)
    return f"{{here}}/{_without_placeholders(Path(os.path.relpath(path, folder)).as_posix())}"


def _reading(own: OwnFolder) -> str:
    """Return lines that say how to read the user's data, if they need that."""
    columns = [f"{_toml(old)} = {_toml(new)}" for old, new in own.reading.rename_columns.items()]
    encoding = f"encoding = {_toml(own.reading.encoding)}\n" if own.reading.encoding else ""
    return encoding + (f"rename_columns = {{ {', '.join(columns)} }}\n" if columns else "")


def _without_placeholders(path: str) -> str:
    """Double the braces in a path, so that a recipe does not read them as a placeholder."""
    return path.replace("{", "{{").replace("}", "}}")


def _moving_note(own: OwnFolder) -> str:
    if own.data is None or own.data.is_absolute():
        return "You can move this folder."
    return "You can move this folder together with the data it reads."


def _toml(value: str | list[str]) -> str:
    """Return a string or a list of strings as TOML, which equals JSON for printable text."""
    return json.dumps(value, ensure_ascii=False)


def check_command(own: OwnFolder) -> str:
    """Return the command that checks the data, with the options that read them."""
    data = own.data or f"{own.name}/data"
    columns = ",".join(f"{old}={new}" for old, new in own.reading.rename_columns.items())
    options = {"--encoding": own.reading.encoding, "--columns": columns}
    words = [word for name, value in options.items() if value for word in (name, value)]
    return command_line("data", "check", data, *words)


def readme_text(own: OwnFolder) -> str:
    """Return the README of the folder: its data and the next commands."""
    if own.base:
        takes, size = "it says how long it takes first", own_fine_tuning.readme_lines(own.base)
    else:
        takes, size = BUDGETS[own.time].time, _readme_size()
    return f"""\
# {own.name}

{_readme_data(own)}

`data/{own_folder.IDENTITY}` says who the model is: {own.assistant}, here to {own.about}. You can \
change its lines.

Next, in the folder above this one:

    {check_command(own)}
    {command_line("up", own.name)}

The first command lists every row that cannot be read, with its line and what to do. The second
builds the model ({takes}) and serves a page to talk to it.
After you change data or settings, run it again: it builds a new model and keeps the old stages in
`runs/` as `...old-1`.

{size}"""


def _readme_size() -> str:
    return f"""\
The size of the model and the training time are in `{RECIPE}`. How much the model can know depends
on how much there is to read: a few pages teach it their words and little more, however long it
trains. Megabytes of text and hundreds of conversations teach it more.
"""


def _readme_data(own: OwnFolder) -> str:
    if own.data is not None:
        return f"""\
The model learns from `{own.data}`, which stays where it is, and from everything in `data/`."""
    width = max(map(len, own_folder.SHOWN))
    files = [f"    {name:{width}}  {shows}" for name, shows in own_folder.SHOWN.items()]
    listed = "\n".join(files)
    return f"""\
`data/` holds what the model learns from. For now these are examples, about a bakery that does not
exist. Each file shows one way to write rows; you need only the one that suits you:

{listed}

Add your own texts and conversations, then delete every file whose name begins with
`{own_folder.EXAMPLE}`. `.parquet` files, and files compressed as `.gz` or `.xz`, are read too."""
