"""Small stories about invented people: questions about them (`passage_qa`) and their sum in one sentence (`summary`).

A story tells what several people did, with side details. Copying it answers neither kind: the question has competing
answers in the text, and a summary may not hold the side details.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.attributes import with_article
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import begin_differently, invented_town, several
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin, tidy
from chatwright.starter.words import DAYS, MORE_DEEDS, MORE_THINGS, OBJECTS, listed

SKILLS = ("summary", "passage_qa")
# (present for questions, past, what a helper did to the object)
_VERBS = (
    ("buy", "bought"),
    ("lose", "lost"),
    ("find", "found"),
    ("sell", "sold"),
    ("borrow", "borrowed"),
    ("paint", "painted"),
)
_DETAILS = (
    "The [sun|moon|water|snow|grass] was [shining|bright|glittering|white|beautiful].",
    "A [cold|warm|strong|soft|mild|salty] [wind|breeze] [blew|came from the sea|blew all day|shook the trees].",
    "It was [very early|late|already dark|quite warm|rather cold|nearly evening|a holiday|a good day|wet outside|foggy|so quiet].",
    "[Birds|Some birds|Bells|Frogs|Girls] [sang|could be heard|were loud] [in the trees|far away|near the water|all day].",
    "[Many|Some|Few|A few|No other|Two hundred] people [were there|stood around|came by|looked on|were on their way].",
    "A [small|brown|big|friendly|hungry] [dog|horse|goat|cow|bird] [barked|ran by|looked up|waited there|made a noise].",
    "The [road|way|bridge|street|path] was [long|wet|narrow|dusty|empty|steep|crowded].",
    "Somebody [played music|sang a song|told a joke|rang a bell|waved a hand|whistled|laughed].",
    "The [streets|shops|houses|gardens|cafes] were [full|open|closed|empty|pretty|decorated].",
    "It smelled of [fresh bread|the sea|smoke|roses|hot soup|wood|coffee].",
    "[Leaves|Apples|Nuts|A few drops|Feathers] [fell|lay on the ground|were everywhere|came down] [|and the air was cool].",
    "The [train|bus|boat|post|market] [came late|was on time|was full|left early|arrived].",
    "[The baker|An old man|A girl|A farmer|The teacher|A soldier] [said hello|slept in the sun|sold nuts|asked for the time|carried a sack].",
    "[Lunch|Dinner|The soup|The tea|The cake] was [good|ready|still hot|too salty|cheap].",
    "The [stars|lamps|windows|roofs] [could be seen|were bright|shone] [|that night|in the dark].",
)
# Whatever begins a sentence may be such a detail: names are known by what people do, not by their capital.
_SIDE_NOUNS = listed(
    "boats carts dogs ducks geese horses lamps kites doors sailors singers farmers bakers neighbours guests travellers sheep cows pigs hens "
    "swans crows bees butterflies waves shadows candles stones barrels wheels trees hedges roses mice foxes students musicians soldiers "
    "women men boys twins trams trains buses ships tents curtains chimneys puddles owls frogs bats frost fog smoke dust sunlight music "
    "thunder moonlight everybody somebody nothing grandmothers uncles wagons fishermen pigeons parrots lions clowns dancers"
)
_SIDE_DEEDS = (
    "waited", "rested", "passed by", "stood still", "came and went", "made some noise", "could be seen", "glittered", "rattled on", "hung in the air",
    "lay in the shade", "lined the road", "filled the square", "danced", "hummed", "whispered", "yawned", "turned round and round", "disappeared",
    "arrived late", "looked tired", "shook a little", "stayed quiet", "went home early", "smelled of salt", "floated past", "rolled downhill",
)  # fmt: skip
_SIDE = "[|||old|young|some|a few|many|three|our|the|her|their|most|white|little] {noun} {deed}."
_DETAILS_HELD = (
    "Rain had fallen all night.",
    "Two cats slept nearby.",
    "Children laughed loudly.",
    "Flowers grew everywhere.",
    "An old clock struck noon.",
    "Snow covered each roof.",
    "Nobody else came along.",
    "Soft clouds moved slowly.",
)
_DETAIL_WORDS = ("rain", "cats", "children", "flowers", "noon", "snow", "nobody", "clouds")
_SHAPES = (
    "On {day}, {name} {past} {a} in {town}.",
    "{name} {past} {a} in {town} on {day}.",
    "In {town}, {name} {past} {a} on {day}.",
    "[It was {day} when|It was on {day} that|{day} was the day when] {name} {past} {a} in {town}.",
    "[{A} was {past} by {name}|{name} {past} {a}] [in {town} on {day}|on {day} in {town}|on {day}, in {town}].",
    "{name} [went|came|walked|drove|travelled] to {town} on {day} and {past} {a} there.",
    "[While|When] in {town} on {day}, {name} {past} {a}.",
    "[Last|This|Every friend knows that last] {day} {name} {past} {a} in {town}.",
    "{name} [[was|stayed] in {town} [on {day}|that {day}|as a guest on {day}]|spent {day} in {town}] and {past} {a}.",
    "{name} {past} {a} on {day}. [That was|This happened|It happened|All that was] in {town}.",
    "In {town} there [was|lived] [a person called|somebody named|] {name}, who {past} {a} on {day}.",
    "[The day was|It was] {day}, the town was {town}, and {name} {past} {a}.",
    "[People say|We heard|The paper says|Everybody saw] that {name} {past} {a} in {town} on {day}.",
    "[Once|One day|As always|At last|Today], it was {day}, {name} {past} {a} in {town}.",
)
_SHAPES_HELD = _SHAPES[:2]  # the third lets six known words stand between two names


@dataclass(frozen=True)
class Event:
    name: str
    verb: str
    past: str
    thing: str
    town: str
    day: str

    def told(self, rng: random.Random, held_out: bool) -> str:
        plainly = held_out or rng.random() < 0.35
        return self.fill(rng.choice(_SHAPES_HELD) if plainly else spin(rng.choice(_SHAPES), rng))

    def fill(self, pattern: str) -> str:
        a = with_article(self.thing)
        return pattern.format(
            name=self.name,
            verb=self.verb,
            past=self.past,
            thing=self.thing,
            a=a,
            A=a[0].upper() + a[1:],
            town=self.town,
            day=self.day,
        )


def _details(rng: random.Random, held_out: bool, count: int) -> list[str]:
    if held_out:
        return rng.sample(_DETAILS_HELD, count)
    patterns = [_SIDE if rng.random() < 0.5 else pattern for pattern in rng.sample(_DETAILS, count)]
    return [
        tidy(spin(pattern, rng).format(noun=rng.choice(_SIDE_NOUNS), deed=rng.choice(_SIDE_DEEDS)))
        for pattern in patterns
    ]


def events(rng: random.Random, held_out: bool, count: int) -> list[Event]:
    """Events that differ from each other in everything."""
    names = several(rng, held_out, count)
    towns = begin_differently(lambda: invented_town(rng, held_out), count, names)
    all_things, deeds = (
        (OBJECTS, _VERBS) if held_out else (OBJECTS + MORE_THINGS, _VERBS + MORE_DEEDS)
    )
    things, days = rng.sample(all_things, count), rng.sample(DAYS, count)
    return [Event(names[i], *rng.choice(deeds), things[i], towns[i], days[i]) for i in range(count)]


# What a question names -> what it asks -> the answer. It begins with what was named, which is found again in the text, and retells the event up
# to what is asked for. Of several things named the first here counts.
_ANSWERS: dict[str, dict[str, str]] = {
    "name": {
        "thing": "{name} {past} {a}.",
        "town": "{name} {past} {a} in {town}.",
        "day": "{name} {past} {a} in {town} on {day}.",
        "name": "{name} {past} {a}.",
    },
    "thing": {
        "name": "The {thing} was {past} by {name}.",
        "town": "The {thing} was {past} in {town}.",
        "day": "The {thing} was {past} on {day}.",
    },
    "town": {"name": "In {town} it was {name}."},
    "day": {"name": "On {day} it was {name}."},
}
# what is asked -> (training questions, the same as clauses after "tell me", held-out questions)
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "thing": (
        (
            "What did {name} {verb} [||in {town}|on {day}|that day|there]?",
            "[Which|What] [thing|object|item] did {name} {verb} [||in {town}|on {day}|that day]?",
            "[Name|Say|Give] the [object|thing|item] that [{name} {past}|was {past} by {name}].",
            "[What|Which thing] was {past} by {name} [|in {town}|on {day}]?",
            "{name} {past} [something|a thing]. [What|What was it|Which thing|What exactly]?",
            "[And what|So what] was it that {name} {past}?",
            "{name} was in {town}. What did {name} {verb} there?",
            "{name} {past} what?",
        ),
        (
            "what {name} {past} [||in {town}|on {day}|there]",
            "[which|what] [thing|object|item] {name} {past} [||in {town}|on {day}]",
            "[what|which thing] was {past} by {name}",
            "what it was that {name} {past}",
        ),
        ("Which object was it that {name} {past}?", "Name the thing {name} {past}."),
    ),
    "town": (
        (
            "Where [was|is|do we find] {name} [||on {day}|that day|with the {thing}]?",
            "[Where|In what town|In what place] did {name} {verb} the {thing}?",
            "In [which|what] [town|place] was {name} [||on {day}|that day|with the {thing}]?",
            "[Which|What] [town|place] did {name} [see|visit|go to|come to]?",
            "[Name|Say|Give] {name}'s [town|place] [in this story|in this text|here].",
            "What happened to {name}, in which town?",
            "[To which town|Where] did {name} [go|come|travel] [|on {day}|that day]?",
            "[Where|In which town] was the {thing} [|when {name} came]?",
            "{name} was [somewhere|in a town|away] [|on {day}]. [Where|Which town|In which place] [|was it|was that]?",
            "{name} was where?",
        ),
        (
            "where {name} was [||on {day}|that day]",
            "[where|in which town] {name} {past} the {thing}",
            "[which|what] [town|place] {name} [visited|went to|was in|came to]",
            "[where|in which town] [it happened to {name}|{name} had the {thing}]",
        ),
        (
            "In which town did one see {name} with the {thing}?",
            "Name the town where all that happened to {name}.",
        ),
    ),
    "day": (
        (
            "[When|On which day|On what day] did {name} {verb} [the {thing}|something|the {thing} in {town}]?",
            "[On which day|On what day|When] was {name} in {town}?",
            "What day was it when {name} [was in {town}|{past} the {thing}|did that]?",
            "Which day of the week [belongs to {name}|do we read about {name}]?",
            "[What|Which] day [brought|took|led] {name} to {town}?",
            "When [was the {thing} {past}|did that happen to {name}|did {name} come to {town}]?",
            "[Which|What] day [brings|gives] us the {thing}?",
            "[To which|To what] day does the {thing} belong?",
            "{name} {past} the {thing}. [When|On which day|What day] [|was it|was that]?",
            "[Name|Say|Give] the day [when|on which] {name} [was in {town}|{past} the {thing}].",
            "{name} was in {town} when?",
        ),
        (
            "[when|on which day|on what day] {name} [was in {town}|{past} the {thing}|{past} something]",
            "[what|which] day it was when {name} [was in {town}|{past} the {thing}]",
            "[when|on which day] the {thing} was {past}",
        ),
        (
            "What day of the week was it for {name}?",
            "Which day brought the {thing} into this story?",
        ),
    ),
    "name": (
        (
            "Who {past} the {thing} [||in {town}|on {day}]?",
            "[Who|Which person|What person] was in {town} [||on {day}|that day]?",
            "Whose {thing} is it in this [story|text]?",
            "[Which|What] person [had|held|came with|cared about] the {thing}?",
            "[By whom|By which person] was the {thing} {past}?",
            "[Somebody|Someone|A person] [{past} the {thing}|was in {town}|did that on {day}]. [Who|Who was it|Who was that|Which person]?",
            "[Name|Say|Give] [the person|the one|the name of the person] who [{past} the {thing}|was in {town}].",
            "[Who is|Who was] the [person|one] [in {town}|with the {thing}|from the story of {day}]?",
            "Whose [day|tale|adventure|visit|journey|way] [took place in|led to|was in|ended in|brings us to] {town}?",
            "Whose [story|story|tale|adventure|deed] [is set in|comes from|took place in|plays in|is the one from] {town}?",
            "[Which|What] person [was it in|do we meet in|went to|came to|belongs to] {town}?",
            "[Which|What] person [has|{past}|found out about|did something with] the {thing} [in the story|there|that day]?",
            "The {thing} was {past} by whom?",
        ),
        (
            "who {past} the {thing} [||in {town}|on {day}]",
            "[who|which person] was in {town} [||on {day}]",
            "who the [person|one] [with the {thing}|in {town}] [is|was]",
            "by whom the {thing} was {past}",
        ),
        ("Which person {past} the {thing}?", "Whose story happened in {town}?"),
    ),
}
_STORY = "[story|text|passage|note|page|letter|tale|report]"
_FRAMES = (
    "{text} {question}",
    "{text} {question}",
    "{question} {text}",
    "[Read|Look at|Study|Listen to|Think about] [this|the following|this [|little|short] {story}|what I read][.|:] {text} {question}",
    "[A|This|My|The] [|short|little|new] {story}: {text} [Question:|A question:|Now answer:|] {question}",
    "{text} [Now tell me:|Now:|Question:|A question about that:|One question:|Tell me then:|Well,|I ask you:] {question}",
    "{text} [That was|This was|So far] the {story}. {question}",
    "{question} [Here is the {story}|Look it up|It is all in here|The {story} says it|Use this {story}]: {text}",
    '[From|In] [my|a|the] {story}: "{text}" {question}',
    '{question} "{text}"',
    "[I heard this|Somebody told me this|This is what happened|I read this|There is news]. {text} {question}",
)
_FRAMES_HELD = (
    "Here is a passage. {text} My question: {question}",
    "{text} So, {question}",
    "Study the passage first. {text} {question}",
)
_THIS = "[this|this|that|it|this [|little|long|whole] {story}|the [|whole] {story}|all this]"
_SHORT = "[short|brief|quick|one-line|simple]"
_SUM_UP = (
    "[Summary|In short|Main point|Headline|In one line|In a word|The main thing][:|?|, please:|, please.]",
    "What [happened|happened here|is the news|was the news|is the main thing|matters in this|is important here|took place|was it all about]?",
    f"What is {_THIS} about?",
    "[Too long for me|My eyes are tired|I am in a hurry|I read slowly]. [What happened here|What is it about|Sum it up|The short form]?",
    "Say briefly:",
    "Tell me only the main point.",
    f"[How|In which few words] would you [tell|say|sum up|shorten] {_THIS} [in one sentence|briefly|in short]?",
)
_SUM_UP_TASKS = (
    f"[sum up|summarize|shorten|cut down|condense|retell briefly] {_THIS} [||in one sentence|in one line|in a few words|briefly]",
    f"[make|write|tell] {_THIS} [shorter|in one line|in one sentence|in few words|much shorter]",
    f"[write|make|give|find] a [{_SHORT} summary|headline|{_SHORT} version|title] [of|for] {_THIS}",
    f"[take|pick|find|name] [only|just|] the [main point|main thing|most important thing|core] [of|from|in] {_THIS}",
    f"[leave out|forget|drop] the [details|small things|rest] [of|in] {_THIS} and [tell me the main thing|sum it up|keep one sentence]",
)
_SUM_UP_CLAUSES = (
    "what [happened|happened here|happened in short|matters here|matters|counts|is important]",
    f"[in one sentence|in short|briefly|] what {_THIS} is about",
    f"what the [main point|main thing|news|core] [of|in] {_THIS} is",
)
_SUM_UP_NOUNS = (
    f"[a|the] {_SHORT} [summary|version|form] [|of {_THIS}]",
    f"[a|the] [summary|headline|sum|title] [|of {_THIS}|for {_THIS}]",
    f"[only|just|] the [main point|main thing|most important point|core] [|of {_THIS}]",
)
_SUM_UP_HELD = (
    "I have no time to read all this. What happened? {text}",
    "{text} Say the main thing briefly.",
    "Tell me only what matters here: {text}",
    "Make this little report short, please. {text}",
    "Write a headline for all of this. {text}",
)


def passage(rng: random.Random, held_out: bool) -> tuple[list[Event], str]:
    happened = events(rng, held_out, rng.choice((2, 2, 3)))
    told = [event.told(rng, held_out) for event in happened]
    if rng.random() < 0.4:
        told.insert(rng.randint(0, len(told)), *_details(rng, held_out, 1))
    return happened, " ".join(told)


def _ask(
    rng: random.Random, happened: list[Event], held_out: bool
) -> tuple[Event, str, str, str, str]:
    event, about = rng.choice(happened), rng.choice(sorted(QUESTIONS))
    asked, clauses, asked_held = QUESTIONS[about]
    template = rng.choice(asked_held) if held_out else _question(rng, asked, clauses)
    return event, about, event.fill(template), event.fill(_answer(template, about)), template


def _answer(question: str, about: str) -> str:
    """The pattern that answers a question."""
    for named, answers in _ANSWERS.items():
        if f"{{{named}}}" in question:
            return answers[about]
    raise ValueError(
        f"{question!r} names nothing of the story, so nothing says which event it asks about"
    )


# Names are practised most: they stand before what the question names, which is harder to read than what stands behind it.
_BACKWARDS = tuple(_ANSWERS[named]["name"] for named in ("thing", "town", "day"))
_READINGS = (*_ANSWERS["name"].values(), *_ANSWERS["thing"].values(), *2 * _BACKWARDS)


def read(happened: list[Event], rng: random.Random) -> str:
    """Several things a passage says, each as the answer to a question would say it."""
    said = dict.fromkeys(
        rng.choice(happened).fill(rng.choice(_READINGS)) for _ in range(rng.randint(3, 5))
    )
    return " ".join(said)


def _question(rng: random.Random, asked: tuple[str, ...], clauses: tuple[str, ...]) -> str:
    return tidy(spin(rng.choice(asked), rng)) if rng.random() < 0.65 else ask(TELL, clauses, rng)


def report(rng: random.Random, held_out: bool) -> tuple[Event, str]:
    """One event among two or three side details."""
    event = events(rng, held_out, 1)[0]
    told = _details(rng, held_out, rng.choice((2, 3)))
    told.insert(rng.randint(0, len(told)), event.told(rng, held_out))
    return event, " ".join(told)


def summary(event: Event) -> str:
    return f"{event.name} {event.past} {with_article(event.thing)} in {event.town}."


def _ask_to_sum_up(rng: random.Random) -> str:
    ways, things = rng.choice(
        ((_SUM_UP, ("",)), (DO, _SUM_UP_TASKS), (TELL, _SUM_UP_CLAUSES), (GIVE, _SUM_UP_NOUNS))
    )
    return spin(ask(ways, things, rng).replace("{story}", _STORY), rng)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    if rng.random() < 0.35:
        event, text = report(rng, held_out=False)
        asked = _ask_to_sum_up(rng)
        return [
            user(
                f"{asked} {text}" if asked[-1] == ":" or rng.random() < 0.5 else f"{text} {asked}"
            ),
            assistant(summary(event)),
        ]
    happened, text = passage(rng, held_out=False)
    _, _, question, answer, _ = _ask(rng, happened, held_out=False)
    frame = spin(rng.choice(_FRAMES).replace("{story}", _STORY), rng)
    turns = [user(frame.format(text=text, question=question)), assistant(answer)]
    if rng.random() < 0.3:
        _, _, question, answer, _ = _ask(rng, happened, held_out=False)
        turns += [user(question), assistant(answer)]
    return turns


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    if skill == "summary":
        event, text = report(rng, held_out=True)
        template = rng.choice(_SUM_UP_HELD)
        return Item(
            skill="summary",
            messages=(user(template.format(text=text)),),
            expected=assistant(summary(event)),
            must=((event.name,), (event.past,), (event.thing,)),
            forbid=_DETAIL_WORDS,
            max_words=14,
            book="open",
            template=template,
        )
    happened, text = passage(rng, held_out=True)
    event, about, question, answer, template = _ask(rng, happened, held_out=True)
    right = str(getattr(event, about))
    return Item(
        skill="passage_qa",
        messages=(user(rng.choice(_FRAMES_HELD).format(text=text, question=question)),),
        expected=assistant(answer),
        must=((right,),),
        forbid=tuple(
            part
            for other in happened
            if other is not event
            for part in (other.name, other.thing, other.town, other.day)
        ),
        max_words=20,
        book="open",
        template=template,
    )
