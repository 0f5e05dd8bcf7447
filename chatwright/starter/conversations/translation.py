"""Short sentences between French and English, built from a small grammar; some combinations are never trained."""

import random

from chatwright.conversation import Message
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import is_held_out
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin

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
VERBS = {
    "sees": "voit",
    "looks for": "cherche",
    "loves": "aime",
    "finds": "trouve",
    "takes": "prend",
    "watches": "regarde",
}
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
_WORDS = "[this|this|that|the following|the next words|my words|this [|short] sentence|this line|what I write]"
# {to} is the language to translate into, {town} a town where it is spoken.
_ASK = (
    '[Translate|Put|Turn|Change|Bring] [|this] into {to}: "{text}"',
    '[What is|What about|And|How about] "{text}" in {to}?',
    'How [do|would|can|should|must] [you|I|we|people] [say|write|express] "{text}" in {to}?',
    '{to} for "{text}"?',
    'I [want|need|would like|wish for|am looking for|must have] [|good] {to} for this: "{text}"',
    '{to} [version|translation|words|text|form], please: "{text}"',
    'How do [people|children|shopkeepers|families] in {town} say "{text}"?',
    'Turn "{text}" into {to}.',
    'These words in {to}, please: "{text}"',
    'Into [|good] {to}[, please|]: "{text}"',
    '"{text}" [in {to}|into {to}|in {to}, please|to {to}][|.|?|!]',
    '"{text}"[ - what is that| - how is that|. What is this|. How does one say that|. How is it] in {to}?',
    '[A friend|My sister|Somebody|The teacher|A guest] [wrote|said|told me]: "{text}" In {to}, please.',
    '[I learn|My sister learns|We speak|My friend speaks] {to}. [How do I say|What is|What do I write for] "{text}"?',
    '[A letter|A sign|A page|A card] [says|reads]: "{text}" [What is that|How is that|How does it sound] in {to}?',
    '[Say|Write|Read|Tell me] "{text}" in {to}[.|, please.|!]',
)
_MEANING = (
    'What does "{text}" [mean|mean|say|stand for][| in English]?',
    'What is [meant by|the meaning of|the sense of] "{text}"?',
)
_TASKS = (
    f"[translate|turn|change|bring|render] {_WORDS} into {{to}}",
    f"[find|give me|write] the {{to}} words for {_WORDS}",
)
_TASKS_BEHIND = (*_TASKS, f"[say|write|repeat|tell me] {_WORDS} in {{to}}")
_TASKS_WITH_TEXT = (
    '[translate|turn|change|bring] "{text}" into {to}',
    '[say|write|repeat|express] "{text}" in {to}',
)
_CLAUSES = (
    'what "{text}" [is|would be|becomes|is called] in {to}',
    'how [to|one can|people|I can|you] say "{text}" in {to}',
    'how "{text}" [sounds|looks|goes|is said] in {to}',
)
_NOUNS = (
    '"{text}" [in|in good] {to}',
    'the {to} [for|words for|translation for|sentence for] "{text}"',
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


def _request(rng: random.Random, into_french: bool) -> str:
    """The text stands in quotes, so that one sees where it starts and ends."""
    draw = rng.random()
    if draw < 0.06 and not into_french:
        request = spin(rng.choice(_MEANING), rng)
    elif draw < 0.45:
        request = spin(rng.choice(_ASK), rng)
    elif draw < 0.65:
        request = (
            f'{ask(DO, _TASKS, rng)} "{{text}}"'
            if rng.random() < 0.6
            else f'"{{text}}" {ask(DO, _TASKS_BEHIND, rng)}'
        )
    else:
        ways, things = rng.choice(((DO, _TASKS_WITH_TEXT), (TELL, _CLAUSES), (GIVE, _NOUNS)))
        request = ask(ways, things, rng)
    to, town = ("French", "Paris") if into_french else ("English", "London")
    return request.replace("{to}", to).replace("{town}", town)


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
            english, french = (
                f"{english} is {adjective}",
                f"{french} est {ADJECTIVES[adjective][NOUNS[noun][1]]}",
            )
            key = f"{noun} {adjective}"
        else:
            verb = rng.choice(sorted(VERBS))
            english_object, french_object = _noun(other)
            english, french = (
                f"{english} {verb} {english_object}",
                f"{french} {VERBS[verb]} {french_object}",
            )
            key = f"{noun} {verb} {other}"
        if is_held_out(key) == held_out:
            return english, french


def train(world: FactTable, rng: random.Random) -> list[Message]:
    english, french = (
        rng.choice(sorted(PHRASES.items())) if rng.random() < 0.12 else pair(rng, held_out=False)
    )
    if rng.random() < 0.5:
        return [
            user(_request(rng, into_french=True).format(text=english)),
            assistant(f"{french[0].upper()}{french[1:]}."),
        ]
    return [
        user(_request(rng, into_french=False).format(text=french)),
        assistant(f"{english[0].upper()}{english[1:]}."),
    ]


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


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
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
