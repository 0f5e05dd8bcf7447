"""Short sentences between French and English, built from a small grammar; some combinations are never trained."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import is_held_out
from chatwright.data.starter.world import World

SKILLS = ("translation",)
# English -> (French, is it feminine)
NOUNS = {
    "cat": ("chat", False),
    "dog": ("chien", False),
    "horse": ("cheval", False),
    "bird": ("poisson", False),
    "house": ("maison", True),
    "table": ("table", True),
    "book": ("livre", False),
    "girl": ("fille", True),
    "boy": ("garçon", False),
    "baker": ("boulanger", False),
    "cow": ("vache", True),
    "door": ("porte", True),
    "garden": ("jardin", False),
    "flower": ("fleur", True),
    "boat": ("bateau", False),
    "king": ("roi", False),
    "queen": ("reine", True),
    "car": ("voiture", True),
    "bread": ("pain", False),
    "soup": ("soupe", True),
}
NOUNS["fish"] = NOUNS.pop("bird")  # "bird" (oiseau) would need l', which this grammar leaves out
ADJECTIVES = {
    "small": ("petit", "petite"),
    "big": ("grand", "grande"),
    "red": ("rouge", "rouge"),
    "green": ("vert", "verte"),
    "black": ("noir", "noire"),
    "pretty": ("joli", "jolie"),
    "young": ("jeune", "jeune"),
    "yellow": ("jaune", "jaune"),
    "sad": ("triste", "triste"),
    "white": ("blanc", "blanche"),
}
VERBS = {"sees": "voit", "looks for": "cherche", "loves": "aime", "finds": "trouve", "takes": "prend", "watches": "regarde"}
PHRASES = {
    "hello": "bonjour",
    "good evening": "bonsoir",
    "thank you": "merci",
    "please": "s'il vous plaît",
    "goodbye": "au revoir",
    "yes": "oui",
    "no": "non",
    "good night": "bonne nuit",
    "I am a student": "je suis étudiant",
    "my name is Paul": "je m'appelle Paul",
    "I am hungry": "j'ai faim",
    "see you soon": "à bientôt",
    "where is the house": "où est la maison",
}
_TO_FRENCH = (
    'Translate into French: "{text}"',
    'What is "{text}" in French?',
    'How do you say "{text}" in French?',
    'French for "{text}"?',
    'I want French for this: "{text}"',
    'Put into French: "{text}"',
    'How would you say "{text}" in French?',
    'French version, please: "{text}"',
    'How do people in Paris say "{text}"?',
    'Turn "{text}" into French.',
    'These words in French, please: "{text}"',
)
_TO_ENGLISH = (
    'Translate into English: "{text}"',
    'What is "{text}" in English?',
    'What does "{text}" mean?',
    'English for "{text}"?',
    'I want English for this: "{text}"',
    'Put into English: "{text}"',
    'How would you say "{text}" in English?',
    'English version, please: "{text}"',
    'How do people in London say "{text}"?',
    'Turn "{text}" into English.',
    'A friend wrote: "{text}" In English, please.',
)
_TO_FRENCH_HELD = (
    'A friend from Paris likes this in French, word for word: "{text}"',
    'Put these words into French for me, Pip: "{text}"',
    'I need the French version of "{text}"',
    'How would people in Paris put "{text}"',
    'Turn this into French, friend: "{text}"',
)
_TO_ENGLISH_HELD = (
    'A friend from Paris wrote this, what is it in English? "{text}"',
    'Put these words into English for me, Pip: "{text}"',
    'I need the English version of "{text}"',
    'How would people in London put "{text}"',
    'Turn this into English, friend: "{text}"',
)


def _noun(name: str) -> tuple[str, str]:
    french, feminine = NOUNS[name]
    return f"the {name}", f"{'la' if feminine else 'le'} {french}"


def pair(rng: random.Random, held_out: bool) -> tuple[str, str]:
    """(English, French), both without capital or full stop."""
    while True:
        kind = rng.random()
        noun, other = rng.sample(sorted(NOUNS), 2)
        english, french = _noun(noun)
        if kind < 0.5:
            adjective = rng.choice(sorted(ADJECTIVES))
            english, french = f"{english} is {adjective}", f"{french} est {ADJECTIVES[adjective][NOUNS[noun][1]]}"
            key = f"{noun} {adjective}"
        else:
            verb = rng.choice(sorted(VERBS))
            english_object, french_object = _noun(other)
            english, french = f"{english} {verb} {english_object}", f"{french} {VERBS[verb]} {french_object}"
            key = f"{noun} {verb} {other}"
        if is_held_out(key) == held_out:
            return english, french


def train(world: World, rng: random.Random) -> list[Message]:
    english, french = rng.choice(sorted(PHRASES.items())) if rng.random() < 0.12 else pair(rng, held_out=False)
    if rng.random() < 0.5:
        return [user(rng.choice(_TO_FRENCH).format(text=english)), assistant(f"{french[0].upper()}{french[1:]}.")]
    return [user(rng.choice(_TO_ENGLISH).format(text=french)), assistant(f"{english[0].upper()}{english[1:]}.")]


def line(rng: random.Random) -> str:
    """A piece of a phrase list, for pretraining."""
    if rng.random() < 0.3:
        name = rng.choice(sorted(NOUNS))
        english, french = _noun(name)
    elif rng.random() < 0.15:
        english, french = rng.choice(sorted(PHRASES.items()))
    else:
        english, french = pair(rng, held_out=False)
    return rng.choice((f'"{french}" means "{english}".', f'"{english}" is "{french}" in French.'))


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    english, french = pair(rng, held_out=True)
    into_french = rng.random() < 0.5
    text, right = (english, french) if into_french else (french, english)
    template = rng.choice(_TO_FRENCH_HELD if into_french else _TO_ENGLISH_HELD)
    return Item(
        skill="translation",
        messages=(user(template.format(text=text)),),
        expected=assistant(f"{right[0].upper()}{right[1:]}."),
        must=((right,),),
        check="exact",
        template=template,
    )
