"""What changes is fetched, never remembered: weather, prices and opening hours.

`command`: the request is answered by COMMAND=... and nothing else. `command_reply`: the result has come back and is put
into a natural sentence. `changing_fact`: beside questions that need a command stand questions about the same towns,
objects and shops that do not, and later turns in which an old result is out of date.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.data.starter.attributes import ATTRIBUTES, say, with_article
from chatwright.data.starter.conversations.facts import answer_to, competing
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import invented_town, is_held_out
from chatwright.data.starter.words import CONDITIONS, OBJECTS, SHOP_COLOURS, SHOP_NOUNS, WET
from chatwright.data.starter.world import World

SKILLS = ("command", "command_reply", "changing_fact")


@dataclass(frozen=True)
class Source:
    """One thing that can be fetched, how it is asked for, and how a result is told."""

    name: str
    ask: tuple[str, ...]
    ask_held: tuple[str, ...]
    later: tuple[str, ...]  # some time after an answer
    later_held: tuple[str, ...]
    replies: tuple[str, ...]


WEATHER = Source(
    "FETCH_WEATHER_DATA",
    (
        "What is the weather in {x}?",
        "How is the weather in {x} today?",
        "Is it warm in {x}?",
        "Tell me the weather in {x}.",
        "Is it raining in {x}?",
        "How warm is it in {x} now?",
        "weather {x}",
        "What does the sky look like over {x}?",
        "Do I need a coat in {x}?",
        "Is there snow in {x}?",
        "I travel to {x}. Will it rain?",
        "Forecast for {x}, please.",
        "Do people around {x} need an umbrella now?",
    ),
    (
        "I travel to {x} tomorrow morning: coat or no coat?",
        "Look outside in {x} for me.",
        "Could there be snow over {x} right now?",
        "What sky do people in {x} see today?",
        "Give me a forecast: {x}.",
        "Does one need an umbrella around {x} today?",
    ),
    (
        "And now?",
        "It is the next day. How is the weather there?",
        "How is the weather there today?",
        "Has it changed?",
        "Look again, please. What does the sky do?",
        "It is evening. Do I need a coat?",
        "A day has passed. Look at the sky.",
    ),
    (
        "A week has passed. What is the sky like there?",
        "Please look once more, it is evening already.",
        "Has the sky changed since?",
        "Morning has come. Coat or no coat?",
        "What does the sky do at this moment?",
    ),
    (
        "It is {condition} in {x} with {temperature} F.",
        "In {x} it is {condition} now, at {temperature} F.",
        "The weather in {x} is {condition}, about {temperature} F.",
    ),
)
PRICE = Source(
    "FETCH_PRICE",
    (
        "What does {a} cost?",
        "How much is {a}?",
        "What is the price of {a}?",
        "Tell me the price of {a}.",
        "How much does {a} cost today?",
        "price of {a}",
        "How many coins is {a}?",
        "Can one afford {a} now?",
        "Must I pay much for {a}?",
        "Is {a} cheap or expensive?",
        "For {a}, what do I take from my purse?",
    ),
    (
        "I have ten coins. Can I afford {a}?",
        "How many coins must I pay for {a}?",
        "For how many coins do shops sell {a}?",
        "Is {a} expensive right now?",
        "My purse is small. What would {a} take from it?",
    ),
    (
        "And now?",
        "It is the next day. What does it cost now?",
        "How much is it today?",
        "Has it changed since then?",
        "Is it cheaper at this moment?",
        "A day has passed. How many coins now?",
        "Look again, is it still the same?",
    ),
    (
        "A week has passed. How many coins is it?",
        "Did it become cheaper since?",
        "Please look once more, maybe it changed.",
        "How many coins would I pay at this moment?",
        "Morning has come. Still so many coins?",
    ),
    ("{A} costs {price} coins today.", "Today {a} costs {price} coins.", "You can buy {a} for {price} coins."),
)
HOURS = Source(
    "FETCH_OPENING_HOURS",
    (
        "When does {x} open?",
        "Is {x} open today?",
        "When does {x} close?",
        "What are the opening hours of {x}?",
        "Until when is {x} open?",
        "May I come at this hour to {x}?",
        "Is {x} locked now?",
        "Until what hour do they serve in {x}?",
        "Is it too late to shop in {x}?",
        "Am I early for {x}?",
    ),
    (
        "I want to go to {x}. Will the door be locked?",
        "From what hour can I shop at {x}?",
        "Am I too late for {x}?",
        "How early may I come to {x}?",
        "Between which hours do they serve at {x}?",
    ),
    (
        "And today?",
        "It is the next day. When does it open?",
        "When is it open today?",
        "Has that changed?",
        "A day has passed. What hours?",
        "Is it locked now?",
        "Look again, maybe they serve now.",
        "It is morning already. When do they open?",
    ),
    (
        "A week has passed. Between which hours do they serve?",
        "Will the door be locked at this moment?",
        "Please look once more, maybe it changed.",
        "Morning has come. From what hour can I shop?",
        "Did they change the hours since?",
    ),
    (
        "{X} is open from {opens} to {closes} today.",
        "Today {x} opens at {opens} and closes at {closes}.",
        "You can visit {x} between {opens} and {closes}.",
    ),
)
SOURCES = (WEATHER, PRICE, HOURS)


@dataclass(frozen=True)
class Fetch:
    source: Source
    target: str
    values: dict[str, str]

    @property
    def command(self) -> Message:
        return Message("command", f"COMMAND={self.source.name} {self.target}")

    @property
    def result(self) -> Message:
        v = self.values
        if self.source is WEATHER:
            text = f"{v['temperature']} F, {v['condition']}, wind {v['wind']} mph"
        elif self.source is PRICE:
            text = f"{v['price']} coins, {v['stock']} in stock"
        else:
            text = f"opens {v['opens']}, closes {v['closes']}, phone {v['phone']}"
        return Message("result", f'{self.source.name}: "{text}"')

    def say(self, template: str) -> str:
        a = with_article(self.target)
        return template.format(x=self.target, X=self.target[0].upper() + self.target[1:], a=a, A=a[0].upper() + a[1:], **self.values)


def _target(source: Source, world: World, rng: random.Random, held_out: bool) -> str:
    """Split by name: a town, object or shop is fetched in training or in the held-out items, never in both."""
    while True:
        if source is WEATHER:
            target = rng.choice(world.towns).name if rng.random() < 0.3 else invented_town(rng, held_out)
        elif source is PRICE:
            target = rng.choice(OBJECTS)
        else:
            target = f"the {rng.choice(SHOP_COLOURS)} {rng.choice(SHOP_NOUNS)}"
        if is_held_out(target) == held_out:
            return target


def draw(world: World, rng: random.Random, held_out: bool) -> Fetch:
    source = rng.choice(SOURCES)
    opens = rng.randint(6, 11)
    values = {
        "temperature": str(rng.randint(5, 99)),
        "condition": rng.choice(CONDITIONS),
        "wind": str(rng.randint(1, 30)),
        "price": str(rng.randint(2, 99)),
        "stock": str(rng.randint(1, 99)),
        "opens": f"{opens}:{rng.choice(('00', '15', '30'))}",
        "closes": f"{rng.randint(13, 20)}:{rng.choice(('00', '15', '30'))}",
        "phone": str(rng.randint(1000, 9999)),
    }
    while values["stock"] == values["price"]:
        values["stock"] = str(rng.randint(1, 99))
    while values["wind"] == values["temperature"]:
        values["wind"] = str(rng.randint(1, 30))
    return Fetch(source, _target(source, world, rng, held_out), values)


def _reply(fetch: Fetch, rng: random.Random, question: str) -> str:
    reply = fetch.say(rng.choice(fetch.source.replies))
    if "umbrella" in question or "raining" in question:
        wet = fetch.values["condition"] in WET
        reply = ("Yes. " if wet else "No. ") + reply
    return reply


def _fetched(fetch: Fetch, rng: random.Random) -> list[Message]:
    question = fetch.say(rng.choice(fetch.source.ask))
    return [user(question), fetch.command, fetch.result, assistant(_reply(fetch, rng, question))]


def _stable(world: World, rng: random.Random, held_out: bool) -> tuple[Message, Item]:
    """A question about a town, shop or object that needs no command."""
    pool = [fact for fact in (world.unasked if held_out else world.asked) if not fact.id.startswith("person.")]
    fact = rng.choice(pool)
    attribute = ATTRIBUTES[fact.attribute]
    template = rng.choice(attribute.ask_held if held_out else attribute.ask)
    question, reply = user(say(template, fact, world)), assistant(answer_to(fact, world))
    item = Item("changing_fact", (question,), reply, must=((fact.value,),), forbid=competing(fact, world), book="closed", template=template)
    return question, item


def train(world: World, rng: random.Random) -> list[Message]:
    if rng.random() < 0.15:
        question, item = _stable(world, rng, held_out=False)
        return [question, item.expected]
    fetch = draw(world, rng, held_out=False)
    turns = _fetched(fetch, rng)
    if rng.random() < 0.25:
        # What was fetched is old as soon as time has passed: ask again, do not repeat it.
        newer = Fetch(fetch.source, fetch.target, draw(world, rng, held_out=False).values)
        turns += [user(rng.choice(fetch.source.later)), newer.command, newer.result, assistant(_reply(newer, rng, ""))]
    return turns


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    if skill == "changing_fact" and rng.random() < 0.35:
        return _stable(world, rng, held_out=True)[1]
    fetch = draw(world, rng, held_out=True)
    template = rng.choice(fetch.source.ask_held)
    question = fetch.say(template)
    if skill == "command":
        return Item("command", (user(question),), fetch.command, must=((fetch.command.content,),), check="command", template=template)
    if skill == "changing_fact":
        later = rng.choice(fetch.source.later_held)
        messages = (user(question), fetch.command, fetch.result, assistant(_reply(fetch, rng, question)), user(later))
        return Item(
            "changing_fact", messages, fetch.command, must=((fetch.command.content,),), check="command", book="open", template=later
        )
    v = fetch.values
    told = {"FETCH_WEATHER_DATA": ("temperature", "condition"), "FETCH_PRICE": ("price",), "FETCH_OPENING_HOURS": ("opens", "closes")}[
        fetch.source.name
    ]
    other = {"FETCH_WEATHER_DATA": "wind", "FETCH_PRICE": "stock", "FETCH_OPENING_HOURS": "phone"}[fetch.source.name]
    return Item(
        skill="command_reply",
        messages=(user(question), fetch.command, fetch.result),
        expected=assistant(_reply(fetch, rng, question)),
        must=tuple((v[name],) for name in told),
        # Raw results are not an answer, nor is everything that came back.
        forbid=(
            "FETCH_WEATHER_DATA",
            "FETCH_PRICE",
            "FETCH_OPENING_HOURS",
            "COMMAND",
            v[other],
            *(c for c in CONDITIONS if c != v["condition"]),
        ),
        max_words=25,
        book="open",
        template=template,
    )
