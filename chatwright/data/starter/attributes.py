"""How each attribute is said and asked: statements for the prose, questions for training, other questions held out.

Slots: {s} the subject inside a sentence, {S} at its start, {o} as an object ("her"), {p} and {P} the possessive
("Mira's", "her"), {p_} always "her" or "his", {v} and {V} the value, {a} the value with a or an. Statements, answers and
`again` (follow-up questions) also work with a pronoun in the slots. What training asks is written as patterns, see
`phrases.spin`; `question` draws one. The held-out questions must share no six words in a row with anything in training;
a test holds that. Nor may a pattern give one of them word for word, however short it is.
"""

import random
from dataclasses import dataclass

from chatwright.data.starter.phrases import spin
from chatwright.data.starter.world import Fact, Person, World


@dataclass(frozen=True)
class Attribute:
    name: str
    statements: tuple[str, ...]  # prose
    reverse: tuple[str, ...]  # prose that starts at the value
    ask: tuple[str, ...]
    ask_held: tuple[str, ...]
    answer: str
    again: tuple[str, ...] = ()  # follow-up, said with a pronoun
    again_held: tuple[str, ...] = ()
    premise: tuple[str, ...] = ()  # questions that take {v} for granted
    premise_held: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()  # what is wanted, as a clause: "tell me ..., do you know ..."
    nouns: tuple[str, ...] = ()  # the same as a noun phrase: "give me ..., what about ..."


# Requests for a clause ("where Mira lives") and for a noun phrase ("Mira's home"), put in at X.
_FOR_CLAUSE = (
    "[Tell|Please tell|Just tell|Do tell|Kindly tell|Quickly tell|Pip, tell] me X[||, please|, if you know|, if you can|, will you].",
    "[Can|Could|Will|Would] you [||please|kindly] [tell me|say|let me know|explain|remind me|show me|find out] X?",
    "[I want|I wish|I need|I hope|I am trying|We want|My friend wants|Somebody wants] to [know|hear|learn|find out] X[||, please|, Pip].",
    "[Do you know|Do you remember|Do you happen to know|Does anybody know|Have you heard|Did you learn|Did anybody tell you|Any idea] X?",
    "[I wonder|I do not know|I never learned|I keep forgetting|I am not sure|I have no idea|I ask myself|Nobody told me] X."
    "[|| Do you know?| Do you?| Please help.| Help me!| Can you tell me?]",
    "[Say|Please say|Remind me|Let me know|Let me hear|Help me remember|Explain|Write down] X[|, please|, in one sentence|, as you know it].",
    "[My question is|The question is|What I want to know is|I only ask|I have to ask|Somebody asked me] X.[|| Do you know?| What is right?]",
)
_FOR_NOUN = (
    "[Tell|Please tell|Just tell|Do tell|Kindly tell|Pip, tell] me X[||, please|, if you know|, if you can].",
    "[Give me|Say|Let me hear|Let me know|Write down|Remind me of|Help me remember|Look up] X[||, please|, Pip|, quickly|, in one sentence].",
    "[Can|Could|Will|Would] you [||please|kindly] [tell me|say|give me|let me know|look up|remember] X?",
    "[I want|I wish|I need|I would love|I am trying] to [know|hear|learn|find out] X[||, please|, Pip].",
    "[Do you know|Do you remember|May I know|May I hear|Can I have|Do you happen to know|Did you learn|Did anybody tell you] X?",
    "[I forgot|I do not know|I never heard|I cannot remember|I keep forgetting|I was asked about|I am asking about|This is about] X."
    "[|| Can you help?| Do you remember?| Help me, please.| Please tell me.]",
    "[What about|And what about|What can you say about|What do you know about|What did you learn about|Any idea about] X?",
    "X[, please.|, if you know.|, what can you say?|?|: do you know?]",
)


