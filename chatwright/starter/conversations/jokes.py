"""Our own small jokes, built from families that take any topic: new topics give jokes nobody has told.

A topic is joked about in training or held out for ever; the prose may name it all the same.
`is_training_joke` knows every joke that training could hold, so a copy is found out.
"""

import random
import re
from functools import cache

from chatwright.conversation import Message
from chatwright.starter.attributes import with_article
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import invented_person, is_held_out
from chatwright.starter.phrases import DO, GIVE, ask, spin, tidy
from chatwright.starter.words import ANIMALS, JOBS, MORE_THINGS, OBJECTS, PETS, listed

SKILLS = ("joke",)
# (setup, punchline); {t} is the topic. No pronoun for the topic, so that bakers and teapots fit alike.
JOKES = (
    ("Why did the {t} bring a ladder to the market?", "Because the prices there are so high!"),
    ("Why did the {t} bring a ladder to school?", "To get to high school!"),
    ("Why did the {t} bring a ladder to the choir?", "To reach the high notes!"),
    ("Why did the {t} throw a clock out of the window?", "To see time fly!"),
    ("Why did the {t} throw butter out of the window?", "To see a butterfly!"),
    ("Why did the {t} take a pillow to the river?", "To sleep in the river bed!"),
    ("Why did the {t} sit on the clock?", "To be on time!"),
    ("Why did the {t} bring a pencil to bed?", "To draw the curtains!"),
    ("Why did the {t} take a map to dinner?", "To find the way to the soup!"),
    ("Why was the {t} so good at music?", "Because of so many notes in the pocket!"),
    ("What do you call a {t} with three umbrellas?", "Ready for rain, rain and more rain!"),
    ("What do you call a {t} with a hat and a map?", "Well dressed, but lost!"),
    ("What do you call a {t} with a drum?", "Something you cannot beat!"),
    ("What do you call a {t} on the ice?", "Very cool indeed!"),
    ("What did the {t} say to the mirror?", "We should see each other more often!"),
    ("What did the {t} say to the snowman?", "Please do not lose your cool!"),
    ("What did the {t} say to the candle?", "You light up my life!"),
    ("What did the {t} say to the clock?", "You have too much time on your hands!"),
    ("What did the {t} say to the moon?", "You look a little pale tonight!"),
    ("What did the {t} say to the stairs?", "You always let me down!"),
    ("What is the favourite day of a {t}?", "The day after a long sleep!"),
    ("Knock, knock. Who is there? A {t}. A {t} who?", "A {t} who forgot the key, so please open!"),
    ("Knock, knock. Who is there? A {t}. A {t} who?", "A {t} who came for the cake!"),
    (
        "Doctor, I feel like a {t}! How long has this been going on?",
        "Since I was a very small {t}!",
    ),
)
_MORE = listed(
    "robot king queen pirate ghost wizard dragon snail penguin banana tomato cactus train bicycle teapot button sock shoe cloud "
    "star elephant monkey zebra camel fox spider shark whale crab bus tractor violin guitar pumpkin cherry lemon onion cookie "
    "knight giant fairy policeman pilot magician dentist chicken cucumber sandwich melon carpet sofa tent ship rocket balloon "
    "kangaroo panda tiger eagle snake worm beetle ant bat hedgehog squirrel raven toad lizard walrus otter beaver moose"
)
_USED = frozenset(
    word.strip("?!,.").lower() for joke in JOKES for part in joke for word in part.split()
)
TOPICS = tuple(sorted({*ANIMALS, *PETS, *JOBS, *OBJECTS, *_MORE} - _USED))
_HELD_OUT = tuple(topic for topic in TOPICS if is_held_out(topic, one_in=3))
_PRACTISED = tuple(
    topic for topic in sorted({*TOPICS, *MORE_THINGS} - _USED) if not is_held_out(topic, one_in=3)
)
_FUNNY = "[|short|good|silly|funny|little|new|nice|quick|clean|great]"
_JOKE = f"[a {_FUNNY} [joke|joke|joke|riddle]|[one|some|another] {_FUNNY} joke|something [funny|silly|amusing|merry]]"
_ASK = (
    "joke about {a}",
    "[joke|jokes|funny|fun|humour]: {a}[|!|.]",
    "[The topic is|My topic is|Take|Topic:|My word is|Let us take|I choose] {a}. [Be funny!|Now a joke.|A joke, please.|Joke!|Tell one.]",
    "I [want|wish|would like|am ready] to [laugh|smile|giggle|have fun] about {a}[.|, please.]",
    "[Entertain|Amuse|Surprise] me with [{a}|a joke about {a}][.|!]",
    "My [child|son|sister|friend|class] [likes|loves|wants|asks for] jokes. [Take {a}.|What about {a}?|Is there one about {a}?|Say one about {a}!]",
    "What is [funny|so funny|amusing|silly] about {a}?",
    "Make [us|the children|everybody|my friend] [laugh|smile] about {a}[.|!]",
    "Cheer [me|us|my friend] up: [tell me about|a joke about|say something about] {a}.",
    "I am [sad|bored|tired|ill|in a good mood]. [A joke about|Tell me a joke about|Something funny about] {a}[, please.|!|.]",
    "[Something funny|A joke|A riddle] about {a}[, please!|, please.|!|?]",
    "[Jokes about|Are there jokes about|Are there good jokes about] {a}?",
    "{A}! [A joke about that, please.|Make a joke of it.|Is that not funny? Tell me a joke.]",
    "Have you [heard|got|learned] [a|any] joke about {a}?",
)
_TASKS = (
    f"[tell|tell|tell me|tell us|give me|make|make up|invent|think of|write|say|find] {_JOKE} [about|about|on|with] {{a}}",
    "[joke|make fun|say something funny] about {a}",
    "make [me|us|my friend] laugh about {a}",
)
_NOUNS = (f"{_JOKE} [about|about|on|with] {{a}}",)
_ASK_HELD = (
    "Make me laugh! The topic is {a}.",
    "My child loves {a}. Something funny, please!",
    "Be funny for once. Talk about {a}.",
    "I need to laugh. How about {a}?",
    "Is there anything funny to say about {a}?",
    "Cheer me up with {a}.",
    "Entertain us: {a}.",
)
_ANY = (
    "[Tell|Give|Show] me [a|one|another|some] [|good|short|silly|new] joke[.|!|, please.]",
    "Do you [know|have] [a|any|a good|a funny] [joke|riddle]?",
    "Make [me|us|everybody] laugh[!|.|, please.]",
    "[Tell me|Tell us|Say] something [funny|silly|amusing][.|!]",
    "[joke please|a joke|joke|jokes|Time for a joke!|I want a joke.]",
    "Can you [tell jokes|be funny|joke]?",
    "[Yes|Well|All right|Fine], tell me a joke.",
    "I am [sad|bored|tired]. [Make me smile.|Tell me a joke.|A joke would help.]",
)
_AGAIN = (
    "[Another|One more|The next|Another joke|One more joke|Another one][, please|][!|.]",
    "[Ha!|Ha ha!|Good one!|Funny!|Nice.|I laughed.|Not bad.] [Another|One more|Now another|Another joke][, please|][.|!]",
    "[Tell|Give] me [another|one more|a new one|a better one][.|!|, please.]",
    "[More|More jokes|Again|Go on][!|, please.]",
    "[Do you know another|Do you have more|Is there another one]?",
)


