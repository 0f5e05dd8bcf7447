"""Stop exactly where the task ends: count from 14 to 19, the days from Tuesday to Friday, a word four times.

Letters are practised and never examined, and days and months also over the end of a week or year: they make so few pairs otherwise that a model
would rather remember them than look where to stop.
"""

import random
import string

from chatwright.conversation import Message
from chatwright.starter.conversations.arithmetic import in_words
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import is_held_out
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin, tidy
from chatwright.starter.words import ANIMALS, COLOURS, DAYS, FOODS, MONTHS, MORE_THINGS, OBJECTS

SKILLS = ("stop",)
_SAY = "[write|list|name|say|print|give me|tell me|show me|show|read out|put down|type]"
_ALL = "[the|all|all the|just the|only the]"
# Said alike of numbers and of names.
_SPAN = (
    "{a} to {b}[|.|!|, please.]",
    "{a} to {b}, [one after another|one at a time|each of them|step by step|all in a row|slowly][|.|!|, please.]",
)
_ENDS = (
    "[Start|Begin|First]: {a}. [End|Stop|Last]: {b}.",
    "[First|The first is|Begin:] {a}, [last|the last is|end:] {b}. [Go!|List them.|Go on, please.]",
)
# Per kind: verb phrases after "can you", clauses after "tell me", nouns after "give me", whole sentences.
_RANGE_DO = (
    "[count|count|go|run|walk|climb|step] [|up] from {a} [|up|on] [to|until|till] {b}",
    "count {a} to {b}",
    f"{_SAY} {_ALL} [numbers|numbers|figures] [from|] {{a}} [to|up to|until|through] {{b}}",
    f"{_SAY} {_ALL} numbers that [start|begin] with {{a}} and [stop|end] with {{b}}",
    "[start|begin|set out] [with|from|at] {a} and [stop|end|finish|halt|rest] [with|at|as soon as you reach|when you come to] {b}",
    "[start|begin] [with|at] {a}, [count|move|walk] [up|upwards|on], [stop|end|finish] [with|at] {b}",
    "[count|go] on from {a} and [stop|end|finish] [with|at] {b}",
    "[make|write] [a|one] [list|row|line] of numbers, {a} [to|up to|until] {b}",
)
_RANGE_TELL = (
    "[which|what] numbers [come|lie|stand|are|there are] [from {a} to {b}|from {a} up to {b}|between {a} and {b}, with both of them]",
    "how [to count|one counts|you count|people count] from {a} [to|up to] {b}",
    "how it goes on from {a} [to|up to|until] {b}",
)
_RANGE_GIVE = (
    f"{_ALL} numbers from {{a}} [to|up to|through] {{b}}",
    "[a|the] [row|list|line|series] of numbers from {a} [to|up to] {b}",
    "[every|each] number from {a} [to|up to] {b}",
)
_RANGE = (
    "[Numbers|Figures|Counting] from {a} [to|up to|until] {b}[|.|!|, please.]",
    *_SPAN,
    "[Number|Numbers:|Count:|] {a} first, {b} last[|.|!|, please.]",
    "First comes {a}, [last comes|and last|in the end] {b}. [Which numbers are those|Count|List them][.|!]",
    *_ENDS,
    "[I say|I begin with|My part is] {a}, you [count|say the rest|finish] [to|till|up to] {b}[.|!|, please.]",
    "{a} up to {b}[|.|!|, please.]",
    "{a}, and so on, [up to|until|to] {b}[|.|!]",
    "{a} ... {b}",
    "Go from {a} on, stop with {b}.",
    "I [start|begin]: {a}. [Go on|You go on|Carry on|Continue] [to|up to|till] {b}[!|.|, please.]",
    "All numbers, {a} first, {b} last.",
    "Which numbers are between {a} and {b}, both included?",
    "[The first|My first] [number|one] is {a}, the [last|final] one is {b}. [Count!|List them.|Name them all.|Go!]",
    "[What|Which numbers] do I say when I count from {a} to {b}?",
    "{b} is where you [stop|end]. [Start with|Begin with|Count from] {a}[!|.]",
    "My child learns to count. [From|] {a} to {b}[, please.|!]",
)
_RANGE_HELD = (
    "Begin at {a} and go up, but stop at {b}.",
    "First {a}, last {b}: which numbers?",
    "Write all numbers between {a} and {b}, both included.",
    "I say {a}, you go on until {b}.",
    "{a} to {b}, one by one, please.",
)
_NAMES_DO = (
    f"{_SAY} {_ALL} {{kind}}s [from|] {{a}} [to|up to|until|through|till] {{b}}",
    f"{_SAY} {_ALL} {{kind}}s that [start|begin] with {{a}} and [stop|end] with {{b}}",
    "[start|begin|set out] [with|from|at] {a} and [stop|end|finish|halt] [with|at|as soon as you reach|when you come to] {b}",
    "[go|run|walk|count] [|on|through the {kind}s] from {a} [to|up to|till] {b}",
    "[go on|carry on|continue] from {a} and [stop|end|finish] [with|at] {b}",
)
_NAMES_TELL = (
    "[which|what] {kind}s [come|lie|are|there are] [from {a} to {b}|from {a} up to {b}|between {a} and {b}, with both of them]",
    "how it goes on from {a} [to|up to|till] {b}",
    "how [one says|you name] the {kind}s from {a} to {b}",
)
_NAMES_GIVE = (
    f"{_ALL} {{kind}}s from {{a}} [to|up to|through|till] {{b}}",
    "[a|the] [row|list|line] of {kind}s from {a} [to|up to] {b}",
    "[every|each] {kind} from {a} [to|up to] {b}",
)
_NAMES = (
    "[Which|What] {kind}s [are there|come|do we have|do you know|follow each other] from {a} [to|up to|till] {b}?",
    "[The|] {kind}s from {a} [to|up to|till] {b}[|.|!|, please.]",
    *_SPAN,
    "First comes {a}, [last comes|and last|in the end] {b}. [Which {kind}s are those|List them][.|!]",
    *_ENDS,
    "[I say|I begin with|My part is] {a}, you [say the rest|name the rest|finish] [to|till|up to] {b}[.|!|, please.]",
    "{a}, and so on, [up to|to|till] {b}[|.|!]",
    "Begin with {a}, end with {b}: which {kind}s?",
    "Go on from {a} until {b}.",
    "I [start|begin]: {a}. [Go on|You go on|Carry on|Continue] [to|up to|till] {b}[!|.|, please.]",
    "All {kind}s, {a} first, {b} last.",
    "[The first|My first] {kind} is {a}, the [last|final] one is {b}. [List them.|Name them all.|Go!]",
    "{b} is where you [stop|end]. [Start|Begin] with {a}[!|.]",
    "I [work|am away|travel] from {a} [to|till] {b}. [Which|What] {kind}s are [that|those]?",
)
_NAMES_HELD = (
    "Begin at {a} and go on, but stop at {b}.",
    "First {a}, last {b}: which {kind}s?",
    "I say {a}, you go on until {b}.",
    "{a} to {b}, one by one, please.",
    "From {a} until {b}, what {kind}s are there?",
)
_TIMES_DO = (
    "[say|write|repeat|print|type|read out|sing|shout|call|put down|spell out] [|the word] {word} [|exactly|just] {n} times [||in a line|in a row]",
    "[give|show|tell|send|write] me {word} {n} times [||in a line|in a row|one after another]",
    "[write|make|fill] a [row|line|list] with {n} times {word}",
    "[say|write|repeat|print] {n} times [|the word] {word}",
    "[use|take|copy] the word {word} {n} times",
    "say {word}, and say it {n} times",
)
_TIMES_GIVE = (
    "{n} times [|the word] {word}",
    "{n} pieces of [|the word] {word}",
    "a [row|line|list] with {n} times {word}",
    "[the word|] {word}, {n} times",
)
_TIMES = (
    "{word}, {n} times[|.|!|, please.]",
    "{n} times {word}[|.|!|, please.]",
    "{word} x {n}",
    "{n} copies of {word}, please.",
    "Again and again: {word}, {n} of it.",
    "Fill a row with {word}, {n} times over.",
    "[Fill|Make|Cover] [a page|the page|a column|my sheet] with {word}[, {n} of them|, {n} in a row|: {n} of it|, {n} altogether].",
    "{word}, {n} [in total|altogether|of them|pieces][|.|!|, please.]",
    "[The|My|Our] word is {word}. [Say|Write|Repeat|Print] it {n} times[.|!|, please.]",
    "I [like|love|want to see|miss] the word {word}. [Say|Write|Repeat] it {n} times[.|!|, please.]",
    "How does it [look|sound] if [I say|I write|you say|one writes] {word} {n} times?",
    "{n} times, [no more|not more and not less|exactly]: {word}[.|!]",
)
_WORDS = tuple(sorted({*OBJECTS, *MORE_THINGS, *ANIMALS, *FOODS, *COLOURS}))
_TIMES_HELD = (
    "I would love to read {word} {n} times in a row.",
    "{word}! Again and again, {n} in all.",
    "Repeat after me, {n} times over: {word}.",
    "Please give me {n} copies of {word}.",
    "Fill a line with {word}, {n} in all.",
)