PERSON = {
    attribute.name: attribute
    for attribute in (
        Attribute(
            "home",
            (
                "{S} lives in {v}.",
                "{P} home is in {v}.",
                "{S} has a house in {v}.",
                "{S} comes from {v}.",
                "{P} town is {v}, where {s} lives.",
            ),
            ("In {v} lives {s}.", "{v} is the town where {s} lives.", "One of the people of {v} is {s}."),
            (
                "Where [does {s} live|is {s} living|is {s} at home|does {s} have a [home|house]|does {s} come from|is {s} from]?",
                "Where is [{p} [home|house|door|family]|the [home|house|door] of {s}]?",
                "[Which|What] town [does {s} live in|is {s} from|does {s} come from|is {p} home|has {p} house|is {s} living in]?",
                "In [which town|what town|which place] [does {s} live|is {p} [home|house]|does {s} have a house|is {s} at home]?",
                "From [which|what] town [is|comes] {s}?",
                "Where [can|could|would|do] I [find|meet|see] {s}[| at home| in the evening]?",
                "I [have|wrote] a letter for {s}. [Where to?|Which town is right?|To which place?]",
                "{S} goes home [now|in the evening|after work]. [Where to?|To which town?|Where is that?]",
                "To what place does {s} go home?",
                "In what town can I visit {s}?",
                "If I am looking for {s}, where do I go?",
                "Where should I search to find {s}?",
                "What town does one call {p} home?",
                "Name the place where {s} lives.",
            ),
            (
                "Name {p} town.",
                "If I want to visit {s}, which town do I go to?",
                "What place does {s} call home?",
                "In what town can one find the house of {s}?",
                "I am looking for {s}. What town should I search?",
            ),
            "{S} lives in {v}.",
            (
                "Where [does {s} live|is {s} living|is {s} at home|does {s} come from|does {s} sleep at night|is {p} [home|house|door]]?",
                "[Which|What] town [does {s} live in|is {s} from|does {s} come from|is {p} home|has {p} house]?",
                "In [which|what] town [does {s} live|is {p} house|is {s} at home]?",
                "What place does {s} come home to?",
                "Where [can|could] I [find|meet|visit] {o}?",
            ),
            ("In what place is {p} house?", "And the town, where is {s} from?", "Which town is home for {o}?"),
            (
                "Why [does {s} live|did {s} go to live|does {s} stay|did {s} buy a house|is {p} home] in {v}?",
                "How long has {s} [lived|been living|had a house|been at home] in {v}?",
                "Does {s} like [{p_} home|{p_} house|{p_} street|living|to live] in {v}?",
                "When did {s} [move to|come to live in|find a house in|build a house in] {v}?",
                "What does {s} like about {v}, {p_} home?",
                "Did {s} choose {v} as {p_} town?",
                "How did {s} settle in {v}?",
                "How [big|old|nice|warm] is {p} [house|home] in {v}?",
                "Is {p} [house|home] in {v} [big|old|small|warm|nice]?",
                "Who [lives with|lives next to|visits] {s} at home in {v}?",
                "Is {s} happy [in {p_} house|at home|to live] in {v}?",
            ),
            ("Since when is {p} house in {v}?", "What made {s} choose {v} as a home?", "When did {s} settle down in {v}?"),
            clauses=(
                "where {s} [lives|comes from|is at home|is living|has a house]",
                "where {p} [home|house] is",
                "[which|what] town {s} [lives in|comes from]",
                "in which [town|place] {s} lives",
            ),
            nouns=("{p} [home|home town|place to live|village or town]",),
        ),
        Attribute(
            "job",
            (
                "{S} is {a}.",
                "{S} works as {a}.",
                "{P} job is to be {a}.",
                "{S} earns money as {a}.",
                "By trade, {s} is {a}.",
                "{P} trade is to be {a}.",
                "{S} is employed as {a}.",
            ),
            ("One {v} in this world is {s}.", "A {v} named {s} lives here.", "The work of a {v} is done by {s}."),
            (
                "What is {p} [job|trade|work|profession|occupation|daily work|task in life]?",
                "What is the [job|trade|work|profession|occupation] of {s}?",
                "What does {s} do[| for work| for a living| for money| all day| every day| at work| during the week| to earn money| as a job]?",
                "[What|Which] work does {s} do[| each day| for money]?",
                "What kind of work [has {s} got|does {s} do|is {p} daily work]?",
                "As what does {s} work[| each day| every day| in town]?",
                "In [which|what] [job|trade|profession] does {s} work?",
                "How does {s} [earn coins|make money|get coins|make a living|pay for bread]?",
                "Is {s} [employed|at work|a worker]? As what?",
                "What is {s} by [trade|profession]?",
                "[What|Which trade|Which job] did {s} learn?",
                "{S} goes to work [now|in the morning|every day]. [To do what?|As what?|What is the job?]",
                "Name {p} job.",
                "A worker, yes, but what is {p} job?",
                "I like to know {p} trade.",
            ),
            (
                "Name {p} trade.",
                "How does {s} earn money each day?",
                "What kind of worker is {s}?",
                "As what is {s} employed?",
                "I would like to know what job {s} has.",
            ),
            "{S} is {a}.",
            (
                "What is {p} [job|trade|work|profession|occupation|daily work]?",
                "What does {s} do[| for work| for a living| for money| all day| at work]?",
                "[What|Which] work does {s} do?",
                "As what does {s} [work|earn money|go to work]?",
                "How does {s} [earn coins|make money|pay for bread]?",
                "[What|Which trade] did {s} learn?",
            ),
            ("How does {s} earn a living?", "And {p} trade, what is it?", "What kind of job has {s} got?"),
            (
                "How long has {s} [been|worked as|earned money as] {a}?",
                "Why did {s} [become|want to be|choose to be] {a}?",
                "Does {s} [like|love|enjoy] [being|working as|{p_} work as] {a}?",
                "When did {s} [start as|begin as|become] {a}?",
                "Is it [fun|nice|easy|boring] for {s} to be {a}?",
                "Who taught {s} to work as {a}?",
                "Is {s} a [good|kind|famous|busy|happy|careful] {v}?",
                "Where does {s} work as {a}?",
                "How [early|late|often] does {s} work as {a}?",
                "What does {s} [like|not like] about being {a}?",
                "Was {s} always {a}?",
            ),
            ("When did {s} start to work as {a}?", "Who taught {s} to be a good {v}?", "Is it hard for {s} to be {a}?"),
            clauses=(
                "what {s} [does|does for a living|does for work|does all day|works as|is by trade]",
                "what {p} [job|trade|work|profession|occupation] is",
                "which work {s} does",
                "as what {s} works",
                "how {s} [earns coins|makes money|makes a living]",
            ),
            nouns=("{p} [job|work|profession|occupation|daily work]",),
        ),
        Attribute(
            "pet",
            (
                "{S} has {a}.",
                "{S} keeps {a} as a pet.",
                "{P} pet is {a}.",
                "At home {s} has {a}.",
                "{S} looks after {a}.",
                "{S} feeds {a} every day.",
                "{S} owns {a}.",
                "{S} shares a home with {a}.",
            ),
            ("There is {a} in the house of {s}.", "The owner of one {v} is {s}."),
            (
                "[What|Which] [pet|animal|creature] does {s} [have|keep|own|feed|look after|care for|love]?",
                "What [kind|sort] of [pet|animal] does {s} [have|own|keep|feed|look after]?",
                "What [kind|sort] of pet has {s} got?",
                "Does {s} [have|own|keep] [a pet|an animal]?[| Which one?| What kind?]",
                "What is [{p} pet|the pet of {s}|the animal of {s}]?",
                "Which animal [waits|sleeps|plays|eats|runs around] at {p} [home|house]?",
                "Is there [an animal|a pet] [at {p} house|in the house of {s}]?[| Which one?]",
                "With [what|which] [animal|pet] does {s} [share the house|live|play|go out]?",
                "Which animal [plays with|runs after|greets|sits beside] {s}?",
                "{S} [bought food|made a bed|cares] for [a pet|an animal]. [Which one?|What kind?]",
                "What animal belongs to the house of {s}?",
                "Name {p} pet.",
                "What does {s} feed at home, which animal?",
            ),
            (
                "Name {p} animal.",
                "What animal would I meet at the house of {s}?",
                "Which creature shares a home with {s}?",
                "{S} feeds an animal every morning. What is it?",
                "What sort of animal belongs to {s}?",
            ),
            "{S} has {a}.",
            (
                "[What|Which] [pet|animal|creature] does {s} [have|keep|own|feed|look after|care for]?",
                "What [kind|sort] of [pet|animal] does {s} [have|own|keep|feed]?",
                "What [animal|kind of pet] has {s} got?",
                "Does {s} [have|own|keep] [a pet|an animal]?[| Which one?]",
                "Which animal [waits|sleeps|plays] at {p} [home|house]?",
                "Is there an animal at {p} house?",
            ),
            ("Which animal is {p} pet?", "And the pet, what is it?", "What animal lives with {o}?"),
            (
                "What does {p} {v} [eat|drink|do all day|like best]?",
                "How [old|big|fast|heavy|clever] is {p} {v}?",
                "Where does {p} {v} [sleep|play|hide|eat]?",
                "Where did {s} [find|get|meet|choose] the {v}?",
                "Is {p} {v} [old|young|small|lazy|clever|hungry]?",
                "Who [feeds|washes|looks after|plays with] {p} {v}?",
                "Did {s} buy the {v} in town?",
                "Why did {s} [get|want|choose] {a}?",
                "How long has {s} [had|kept|looked after] {a}?",
                "Does {p} {v} like [children|rain|people|cold days]?",
            ),
            ("When did {s} buy the {v}?", "Is {p} {v} a friendly one?", "How big is the {v} {s} has?"),
            clauses=(
                "[what|which] [pet|animal|kind of pet|kind of animal|creature] {s} [has|keeps|owns|feeds|looks after]",
                "what {p} pet is",
                "what kind of pet {s} has got",
                "which animal is at {p} house",
            ),
            nouns=("{p} [pet|animal at home|house pet]",),
        ),
        Attribute(
            "pet_name",
            (
                "{P} pet is called {v}.",
                "{S} named the pet {v}.",
                "{S} calls the pet {v}.",
                "The name of {p} pet is {v}.",
                "{S} shouts {v} to call the pet.",
                "{P} pet has the name {v}.",
                "The name {v} belongs to {p} pet.",
                "{S} gave the pet the name {v}.",
                "{P} pet comes when {s} calls {v}.",
            ),
            ("{v} is the pet of {s}.", "{v} belongs to {s}.", "A pet called {v} lives with {s}."),
            (
                "What is [the name of {p} pet|{p} pet called|the pet of {s} called|the name of the pet of {s}|the name of the animal of {s}]?",
                "What does {s} [call the pet|call {p_} pet|shout to call the pet|shout when the pet runs off]?",
                "How [does {s} call the pet|is {p} pet called|is {p} pet named]?",
                "[What|Which] name [does {p} pet have|did {p} pet get|belongs to {p} pet|is right for {p} pet]?",
                "Under which name [is {p} pet known|do people know {p} pet]?",
                "If I [see|meet|find] {p} pet, [what|which name] do I [call|say|shout]?",
                "{P} pet [ran away|is lost|is here]. [What is its name?|What is it called?|Which name do I call?]",
                "Do you know {p} pet? [What is its name?|What is it called?]",
                "What name did {s} choose for [the|{p_}] pet?",
                "I forgot the name of {p} pet.",
                "To which name will {p} pet come?",
                "Name {p} pet by name.",
                "Which name has {p} pet got? Help me.",
                "Does {p} pet listen to a name? Which?",
            ),
            (
                "Which name did {s} give the pet?",
                "Name the pet that {s} owns.",
                "If {s} shouts for the pet, which name does one hear?",
                "To what name does {p} pet listen?",
                "I forgot how {p} pet is named. Can you help?",
            ),
            "{P} pet is called {v}.",
            (
                "What is [the name of {p} pet|{p} pet called|the pet called|the pet's name]?",
                "What does {s} [call the pet|shout to call the pet]?",
                "How [is the pet named|does {s} call the pet]?",
                "[What|Which] name did [the|{p}] pet get?",
                "What name did {s} choose for [the|{p_}] pet?",
            ),
            ("And how is {p} pet named?", "Which name has {p} pet got?"),
            clauses=(
                "what {p} pet is called",
                "what the name of {p} pet is",
                "[what|which] name {p} pet [has|got]",
                "what {s} calls the pet",
                "how {s} calls the pet",
            ),
            nouns=("[the name of {p} pet|the name {s} calls the pet|{p} pet's name|the name of {p} animal]",),
        ),
        Attribute(
            "food",
            (
                "{S} likes to eat {v}.",
                "{P} favourite food is {v}.",
                "{S} loves {v}.",
                "For dinner {s} often has {v}.",
                "{S} could eat {v} every day.",
                "{P} favourite meal is {v}.",
                "The dish dearest to {o} is {v}.",
                "{S} is making {v} for dinner.",
            ),
            ("{V} is what {s} likes best to eat.", "No food is better than {v} for {s}."),
            (
                "What is {p} [favourite [food|dish|meal|dinner|thing to eat]|best meal]?",
                "What is the [favourite food|favourite dish|favourite meal|best meal] [of|for] {s}?",
                "[What|Which] [food|dish|meal] does {s} [love|like|like best|like most|prefer|enjoy most|ask for]?",
                "What does {s} [like to eat|love to eat|like best to eat|enjoy eating|want for dinner|ask for at dinner|eat with joy]?",
                "[What|Which] [food|dish|meal] would {s} choose[| first| for dinner]?",
                "What would {s} like [on a plate|for dinner|to eat today]?",
                "What [can|may|do] I [serve|offer|give] {s} [for dinner|for lunch|to eat]?",
                "What tastes [best|good|better than all else] to {s}?",
                "{S} is hungry. What [would be best|does {s} like|is the right food]?",
                "What should one cook to make {s} happy?",
                "Name {p} favourite dish.",
                "What does {s} gladly have for dinner?",
            ),
            (
                "Name {p} best-loved dish.",
                "What should I cook if {s} comes for dinner?",
                "Which meal makes {s} most happy?",
                "What would {s} gladly eat each day?",
                "I am making dinner for {s}. What should be on the plate?",
            ),
            "{P} favourite food is {v}.",
            (
                "What is {p} favourite [food|dish|meal|thing to eat]?",
                "[What|Which] [food|dish|meal] does {s} [love|like best|like most|prefer|choose|ask for]?",
                "What does {s} [like to eat|love to eat|want for dinner|like best to eat|enjoy eating]?",
                "What dish is dear to {o}?",
                "What tastes [best|good] to {o}?",
                "What [can|may] I [serve|offer|give] {o} [for dinner|to eat]?",
            ),
            ("What meal is dear to {o}?", "And what would {s} gladly eat?", "What should I cook for {o}?"),
            (
                "Why does {s} [love|like|prefer] {v} so much?",
                "Where does {s} [buy|find|get] {v}, {p} favourite food?",
                "Who [cooks|makes|buys|brings] {v} for {s}, {p_} favourite [food|dish]?",
                "Did {s} always choose {v} as {p_} favourite food?",
                "When did {s} first [taste|eat|try] {v}, {p_} favourite food?",
                "Is {v} really {p} favourite [meal|food|dish]?",
                "Why is {v} {p} favourite [meal|food|dish]?",
                "How long has {v} been {p} favourite [food|dish|meal]?",
                "How often does {s} eat {v}, {p_} favourite [food|dish]?",
                "Does {s} know how to make {v}, {p_} favourite [food|dish|meal]?",
            ),
            (
                "Since when is {v} the food {s} likes best?",
                "Where did {s} first taste {v}, the best food for {s}?",
                "What makes {v} {p} favourite meal?",
            ),
            clauses=(
                "what {s} [likes to eat|loves to eat|likes best to eat|wants for dinner|enjoys eating]",
                "[which|what] [food|dish|meal] {s} [loves|likes best|prefers|likes most]",
                "what {p} favourite [food|dish|meal] is",
                "what tastes best to {o}",
            ),
            nouns=("{p} favourite [food|dish|meal|thing to eat]",),
        ),
        Attribute(
            "colour",
            (
                "{P} favourite colour is {v}.",
                "{S} likes the colour {v}.",
                "{S} often wears {v}.",
                "{P} door is painted {v}, the colour {s} likes best.",
                "The colour {v} pleases {o} most.",
                "{S} buys only {v} scarves.",
            ),
            ("{V} is {p} favourite colour.", "The colour {v} is loved by {s}."),
            (
                "What is {p} [favourite|best|dearest|chosen] colour?",
                "What is the [favourite|best] colour [of|for] {s}?",
                "[Which|What] colour does {s} [like|like best|love|prefer|like most|wear|enjoy|want]?",
                "[Which|What] colour [is dear to|looks best to|is best for|makes a good gift for] {s}?",
                "Which colour pleases {s}?",
                "[Which|What] colour [should|could|can] I [pick|take|buy|knit|paint] for {s}?",
                "[Which|What] colour [are {p} clothes|is {p} coat|has {p} best shirt]?",
                "Of all colours, what does {s} [choose|like best|love|prefer]?",
                "If {s} [may pick|can have|wants] one colour, which is it?",
                "If {s} paints a door, which colour is it?",
                "Is it red or blue or another colour that {s} [likes best|loves|prefers]?",
                "Name {p} favourite colour.",
                "Which colour does {s} choose for a scarf?",
            ),
            (
                "Name the colour dear to {s}.",
                "If {s} buys a scarf, what colour will it be?",
                "Which colour would {s} paint the door?",
                "Of all colours, which one pleases {s} most?",
                "I want to knit a hat for {s}. Which colour is best?",
            ),
            "{P} favourite colour is {v}.",
            (
                "What is {p} [favourite|best|dearest] colour?",
                "[Which|What] colour does {s} [like|like best|love|prefer|like most|wear|want]?",
                "[Which|What] colour [is dear to|looks best to|is best for] {o}?",
                "Which colour pleases {o}?",
                "[Which|What] colour are {p} clothes?",
            ),
            ("What colour pleases {o} most?", "And the colour dear to {o}?", "Which colour would {s} choose?"),
            (
                "Why is {v} {p} [favourite|best] colour?",
                "Since when does {s} [like the colour {v} best|prefer the colour {v}]?",
                "How come {s} chose {v} as favourite colour?",
                "Is {v} the colour dearest to {s}?",
                "How long has {v} been {p} favourite colour?",
                "Was {v} always {p} favourite colour?",
                "Does {s} [wear|buy|see|paint with] {v}, {p_} favourite colour, [often|every day|on Sundays]?",
                "What does {s} [have|own|paint] in {v}, {p_} favourite colour?",
                "Who else likes {v}, {p} [favourite|best|dearest] colour?",
                "What is [nice|special|good] about {v}, {p} favourite colour?",
                "[Since when|For how long|For what reason] does {s} like {v} [best|more than other colours], {p_} favourite colour?",
            ),
            ("How did {v} become the colour {s} likes most?", "What is so nice about {v}, {p} dearest colour?"),
            clauses=(
                "[which|what] colour {s} [likes|loves|likes best|likes most|prefers|wears]",
                "what {p} [favourite|best] colour is",
                "which colour is [dear to|best for] {o}",
            ),
            nouns=("{p} [favourite|best|dearest] colour",),
        ),
        Attribute(
            "hobby",
            (
                "{P} hobby is {v}.",
                "{S} enjoys {v}.",
                "In the free hours {s} likes {v} best.",
                "On Sundays {s} has time for {v}.",
                "{P} favourite pastime is {v}.",
                "For fun {s} chooses {v}.",
            ),
            ("{V} is {p} hobby.", "{V} makes {s} happy."),
            (
                "What is {p} [hobby|pastime|favourite pastime|favourite hobby|free time joy]?",
                "What is the [hobby|pastime|favourite pastime] of {s}?",
                "What does {s} [enjoy|like to do|love to do|do] [in the free hours|in the evening|on Sundays|when work is done|on holidays]?",
                "What does {s} [enjoy|enjoy most|like doing|love doing]?",
                "[Which|What] [hobby|pastime] does {s} [have|enjoy|like|love|choose|prefer]?",
                "How does {s} [spend Sundays|fill the free hours|pass the time|relax|have fun|like to spend a day off]?",
                "What [keeps {s} happy|brings {s} joy|is fun for {s}] [in the evening|on free days|after work|when there is time]?",
                "{S} has [free time|no work today|a holiday]. What [comes now|happens then|will {s} do]?",
                "What does {s} do for fun in the afternoon?",
                "Which hobby keeps {s} happy?",
                "What does {s} choose to do after work?",
                "Name {p} hobby.",
            ),
            (
                "How does {s} spend a free afternoon?",
                "Name {p} pastime.",
                "What does {s} do just for fun?",
                "After work, which hobby keeps {s} busy?",
                "What would {s} like to do on a day off?",
            ),
            "{P} hobby is {v}.",
            (
                "What is {p} [hobby|pastime|favourite pastime|favourite hobby]?",
                "What does {s} [enjoy|like to do|love to do|do] [|in the free hours|in the evening|on Sundays|when work is done]?",
                "[Which|What] [hobby|pastime] does {s} [have|enjoy|like|love]?",
                "How does {s} [spend Sundays|pass the time|relax|have fun]?",
                "What is fun for {o}?",
            ),
            ("What does {s} do for fun?", "And which pastime has {s} got?"),
            (
                "Who taught {s} {p_} [hobby|pastime], {v}?",
                "How long has {v} been {p} [hobby|pastime]?",
                "When did {s} [start with|begin with|first try] {v}, {p_} hobby?",
                "Did {s} choose {v} as a pastime?",
                "How did {s} pick {v} as {p_} hobby?",
                "Why is {v} {p} [hobby|pastime|favourite pastime]?",
                "Where does {s} go for {v}, {p_} [hobby|pastime]?",
                "How often does {s} find time for {v}, {p_} hobby?",
                "With whom does {s} share {p_} [hobby|pastime], {v}?",
                "Is {s} good at {v}, {p_} [hobby|pastime]?",
                "What is [nice|special|hard|fun] about {v}, {p} [hobby|pastime]?",
                "[Since when|For how long|For what reason] is {v} {p} [hobby|pastime|favourite pastime]?",
                "Does {s} [still|really|always] enjoy {v}, {p_} [hobby|pastime]?",
            ),
            ("When did {s} choose {v} as a hobby?", "Why did {s} pick {v} for a pastime?"),
            clauses=(
                "what {s} [enjoys|likes to do|does in the free hours|does on Sundays|loves doing|does in {p_} free time]",
                "what {p} [hobby|pastime] is",
                "[which|what] [hobby|pastime] {s} [has|enjoys|likes|loves]",
                "how {s} [passes the time|relaxes|has fun]",
            ),
            nouns=("{p} [hobby|favourite pastime|favourite hobby]",),
        ),
        Attribute(
            "birthday",
            (
                "{P} birthday is on {v}.",
                "{S} was born on {v}.",
                "Every year on {v} {s} has a birthday.",
                "{P} date of birth is {v}.",
                "{S} celebrates on {v}.",
                "{P} big day is {v}.",
                "The date {v} is special for {s}.",
                "Friends sing for {s} on {v}.",
            ),
            ("{v} is {p} birthday.", "On {v} people bring a cake to {s}."),
            (
                "When is [{p} [birthday|big day]|the birthday of {s}]?",
                "When was {s} born?",
                "On [which|what] day [is {p} birthday|was {s} born|does {s} have a birthday|do we celebrate {s}]?",
                "On which date [was {s} born|is {p} birthday|does {s} have a birthday]?",
                "Which [day|date] is [{p} birthday|the birthday of {s}]?",
                "What is {p} [birthday|date of birth|day of birth]?",
                "What is the date of {p} birthday?",
                "When does {s} [have a birthday|become a year older|celebrate|get presents|eat birthday cake|blow out candles]?",
                "When [should|can|do] I [give {s} a present|sing for {s}|say happy birthday to {s}|bring a gift to {s}]?",
                "[Which|What] day of the year [belongs to|is special for] {s}?",
                "In which month and on which day [was {s} born|is {p} birthday]?",
                "When do we celebrate with {s}?",
                "When do I send {s} a card?",
                "Name {p} birthday.",
                "When do I bring a cake to {s}?",
            ),
            (
                "On what date should I bring {s} a birthday cake?",
                "Name the date on which {s} was born.",
                "Which date does {s} celebrate each year?",
                "When do I have to send {s} a birthday card?",
                "What date is the big day of {s}, the birthday?",
            ),
            "{P} birthday is {v}.",
            (
                "When is {p} [birthday|big day]?",
                "When was {s} born?",
                "On [which|what] day [is {p} birthday|was {s} born|does {s} have a birthday]?",
                "On which date was {s} born?",
                "Which [day|date] is {p} birthday?",
                "What is {p} [birthday|date of birth|day of birth]?",
                "When does {s} [have a birthday|become a year older|get presents|celebrate]?",
            ),
            ("What date is {p} birthday?", "On what date was {s} born?"),
            clauses=(
                "when {p} [birthday|big day] is",
                "when {s} [was born|has a birthday|celebrates|gets presents]",
                "on which [day|date] {s} [was born|has a birthday]",
                "what {p} [birthday|date of birth] is",
                "which day {p} birthday is",
            ),
            nouns=("{p} [birthday|date of birth|day of birth]",),
        ),
        Attribute(
            "age",
            (
                "{S} is {v} years old.",
                "{P} age is {v}.",
                "{S} has lived for {v} years.",
                "{S} is now {v} years old.",
                "{S} turned {v} this year.",
                "There are {v} candles on {p} cake.",
                "{P} age in numbers is {v}.",
                "{S} has seen {v} summers.",
            ),
            ("At the age of {v}, {s} is happy.", "{v} years is the age of {s}."),
            (
                "How old is {s}[| now| today| this year| by now| exactly]?",
                "What is [{p} age[| now| today]|the age of {s}]?",
                "What age [is|has] {s}[| now| today]?",
                "How many years [old is {s}|has {s} got]?",
                "How many [birthdays|summers|winters] has {s} [had|seen]?",
                "How many candles [go|are|stand|belong] on {p} [|birthday] cake?",
                "Is {s} [old or young|young|old]? How old?",
                "[In years, how|How] old is {s}[| at last count]?",
                "{S} has a birthday. How old is {s} [now|today]?",
                "What number is {p} age?",
                "Name the age of {s}.",
            ),
            (
                "How many years has {s} lived?",
                "Name {p} age.",
                "What number of candles belongs on a cake for {s}?",
                "I wonder about {p} age. How many years is it?",
                "How many years old would you say {s} is?",
            ),
            "{S} is {v} years old.",
            (
                "How old is {s}[| now| today| this year| by now]?",
                "What is {p} age[| now| today]?",
                "How many years old is {s}?",
                "What age [is|has] {s}?",
                "In years, what is {p} age?",
                "How many [birthdays|summers|winters] has {s} [had|seen]?",
                "Is {s} [old or young|young|old]? How old?",
            ),
            ("And {p} age in years?", "How many years has {s} lived?"),
            clauses=(
                "how old {s} is[| now| today| this year]",
                "what age {s} [is|has]",
                "what {p} age is",
                "how many candles are on {p} cake",
                "how many [birthdays|summers|winters] {s} has [had|seen]",
            ),
            nouns=("[{p} age|{p} exact age|{p} age today|the number of {p} years]",),
        ),
        Attribute(
            "friend",
            (
                "{P} best friend is {v}.",
                "{S} spends a lot of time with {v}, {p_} best friend.",
                "{S} trusts {v} like no other.",
                "{S} and {v} are best friends.",
                "{P} closest friend is {v}.",
                "{P} dearest friend is {v}.",
                "Nobody knows {s} better than {v}.",
                "{S} tells {v} every secret.",
                "{S} likes {v} best of all friends.",
            ),
            ("{v} is a good friend of {s}.", "If {v} calls, {s} comes at once."),
            (
                "Who is {p} [best|dearest|favourite|truest] friend?",
                "Who is the [best|dearest|closest] friend of {s}?",
                "[Which|What] friend does {s} [like most|like best|love most|prefer|trust|visit first]?",
                "Whom does {s} [trust|like best|like most|visit first|call a best friend|love as a friend]?",
                "With whom does {s} [like to spend a day|play|talk about everything|share secrets|go for walks|laugh most]?",
                "Who [knows|understands|helps] {s} best?",
                "Who [plays|laughs|walks|talks] with {s} [every day|all the time|again and again]?",
                "If {s} [needs a friend|is sad|has a party], [who comes|who comes first|whom does {s} ask]?",
                "{S} has many friends. Who is [the best one|the dearest one|number one]?",
                "Who is dearest to {s} as a friend?",
                "Which person does {s} call first?",
                "Name {p} best friend.",
                "Whom does {s} like more than anyone?",
            ),
            (
                "Name {p} closest friend.",
                "Whom does {s} trust more than anyone?",
                "With whom does {s} spend the most time?",
                "Who would {s} call first with good news?",
                "Which person is dearest to {s}?",
            ),
            "{P} best friend is {v}.",
            (
                "Who is {p} [best|dearest|favourite|truest] friend?",
                "Whom does {s} [trust|like best|like most|visit first|call a best friend]?",
                "[Which|What] friend does {s} [like most|like best|prefer]?",
                "Who is closest to {o}?",
                "With whom does {s} [play|share secrets|talk about everything]?",
                "Who [knows|understands|helps] {o} best?",
            ),
            ("And whom does {s} trust most?", "Who is {p} closest friend?"),
            (
                "How did {s} meet {v}, {p_} best friend?",
                "Why is {v} the [best|closest|dearest] friend of {s}?",
                "When did {s} become a friend of {v}, {p_} best friend?",
                "Where did {s} first [see|meet|talk to] {v}, {p_} [best|closest] friend?",
                "How long has {v} been {p} [best|closest|dearest] friend?",
                "Does {s} [like|trust|visit|see] {v}, {p_} best friend, [every day|very much|often]?",
                "What does {s} do with {v}, {p_} [best|closest|dearest] friend?",
                "What does {s} like about {v}, {p_} best friend?",
            ),
            ("Since when is {v} {p} best friend?", "Where did {s} become best friends with {v}?"),
            clauses=(
                "who {p} [best|dearest|truest|favourite] friend is",
                "whom {s} [trusts|likes best|likes most|visits first|calls a best friend]",
                "[which|what] friend {s} [likes most|likes best|prefers]",
                "with whom {s} [plays|shares secrets|talks about everything]",
            ),
            nouns=("{p} [best|dearest|truest|favourite] friend",),
        ),
    )
}

