"""PNG with 16 bits a colour, which Pillow cannot read in full."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from jaxtyping import UInt16

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Where the header keeps the bits of a sample and the colour type.
DEPTH_BYTE, COLOUR_BYTE = 24, 25
#: Colour type -> channels: RGB, gray and alpha, RGB and alpha. Pillow reads gray alone as it is.
N_CHANNELS = {2: 3, 4: 2, 6: 4}


def n_channels_of_16_bit_colour(path: Path) -> int:
    """Channels of a PNG with 16 bits a sample and more than one channel; 0 for every other file."""
    with path.open("rb") as file:
        head = file.read(COLOUR_BYTE + 1)
    if not head.startswith(SIGNATURE) or head[DEPTH_BYTE] != 16:
        return 0
    return N_CHANNELS.get(head[COLOUR_BYTE], 0)


def decode_16_bit_colour(path: Path) -> UInt16[np.ndarray, "y x c"]:
    """All pixels.

    Raises:
        ValueError: The file is truncated or damaged.
    """
    content = path.read_bytes()
    _require_whole(content)
    return imagecodecs.png_decode(content)


def _require_whole(content: bytes) -> None:
    # imagecodecs 2026.3 releases None once too often where decoding fails; enough damaged files end the process.
    start, name = len(SIGNATURE), b""
    while name != b"IEND":
        if start + 12 > len(content):
            raise ValueError("the file ends before its last part")
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + 8 + length
        if content[end : end + 4] != struct.pack(">I", zlib.crc32(content[start + 4 : end])):
            raise ValueError(f"the checksum of the part {name.decode('latin-1')} differs")
        start = end + 4
