"""What an improvement of the starter model is judged by, unless the user says otherwise.

Prompts, rules and test questions of the starter corpus are held out from training by name and by
wording (`starter/feedback/prompts.py`).
"""

from dataclasses import replace
from pathlib import Path

from chatwright.pipeline.improve.settings import ImproveConfig
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.starter import make_fact_table, read_settings
from chatwright.starter.feedback.prompts import write_prompt_sets
from chatwright.training.watcher import Watcher

FOLDER = "prompts"
RULES = "starter"
N_SKILL_ITEM = 50
N_PROMPT = 300


def with_starter_defaults(
    config: ImproveConfig, model: Path, folder: Path, watcher: Watcher
) -> ImproveConfig:
    """Return the settings, completed for a starter model; those of other models are unchanged.

    Args:
        config: What the user set.
        model: The model to improve.
        folder: Where the prompts are written, once.
        watcher: Receives a message.
    """
    corpus = None if config.prompts or config.names_judge else starter_corpus(model)
    if corpus is None:
        return config
    prompts = folder / FOLDER
    if not (prompts / "judge.jsonl").exists():
        settings = read_settings(corpus)
        table = make_fact_table(settings.size, settings.seed)
        write_prompt_sets(prompts, table, n_judge=N_PROMPT)
    watcher.say("judged by the starter's held-out rules and questions")
    return replace(
        config,
        prompts=str(prompts / "judge.jsonl"),
        rules=RULES,
        practice=config.practice or str(prompts / "training.jsonl"),
        skills=config.skills or N_SKILL_ITEM,
    )
