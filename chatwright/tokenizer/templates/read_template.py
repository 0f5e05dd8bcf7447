"""Make a chat format of a model's template: render it, derive the format, compare the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chatwright.tokenizer.format_data import FormatData
from chatwright.tokenizer.templates import compare, probes
from chatwright.tokenizer.templates.compare import Abilities, Sample
from chatwright.tokenizer.templates.derive import NotExpressible, Outcomes, derive_format
from chatwright.tokenizer.templates.probes import Probe
from chatwright.tokenizer.templates.run_template import Job, TemplateFailed, run_template
from chatwright.tokenizer.thinking import TAGS

OTHER_DATE = "2001-02-03"
"""A date that differs from today's in year, month and day."""

ALL_PROBES = probes.PROBES | probes.PADDED | compare.conversations(Abilities())


@dataclass(frozen=True)
class TemplateFormat:
    """The chat format of a template."""

    data: FormatData
    samples: list[Sample]
    """The conversations on which the format was found equal to the template."""


def read_template(template: str, special_tokens: Mapping[str, str], date: str) -> TemplateFormat:
    """Return the chat format of a template.

    Args:
        template: The Jinja template.
        special_tokens: The tokenizer's special tokens by name: {"bos": "<s>", ...}.
        date: Today's date, which some templates write: "2026-11-29".

    Raises NotExpressible if the template does something that a chat format cannot express, and if
    it cannot be rendered within limits of time and memory.
    """
    tags = next((pair for pair in TAGS if any(tag in template for tag in pair)), None)
    thinks = tags is not None
    modes = (None, True, False) if thinks else (None,)
    ways = {"field": "field", "inline": " ".join(tags)} if tags else {"field": "field"}
    rendering = _Rendering(template, dict(special_tokens), date)
    for mode in modes:
        for way in ways.values():
            rendering.add(ALL_PROBES, mode, way)
    rendering.run()
    outcomes = rendering.outcomes
    inline = ways.get("inline", "")
    by_mode = {mode: (outcomes[mode, "field"], outcomes.get((mode, inline))) for mode in modes}
    data, way_of_mode = derive_format(by_mode, tags)
    has_system = "begin>system" in data.layout.separators
    samples = []
    for mode in modes if data.thinking_on else (None,):
        way = way_of_mode[mode]
        abilities = Abilities(has_system, not data.system_goes_last, thinks, bool(way))
        to_compare = compare.conversations(abilities)
        rendered = outcomes[mode, ways.get(way, "field")]
        samples += compare.require_equal_texts(data, to_compare, rendered, mode)
    return TemplateFormat(replace(data, date=date if rendering.writes_date else ""), samples)


class _Rendering:
    """All renderings of a template, in one process."""

    def __init__(self, template: str, special_tokens: dict[str, str], date: str) -> None:
        self._template = template
        self._special_tokens = special_tokens
        self._date = date
        self._jobs: list[tuple[bool | None, str, str, Job]] = []
        self.outcomes: dict[tuple[bool | None, str], Outcomes] = {}
        """By mode of thinking and the way in which thinking is given."""
        self.writes_date = False
        """Whether the template writes the date."""

    def add(self, to_render: Mapping[str, Probe], mode: bool | None, way: str) -> None:
        """Render these conversations, too."""
        for name, probe in to_render.items():
            job = probes.job_of(probe, self._special_tokens, self._date, mode, way)
            self._jobs.append((mode, way, name, job))

    def run(self) -> None:
        """Render all conversations. Raises NotExpressible if the template exceeds a limit."""
        dated = [
            probes.job_of(probe, self._special_tokens, OTHER_DATE, None, "field")
            for probe in probes.PROBES.values()
        ]
        try:
            results = run_template(self._template, [*(job for *_, job in self._jobs), *dated])
        except TemplateFailed as error:
            raise NotExpressible(f"the template cannot be run: {error}") from None
        for (mode, way, name, _), outcome in zip(self._jobs, results, strict=False):
            self.outcomes.setdefault((mode, way), {})[name] = outcome
        today = [self.outcomes[None, "field"][name] for name in probes.PROBES]
        self.writes_date = results[-len(dated) :] != today
