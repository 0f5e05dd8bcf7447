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
from chatwright.pipeline.collect import Candidates, CollectConfig, collect
from chatwright.pipeline.starter_corpus import starter_corpus

_SAMPLE_PROMPTS = Path(__file__).parent / "sample_prompts.txt"
Prompt = tuple[Message, ...]


def sampled_candidates(
    directory: Path, prompts: Sequence[Prompt], config: CollectConfig, cache: Path, count: int
) -> list[Candidates]:
    """Return replies to the first `count` of the prompts that get different ones.

    The replies that `cache` lacks are sampled and added to it.
    """
    known = read_candidates(cache) if cache.exists() else []
    sampled = {c.prompt: c for c in known if len(c.replies) == config.n_reply}
    found = [sampled[p] for p in prompts if p in sampled and sampled[p].are_different]
    missing = [prompt for prompt in prompts if prompt not in sampled]
    if not missing or len(found) >= count:
        return found[:count]
    n_equal = 0
    with StatusLine(f"Sampling replies of {directory}") as status:
        assistant, weights = open_sampling_assistant(directory, status)
        while missing and len(found) < count:
            status.show(f"{len(found)} of {count} prompts with {config.n_reply} different replies")
            n_next = 2 * (count - len(found))  # many prompts of a good model get equal replies
            new = collect(assistant, weights, missing[:n_next], config, first=len(known))
            cache.parent.mkdir(parents=True, exist_ok=True)
            append_candidates(cache, new)
            missing = missing[n_next:]
            known += new
            found += [one for one in new if one.are_different]
            n_equal += sum(not one.are_different for one in new)
        if n_equal:
            status.note(f"{n_equal} other prompts got equal replies and are left out.")
    return found[:count]


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
    """Return prompts of the starter corpus for a starter model, `count` of them; else general ones.

    All general prompts are returned, also if `count` is less.
    """
    if corpus := starter_corpus(directory):
        # Imported here: it takes 0.1 s.
        from chatwright.starter import make_fact_table, read_settings
        from chatwright.starter.feedback.prompts import draw_prompts

        settings = read_settings(corpus)
        table = make_fact_table(settings.size, settings.seed)
        return [prompt.messages for prompt in draw_prompts(table, "training", count, seed)]
    texts = _SAMPLE_PROMPTS.read_text(encoding="utf-8").splitlines()
    return [(Message("user", text),) for text in texts]


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
