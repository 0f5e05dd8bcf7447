"""Questions about changing values such as prices: the assistant calls a tool.

Skills of the exam, the held-out evaluation set:

- `command`: answer the request with a tool call and nothing else.
- `command_reply`: put the result of a call into a natural sentence.
- `changing_fact`: call the tool again when an old result may be out of date, but answer questions
  about lasting facts of towns, objects and shops without a call.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.attributes import ATTRIBUTES
from chatwright.starter.conversations.closed_book import answer_to, competing_values
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import CLOSED_BOOK, OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import FactTable, is_about_person
from chatwright.starter.fact_wording import fill_with_fact, question_about_fact
from chatwright.starter.invented_names import invent_person_name, invent_town_name
from chatwright.starter.messages import assistant, tool_call, tool_result, user
from chatwright.starter.phrasing import capitalize_first, expand, with_article
from chatwright.starter.simulated_tools import (
    OPENING_HOURS,
    PRICE,
    TOOLS,
    WEATHER,
    SimulatedTool,
    draw_values,
)
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import NAMES, THINGS, VALUES
from chatwright.tokenizer.tool_call_text import message_text, write_tool_call

SKILLS = ("command", "command_reply", "changing_fact")
_PATTERNS = DataFile("patterns/tool_calls.toml")
_REQUESTS = DataFile("patterns/tool_requests.toml")


@dataclass(frozen=True)
class SimulatedCall:
    """One call of a tool, with the values that it returns."""

    tool: SimulatedTool
    argument: str
    """The town, object or shop that the call asks about."""
    values: dict[str, str]

    @property
    def message(self) -> Message:
        """The assistant's message with the call."""
        return tool_call(self.tool.name, self.argument)

    @property
    def result_message(self) -> Message:
        """The tool's message with the result."""
        return tool_result(self.tool.result_text(self.values))

    def fill(self, template: str) -> str:
        """Fill a template with the argument and the values."""
        noun = with_article(self.argument)
        return template.format(
            x=self.argument,
            X=capitalize_first(self.argument),
            a=noun,
            A=capitalize_first(noun),
            **self.values,
        )

    def patterns(self, name: str) -> tuple[str, ...]:
        """The list `name` of this tool's patterns."""
        return _PATTERNS[f"{self.tool.patterns}.{name}"]


def draw_call(table: FactTable, rng: random.Random, for_exam: bool) -> SimulatedCall:
    """Draw a tool, the values that it returns, and an argument."""
    tool = rng.choice(TOOLS)
    values = draw_values(rng)
    return SimulatedCall(tool, _draw_argument(tool, table, rng, for_exam), values)


def _draw_argument(
    tool: SimulatedTool, table: FactTable, rng: random.Random, for_exam: bool
) -> str:
    """Draw a town, object or shop. Its name is used in training or in the exam, never in both."""
    draw_name = {WEATHER: _draw_town, PRICE: _draw_object, OPENING_HOURS: _draw_shop}[tool]
    while True:
        argument = draw_name(table, rng, for_exam)
        if is_held_out(argument) == for_exam:
            return argument


def _draw_town(table: FactTable, rng: random.Random, for_exam: bool) -> str:
    if rng.random() < 0.3:
        return rng.choice(table.towns).name
    return invent_town_name(rng, for_exam)


def _draw_object(table: FactTable, rng: random.Random, for_exam: bool) -> str:
    """Draw an object. Training also has invented words, so that the model copies any argument."""
    if for_exam:
        return rng.choice(THINGS["objects"])
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(THINGS["objects"])
    if draw < 0.75:
        return rng.choice(THINGS["more_objects"])
    return invent_person_name(rng, for_exam=False).lower()


def _draw_shop(table: FactTable, rng: random.Random, for_exam: bool) -> str:
    colors = NAMES["shop_colors"]
    nouns = NAMES["shop_nouns"]
    if for_exam:
        return f"the {rng.choice(colors)} {rng.choice(nouns)}"
    if rng.random() < 0.25:
        color = invent_town_name(rng, for_exam)
    else:
        color = rng.choice(colors + NAMES["more_shop_colors"])
    return f"the {color} {rng.choice(nouns + NAMES['more_shop_nouns'])}"


def _draw_question(call: SimulatedCall, rng: random.Random) -> str:
    section = call.tool.patterns
    draw = rng.random()
    if draw < 0.6:
        return call.fill(_PATTERNS.draw(f"{section}.questions", rng))
    phrases = "clauses" if draw < 0.8 else "nouns"
    return call.fill(_PATTERNS.request(f"{section}.{phrases}", rng))