def _request(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return spin(rng.choice(_ASK), rng)
    ways, things = rng.choice(((DO, _TASKS), (GIVE, _NOUNS)))
    return ask(ways, things, rng)


def _tell(number: int, topic: str) -> str:
    text = " ".join(JOKES[number])
    for article in ("A", "a"):
        text = text.replace(f"{article} {{t}}", with_article(topic).replace("a", article, 1))
    return text.format(t=topic)


def _draw(rng: random.Random, held_out: bool) -> tuple[str, str]:
    topic = _topic(rng, held_out)
    return topic, _tell(rng.randrange(len(JOKES)), topic)


def _topic(rng: random.Random, held_out: bool) -> str:
    if held_out:
        return rng.choice(_HELD_OUT)
    # Also words that nobody knows: whatever the topic is, it is taken from the request.
    return (
        rng.choice(_PRACTISED)
        if rng.random() < 0.7
        else invented_person(rng, held_out=False).lower()
    )


def plain(text: str) -> str:
    """Letters and spaces only: a copy with another comma is a copy."""
    return " ".join("".join(c if c.isalpha() else " " for c in text.lower()).split())


@cache
def _told() -> tuple[re.Pattern[str], ...]:
    """Every joke with room for any topic."""
    word = "topic"
    patterns = (
        plain(_tell(number, word)).replace(f"a {word}", f"an? {word}")
        for number in range(len(JOKES))
    )
    return tuple(
        re.compile(pattern.replace(word, r"(\w+)", 1).replace(word, r"\1")) for pattern in patterns
    )


def is_training_joke(text: str) -> bool:
    """Told about a topic that training may have had, an invented word included."""
    found = (pattern.fullmatch(plain(text)) for pattern in _told())
    return any(match[1] not in _HELD_OUT for match in found if match)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    topic, joke = _draw(rng, held_out=False)
    if rng.random() < 0.15:
        turns = [user(tidy(spin(rng.choice(_ANY), rng))), assistant(joke)]
    else:
        a = with_article(topic)
        turns = [user(_request(rng).format(a=a, A=a[0].upper() + a[1:])), assistant(joke)]
    if rng.random() < 0.1:
        turns += [
            user(tidy(spin(rng.choice(_AGAIN), rng))),
            assistant(_draw(rng, held_out=False)[1]),
        ]
    return turns


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    topic, joke = _draw(rng, held_out=True)
    template = rng.choice(_ASK_HELD)
    return Item(
        skill="joke",
        messages=(user(template.format(a=with_article(topic))),),
        expected=assistant(joke),
        must=((topic,),),
        forbid=(*(other for other in TOPICS if other != topic), "do not know", "cannot help"),
        max_words=30,
        check="joke",
        template=template,
    )
