"""Sums and differences of one- and two-digit numbers, in digits and in words. Some pairs of numbers are never trained."""

import random

from chatwright.conversation import Message
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import is_held_out
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin, tidy
from chatwright.starter.words import listed

SKILLS = ("arithmetic",)
_ONES = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")
# Whole sentences, then verb phrases, clauses and nouns for `ask`.
_ASK = {
    "+": (
        "[What is|How much is|What makes|What gives|What about|Now|And|So] {a} [plus|+|and|added to] {b}?",
        "{a} + {b}[|?| =| = ?|, please.]",
        "{a} plus {b}[|?|.|, please.|, what is it?|, how much?| is what?| makes?]",
        "{a} [and|with|plus|+] {b}[: how much?|: the sum?|, together?| together make what?]",
        "What is the [sum|total] of {a} and {b}?",
        "What [do I get|do you get|comes out|is the result|will it be|does one get] [if|when] [I|you|we] [add|sum up|take together] {a} and {b}?",
        "{a} coins and {b} more coins make how many?",
        "If someone has {a} and gets {b}, how many are there?",
        "Start at {a} and go {b} steps up. Where [am I|are you|is that]?",
        "How [far|high] do I [come|get] with {a} steps and {b} steps more?",
        "[First|At first] {a}, then {b} more. [The sum?|How many?|How much is it?|What is it in all?]",
    ),
    "-": (
        "[What is|How much is|What makes|What gives|What about|Now|And|So] {a} [minus|-|less|without] {b}?",
        "{a} - {b}[|?| =| = ?|, please.]",
        "{a} minus {b}[|?|.|, please.|, what is it?|, how much?| is what?| makes?]",
        "What is [left|the rest] [if|when] [I|you|we] take {b} [from|away from|out of|off] {a}?",
        "What is the difference [between|of] {a} and {b}?",
        "{a} coins, and someone loses {b}. How many remain?",
        "How much [bigger|more|larger|higher] is {a} than {b}?",
        "How much [smaller|less|lower] is {b} than {a}?",
        "Start at {a} and go {b} steps [down|back]. [||Where am I?|Where is that?|What number is it?]",
        "What remains of {a} without {b}?",
        "[What do I get|What comes out|What is the result] [if|when] [I|you] [subtract|remove|take] {b} from {a}?",
        "[First|At first] {a}, then {b} less. [The rest?|How many?|How much is it?|What stays?]",
        "From {b} to {a}, how [far|many steps] is [it|that]?",
    ),
}
_DO = {
    "+": (
        "[add|sum up|put together|add up|total|join|count together] {a} and {b}",
        "[work out|compute|calculate|solve|find|do] {a} [plus|+|and] {b}",
        "[find|compute] [the sum|the total] [of|from] {a} and {b}",
        "[take|start with] {a} and add {b}",
        "put {a} and {b} together",
    ),
    "-": (
        "[take|subtract|remove|take away] {b} from {a}",
        "[work out|compute|calculate|solve|find|do] {a} [minus|-|less] {b}",
        "[find|compute|work out] the difference [of|between] {a} and {b}",
        "[take|start with] {a} and [subtract|remove|take away] {b}",
    ),
}
_TELL = {
    "+": (
        "what {a} [plus|and|+] {b} [is|makes|gives|is together]",
        "how much {a} [plus|and|+] {b} [is|makes|are|are together]",
        "what [I get|one gets|comes out] if [I|you] add {a} and {b}",
        "what the sum of {a} and {b} is",
    ),
    "-": (
        "what {a} [minus|less|-] {b} [is|makes|gives]",
        "how much {a} [minus|less|-] {b} [is|makes]",
        "[what stays|what is left|how much is left] [of {a} without {b}|if I take {b} from {a}]",
        "what the difference of {a} and {b} is",
    ),
}
_GIVE = {
    "+": (
        "[the sum|the total] of {a} and {b}",
        "the [result|answer|value] [of|for|to] {a} [plus|+] {b}",
    ),
    "-": (
        "the difference [of|between] {a} and {b}",
        "the [result|answer|value] [of|for|to] {a} [minus|-] {b}",
    ),
}
ASK_HELD = {
    "+": (
        "Please work out the sum of {a} and {b} for me.",
        "If you put {a} and {b} together, which number comes out?",
        "Someone has {a} coins and gets {b} more. How many are there now?",
        "Can you count {a} and {b} together?",
        "{a} and {b} make how many?",
    ),
    "-": (
        "Please work out what remains if {b} leaves {a}.",
        "Someone has {a} coins and loses {b}. How many are left now?",
        "If you go down {b} steps from {a}, which number comes out?",
        "Start from {a}, then remove {b}. How many remain?",
        "By how much is {a} bigger than {b}?",
    ),
}