def draw_request(table: FactTable, rng: random.Random, held_out: bool) -> tuple[str, str]:
    """Draw a request in a wording that no conversation of the corpus has, and the right call.

    Wordings of held-out requests, and the arguments of their calls (towns, goods, shops), are in no
    other request.
    """
    call = draw_call(table, rng, for_exam=held_out)
    name = "held_out_requests" if held_out else "requests"
    request = call.fill(rng.choice(_REQUESTS[f"{call.tool.patterns}.{name}"]))
    [written] = map(write_tool_call, call.message.tool_calls)
    return request, written


def _draw_later_question(call: SimulatedCall, rng: random.Random) -> str:
    time_passes = rng.choice(_PATTERNS["time_passes"])
    return expand(f"{time_passes} {rng.choice(call.patterns('later_questions'))}", rng)


def _reply(call: SimulatedCall, rng: random.Random, question: str) -> str:
    reply = call.fill(rng.choice(call.patterns("replies")))
    asks_yes_or_no = ("umbrella" in question or "raining" in question) and " or " not in question
    if call.tool is WEATHER and asks_yes_or_no:
        is_wet = call.values["condition"] in VALUES["wet_conditions"]
        return f"{'Yes.' if is_wet else 'No.'} {reply}"
    return reply


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a question with its tool call, sometimes asked again later, or one without a call."""
    if rng.random() < 0.15:
        return _lasting_fact_conversation(table, rng)
    call = draw_call(table, rng, for_exam=False)
    question = _draw_question(call, rng)
    reply = assistant(_reply(call, rng, question))
    turns = [user(question), call.message, call.result_message, reply]
    if rng.random() < 0.4:
        # An old result is out of date: the assistant calls the tool again.
        newer = SimulatedCall(
            call.tool, call.argument, draw_call(table, rng, for_exam=False).values
        )
        asked_again = user(_draw_later_question(call, rng))
        turns += [
            asked_again,
            newer.message,
            newer.result_message,
            assistant(_reply(newer, rng, "")),
        ]
    return turns


def _lasting_fact_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    fact = rng.choice([fact for fact in table.training_facts if not is_about_person(fact)])
    question = question_about_fact(fact, table, rng)
    return [user(question), assistant(answer_to(fact, table))]


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw an item of one of the three skills."""
    if skill == "changing_fact" and rng.random() < 0.35:
        return _lasting_fact_item(table, rng)
    call = draw_call(table, rng, for_exam=True)
    template = rng.choice(call.patterns("exam_questions"))
    question = call.fill(template)
    if skill == "command":
        return _call_item(skill, (user(question),), call, template)
    if skill == "command_reply":
        return _reply_item(call, rng, question, template)
    later = rng.choice(call.patterns("exam_later_questions"))
    reply = assistant(_reply(call, rng, question))
    messages = (user(question), call.message, call.result_message, reply, user(later))
    return _call_item(skill, messages, call, later)


def _lasting_fact_item(table: FactTable, rng: random.Random) -> ExamItem:
    fact = rng.choice([fact for fact in table.held_out_facts if not is_about_person(fact)])
    template = rng.choice(ATTRIBUTES[fact.attribute].exam_questions)
    return ExamItem(
        skill="changing_fact",
        messages=(user(fill_with_fact(template, fact, table)),),
        expected=assistant(answer_to(fact, table)),
        required=((fact.value,),),
        forbidden=competing_values(fact, table),
        setting=CLOSED_BOOK,
        template=template,
    )


def _call_item(
    skill: str, messages: tuple[Message, ...], call: SimulatedCall, template: str
) -> ExamItem:
    return ExamItem(
        skill=skill,
        messages=messages,
        expected=call.message,
        required=((message_text(call.message),),),
        check="command",
        setting=OPEN_BOOK if skill == "changing_fact" else "",
        template=template,
    )


def _reply_item(call: SimulatedCall, rng: random.Random, question: str, template: str) -> ExamItem:
    expected = _reply(call, rng, question)
    return ExamItem(
        skill="command_reply",
        messages=(user(question), call.message, call.result_message),
        expected=assistant(expected),
        required=tuple((call.values[name],) for name in call.tool.reply_values),
        forbidden=_forbidden_in_reply(call, expected),
        max_words=25,
        setting=OPEN_BOOK,
        template=template,
    )


def _forbidden_in_reply(call: SimulatedCall, expected: str) -> tuple[str, ...]:
    """Phrases that show a raw tool result, a wrong value, or a wrong "yes" or "no"."""
    values = call.values
    wrong_verdict = {"Yes.": ("no",), "No.": ("yes",)}.get(expected.split(" ", 1)[0], ())
    return (
        *(tool.name for tool in TOOLS),
        "COMMAND",
        values[call.tool.extra_value],
        *(name for name in VALUES["conditions"] if name != values["condition"]),
        # The opening hours in the wrong order.
        *(f"{words} {values['opens']}" for words in ("closes at", "to", "until", "till")),
        *(f"{words} {values['closes']}" for words in ("opens at", "from")),
        *wrong_verdict,
    )
