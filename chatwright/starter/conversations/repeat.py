"""Give back, exactly, an e-mail address or a number told two turns earlier, though another one was told as well."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import question
from chatwright.starter.conversations import arithmetic
from chatwright.starter.conversations.facts import answer_to
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import begin_differently, invented_person, is_held_out
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin, tidy

SKILLS = ("repeat",)
_HOSTS = ("mail", "post", "letter", "inbox", "home", "office", "school", "garden", "river", "cloud")
_ENDS = ("com", "org", "net", "fr", "de")
KINDS = ("e-mail address", "phone number")
_OWNERS = ("my sister", "my brother", "my friend", "my office", "my neighbour", "my doctor")
_MORE_OWNERS = (
    "my aunt",
    "my teacher",
    "my boss",
    "my son",
    "my school",
    "my bank",
    "my cousin",
    "my landlord",
    "my club",
    "my mother",
)
_KEEP = "[|please] [remember|note|keep|save|store|write down|learn|do not forget|keep in mind]"
_TELL = (
    "My [|new|own|private] {kind} is {value}.",
    "[I have|Here is|This is|You get] my {kind}: {value}.",
    "{value} is my {kind}.",
    f"{_KEEP} my {{kind}}: {{value}}.",
    "Note my {kind}, {value}.",
    "[You|Everybody|My friends] can [find|reach|get] me [by|with the|under the] {kind}: {value}.",
    "{value} is the {kind} that is mine.",
    "[Hello!|Hi Pip.|Good morning.] My {kind} [is|has become] {value}.",
    "I [live with|use|own|got] the {kind} {value}.",
    "[For me|If you look for me|As for me], the {kind} is {value}.",
    "My {kind} [changed|is new] and [now it is|is now] {value}.",
    "[Mine|My {kind}]: {value}.",
)
_TELL_OTHER = (
    "The {kind} of {owner} is {value}.",
    "[And|But] the {kind} of {owner}[:| is] {value}.",
    f"[Also|And also|Next,] {_KEEP} the {{kind}} of {{owner}}, {{value}}.",
    "{value} belongs to {owner}, it is the {kind} there.",
    "To [reach|find|get|ask] {owner}, use the {kind} {value}.",
    "{value} is the {kind} of {owner}.",
    "[And|But|Then] {owner} [has|uses|owns] the {kind} {value}.",
    "With {owner} [use|take|write down|note] the {kind} {value}.",
    "[Another|A second|One more] {kind}, of {owner}: {value}.",
    "And {owner}? [The {kind} is|There the {kind} is] {value}.",
)
_TELL_HELD = (
    "{value}: that one is my own {kind}.",
    "By {kind} one finds me at {value}.",
    "{value} I call my {kind}.",
)
_TELL_OTHER_HELD = (
    "{value} leads to {owner} ({kind}).",
    "For {owner} it is {value} ({kind}).",
    "{value} on the other hand reaches {owner}.",
)
# Whole questions, then verb phrases, clauses and nouns for `ask`: for the own one, and for that of somebody else.
_ASK = (
    "What [is|was] my {kind}[| again| now]?",
    "Do you [|still] [remember|know|have] my {kind}?",
    "[Which|What] {kind} did I [give you|say is mine|call mine]?",
    "I [forgot|lost my notes|am not sure|cannot remember]: what is my {kind}?",
    "[Somebody asks for|I need|The office asks for|They want] my {kind}. What is it?",
    "[Mine again|Now mine]: [what|which] {kind}?",
    "my {kind}[|?|, please]",
    "How can [people|somebody] reach me? [By which {kind}|Under which {kind}]?",
    "[Under|By] which {kind} [can people|do people] find me?",
)
_ASK_DO = (
    "[copy|write|read out|type|print|spell] my {kind} [|again]",
    "[tell|give|show|send] me my {kind} [|again]",
    "remind me of my {kind}",
)
_ASK_TELL = (
    "what my {kind} [is|was]",
    "[which|what] {kind} [I gave you|I told you|I have|is my own]",
)
_ASK_GIVE = ("my [|own] {kind} [|again]", "the {kind} that [is mine|I have]")
_ASK_OTHER = (
    "What [is|was] the {kind} of {owner}[| again| now]?",
    "Do you [|still] [remember|know|have] the {kind} of {owner}?",
    "[Which|What] {kind} did I [give|note] for {owner}?",
    "I [forgot|lost my notes|am not sure|cannot remember]: what is the {kind} of {owner}?",
    "How can I [reach|find|get] {owner}? By which {kind}?",
    "Once more: {owner}, which {kind}?",
    "I [must|want to|need to] [reach|ask|write to] {owner}. [Which|What] {kind} do I [take|use|need]?",
    "[And what about|Now for|Next is] {owner}: [what|which] {kind}?",
    "the {kind} of {owner}[|?|, please]",
)
_ASK_OTHER_DO = (
    "[say|repeat|write|read out|type|print|spell] the {kind} [of|for] {owner} [|again]",
    "[tell|give|show|send] me the {kind} [of|for] {owner} [|again]",
    "remind me of the {kind} of {owner}",
)
_ASK_OTHER_TELL = (
    "what the {kind} of {owner} [is|was]",
    "[which|what] {kind} [{owner} has|I gave for {owner}|I told you for {owner}]",
)
_ASK_OTHER_GIVE = ("the {kind} of {owner} [|again]", "the {kind} that {owner} has")
_ASK_HELD = (
    "Repeat my {kind}, please.",
    "I forgot my own {kind}! Which one did I give?",
    "Write down my {kind} once more.",
    "Which {kind} is mine?",
    "Please say my {kind} again.",
)
_ASK_OTHER_HELD = (
    "Repeat it for {owner}, please: which {kind}?",
    "Which {kind} belongs to {owner}?",
    "How do I reach {owner}? Give the {kind}.",
    "Once more, please: the {kind}, I mean for {owner}.",
    "And {owner}, which {kind} did I tell?",
)
_NOTED = (
    "I have noted it.",
    "Thank you, I will remember it.",
    "Noted.",
    "All right, I will keep it in mind.",
)


def value_of(kind: str, rng: random.Random, held_out: bool) -> str:
    while True:
        if kind == "phone number":
            value = f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"
        else:
            name = invented_person(rng, held_out).lower()
            value = rng.choice(("{n}@{h}.{e}", "{n}.{m}@{h}.{e}", "{n}{d}@{h}.{e}")).format(
                n=name,
                m=invented_person(rng, held_out).lower(),
                d=rng.randint(1, 99),
                h=rng.choice(_HOSTS),
                e=rng.choice(_ENDS),
            )
        if is_held_out(value) == held_out:
            return value


def draw(
    world: FactTable, rng: random.Random, held_out: bool
) -> tuple[list[Message], str, str, str, str]:
    """The conversation up to the question; then kind, owner ("" for the person's own), right value and the other one."""
    kind, owner = rng.choice(KINDS), rng.choice(_OWNERS if held_out else _OWNERS + _MORE_OWNERS)
    mine, other = begin_differently(lambda: value_of(kind, rng, held_out), 2)
    if held_out:
        tell, tell_other = rng.choice(_TELL_HELD), rng.choice(_TELL_OTHER_HELD)
    else:
        tell, tell_other = (
            tidy(spin(rng.choice(patterns), rng)) for patterns in (_TELL, _TELL_OTHER)
        )
    told = [
        tell.format(kind=kind, value=mine),
        tell_other.format(kind=kind, value=other, owner=owner),
    ]
    if rng.random() < 0.5:
        turns = [
            user(told[0]),
            assistant(rng.choice(_NOTED)),
            user(told[1]),
            assistant(rng.choice(_NOTED)),
        ]
    else:
        turns = [
            user(" ".join(told)),
            assistant(rng.choice(_NOTED)),
            *_filler(world, rng, held_out),
        ]
    if rng.random() < 0.5:
        return turns, kind, "", mine, other
    return turns, kind, owner, other, mine


def _filler(world: FactTable, rng: random.Random, held_out: bool) -> list[Message]:
    if held_out:
        item = arithmetic.held_out(world, rng, "arithmetic")
        return [*item.messages, item.expected]
    if rng.random() < 0.4:
        return arithmetic.one(rng)
    fact = rng.choice(world.asked)
    return [user(question(fact, world, rng)), assistant(answer_to(fact, world))]


def _answer(kind: str, owner: str, value: str) -> str:
    whose = f"The {kind} of {owner.replace('my ', 'your ')}" if owner else f"Your {kind}"
    return f"{whose} is {value}"  # no full stop: it would look like a part of the address


def train(world: FactTable, rng: random.Random) -> list[Message]:
    turns, kind, owner, value, _ = draw(world, rng, held_out=False)
    asked = _request(rng, bool(owner)).format(kind=kind, owner=owner)
    return [*turns, user(asked), assistant(_answer(kind, owner, value))]


def _request(rng: random.Random, for_other: bool) -> str:
    if rng.random() < 0.4:
        return spin(rng.choice(_ASK_OTHER if for_other else _ASK), rng)
    if for_other:
        ways, things = rng.choice(
            ((DO, _ASK_OTHER_DO), (TELL, _ASK_OTHER_TELL), (GIVE, _ASK_OTHER_GIVE))
        )
    else:
        ways, things = rng.choice(((DO, _ASK_DO), (TELL, _ASK_TELL), (GIVE, _ASK_GIVE)))
    return ask(ways, things, rng)


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    turns, kind, owner, value, other = draw(world, rng, held_out=True)
    template = rng.choice(_ASK_OTHER_HELD if owner else _ASK_HELD)
    return Item(
        skill="repeat",
        messages=(*turns, user(template.format(kind=kind, owner=owner))),
        expected=assistant(_answer(kind, owner, value)),
        must=((value,),),
        forbid=(other,),
        max_words=20,
        book="open",
        template=template,
    )
