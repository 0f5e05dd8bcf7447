"""Every case there is: a family's file adds its list here."""

from tests.parity import decoders, encoder_decoders, encoders
from tests.parity.case import Case

CASES: list[Case] = [*decoders.CASES, *encoder_decoders.CASES, *encoders.CASES]
