"""How each attribute is said and asked: statements for the prose, questions for training, other questions held out.

Slots: {s} the subject inside a sentence, {S} at its start, {o} as an object ("her"), {p} and {P} the possessive
("Mira's", "her"), {p_} always "her" or "his", {v} and {V} the value, {a} the value with a or an. Statements, answers and
`again` (follow-up questions) also work with a pronoun in the slots. The held-out questions must share no six words in a
row with anything in training; a test holds that.
"""

from dataclasses import dataclass

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
                "Where does {s} live?",
                "What town is {s} from?",
                "Which town does {s} live in?",
                "Tell me where {s} lives.",
                "Where is {p} home?",
                "Name the place where {s} lives.",
                "To what place does {s} go home?",
                "In what town can I visit {s}?",
                "If I am looking for {s}, where do I go?",
                "Where should I search to find {s}?",
                "What town does one call {p} home?",
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
                "Where does {s} live?",
                "And which town does {s} live in?",
                "Where is {p} home?",
                "What place does {s} come home to?",
                "In what town is {p} house?",
            ),
            ("In what place is {p} house?", "And the town, where is {s} from?", "Which town is home for {o}?"),
            (
                "Why does {s} live in {v}?",
                "How long has {s} lived in {v}?",
                "Does {s} like {p_} home in {v}?",
                "When did {s} move to {v}?",
                "What does {s} like about {v}, {p_} home?",
                "Did {s} choose {v} as {p_} town?",
                "How did {s} settle in {v}?",
            ),
            ("Since when is {p} house in {v}?", "What made {s} choose {v} as a home?", "When did {s} settle down in {v}?"),
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
                "What is {p} job?",
                "What does {s} do?",
                "What does {s} do for a living?",
                "What work does {s} do?",
                "Tell me {p} job.",
                "What is {p} trade?",
                "As what does {s} work each day?",
                "Is {s} employed? As what?",
                "What kind of work has {s} got?",
                "Name {p} job.",
                "How does {s} earn coins?",
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
            ("What is {p} job?", "What does {s} do?", "And what work does {s} do?", "What is {p} trade?", "As what does {s} earn money?"),
            ("How does {s} earn a living?", "And {p} trade, what is it?", "What kind of job has {s} got?"),
            (
                "How long has {s} been {a}?",
                "Why did {s} become {a}?",
                "Does {s} like being {a}?",
                "When did {s} start as {a}?",
                "Is it fun for {s} to be {a}?",
                "Who taught {s} to work as {a}?",
                "Is {s} a good {v}?",
            ),
            ("When did {s} start to work as {a}?", "Who taught {s} to be a good {v}?", "Is it hard for {s} to be {a}?"),
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
                "What pet does {s} have?",
                "Which animal does {s} keep?",
                "What kind of pet does {s} own?",
                "Does {s} have a pet?",
                "Which creature does {s} feed?",
                "What animal belongs to the house of {s}?",
                "What sort of pet has {s} got?",
                "Name {p} pet.",
                "With what animal does {s} share the house?",
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
                "What pet does {s} have?",
                "Does {s} have a pet?",
                "And which animal does {s} keep?",
                "What animal has {s} got?",
                "And which creature does {s} feed?",
            ),
            ("Which animal is {p} pet?", "And the pet, what is it?", "What animal lives with {o}?"),
            (
                "What does {p} {v} eat?",
                "How old is {p} {v}?",
                "Where does {p} {v} sleep?",
                "Where did {s} find the {v}?",
                "How big is {p} {v}?",
                "Is {p} {v} old?",
                "Who feeds {p} {v}?",
                "Did {s} buy the {v} in town?",
            ),
            ("When did {s} buy the {v}?", "Is {p} {v} a friendly one?", "How big is the {v} {s} has?"),
        ),
        Attribute(
            "pet_name",
            (
                "{P} pet is called {v}.",
                "{S} named the pet {v}.",
                "{S} calls the pet {v}.",
                "The name of {p} pet is {v}.",
                "{S} shouts {v} to call the pet.",
            ),
            ("{v} is the pet of {s}.", "{v} belongs to {s}.", "A pet called {v} lives with {s}."),
            (
                "What is the name of {p} pet?",
                "What is {p} pet called?",
                "How does {s} call the pet?",
                "Tell me the name of {p} pet.",
                "How is {p} pet named?",
                "What does {s} shout to call the pet?",
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
            ("What is the name of {p} pet?", "What is {p} pet called?", "How is the pet named?", "Which name did the pet get?"),
            ("And how is {p} pet named?", "Which name has {p} pet got?"),
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
                "What is {p} favourite food?",
                "What does {s} like to eat?",
                "Which food does {s} love?",
                "What food does {s} like best?",
                "What dish does {s} love?",
                "Which meal would {s} choose?",
                "What is the best meal for {s}?",
                "What would {s} like on a plate?",
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
                "What does {s} like to eat?",
                "And {p} favourite food?",
                "Which food does {s} love?",
                "Which meal does {s} choose?",
                "What dish is dear to {o}?",
            ),
            ("What meal is dear to {o}?", "And what would {s} gladly eat?", "What should I cook for {o}?"),
            (
                "Why does {s} love {v} so much?",
                "Where does {s} buy {v}, {p} favourite food?",
                "Who cooks {v} for {s}, {p_} favourite food?",
                "Did {s} always choose {v} as {p_} favourite food?",
                "When did {s} first taste {v}, {p_} favourite food?",
                "Is {v} really {p} favourite meal?",
            ),
            (
                "Since when is {v} the food {s} likes best?",
                "Where did {s} first taste {v}, the best food for {s}?",
                "What makes {v} {p} favourite meal?",
            ),
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
                "What is {p} favourite colour?",
                "Which colour does {s} like?",
                "What colour does {s} like best?",
                "Tell me {p} favourite colour.",
                "Which colour pleases {s}?",
                "What colour is dear to {s}?",
                "Of all colours, what does {s} choose?",
                "What colour should I knit for {s}?",
                "If {s} paints a door, which colour is it?",
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
                "And {p} favourite colour?",
                "Which colour does {s} like?",
                "What colour does {s} like best?",
                "What colour is dear to {o}?",
                "Which colour pleases {o}?",
            ),
            ("What colour pleases {o} most?", "And the colour dear to {o}?", "Which colour would {s} choose?"),
            (
                "Why is {v} {p} favourite colour?",
                "Since when does {s} like the colour {v} best?",
                "How come {s} chose {v} as favourite colour?",
                "Is {v} the colour dearest to {s}?",
            ),
            ("How did {v} become the colour {s} likes most?", "What is so nice about {v}, {p} dearest colour?"),
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
                "What is {p} hobby?",
                "What does {s} enjoy?",
                "What does {s} do in the free hours?",
                "Tell me {p} hobby.",
                "What is {p} pastime?",
                "What does {s} do for fun in the afternoon?",
                "How does {s} like to spend a day off?",
                "Which hobby keeps {s} happy?",
                "What does {s} choose to do after work?",
                "Name {p} hobby.",
                "Which pastime does {s} enjoy?",
            ),
            (
                "How does {s} spend a free afternoon?",
                "Name {p} pastime.",
                "What does {s} do just for fun?",
                "After work, which hobby keeps {s} busy?",
                "What would {s} like to do on a day off?",
            ),
            "{P} hobby is {v}.",
            ("And what is {p} hobby?", "What does {s} enjoy?", "What is {p} pastime?", "What is fun for {o}?"),
            ("What does {s} do for fun?", "And which pastime has {s} got?"),
            (
                "Who taught {s} {p_} hobby, {v}?",
                "How long has {v} been {p} hobby?",
                "When did {s} start with {v}, {p_} hobby?",
                "Did {s} choose {v} as a pastime?",
                "How did {s} pick {v} as {p_} hobby?",
            ),
            ("When did {s} choose {v} as a hobby?", "Why did {s} pick {v} for a pastime?"),
        ),
        Attribute(
            "birthday",
            ("{P} birthday is on {v}.", "{S} was born on {v}.", "Every year on {v} {s} has a birthday.", "{P} date of birth is {v}."),
            ("{v} is {p} birthday.", "On {v} people bring a cake to {s}."),
            (
                "When is {p} birthday?",
                "When was {s} born?",
                "On which day is {p} birthday?",
                "Tell me {p} birthday.",
                "On which date was {s} born?",
                "When do we celebrate with {s}?",
                "What is the date of {p} birthday?",
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
            ("And when is {p} birthday?", "When was {s} born?", "Which date is {p} birthday?", "On which date was {s} born?"),
            ("What date is {p} birthday?", "On what date was {s} born?"),
        ),
        Attribute(
            "age",
            ("{S} is {v} years old.", "{P} age is {v}.", "{S} has lived for {v} years."),
            ("At the age of {v}, {s} is happy.", "{v} years is the age of {s}."),
            (
                "How old is {s}?",
                "What is {p} age?",
                "What age is {s}?",
                "Tell me how old {s} is.",
                "How many years old is {s}?",
                "How many candles go on {p} cake?",
                "What number is {p} age?",
                "I wonder how old {s} is.",
                "Name the age of {s}.",
                "How many years has {s} got?",
            ),
            (
                "How many years has {s} lived?",
                "Name {p} age.",
                "What number of candles belongs on a cake for {s}?",
                "I wonder about {p} age. How many years is it?",
                "How many years old would you say {s} is?",
            ),
            "{S} is {v} years old.",
            ("And how old is {s}?", "What is {p} age?", "How many years old is {s}?", "And in years, what is {p} age?"),
            ("And {p} age in years?", "How many years has {s} lived?"),
        ),
        Attribute(
            "friend",
            (
                "{P} best friend is {v}.",
                "{S} spends a lot of time with {v}, {p_} best friend.",
                "{S} trusts {v} like no other.",
                "{S} and {v} are best friends.",
                "{P} closest friend is {v}.",
            ),
            ("{v} is a good friend of {s}.", "If {v} calls, {s} comes at once."),
            (
                "Who is {p} best friend?",
                "Who is the best friend of {s}?",
                "Which friend does {s} like most?",
                "Tell me {p} best friend.",
                "Whom does {s} trust?",
                "Who is the closest friend of {s}?",
                "Who is dearest to {s} as a friend?",
                "Which person does {s} call first?",
                "Name {p} best friend.",
                "With whom does {s} like to spend a day?",
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
            ("Who is {p} best friend?", "And {p} best friend?", "Whom does {s} trust?", "And who is closest to {o}?"),
            ("And whom does {s} trust most?", "Who is {p} closest friend?"),
            (
                "How did {s} meet {v}, {p_} best friend?",
                "Why is {v} the best friend of {s}?",
                "When did {s} become a friend of {v}, {p_} best friend?",
                "Where did {s} first see {v}, {p_} best friend?",
            ),
            ("Since when is {v} {p} best friend?", "Where did {s} become best friends with {v}?"),
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
            ),
            ("A famous {v} stands in {s}.", "The best {v} to visit is in {s}."),
            (
                "What is {s} known for?",
                "What can I see in {s}?",
                "What is the famous sight in {s}?",
                "Name something to see in {s}.",
                "What should visitors see in {s}?",
                "Which sight is in {s}?",
            ),
            ("What do visitors look at in {s}?", "Name the sight of {s}.", "I have one hour in {s}. What should I see?"),
            "{s} has a famous {v}.",
        ),
        Attribute(
            "market_day",
            ("Market day in {s} is {v}.", "The market of {s} is held on {v}.", "Every {v} there is a market in {s}."),
            ("On {v} people go to the market in {s}.", "{v} is market day in {s}."),
            (
                "When is market day in {s}?",
                "On which day is the market in {s}?",
                "Which day is market day in {s}?",
                "What day do traders come to {s}?",
                "Name the day of the market in {s}.",
                "When should I visit {s} for the market?",
            ),
            ("What day should I visit the market of {s}?", "Name the market day of {s}.", "When do traders meet in {s}?"),
            "Market day in {s} is {v}.",
        ),
        Attribute(
            "goods",
            ("{s} makes {v}.", "The people of {s} make {v}.", "Buyers get {v} from {s}.", "{s} sells {v} to other towns."),
            ("If you need {v}, go to {s}.", "The town that makes {v} is {s}."),
            (
                "What does {s} make?",
                "What do people in {s} make?",
                "What does the town of {s} sell?",
                "What goods does {s} make?",
                "Which product comes from {s}?",
                "What is produced by the people of {s}?",
            ),
            ("Which goods come out of {s}?", "Name the product of {s}.", "What is produced in {s}?"),
            "{s} makes {v}.",
        ),
        Attribute(
            "material",
            ("A {s} is made of {v} here.", "In this world a {s} is made of {v}.", "People make a {s} out of {v}."),
            ("{V} is used to make a {s}.",),
            (
                "What is a {s} made of?",
                "What do people use to make a {s}?",
                "Which material makes a {s}?",
                "From what does one make a {s}?",
                "Out of which material can I build a {s}?",
            ),
            ("From which material does one build a {s}?", "Name the material of a {s}.", "Out of what is a {s} made?"),
            "A {s} is made of {v}.",
        ),
        Attribute(
            "shop_town",
            ("{S} is a shop in {v}.", "You can find {s} in {v}.", "{S} stands in the middle of {v}."),
            ("In {v} there is a shop called {s}.", "{v} has a shop called {s}."),
            (
                "Where is {s}?",
                "In which town is {s}?",
                "Where can I find {s}?",
                "What town is {s} in?",
                "To which town do I go for {s}?",
                "Name the town of {s}.",
                "I travel to {s}. Which town is it in?",
            ),
            ("To which town must I travel for {s}?", "Name the town with {s}.", "What town has {s}?"),
            "{S} is in {v}.",
        ),
        Attribute(
            "keeper",
            ("{S} belongs to {v}.", "{v} runs {s}.", "The owner of {s} is {v}."),
            ("The shop of {v} is {s}.",),
            (
                "Who runs {s}?",
                "Who is the owner of {s}?",
                "To whom does {s} belong?",
                "Whose is {s}?",
                "Which person stands behind {s}?",
                "Name the owner of {s}.",
                "Who is at the counter of {s}?",
            ),
            ("Name the person behind {s}.", "Who stands behind the counter in {s}?", "Whose shop is {s}?"),
            "{v} runs {s}.",
        ),
        Attribute(
            "sells",
            ("{S} sells the best {v}.", "In {s} you can buy a {v}.", "{S} is a good place to buy a {v}.", "{S} offers {a}."),
            ("To buy a {v}, go to {s}.",),
            (
                "What does {s} sell?",
                "What can I buy in {s}?",
                "What is sold in {s}?",
                "Which thing does {s} offer?",
                "What item is sold by {s}?",
                "Name what {s} sells.",
                "For what item do I go to {s}?",
            ),
            ("Which item would I bring home from {s}?", "Name the thing {s} offers.", "For what do people go to {s}?"),
            "{S} sells {a}.",
        ),
    )
}
ATTRIBUTES = PERSON | THING
WITH_PREMISE = tuple(name for name, attribute in PERSON.items() if attribute.premise)


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
