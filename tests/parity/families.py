"""The list of all models that are compared with transformers.

To add a model family, add its cases to one of the three modules below.
"""

from tests.parity import decoders, encoder_decoders, encoders
from tests.parity.case import Case

CASES: list[Case] = [*decoders.CASES, *encoder_decoders.CASES, *encoders.CASES]
