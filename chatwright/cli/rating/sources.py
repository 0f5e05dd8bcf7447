"""Where the prompts and replies of a rating session come from.

The replies are sampled once and kept in a file, so that a later session shows the same ones.
"""

from collections.abc import Sequence
from pathlib import Path

from chatwright.cli.load_model import open_sampling_assistant
from chatwright.cli.rating.candidate_file import append_candidates, read_candidates
from chatwright.cli.status_line import StatusLine
from chatwright.conversation import Message
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import DataError, Location, PromptRow
from chatwright.errors import InputError
from chatwright.pipeline.collect import Candidates, CollectConfig, collect, share_equal
from chatwright.pipeline.starter_corpus import starter_corpus

_SAMPLE_PROMPTS = Path(__file__).parent / "sample_prompts.txt"
Prompt = tuple[Message, ...]


def sampled_candidates(
    directory: Path, prompts: Sequence[Prompt], config: CollectConfig, cache: Path
) -> list[Candidates]:
    """Return the replies to the prompts; those that `cache` lacks are sampled and added to it."""
    known = read_candidates(cache) if cache.exists() else []
    wanted = set(prompts)
    fitting = [c for c in known if c.prompt in wanted and len(c.replies) == config.n_reply]
    missing = [prompt for prompt in prompts if prompt not in {c.prompt for c in fitting}]
    if not missing:
        return fitting
    with StatusLine(f"Sampling replies of {directory}") as status:
        assistant, weights = open_sampling_assistant(directory, status)
        status.show(f"{len(missing)} prompts, {config.n_reply} replies each")
        new = collect(assistant, weights, missing, config, first=len(known))
        append_candidates(cache, new)
        if share := share_equal(new):
            status.note(f"{share:.0%} of the prompts got equal replies and are left out.")
    return fitting + new


def read_prompts(path: Path) -> list[Prompt]:
    """Read prompts from a file. Raises InputError if it has none."""
    prompts = [row.messages for row in read_rows(path) if isinstance(row, PromptRow)]
    if not prompts:
        raise DataError(
            Location(str(path)),
            "there are no prompts",
            'write lines such as {"prompt": "Hello!"}',
            field="prompts",
        )
    return list(dict.fromkeys(prompts))


def own_prompts(directory: Path, count: int, seed: int) -> list[Prompt]:
    """Return prompts of the starter corpus for a starter model, else general ones.

    Raises InputError if more general prompts are wanted than there are.
    """
    if corpus := starter_corpus(directory):
        # Imported here: it takes 0.1 s.
        from chatwright.starter import make_fact_table, read_settings
        from chatwright.starter.feedback.prompts import draw_prompts

        settings = read_settings(corpus)
        table = make_fact_table(settings.size, settings.seed)
        return [prompt.messages for prompt in draw_prompts(table, "training", count, seed)]
    texts = _SAMPLE_PROMPTS.read_text(encoding="utf-8").splitlines()
    return [(Message("user", text),) for text in texts[:count]]


def require_starter_corpus(model: Path) -> Path:
    """Return the folder of the starter corpus. Raises InputError for other models."""
    if corpus := starter_corpus(model):
        return corpus
    raise InputError(
        f"{model}: the simulated raters know the starter corpus, and there is none beside this "
        "model.",
        remedy="Give a model of the starter (chatwright up), or rate yourself: chatwright rate.",
        field="DIRECTORY",
        value=str(model),
    )
