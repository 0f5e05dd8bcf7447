"""Many ways to say one thing: a pattern with alternatives in square brackets, drawn at random."""

import random
import re

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_GAP = re.compile(r" +(?=[.,:?!])")


def spin(pattern: str, rng: random.Random) -> str:
    """One sentence of a pattern: "[Say|Tell me], [|please,] where {s} lives." Brackets nest, {slots} stay as they are."""
    replaced = 1
    while replaced:
        pattern, replaced = _INNERMOST.subn(lambda found: rng.choice(found[1].split("|")), pattern)
    return " ".join(pattern.split())


# Ways to ask, for `ask`. DO wants a verb phrase ("count to ten"), TELL a clause ("what it costs"), GIVE a noun ("the price").
DO = (
    "{it}[.|.|!|, please.| for me.| for me, please.| now.|, thanks.| right now, please.]",
    "[now|pip,|so,|hello,|hey,|next:|a task:|and now|all right,|good day,|come on,|go ahead,] {it}[.|!| for me.]",
    "[please|kindly|be so kind and|be nice and|do me a favour and|help me and|try to] {it}[.|!| now.| for me.]",
    "[can|could|would|will] you [|please|kindly|quickly] {it}[| for me| now]?",
    "[can|could|would|will] you {it}, please?",
    "[are you able to|is it possible to|may I ask you to|would it be fine to] {it}?",
    "I [want|need|ask|would like|would love] you to {it}[.|, please.| now.]",
    "[you can|you may|you should|you must|it is time to|your task is to|what I want is this:] {it}[.|!|, please.]",
)
TELL = (
    "[|please|now|pip,|so,|quick,] tell [me|me|us] {it}[.|!]",
    "[|hello,|hey,] [say|explain|let me know|let us hear|let me hear] {it}[.|, please.| now.|, thanks.]",
    "[can|could|would|will] you [|please|perhaps|quickly] [tell me|say|explain|let me know|tell us] {it}?",
    "can [anybody|you|someone] tell me {it}[|, please]?",
    "[do|would] you [|perhaps|maybe|happen to] know {it}?",
    "I [want|need|wish|hope|would love|have] to [know|know|learn|hear] {it}[.|, please.| now.]",
    "I [ask myself|do not know|have no idea|forgot|am not sure|am asking|cannot say|need to be told] {it}.",
    "[my friend|my mother|my father|my boss|somebody|my child] [asks|wants to know|would like to know] {it}.",
    "[any idea|who knows|have you an idea|is it known|are you able to say] {it}?",
    "it would [help|be good|be nice|be useful] to know {it}.",
)
GIVE = (
    "[|please|now|pip,] [give me|show me|tell me|get me|name me|let me have|let us have|let me see] {it}[.|.|!| now.]",
    "[give me|show me|tell me|get me|send me|bring me] {it}[, please.| for me.|, thanks.| right now.]",
    "[can|could|may] [I|we] [have|get|hear|see|know|learn] {it}[|, please| now]?",
    "[can|could|would|will] you [|please|quickly] [give me|get me|show me|tell me|give us|name] {it}[|, please| now]?",
    "I [need|want|would like|am looking for|must know|would like to know|ask for|am waiting for] {it}[.|, please.| now.]",
    "{it}[.|?|!|, please.|, please!|, thanks.| now.]",
    "[do you have|have you got|do you know|you know] {it}?",
    "[how about|what about|it is time for|I am here for|next:|just] {it}[.|, please.]",
)


def ask(ways: tuple[str, ...], things: tuple[str, ...], rng: random.Random) -> str:
    """One of the `things` asked for in one of the `ways`: hundreds of sentences from a dozen patterns. Slots stay open."""
    return tidy(spin(rng.choice(ways).replace("{it}", rng.choice(things)), rng))


def tidy(text: str) -> str:
    """A capital first, and no gap before a full stop where an alternative was empty."""
    return _GAP.sub("", text[0].upper() + text[1:])