def in_words(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number >= 100:
        rest = number % 100
        return f"{_ONES[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def draw(rng: random.Random, held_out: bool) -> tuple[int, str, int, int]:
    """Operands, sign and result; mostly of two digits, never below zero."""
    while True:
        top = 9 if rng.random() < 0.12 else 99
        a, b, sign = rng.randint(0, top), rng.randint(0, top), rng.choice("+-")
        if sign == "-" and b > a:
            a, b = b, a
        # Unordered for sums: knowing 5 + 3 must not give away 3 + 5. Tiny sums are all trained; there are too few to split.
        key = f"{min(a, b)}{sign}{max(a, b)}"
        result = a + b if sign == "+" else a - b
        if held_out and result in (a, b):
            continue  # repeating the question would hold the answer
        if (max(a, b) > 9 and is_held_out(key)) == held_out:
            return a, sign, b, result


def train(world: FactTable, rng: random.Random) -> list[Message]:
    """One sum, or several in a row."""
    return [turn for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))) for turn in one(rng)]


def one(rng: random.Random) -> list[Message]:
    a, sign, b, result = draw(rng, held_out=False)
    word = "plus" if sign == "+" else "minus"
    if rng.random() < 0.15:
        question = tidy(_question(sign, rng).format(a=in_words(a), b=in_words(b)))
        return [
            user(question),
            assistant(f"{in_words(a).capitalize()} {word} {in_words(b)} is {in_words(result)}."),
        ]
    question = (
        story(rng, a, sign, b) if rng.random() < 0.2 else _question(sign, rng).format(a=a, b=b)
    )
    return [user(question), assistant(f"{a} {word} {b} is {result}.")]


def _question(sign: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return spin(rng.choice(_ASK[sign]), rng)
    if draw < 0.7:
        return ask(DO, _DO[sign], rng)
    return ask(TELL, _TELL[sign], rng) if draw < 0.85 else ask(GIVE, _GIVE[sign], rng)


_WHO = (
    "[Ben|Anna|Leo|Kate|My friend|A farmer|The baker|A girl|My sister|Somebody|The teacher|A boy]"
)
_WHAT = (
    "apples",
    "books",
    "eggs",
    "stones",
    "cards",
    "coins",
    "pears",
    "sheep",
    "nuts",
    "stamps",
    "candles",
    "shells",
    "pages",
    "bottles",
)
_STORIES = {
    "+": (
        "{who} [has|owns|holds|keeps] {a} {what} and [finds|buys|wins|picks|takes] [another {b}|{b} more]. [How many {what} is that|The sum]?",
        "[There are|I see|We have] {a} {what} [on the table|in the box|here] and {b} [in the bag|on the floor|there]. How many [in all|altogether]?",
        "{a} {what} are in a [box|sack|bag]. {who} [adds|brings|puts in] {b}. How many [are inside|does it hold|is that]?",
        "{who} [read|sold|carried|counted] {a} {what} on Monday and {b} on Tuesday. How many [{what}|in two days|was that]?",
    ),
    "-": (
        "{who} [has|owns|holds|keeps] {a} {what} and [gives away|sells|drops|breaks|forgets|lends out] {b}. How many [{what} stay|does that leave]?",
        "[There are|I see|We have] {a} {what} [on the table|in the box|here]. {who} takes {b} [of them|] away. How many [stay|are still there]?",
        "{a} {what} are in a [box|sack|bag]. {b} [fall out|are taken out|are broken|are sold]. How many [are still inside|are good|stay]?",
        "{who} [wants|needs] {a} {what} and has {b}. How many [are missing|must still come|more are needed]?",
    ),
}


def story(rng: random.Random, a: int, sign: str, b: int) -> str:
    pattern = rng.choice(_STORIES[sign]).replace("{who}", _WHO)
    return tidy(spin(pattern, rng).format(a=a, b=b, what=rng.choice(_WHAT)))


def line(rng: random.Random) -> str:
    """One line of prose about a sum, for pretraining."""
    a, sign, b, result = draw(rng, held_out=False)
    word = "plus" if sign == "+" else "minus"
    if rng.random() < 0.2:
        return f"{in_words(a).capitalize()} {word} {in_words(b)} is {in_words(result)}."
    return rng.choice((f"{a} {sign} {b} = {result}.", f"{a} {word} {b} is {result}."))


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    a, sign, b, result = draw(rng, held_out=True)
    template = rng.choice(ASK_HELD[sign])
    return Item(
        skill="arithmetic",
        messages=(user(template.format(a=a, b=b)),),
        expected=assistant(f"{a} {'plus' if sign == '+' else 'minus'} {b} is {result}."),
        must=((str(result),),),
        deniable=(str(a), str(b)),  # the only other numbers a reply may hold
        max_words=20,
        check="number",
        template=template,
    )