THING = {
    attribute.name: attribute
    for attribute in (
        Attribute(
            "landmark",
            (
                "{s} has a famous {v}.",
                "In {s} there is an old {v}.",
                "Visitors come to {s} to see the {v}.",
                "The {v} of {s} is well known.",
                "People know {s} for the {v}.",
                "The landmark of {s} is the {v}.",
                "{s} is proud of the old {v}.",
                "Guests in {s} go to see the {v}.",
            ),
            ("A famous {v} stands in {s}.", "The best {v} to visit is in {s}."),
            (
                "What is {s} [known for|famous for|proud of|best known for]?",
                "What [can|may|could|must] I [see|visit|admire] in {s}?",
                "What is the [famous|great|main|best known] [sight|thing to see|thing to visit] in {s}?",
                "What [is there to see|is worth a visit|famous thing stands|is worth seeing] in {s}?",
                "Which [sight|famous sight|famous thing|landmark] [is|stands|can I see] in {s}?",
                "What do [people|guests|travellers|tourists] [come|travel|go] to {s} for?",
                "Why do [visitors|people|guests|travellers] [come|travel|go] to {s}?",
                "What should [visitors|guests|travellers|people] see in {s}?",
                "[I go|I travel|We come|My trip goes] to {s}. [What is there?|What is there to see?|What is famous there?]",
                "What is {p} [landmark|famous sight|pride]?",
                "Name something to see in {s}.",
                "Which sight is in {s}?",
            ),
            ("What do visitors look at in {s}?", "Name the sight of {s}.", "I have one hour in {s}. What should I see?"),
            "{s} has a famous {v}.",
            clauses=(
                "what {s} is [known|famous|best known] for",
                "what [one can see|there is to see|I can see|visitors see|people visit] in {s}",
                "which [sight|landmark] is in {s}",
                "why visitors come to {s}",
            ),
            nouns=("the [famous sight|best known sight|main sight|landmark|famous thing] in {s}",),
        ),
        Attribute(
            "market_day",
            (
                "Market day in {s} is {v}.",
                "The market of {s} is held on {v}.",
                "Every {v} there is a market in {s}.",
                "Traders come to {s} every {v}.",
                "The market in {s} opens on {v}.",
                "{s} holds its market on {v}.",
                "The week in {s} has one market day, {v}.",
            ),
            ("On {v} people go to the market in {s}.", "{v} is market day in {s}."),
            (
                "When is [market day in {s}|the market in {s}|there a market in {s}|{p} market day]?",
                "[On which|On what|Which|What] day is [market day in {s}|there a market in {s}|{p} market day]?",
                "On which day is the market in {s}?",
                "What day do traders [come to|sell things in|bring goods to] {s}?",
                "On which day do [people|farmers|families] [go to the market|sell apples|buy and sell] in {s}?",
                "Which day of the week is market day in {s}?",
                "When [can|could] I [go to the market|buy at the market|see the market] in {s}?",
                "When does {s} [hold its market|have its market|have market day]?",
                "I like the market in {s}. [Which day is right?|On which day?|When is it?]",
                "Name the day of the market in {s}.",
                "When should I visit {s} for the market?",
            ),
            ("What day should I visit the market of {s}?", "Name the market day of {s}.", "When do traders meet in {s}?"),
            "Market day in {s} is {v}.",
            clauses=(
                "when [market day is|the market is|there is a market|the market opens its stands] in {s}",
                "when {s} has [its market|market day]",
                "on which day [the market is|people go to the market|farmers sell apples] in {s}",
                "which day is market day in {s}",
            ),
            nouns=("[the market day in {s}|the day of the market in {s}|{p} market day|market day in {s}]",),
        ),
        Attribute(
            "goods",
            (
                "{s} makes {v}.",
                "The people of {s} make {v}.",
                "Buyers get {v} from {s}.",
                "{s} sells {v} to other towns.",
                "Workers in {s} make {v}.",
                "{s} is known for making {v}.",
                "The main product of {s} is {v}.",
                "The {v} from {s} can be bought in many towns.",
            ),
            ("If you need {v}, go to {s}.", "The town that makes {v} is {s}."),
            (
                "What does {s} [make|sell|produce|offer|send to other towns|bring to the market]?",
                "What do [people|workers|the workers|families] in {s} [make|produce|sell|make with their hands]?",
                "What does the town of {s} [make|sell|produce]?",
                "[What|Which] [goods|things|wares|products] does {s} [make|sell|produce]?",
                "[What|Which product|What product|Which thing] comes from {s}?",
                "What is made in {s}?",
                "What [do buyers get|can I buy|do other towns buy] from {s}?",
                "The people of {s} [work all day|are busy|have skill]. What do they make?",
                "What is {p} [product|craft|main product|best product]?",
                "What goods does {s} make?",
                "Which product comes from {s}?",
                "What is produced by the people of {s}?",
            ),
            ("Which goods come out of {s}?", "Name the product of {s}.", "What is produced in {s}?"),
            "{s} makes {v}.",
            clauses=(
                "what {s} [makes|sells|produces|sends to other towns]",
                "what [people|workers|families] in {s} [make|produce|sell]",
                "[what|which] [goods|wares|things] {s} [makes|sells]",
                "what comes from {s}",
            ),
            nouns=("[the [main product|craft|best product] of {s}|{p} [product|main product|craft]]",),
        ),
        Attribute(
            "material",
            (
                "A {s} is made of {v} here.",
                "In this world a {s} is made of {v}.",
                "People make a {s} out of {v}.",
                "The material of a {s} is {v}.",
                "You need {v} to make a {s}.",
                "Every {s} is made from {v}.",
                "A good {s} is made out of {v}.",
            ),
            ("{V} is used to make a {s}.",),
            (
                "What is a {s} made [of|from|out of]?",
                "What [do|must|should|would] [people|we|I|you] [use|take|need] to [make|build] a {s}?",
                "[Which|What] material [makes|is used for|is needed for|is right for|is in] a {s}?",
                "[From|Of|Out of] what do [people|we|you|workers] make a {s}?",
                "From what does one make a {s}?",
                "If I [make|build|want to make] a {s}, what do I [use|need|take]?",
                "I want to make a {s}. [What do I need?|Which material is right?|What do I use?]",
                "What [goes into|do people use for] a {s}?",
                "Of which material is a {s}?",
                "Out of which material can I build a {s}?",
            ),
            ("From which material does one build a {s}?", "Name the material of a {s}.", "Out of what is a {s} made?"),
            "A {s} is made of {v}.",
            clauses=(
                "what a {s} is made [of|from|out of]",
                "which material [a {s} is made of|is used for a {s}|makes a {s}]",
                "what [people|we|workers] use to make a {s}",
                "what [one|I] needs for a {s}",
            ),
            nouns=("the [material|right material|usual material] [of|for|in] a {s}",),
        ),
        Attribute(
            "shop_town",
            (
                "{S} is a shop in {v}.",
                "You can find {s} in {v}.",
                "{S} stands in the middle of {v}.",
                "{S} is in {v}.",
                "People in {v} go to {s}.",
                "The town of {s} is {v}.",
                "The door of {s} is in {v}.",
            ),
            ("In {v} there is a shop called {s}.", "{v} has a shop called {s}."),
            (
                "Where [is|can I find|do I find|would I find|could I visit|do people find] {s}?",
                "In [which|what] town [is|can I find|do I find|can I visit] {s}?",
                "[Which|What] town is {s} in?",
                "To which town do I go for {s}?",
                "Where do I go to [see|visit|shop at|buy things at] {s}?",
                "Where [does {s} stand|must I look for {s}|is the door of {s}]?",
                "[How|Where] do I get to {s}? [In which town is it?|Which town is it?]",
                "I [look for|cannot find|want to see] {s}. [Where is it?|Which town is it in?|In which town is it?]",
                "Name the town of {s}.",
                "I travel to {s}. Which town is it in?",
            ),
            ("To which town must I travel for {s}?", "Name the town with {s}.", "What town has {s}?"),
            "{S} is in {v}.",
            clauses=(
                "where {s} [is|stands|can be found]",
                "where [to find|I can find|people find] {s}",
                "in [which|what] town {s} [is|stands]",
                "which town {s} is in",
            ),
            nouns=("[the [town|place] of {s}|the town where {s} is|{p} [town|place]]",),
        ),
        Attribute(
            "keeper",
            (
                "{S} belongs to {v}.",
                "{v} runs {s}.",
                "The owner of {s} is {v}.",
                "{v} owns {s}.",
                "The keeper of {s} is {v}.",
                "In {s} you can meet {v}, the owner.",
                "{v} works at {s} and owns it.",
            ),
            ("The shop of {v} is {s}.",),
            (
                "Who [runs|owns|keeps|leads|manages|has] {s}?",
                "Who is the [owner|keeper|boss|head|master] of {s}?",
                "To whom does {s} belong?",
                "Whose is {s}?",
                "Which person [stands behind|owns|runs|keeps|leads] {s}?",
                "Who is [at the counter|in charge|the boss] of {s}?",
                "Who [sells things|works|says hello|takes the coins] [in|at] {s}?",
                "{S} [has an owner|is run by somebody]. [Who is it?|Who?|What is the name?]",
                "Who is {p} [owner|keeper|boss]?",
                "Name the owner of {s}.",
                "Who is at the counter of {s}?",
            ),
            ("Name the person behind {s}.", "Who stands behind the counter in {s}?", "Whose shop is {s}?"),
            "{v} runs {s}.",
            clauses=(
                "who [runs|owns|keeps|leads|manages] {s}",
                "who the [owner|keeper|boss] of {s} is",
                "to whom {s} belongs",
                "which person [owns|runs|keeps] {s}",
                "who is in charge of {s}",
            ),
            nouns=("[the [owner|keeper|boss|master] of {s}|{p} [owner|keeper|boss]]",),
        ),
        Attribute(
            "sells",
            (
                "{S} sells the best {v}.",
                "In {s} you can buy a {v}.",
                "{S} is a good place to buy a {v}.",
                "{S} offers {a}.",
                "{S} has {a} for sale.",
                "Buyers visit {s} for {a}.",
                "The thing to buy in {s} is {a}.",
                "You can get {a} at {s}.",
            ),
            ("To buy a {v}, go to {s}.",),
            (
                "What does {s} [sell|offer|have for sale|sell to people|put in the window]?",
                "What [can|could|do|may] I [buy|get|find] [in|at] {s}?",
                "What is [sold|for sale|on offer] [in|at] {s}?",
                "[Which|What] [thing|item|goods] does {s} [sell|offer]?",
                "[What|Which] item is sold by {s}?",
                "What do [people|buyers|guests] [buy|get|find] [in|at] {s}?",
                "{S} is a shop. [For what?|What does it sell?|What can I buy there?]",
                "I go [shopping at|into] {s}. [What is there?|What do they have?|What can I buy?]",
                "Which thing does {s} offer?",
                "Name what {s} sells.",
                "For what item do I go to {s}?",
            ),
            ("Which item would I bring home from {s}?", "Name the thing {s} offers.", "For what do people go to {s}?"),
            "{S} sells {a}.",
            clauses=(
                "what {s} [sells|offers|has for sale]",
                "what [I|one|people] can [buy|get|find] [in|at] {s}",
                "[which|what] [thing|item] {s} sells",
                "what is [sold|for sale] [in|at] {s}",
            ),
            nouns=("[the [thing|item] [{s} sells|sold by {s}|for sale in {s}]]",),
        ),
    )
}
ATTRIBUTES = PERSON | THING
WITH_PREMISE = tuple(name for name, attribute in PERSON.items() if attribute.premise)