_IN_ORDER = {"day": DAYS, "month": MONTHS, "letter": list(string.ascii_lowercase)}
_PRACTISED = (
    "number",
    "number",
    "number",
    "number",
    "day",
    "day",
    "month",
    "month",
    "letter",
    "times",
    "times",
)


def draw(rng: random.Random, held_out: bool) -> tuple[str, dict[str, str], list[str]]:
    """(kind, slots of the question, the list that is right)."""
    while True:
        kind = rng.choice(("number", "number", "day", "month", "times") if held_out else _PRACTISED)
        if kind == "times":
            word, n = (
                (rng.choice(OBJECTS), rng.randint(2, 6))
                if held_out
                else (rng.choice(_WORDS), rng.randint(2, 8))
            )
            slots, items = {"word": word, "n": in_words(n)}, [word] * n
            key = f"{word} {n}"
        else:
            names = (
                [str(n) for n in range(1, 41 if held_out else 101)]
                if kind == "number"
                else _IN_ORDER[kind]
            )
            length = (
                rng.randint(3, 8 if kind == "number" else 5)
                if held_out
                else rng.randint(2, min(12, len(names)))
            )
            begins_anew = not held_out and kind in ("day", "month")
            start = rng.randrange(len(names) if begins_anew else len(names) - length + 1)
            items = [names[(start + i) % len(names)] for i in range(length)]
            slots = {"kind": kind, "a": items[0], "b": items[-1]}
            key = f"{items[0]} {items[-1]}"
        if is_held_out(key, one_in=4) == held_out:
            return kind, slots, items


