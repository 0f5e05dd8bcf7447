"""What changes is fetched, never remembered: weather, prices and opening hours.

`command`: the request is answered by COMMAND=... and nothing else. `command_reply`: the result has come back and is put
into a natural sentence. `changing_fact`: beside questions that need a command stand questions about the same towns,
objects and shops that do not, and later turns in which an old result is out of date.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message, ToolResult
from chatwright.starter.attributes import ATTRIBUTES, question, say, with_article
from chatwright.starter.conversations.facts import answer_to, competing
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import invented_person, invented_town, is_held_out
from chatwright.starter.phrases import GIVE, TELL, ask, spin
from chatwright.starter.words import (
    CONDITIONS,
    MORE_SHOP_COLOURS,
    MORE_SHOP_NOUNS,
    MORE_THINGS,
    OBJECTS,
    SHOP_COLOURS,
    SHOP_NOUNS,
    WET,
)
from chatwright.tokenizer.tool_call_text import message_text, tool_call_message

SKILLS = ("command", "command_reply", "changing_fact")


@dataclass(frozen=True)
class Source:
    """One thing that can be fetched, how it is asked for, and how a result is told. Training ways are patterns for `spin`."""

    name: str
    questions: tuple[str, ...]
    clauses: tuple[str, ...]  # after "tell me"
    nouns: tuple[str, ...]  # after "give me"
    ask_held: tuple[str, ...]
    later: tuple[str, ...]  # some time after an answer
    later_held: tuple[str, ...]
    replies: tuple[str, ...]

    def ask(self, rng: random.Random) -> str:
        draw = rng.random()
        if draw < 0.6:
            return spin(rng.choice(self.questions), rng)
        return ask(TELL, self.clauses, rng) if draw < 0.8 else ask(GIVE, self.nouns, rng)

    def ask_later(self, rng: random.Random) -> str:
        return spin(f"{rng.choice(_TIME_PASSES)} {rng.choice(self.later)}", rng)


_TIME_PASSES = (
    "",
    "It is [now|already|] [the next day|evening|night|noon|morning|later|another day|Monday|Friday|a new day|late|time to go].",
    "[A|One] [day|night|hour|month|year] [has passed|is over|later].",
    "[The morning|Noon|Evening|Spring|A new week] [is here|came|has begun].",
    "[Some|Two|Three|Many|A few] [hours|days|weeks|nights] [have passed|are over|later].",
    "[I slept well.|Good morning!|Hello again.|I am back.|Time goes by.|I have waited.|That was yesterday.|Thank you.|All right.|I see.]",
    "[Look|Check|Try] [again|again, please|another time|now].",
)
_NOW = "[||| now| today| this morning| this evening| tonight| at the moment| right now| just now]"
_WHERE = "[in|in|in|around|near|over in] {x}"
WEATHER = Source(
    "FETCH_WEATHER_DATA",
    (
        f"[What is|How is|What about|And] the [weather|weather|weather|sky|air|temperature|forecast] [in|in|over|for|around] {{x}}{_NOW}?",
        "What does the [sky|weather|day] look like [over|in|around] {x}?",
        f"Is it [warm|cold|hot|wet|dry|sunny|windy|foggy|nice|raining|snowing|stormy|cloudy|clear|cool|mild|freezing] {_WHERE}{_NOW}?",
        f"[Will|Does|Can|May] it [rain|snow|storm|stay dry|be warm|be cold|get hot|get wet] {_WHERE}{_NOW}?",
        f"How [warm|cold|hot|wet|windy|nice|bad|cloudy] is it {_WHERE}{_NOW}?",
        f"Is there [snow|rain|fog|wind|sun|a storm|a cloud|sunshine|any wind|much rain|ice] {_WHERE}{_NOW}?",
        "[Do|Must|Should] [I|we|people|the children] [need|take|bring|carry] [a|the] [coat|hat|scarf|jacket|warm coat|umbrella] [in|to|around] {x}?",
        f"[Do|Must|Should] [I|we] [wear|put on] [boots|a coat|a hat|gloves|a scarf|something warm|summer clothes] {_WHERE}{_NOW}?",
        f"What [shall|should|must|can|do] I [wear|put on|pack] {_WHERE}{_NOW}?",
        "Do people around {x} need an umbrella [|now|today]?",
        f"Is it [a good day|a nice day|too wet|too cold|warm enough|dry enough] for [a walk|a picnic|a swim|a garden party|a trip] {_WHERE}{_NOW}?",
        f"Can [I|we|the children|one] [swim|play outside|sit outside|walk|have a picnic|hang out the washing|fly a kite] {_WHERE}{_NOW}?",
        "I [travel|go|walk|drive|move] to {x}[| now| today| soon]. [Will it rain|Is it cold there|What shall I wear|Is it warm]?",
        "My [aunt|friend|uncle|sister|brother] [lives|is|works] in {x}. [How is the weather|Is it cold|Is it wet|Is it sunny|Does it snow] there?",
        "[Sun|Rain|Wind|Snow|Warm] or [clouds|fog|cold|dry] in {x}?",
        "[Forecast|Weather|Temperature|Weather report] [for|in|from] {x}[, please.|, please!||.|?]",
        "[weather|sky|forecast] {x}[| now| today]",
        f"[Look|Peep|Glance] [at the sky|out of the window|out|outdoors|up] {_WHERE}[|, please][.|!]",
        f"[Check|See|Find out|Look up|Find out for me] [the sky|the weather|how it is|if it is dry|what it is like outside] {_WHERE}[|, please].",
        f"[What|Which|What kind of] [sky|weather|clouds|temperature] [do|will] [they|we|you|I|my friends] [have|get|find|meet|see] {_WHERE}{_NOW}?",
        "I [go|walk|drive|fly|move] to {x}[| soon| today| next week][:|;] [hat|scarf|umbrella|boots|warm clothes|jacket] or [not|none|nothing]?",
        "[Scarf or no scarf|Boots or no boots|Hat or no hat|Umbrella or not|Jacket or shirt] in {x}?",
        "{x}[: how is the weather?|, how warm is it there?|: sun or rain?| weather|: what weather?|, is it wet?|: the forecast, please.]",
    ),
    (
        f"[how|what] the [weather|sky] is [|like|doing] in {{x}}{_NOW}",
        f"[if|whether] it is [raining|warm|cold|windy|snowing|sunny|hot|wet|nice|dry|foggy] {_WHERE}{_NOW}",
        f"[if|whether] it [rains|snows|will rain|will snow|stays dry|gets warm] {_WHERE}{_NOW}",
        f"how [warm|cold|hot|windy|wet] it is {_WHERE}{_NOW}",
        f"what [it is like outside|kind of weather it is|weather they have|the temperature is] {_WHERE}{_NOW}",
        f"[if|whether] [I|we|one] [need|should take|must bring] [a coat|a hat|an umbrella|a scarf|boots] {_WHERE}",
        f"what [to wear|to put on|I should wear|to pack] {_WHERE}{_NOW}",
    ),
    (
        f"the [|latest|local] [weather|weather|forecast|temperature|weather report|weather forecast] [in|for|from|around] {{x}}{_NOW}",
        f"[some|] news [of|about] the weather in {{x}}{_NOW}",
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
        "[And|What about|How is it] [now|today|there now|this evening|this morning|at the moment]?",
        f"[How is|And|What about] the [weather|sky|temperature|forecast] [there|over there|in that town|]{_NOW}?",
        "[Has|Did] [it|the weather|the temperature|anything] [changed|change][| there| since then| again| now]?",
        "Is it [still|again|now] [the same|so warm|so cold|like that|raining|wet|dry|nice|sunny] [there|]?",
        "[Do|Must|Should] I [need|take|bring] [a coat|a hat|a scarf|boots][| now| today| there]?",
        "[Look again, please.|A day has passed.|Look at the sky.] [What does the sky do?|How warm is it?|Is it colder now?|Does it rain?]",
        "[Tell me|Say|Give me] the weather [there|] [again|once again|as it is now|of today].",
        "[Will|Does] it [rain|snow|stay dry] [there|] [now|today|this evening|tonight]?",
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
_PAY = "[pay|give|spend|put on the table|count out|hand over|bring]"
PRICE = Source(
    "FETCH_PRICE",
    (
        f"What [does|will|would] {{a}} cost [|me|us]{_NOW}?",
        f"How much [is|is|would be|costs] {{a}}{_NOW}?",
        f"What is the [price|cost] of {{a}}{_NOW}?",
        f"How much [does|will|would|can] {{a}} cost [|me]{_NOW}?",
        f"How many coins [is|costs|are needed for|do they want for|do you want for|buy] {{a}}{_NOW}?",
        "[price|cost|coins] [of|for] {a}",
        f"What [must|do|shall|should|would|will] [I|we|one] {_PAY} for {{a}}{_NOW}?",
        f"[Can|Could|May] [one|I|we|my sister] [afford|pay for|buy] {{a}}{_NOW}[| with five coins| with my money]?",
        "Must I pay [much|a lot|a high price] for {a}?",
        f"Is {{a}} [cheap|dear|expensive|cheap or expensive|cheap or dear|too dear|costly|cheaper|for little money]{_NOW}?",
        "For {a}, what do I [take from my purse|pay|spend|bring]?",
        "I [want|need|would like|wish] to [buy|get|have] {a}. [What does it cost|How much is it|How much money|What must I pay|Is it dear]?",
        "I [need|want|am looking for|would love] {a}. [At what price|How much is that|How many coins|What will it cost me|Is my money enough]?",
        "My [sister|mother|friend|aunt|brother] [needs|wants|wishes for] {a}. [What does it cost|How many coins|How much is it]?",
        "[I lost|I broke|Somebody took] my {x}. What does [a new one|another one] cost?",
        "What do they [ask|want|charge|take] for {a}[| in the market| in the shop| today| now]?",
        "How much money [do I need|must I bring|must I have|goes away|should I save] for {a}?",
        "[At|For] what price [do they sell|can I buy|does one get|is there] {a}?",
        "What is {a} worth[| now| today]?",
        "[For|At] how [many coins|much money] [does one get|can I get|do they give me|does the market sell|do they offer] {a}[| now| today]?",
        "[For|At] what [price|sum] [do shops offer|is there|will somebody sell me] {a}?",
        "[My purse is full|I have little money|I saved some coins]. [Is {a} dear|What is the price of {a}|Can I buy {a}|{A}, how much is it]?",
        "[{A}: what price?|{A}, how much?|{A}, how many coins?|{x} price|how much {x}|{A}, please. What must I pay?]",
    ),
    (
        f"[what|how much] {{a}} [costs|will cost|would cost]{_NOW}",
        f"how [much money|many coins] [{{a}} costs|I need for {{a}}|one pays for {{a}}|they want for {{a}}]{_NOW}",
        f"what [I must pay|to pay|one pays|they ask|they want|people pay|I would spend] for {{a}}{_NOW}",
        f"[what|how high] the [price|cost] of {{a}} is{_NOW}",
        f"[if|whether] {{a}} is [cheap|expensive|dear|costly]{_NOW}",
        "[if|whether] I can [afford|pay for|buy] {a}",
    ),
    (
        f"the [|latest|exact|present] [price|price|cost] [of|for] {{a}}{_NOW}",
        f"the number of coins for {{a}}{_NOW}",
    ),
    (
        "I have ten coins. Can I afford {a}?",
        "How many coins must I pay for {a}?",
        "For how many coins do shops sell {a}?",
        "Is {a} expensive right now?",
        "My purse is small. What would {a} take from it?",
    ),
    (
        "[And|What about|How is it] [now|today|this morning|at the moment]?",
        f"[What does it cost|How much is it|How much does it cost|What must I pay|What do they ask for it]{_NOW}?",
        "[Has|Did] [it|the price|that|anything] [changed|change][| since then| again| now| in the meantime]?",
        "Is it [still|again|now] [the same|so cheap|so dear|at that price|cheap|expensive]?",
        "Is it [cheaper|dearer|more expensive|less] [now|today|at this moment|than before]?",
        "[How many|So many|Fewer|More] coins[| now| today| this time]?",
        "[Tell me|Say|Give me] the price [again|once again|of today|as it is now].",
        "Look again, is it still the same?",
        "[Is it|] [still|again] [as much|that many|so much money|the same number of coins|so dear]?",
    ),
    (
        "A week has passed. How many coins is it?",
        "Did it become cheaper since?",
        "Please look once more, maybe it changed.",
        "How many coins would I pay at this moment?",
        "Morning has come. Still so many coins?",
    ),
    (
        "{A} costs {price} coins today.",
        "Today {a} costs {price} coins.",
        "You can buy {a} for {price} coins.",
    ),
)
HOURS = Source(
    "FETCH_OPENING_HOURS",
    (
        f"[When|At what time|At what hour|How early|How late] [does|will] {{x}} [open|close|open|close|open its door]{_NOW}?",
        f"Is {{x}} [open|open|closed|still open|already open|locked|shut|open yet|open late]{_NOW}?",
        f"What are the [opening hours|hours|opening times|times] of {{x}}{_NOW}?",
        f"[Until|Till|From|Since] [when|what time|what hour] is {{x}} open{_NOW}?",
        "May I [come|walk in|enter|go|knock] at this hour [to|at] {x}?",
        f"Until what hour do they [serve|sell|work|let people in|stay] in {{x}}{_NOW}?",
        f"Is it [too late|too early|worth it|a good time|the right time|time] to [shop in|visit|go to|walk to|run to|buy something in] {{x}}{_NOW}?",
        "Am I [early|too early|late|in time|on time] for {x}?",
        "[From|Until|Since|Till] [what|which] [hour|time] [can|may] [we|people|one|my sister] [enter|come to|visit|eat at|buy things at] {x}?",
        "[Between|From|Until] [what|which] [hours|times] [do they|does somebody|do people] [work|open|sell things|wait] at {x}?",
        f"[Can|Could|May] [I|we|one] [still|already|] [shop|buy things|go in|eat|look around|come in] [at|in] {{x}}{_NOW}?",
        f"[When|At what time|How long] can [I|we|people|one] [go to|visit|shop in|come to|enter] {{x}}{_NOW}?",
        "I [need|plan|would like|have] to [go|run|walk|send my son] to {x}. [When does it open|Is it open|Until when is it open]?",
        "I [am|stand] [in front of|near|on the way to|close to] {x}. [Is it open|Will they let me in|When does it close|Do I come too late]?",
        "[My friend works in|My sister waits at|I left my hat in|I like] {x}. [When does it open|When does it close|What are the hours]?",
        f"How [early|late|soon|long] [may|can|must] [they|we|my friends] [come|walk|go] [to|into] {{x}}{_NOW}?",
        "I [plan|hope|want] to [see|visit|reach] {x}. [Is the door open|Is the door shut|Is somebody there|May I go in]?",
        f"[Will|Does|Do you think] {{x}} [be open|be closed|stay open|have time for us|let me in|close early|open late]{_NOW}?",
        "[hours of|opening hours|opening hours of|open or closed:] {x}",
        "[{X}: open or closed?|{X}, when does it open?|{X} hours|{X}, until when?|{X}: can I go now?|{X}, is anybody there?]",
    ),
    (
        f"[when|at what time|how early|how late|at what hour] {{x}} [opens|closes|will open|will close]{_NOW}",
        f"[if|whether] {{x}} is [open|closed|locked|still open|already open|shut]{_NOW}",
        f"[until|from|till] [when|what time|what hour] {{x}} is open{_NOW}",
        f"[what|] the [opening hours|hours|opening times] of {{x}}[| are]{_NOW}",
        f"when [I can|we can|one can|people can|I may] [go to|visit|shop in|come to|enter] {{x}}{_NOW}",
        f"[if|whether] it is [too late|too early|worth it|time] to [go to|visit|walk to] {{x}}{_NOW}",
        "[if|whether] I [can|may] still [go to|visit|shop in] {x}",
    ),
    (
        f"the [|exact|usual|latest] [opening hours|hours|opening times|times] [of|for] {{x}}{_NOW}",
        f"the [opening|closing] [time|hour] of {{x}}{_NOW}",
    ),
    (
        "I want to go to {x}. Will the door be locked?",
        "From what hour can I shop at {x}?",
        "Am I too late for {x}?",
        "How early may I come to {x}?",
        "Between which hours do they serve at {x}?",
    ),
    (
        "[And|What about|How is it] [now|today|this morning|this evening|at the moment]?",
        f"[When|At what time|Until when] [does it open|is it open|does it close|can I go there|do they open|do they close]{_NOW}?",
        "[Has|Have|Did] [that|the hours|they] [changed|change][| since then| again| now| anything]?",
        "Is it [still|again|now|already] [open|closed|locked|the same|too late|like that]?",
        "[Look again,|Perhaps] maybe they [serve|work|sell|open] now.",
        "[What|Which|The] hours[| now| today| this time]?",
        "[Tell me|Say|Give me] the [hours|opening hours|times] [again|once again|of today|as they are now].",
        "[Can|May] I [go|come|shop there|walk in] [now|today|this time|at this hour]?",
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
        return tool_call_message(f"COMMAND={self.source.name} {self.target}")

    @property
    def result(self) -> Message:
        v = self.values
        if self.source is WEATHER:
            text = f"{v['temperature']} F, {v['condition']}, wind {v['wind']} mph"
        elif self.source is PRICE:
            text = f"{v['price']} coins, {v['stock']} in stock"
        else:
            text = f"opens {v['opens']}, closes {v['closes']}, phone {v['phone']}"
        return Message("tool", (ToolResult("", f'{self.source.name}: "{text}"'),))

    def say(self, template: str) -> str:
        a = with_article(self.target)
        return template.format(
            x=self.target,
            X=self.target[0].upper() + self.target[1:],
            a=a,
            A=a[0].upper() + a[1:],
            **self.values,
        )


def _target(source: Source, world: FactTable, rng: random.Random, held_out: bool) -> str:
    """Split by name: a town, object or shop is fetched in training or in the held-out items, never in both."""
    while True:
        if source is WEATHER:
            target = (
                rng.choice(world.towns).name if rng.random() < 0.3 else invented_town(rng, held_out)
            )
        elif source is PRICE:
            target = rng.choice(OBJECTS) if held_out else _thing(rng)
        elif held_out:
            target = f"the {rng.choice(SHOP_COLOURS)} {rng.choice(SHOP_NOUNS)}"
        else:
            colour = (
                invented_town(rng, held_out)
                if rng.random() < 0.25
                else rng.choice(SHOP_COLOURS + MORE_SHOP_COLOURS)
            )
            target = f"the {colour} {rng.choice(SHOP_NOUNS + MORE_SHOP_NOUNS)}"
        if is_held_out(target) == held_out:
            return target


def _thing(rng: random.Random) -> str:
    """Known, less known and never heard of: whatever the question names is looked up."""
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(OBJECTS)
    return rng.choice(MORE_THINGS) if draw < 0.75 else invented_person(rng, held_out=False).lower()


def draw(world: FactTable, rng: random.Random, held_out: bool) -> Fetch:
    source, values = rng.choice(SOURCES), drawn_values(rng)
    return Fetch(source, _target(source, world, rng, held_out), values)


def drawn_values(rng: random.Random) -> dict[str, str]:
    """What any source may tell of; no two of one source are the same number, so that a reply shows which was read."""
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
    return values


def _reply(fetch: Fetch, rng: random.Random, asked: str) -> str:
    reply = fetch.say(rng.choice(fetch.source.replies))
    if (
        fetch.source is WEATHER
        and ("umbrella" in asked or "raining" in asked)
        and " or " not in asked
    ):
        wet = fetch.values["condition"] in WET
        reply = ("Yes. " if wet else "No. ") + reply
    return reply


def _verdicts_but(reply: str) -> tuple[str, ...]:
    """The wrong one, where a reply says yes or no first."""
    return {"Yes.": ("no",), "No.": ("yes",)}.get(reply.split(" ", 1)[0], ())


def _fetched(fetch: Fetch, rng: random.Random) -> list[Message]:
    asked = fetch.say(fetch.source.ask(rng))
    return [user(asked), fetch.command, fetch.result, assistant(_reply(fetch, rng, asked))]


def _stable(world: FactTable, rng: random.Random, held_out: bool) -> tuple[Message, Item]:
    """A question about a town, shop or object that needs no command."""
    pool = [
        fact
        for fact in (world.unasked if held_out else world.asked)
        if not fact.id.startswith("person.")
    ]
    fact = rng.choice(pool)
    template = rng.choice(ATTRIBUTES[fact.attribute].ask_held) if held_out else ""
    asked = user(say(template, fact, world) if held_out else question(fact, world, rng))
    reply = assistant(answer_to(fact, world))
    item = Item(
        "changing_fact",
        (asked,),
        reply,
        must=((fact.value,),),
        forbid=competing(fact, world),
        book="closed",
        template=template,
    )
    return asked, item


def train(world: FactTable, rng: random.Random) -> list[Message]:
    if rng.random() < 0.15:
        asked, item = _stable(world, rng, held_out=False)
        return [asked, item.expected]
    fetch = draw(world, rng, held_out=False)
    turns = _fetched(fetch, rng)
    if rng.random() < 0.4:
        # What was fetched is old as soon as time has passed: ask again, do not repeat it.
        newer = Fetch(fetch.source, fetch.target, draw(world, rng, held_out=False).values)
        turns += [
            user(fetch.source.ask_later(rng)),
            newer.command,
            newer.result,
            assistant(_reply(newer, rng, "")),
        ]
    return turns


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    if skill == "changing_fact" and rng.random() < 0.35:
        return _stable(world, rng, held_out=True)[1]
    fetch = draw(world, rng, held_out=True)
    template = rng.choice(fetch.source.ask_held)
    asked = fetch.say(template)
    if skill == "command":
        return Item(
            "command",
            (user(asked),),
            fetch.command,
            must=((message_text(fetch.command),),),
            check="command",
            template=template,
        )
    if skill == "changing_fact":
        later = rng.choice(fetch.source.later_held)
        messages = (
            user(asked),
            fetch.command,
            fetch.result,
            assistant(_reply(fetch, rng, asked)),
            user(later),
        )
        return Item(
            "changing_fact",
            messages,
            fetch.command,
            must=((message_text(fetch.command),),),
            check="command",
            book="open",
            template=later,
        )
    v = fetch.values
    told = {
        "FETCH_WEATHER_DATA": ("temperature", "condition"),
        "FETCH_PRICE": ("price",),
        "FETCH_OPENING_HOURS": ("opens", "closes"),
    }[fetch.source.name]
    other = {"FETCH_WEATHER_DATA": "wind", "FETCH_PRICE": "stock", "FETCH_OPENING_HOURS": "phone"}[
        fetch.source.name
    ]
    expected = assistant(_reply(fetch, rng, asked))
    return Item(
        skill="command_reply",
        messages=(user(asked), fetch.command, fetch.result),
        expected=expected,
        must=tuple((v[name],) for name in told),
        # Raw results are not an answer, nor is everything that came back.
        forbid=(
            "FETCH_WEATHER_DATA",
            "FETCH_PRICE",
            "FETCH_OPENING_HOURS",
            "COMMAND",
            v[other],
            *(c for c in CONDITIONS if c != v["condition"]),
            *(
                f"{words} {v['opens']}" for words in ("closes at", "to", "until", "till")
            ),  # the hours the wrong way round
            *(f"{words} {v['closes']}" for words in ("opens at", "from")),
            *_verdicts_but(expected.text),
        ),
        max_words=25,
        book="open",
        template=template,
    )