def wanted(attribute: Attribute, rng: random.Random, pronoun: bool = False) -> str:
    """One of the many ways training asks for it, its slots still open: a plain question, or a request for what is wanted."""
    draw = rng.random()
    if draw < 0.5:
        return spin(rng.choice(attribute.again if pronoun else attribute.ask), rng)
    frame, phrases = (_FOR_CLAUSE, attribute.clauses) if draw < 0.75 else (_FOR_NOUN, attribute.nouns)
    return spin(rng.choice(frame).replace("X", rng.choice(phrases)), rng)


def with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


class _Slots(str):
    """A slot value that `{V}` may not touch; see `fill`."""


def fill(template: str, subject: str, possessive: str, value: str = "", his: str = "their", him: str = "") -> str:
    """Put subject and value into a template; `{V}` is the value with a capital."""
    return template.format(
        s=subject,
        S=subject[0].upper() + subject[1:],
        p=possessive,
        P=possessive[0].upper() + possessive[1:],
        o=him or subject,
        p_=his,
        v=value,
        V=value[:1].upper() + value[1:],
        a=with_article(value) if value else "",
    )


def say(template: str, fact: Fact, world: World, pronoun: bool = False) -> str:
    """A template about a fact of this world, by name or by pronoun."""
    person = world.person(fact.subject) if fact.attribute in PERSON else None
    return say_of(template, fact.subject, person, fact.value, pronoun)


def say_of(template: str, subject: str, person: Person | None, value: str, pronoun: bool = False) -> str:
    if person is None:
        return fill(template, subject, f"{subject}'s", value, "its")
    if pronoun:
        return fill(template, person.he, person.his, value, person.his, person.him)
    return fill(template, subject, f"{subject}'s", value, person.his)


def question(fact: Fact, world: World, rng: random.Random, pronoun: bool = False) -> str:
    """A training question about a fact of this world."""
    return _capital(say(wanted(ATTRIBUTES[fact.attribute], rng, pronoun), fact, world, pronoun))


def question_of(attribute: str, person: Person, rng: random.Random, pronoun: bool = False) -> str:
    """A training question about anybody."""
    return _capital(say_of(wanted(PERSON[attribute], rng, pronoun), person.name, person, "", pronoun))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
