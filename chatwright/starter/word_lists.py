"""The word lists of the starter corpus: few words, so that a small model reads each one often."""

from chatwright.starter.data_file import DataFile

ANIMALS = DataFile("words/animals.toml")
DEEDS = DataFile("words/deeds.toml")
FRENCH = DataFile("words/french.toml")
NAMES = DataFile("words/names.toml")
NUMBERS = DataFile("words/numbers.toml")
OPINIONS = DataFile("words/opinions.toml")
THINGS = DataFile("words/things.toml")
VALUES = DataFile("words/values.toml")
