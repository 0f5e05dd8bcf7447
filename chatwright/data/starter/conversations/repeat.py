"""Give back, exactly, an e-mail address or a number told two turns earlier, though another one was told as well."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.attributes import ATTRIBUTES, say
from chatwright.data.starter.conversations import arithmetic
from chatwright.data.starter.conversations.facts import answer_to
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import invented_person, is_held_out
from chatwright.data.starter.world import World

SKILLS = ("repeat",)
_HOSTS = ("mail", "post", "letter", "inbox", "home", "office", "school", "garden", "river", "cloud")
_ENDS = ("com", "org", "net", "fr", "de")
KINDS = ("e-mail address", "phone number")
_OWNERS = ("my sister", "my brother", "my friend", "my office", "my neighbour", "my doctor")
_TELL = (
    "My {kind} is {value}.",
    "{value} is my {kind}.",
    "Please remember my {kind}: {value}.",
    "Note my {kind}, {value}.",
    "You can find me by {kind}: {value}.",
    "{value} is the {kind} that is mine.",
)
_TELL_OTHER = (
    "The {kind} of {owner} is {value}.",
    "And the {kind} of {owner}: {value}.",
    "Also remember the {kind} of {owner}, {value}.",
    "{value} belongs to {owner}, it is a {kind}.",
    "To reach {owner}, use the {kind} {value}.",
)
_TELL_HELD = ("{value}: that one is my own {kind}.", "By {kind} one finds me at {value}.", "{value} I call my {kind}.")
_TELL_OTHER_HELD = (
    "{value} leads to {owner} ({kind}).",
    "For {owner} it is {value} ({kind}).",
    "{value} on the other hand reaches {owner}.",
)
_ASK = (
    "What is my {kind}?",
    "Tell me my {kind}.",
    "What was my {kind}?",
    "Do you remember my {kind}?",
    "Say my {kind} again.",
    "Which {kind} did I give you?",
    "Repeat my {kind}.",
    "Write my {kind}, please.",
    "I forgot: what is my {kind}?",
)
_ASK_OTHER = (
    "What is the {kind} of {owner}?",
    "Tell me the {kind} of {owner}.",
    "Do you remember the {kind} of {owner}?",
    "Say the {kind} for {owner} again.",
    "Which {kind} did I give for {owner}?",
    "How can I reach {owner}? By which {kind}?",
    "Once more: {owner}, which {kind}?",
)
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
_NOTED = ("I have noted it.", "Thank you, I will remember it.", "Noted.", "All right, I will keep it in mind.")


def value_of(kind: str, rng: random.Random, held_out: bool) -> str:
    while True:
        if kind == "phone number":
            value = f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"
        else:
            name = invented_person(rng, held_out).lower()
            value = rng.choice(("{n}@{h}.{e}", "{n}.{m}@{h}.{e}", "{n}{d}@{h}.{e}")).format(
                n=name, m=invented_person(rng, held_out).lower(), d=rng.randint(1, 99), h=rng.choice(_HOSTS), e=rng.choice(_ENDS)
            )
        if is_held_out(value) == held_out:
            return value


def draw(world: World, rng: random.Random, held_out: bool) -> tuple[list[Message], str, str, str, str]:
    """The conversation up to the question; then kind, owner ("" for the person's own), right value and the other one."""
    kind, owner = rng.choice(KINDS), rng.choice(_OWNERS)
    mine, other = value_of(kind, rng, held_out), value_of(kind, rng, held_out)
    tell, tell_other = (_TELL_HELD, _TELL_OTHER_HELD) if held_out else (_TELL, _TELL_OTHER)
    told = [rng.choice(tell).format(kind=kind, value=mine), rng.choice(tell_other).format(kind=kind, value=other, owner=owner)]
    if rng.random() < 0.5:
        turns = [user(told[0]), assistant(rng.choice(_NOTED)), user(told[1]), assistant(rng.choice(_NOTED))]
    else:
        turns = [user(" ".join(told)), assistant(rng.choice(_NOTED)), *_filler(world, rng, held_out)]
    if rng.random() < 0.5:
        return turns, kind, "", mine, other
    return turns, kind, owner, other, mine


def _filler(world: World, rng: random.Random, held_out: bool) -> list[Message]:
    if held_out:
        item = arithmetic.held_out(world, rng, "arithmetic")
        return [*item.messages, item.expected]
    if rng.random() < 0.4:
        return arithmetic.train(world, rng)
    fact = rng.choice(world.asked)
    return [user(say(rng.choice(ATTRIBUTES[fact.attribute].ask), fact, world)), assistant(answer_to(fact, world))]


def _answer(kind: str, owner: str, value: str) -> str:
    whose = f"The {kind} of {owner.replace('my ', 'your ')}" if owner else f"Your {kind}"
    return f"{whose} is {value}"  # no full stop: it would look like a part of the address


def train(world: World, rng: random.Random) -> list[Message]:
    turns, kind, owner, value, _ = draw(world, rng, held_out=False)
    question = rng.choice(_ASK_OTHER if owner else _ASK).format(kind=kind, owner=owner)
    return [*turns, user(question), assistant(_answer(kind, owner, value))]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
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