def answer(kind: str, slots: dict[str, str], items: list[str]) -> str:
    """What was asked for in one fixed form, then the list. Where to stop carries a mark, and the list ends where the mark comes back: that is
    copied, and no two words need be compared."""
    if kind == "times":
        return tidy(f"{slots['n']} times {slots['word']}: {', '.join(items)}.")
    return f"From {slots['a']} to {slots['b']}! {', '.join(items)}!"


def train(world: FactTable, rng: random.Random) -> list[Message]:
    kind, slots, items = draw(rng, held_out=False)
    if kind == "times" and rng.random() < 0.25:
        slots["n"] = str(len(items))
    return [user(_request(kind, rng).format(**slots)), assistant(answer(kind, slots, items))]


def _request(kind: str, rng: random.Random) -> str:
    do, tell, give, sentences = {
        "number": (_RANGE_DO, _RANGE_TELL, _RANGE_GIVE, _RANGE),
        "times": (_TIMES_DO, (), _TIMES_GIVE, _TIMES),
    }.get(kind, (_NAMES_DO, _NAMES_TELL, _NAMES_GIVE, _NAMES))
    draw = rng.random()
    if draw < 0.35:
        return ask(DO, do, rng)
    if draw < 0.5 and tell:
        return ask(TELL, tell, rng)
    return ask(GIVE, give, rng) if draw < 0.65 else spin(rng.choice(sentences), rng)


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    kind, slots, items = draw(rng, held_out=True)
    template = rng.choice({"number": _RANGE_HELD, "times": _TIMES_HELD}.get(kind, _NAMES_HELD))
    return Item(
        skill="stop",
        messages=(user(template.format(**slots)),),
        expected=assistant(answer(kind, slots, items)),
        must=((", ".join(items),),),
        check="exact",
        template=template,
    )
