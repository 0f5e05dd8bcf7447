"""All cases. A new family adds the list of its file here."""

from tests.parity import decoders, encoder_decoders, encoders
from tests.parity.case import Case

CASES: list[Case] = [*decoders.CASES, *encoder_decoders.CASES, *encoders.CASES]
