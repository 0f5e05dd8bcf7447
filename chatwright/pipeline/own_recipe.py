"""Write a folder of one's own: a recipe that fits what there is to learn from and the time there is, the data, and what to do next."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from chatwright.commands import quoted
from chatwright.data import own_folder

RECIPE = "recipe.toml"


@dataclass(frozen=True)
class Budget:
    """What a build may cost on two processor cores.

    Plain shapes without n-gram tables: on 400 kB of text the tables' validation loss was best after 50 steps (4.73) and rose from there,
    that of "tiny" was 4.41 after 250 and still falling.
    """

    words: str
    vocab_size: int
    model: str  # TOML
    pretrain_steps: int
    sft_steps: int


BUDGETS = {
    "minutes": Budget("about ten minutes", 2048, 'size = "tiny"\ncontext_length = 256', 800, 500),
    "hour": Budget("about an hour", 4096, 'size = "small"\ncontext_length = 256', 2500, 1500),
    "night": Budget(
        "a night, six to ten hours", 4096, 'size = "medium"\ncontext_length = 512', 5000, 2500
    ),
}


ONLY_IDENTITY_STEPS = 60  # a few dozen rows are known by heart after that


@dataclass(frozen=True, kw_only=True)
class OwnFolder:
    name: str
    assistant: str
    about: str  # completes "I am here to ..."
    time: str  # a key of BUDGETS
    data: Path | None = (
        None  # a file or folder that is there already; None: the examples are copied
    )
    has_texts: bool = True  # in `data`
    has_conversations: bool = True


def write(parent: Path, wanted: OwnFolder) -> Path:
    """Make parent/NAME. A folder that is there is never touched; one that could not be written whole is removed again."""
    folder = parent / wanted.name
    require_free(folder)
    folder.mkdir()
    try:
        (folder / "data").mkdir()
        if wanted.data is None:
            own_folder.write_examples(folder / "data")
        own_folder.write_identity(folder / "data", wanted.assistant, wanted.about)
        (folder / RECIPE).write_text(recipe_text(wanted, folder), encoding="utf-8")
        (folder / "README.md").write_text(readme_text(wanted), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def require_free(folder: Path) -> None:
    if os.path.lexists(folder):
        raise ValueError(
            f"{folder}: is there already and stays as it is. Choose another name, or move it away."
        )


def recipe_text(wanted: OwnFolder, folder: Path) -> str:
    budget = BUDGETS[wanted.time]
    places = _places(wanted, folder)
    where = _toml(places[0] if len(places) == 1 else places)
    return f"""\
# Written by chatwright new. Build and talk: chatwright up {quoted(wanted.name)}
# {{here}} is the folder this file lies in. A place may be a file, a folder, or a list of them. {_moving(wanted)}
about = {_toml(f"{wanted.assistant}, here to {wanted.about}")}
stages = ["tokenizer", "pretrain", "sft"]

[tokenizer]                      # learns which pieces words are made of, from everything there is
data = {where}
vocab_size = {budget.vocab_size}
space_before = true          # a word is one token wherever it stands

{_pretrain(wanted, where)}
sample_prompts = ["Hello!", "Who are you?"]

[pretrain.model]                 # {budget.words} in all on two processor cores; "tiny", "small", "medium" and "large" are ever larger
{budget.model}
dropout = 0.2                    # small data is learned by heart quickly

[pretrain.loop]
steps = {budget.pretrain_steps}                      # when the validation loss rises again, the data is known by heart: fewer will do
evaluate_every = 100
save_every = 100                 # each save can be talked to on the page while the build goes on

{_sft(wanted, where)}

[sft.loop]
steps = {budget.sft_steps if wanted.has_conversations else ONLY_IDENTITY_STEPS}
evaluate_every = 100
save_every = 100
"""


def _pretrain(wanted: OwnFolder, where: str) -> str:
    if wanted.has_texts:
        return f"""\
