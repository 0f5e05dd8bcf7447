"""Facts as sentences and as questions: country profiles and glossaries."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import Dropped, Turn, clean, dialogue, finish, n_word
from chat_real_sets.files import tar_texts

# What changes every year (leaders, GDP, exchange rates) is left out: a model should not answer it
# from memory.
COUNTRY_FIELDS = (
    ("Geography", "Area - comparative", "In area, {country} is {value}"),
    ("Geography", "Climate", "The climate of {country}: {value}"),
    ("Geography", "Terrain", "The terrain of {country}: {value}"),
    ("Geography", "Natural resources", "The natural resources of {country} include {value}"),
    ("Geography", "Natural hazards", "Natural hazards in {country}: {value}"),
    ("Geography", "Population distribution", "Where people live in {country}: {value}"),
    ("Geography", "Geography - note", "A note on the geography of {country}: {value}"),
    ("People and Society", "Ethnic groups", "Ethnic groups in {country}: {value}"),
    ("People and Society", "Religions", "Religions in {country}: {value}"),
    ("Environment", "Environmental issues", "Environmental issues in {country}: {value}"),
    ("Government", "Government type", "The government of {country} is a {value}"),
    ("Government", "Legal system", "The legal system of {country}: {value}"),
    ("Government", "Independence", "Independence of {country}: {value}"),
    ("Government", "National holiday", "The national holiday of {country}: {value}"),
    ("Government", "Flag", "The flag of {country}: {value}"),
    ("Government", "National symbol(s)", "National symbols of {country}: {value}"),
    ("Economy", "Economic overview", "The economy of {country}: {value}"),
    ("Economy", "Agricultural products", "Farms in {country} produce {value}"),
    ("Economy", "Industries", "Industries in {country} include {value}"),
    ("Economy", "Exports - commodities", "{country} exports {value}"),
    ("Economy", "Imports - commodities", "{country} imports {value}"),
)
"""Section and field of a profile, and the sentence made of its value."""
NO_COUNTRIES = ("xx.json", "ee.json")
"""The profiles of the world and of the European Union."""


def profiles(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the profile of each country."""
    for name, text in tar_texts(data / "factbook" / "factbook.tar.xz"):
        profile = json.loads(text)
        names = profile.get("Government", {}).get("Country name", {})
        country = plain(names.get("conventional short form", {}).get("text", "none"))
        if country.lower() in ("none", ""):
            country = plain(names.get("conventional long form", {}).get("text", ""))
        if country and not name.endswith(NO_COUNTRIES):
            yield re.split(r"[;(/]", country)[0].strip(), profile


def plain(value: str) -> str:
    """Return the first line of a field, without markup and notes of a year in brackets."""
    value = clean(value).split("\n")[0]
    value = re.sub(r"^(?:metropolitan \w+|description|note): ?", "", value)
    value = re.sub(r" ?\((?:\d{4}|\d{4} est\.|\d{4}-\d{2,4} est\.)\)", "", value)
    return value.strip(" ;,")


def field(profile: dict[str, Any], section: str, name: str, *inner: str) -> str:
    """Return the text of a field of a profile; "" if it has none."""
    value = profile.get(section, {}).get(name, {})
    for key in inner:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return plain(value["text"])
    return ""


