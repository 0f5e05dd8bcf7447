"""The number types of tensors in GGUF files, and their sizes.

A quantized type stores blocks of elements; each block has scales of its own. Source: `ggml_type`
in ggml.h, and the block structures in ggml-common.h.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorType:
    """A number type that can be converted to float32."""

    name: str
    """llama.cpp's name."""
    n_element: int
    """Elements in a block."""
    n_byte: int
    """Bytes of a block."""


# Number in the file -> type.
TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
}
# Types without a conversion to float32 in the gguf package: integers, formats of computation, and
# the newest and the discontinued ones.
OTHER_NAMES = {
    4: "Q4_2",
    5: "Q4_3",
    9: "Q8_1",
    15: "Q8_K",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
    41: "Q1_0",
    42: "Q2_0",
}


def name_of(number: int) -> str:
    """Return a type's name, or its number if the type is unknown."""
    if number in TYPES:
        return TYPES[number].name
    return OTHER_NAMES.get(number, str(number))