[pretrain]                       # learns to read and write: the texts, with the conversations among them from the start
data = {where}
chat = {where}
validation_share = 0.1           # kept out of training, to measure on
chat_validation_share = 0.1      # the same conversations as in [sft]"""
    return f"""\
# There were no texts when this was written, so it learns to read and write from the conversations alone. When there are some,
# add to [pretrain]: data = {where}
# and to [sft]:      texts = {where}

[pretrain]
chat = {where}
chat_validation_share = 0.1      # kept out of training, to measure on; the same conversations as in [sft]"""


def _sft(wanted: OwnFolder, where: str) -> str:
    note = (
        ""
        if wanted.has_conversations
        else """\
# There were no conversations when this was written: it learns to converse from data/identity.jsonl alone, so it will say who it is and
# little else. Conversations put into data/ (questions people ask, with the answers you want) are read as well; raise steps then.

"""
    )
    again = f"texts = {where}\n" if wanted.has_texts else ""
    reads = (
        "; the texts are read again beside them, so that they are not forgotten"
        if wanted.has_texts
        else ""
    )
    return f"""\
{note}[sft]                            # learns to answer, from the conversations{reads}
data = {where}
{again}validation_share = 0.1
sample_prompts = ["Hello!", "Who are you?", "What can you do?"]"""


def _places(wanted: OwnFolder, folder: Path) -> list[str]:
    """A relative path stays relative, to the recipe's folder then; the identity rows stand beside it."""
    own = "{here}/data"
    if wanted.data is None:
        return [own]
    theirs = str(wanted.data)
    if not wanted.data.is_absolute():
        theirs = Path(os.path.relpath(wanted.data, folder)).as_posix()
    theirs = theirs.replace("{", "{{").replace("}", "}}")
    return [theirs if wanted.data.is_absolute() else f"{{here}}/{theirs}", own]


def _moving(wanted: OwnFolder) -> str:
    alone = wanted.data is None or wanted.data.is_absolute()
    return (
        "The folder can be moved."
        if alone
        else "The folder can be moved together with what it reads."
    )


def _toml(value: str | list[str]) -> str:
    """A JSON text or list of texts is one in TOML too, as long as it holds no control characters."""
    return json.dumps(value, ensure_ascii=False)


def readme_text(wanted: OwnFolder) -> str:
    where = f"{wanted.name}/data" if wanted.data is None else str(wanted.data)
    if wanted.data is None:
        width = max(map(len, own_folder.SHOWN))
        files = "\n".join(
            f"    {name:{width}}  {shows}" for name, shows in own_folder.SHOWN.items()
        )
        data = f"""\
`data/` holds what the model learns from. For now these are examples, about a bakery that does not exist. Each file shows one way
to write rows down; you need only the one that suits you:

{files}

Put your own texts and conversations beside them, then delete every file whose name begins with `{own_folder.EXAMPLE}`.
`.parquet` files, and files packed as `.gz` or `.xz`, are read too."""
    else:
        data = f"""\
The model learns from `{wanted.data}`, which stays where it is, and from `data/`. What you put into `data/` is read as well."""
    return f"""\
# {wanted.name}

{data}

`data/{own_folder.IDENTITY}` says who the model is: {wanted.assistant}, here to {wanted.about}. Change its lines as you like.

Next, in the folder above this one:

    chatwright data check {quoted(where)}
    chatwright up {quoted(wanted.name)}

The first names every row that cannot be read, with its line and what to do about it. The second builds the model
({BUDGETS[wanted.time].words}) and gives you a page to talk to it. Changed data or settings: the same command builds anew; what was there
before is kept under `runs/` as `...old-1`.

How large the model is and how long it learns stands in `{RECIPE}`. How much it can know depends on how much there is to read: a few
pages teach it their words and little more, and more time does not help then; megabytes of text and hundreds of conversations do.
"""