def basics(country: str, profile: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (question, answer) pairs that fixed sentences get right."""
    pairs = [*_place(country, profile), *_people_and_economy(country, profile)]
    if background := history(profile).split("\n")[0]:
        opening = " ".join(re.split(r"(?<=[a-z)]\.) (?=[A-Z])", background)[:3])
        pairs.append((f"Tell me something about {country}.", opening))
    return pairs


def _place(country: str, profile: dict[str, Any]) -> Iterator[tuple[str, str]]:
    capital = re.split(r"[;(]", field(profile, "Government", "Capital", "name"))[0].strip()
    if capital and capital.lower() != "none":
        sentence = f"{capital} is the capital of"
        yield f"What is the capital of {country}?", f"The capital of {country} is {capital}."
        yield f"{sentence} which country?", f"{sentence} {country}."
    if location := field(profile, "Geography", "Location").split(", consists")[0]:
        yield f"Where is {country}?", finish(f"{country} is in {location}")
    if area := re.split(r" ?[;(]", field(profile, "Geography", "Area", "total "))[0]:
        written = area.replace("sq km", "square kilometres")
        yield f"How large is {country}?", f"{country} has an area of {written}."
    if borders := field(profile, "Geography", "Land boundaries", "border countries"):
        neighbors = [re.sub(r" ?\(.*?\)| [\d,.]+ km.*", "", b).strip() for b in borders.split(";")]
        yield f"Which countries border {country}?", f"{country} borders {enumeration(neighbors)}."


def _people_and_economy(country: str, profile: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if languages := field(profile, "People and Society", "Languages", "Languages"):
        answer = finish(f"The languages of {country} are {languages}")
        yield f"What languages are spoken in {country}?", answer
    if currency := field(profile, "Economy", "Exchange rates", "Currency"):
        answer = f"The currency of {country} is {currency.split(' per ')[0]}."
        yield f"What is the currency of {country}?", answer
    if resources := field(profile, "Geography", "Natural resources"):
        answer = finish(f"{country} has {resources}")
        yield f"What natural resources does {country} have?", answer
    if climate := field(profile, "Geography", "Climate"):
        yield f"What is the climate like in {country}?", finish(climate)


def history(profile: dict[str, Any]) -> str:
    """Return the background, with surnames in ordinary case: Ernest SHACKLETON -> Shackleton."""
    text = clean(profile.get("Introduction", {}).get("Background", {}).get("text", ""))
    surnames = set(
        re.findall(
            r"\b[A-Z][a-z\u00df-\u00ff.]+ ([A-Z\u00c0-\u00de][A-Z\u00c0-\u00de'-]{2,})\b", text
        )
    )
    for surname in sorted(surnames, key=lambda surname: (-len(surname), surname)):
        text = re.sub(rf"\b{re.escape(surname)}\b", surname.title(), text)
    return text


def enumeration(items: list[str]) -> str:
    """Join items as a sentence does: "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def factbook_prose(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield a document for each country."""
    # Questions whose answers the sentences of COUNTRY_FIELDS or the history give again.
    repeated = ("What natural", "What is the climate", "Tell")
    for country, profile in profiles(data):
        sentences = [history(profile)]
        sentences += [
            answer
            for question, answer in basics(country, profile)
            if not question.startswith(repeated)
        ]
        sentences += _field_sentences(country, profile)
        text = "\n".join(dict.fromkeys(sentence for sentence in sentences if sentence))
        if n_word(text) < 60:
            dropped["under 60 words"] += 1
        else:
            yield f"{country}\n\n{text}"


def _field_sentences(country: str, profile: dict[str, Any]) -> Iterator[str]:
    for section, name, template in COUNTRY_FIELDS:
        value = field(profile, section, name)
        if value and value.lower() not in ("none", "na", "n/a"):
            sentence = finish(template.format(country=country, value=value))
            yield sentence.replace("is a a", "is a").replace(" is a absolute", " is an absolute")


def factbook_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield a conversation for each question about a country."""
    for country, profile in profiles(data):
        for question, answer in basics(country, profile):
            yield dialogue(question, answer)


def glossary(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield a question about each term of the textbook glossaries."""
    lines = (data / "openstax" / "glossary.jsonl").read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        row = json.loads(line)
        term = clean(row["term"])
        meaning = clean(row["meaning"])
        if "()" in meaning or not meaning or n_word(term) > 6:
            dropped["hole in the meaning, or a long term"] += 1
            continue
        question = (f"What is {term}?", f"What does '{term}' mean?", f"Define {term}.")[i % 3]
        yield dialogue(question, finish(f"{term}: {meaning}") if i % 2 else finish(meaning))
