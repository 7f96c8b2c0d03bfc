"""Sentences of the rooms below in the words of the page: who looks at it knows no options of a command line."""

import re

_FIELDS = (
    (r"\b([Tt]raining|calibration) pictures\b", r"\1 images"),
    (r", or allow more where a command has --max-megapixels", ""),
    (r" \(--(?:page|series|plane) ?[^)]*\)", ""),
    (r"--plane z=0 to z=(\d+)", r"“Plane” (0 to \1) under “Run again”"),
    (r"--plane t=0 to t=(\d+)", r"“Time point” (0 to \1) under “Run again”"),
    (r"--page 0 to (\d+)", r"“Page” (0 to \1) under “Run again”"),
    (r"--series 0 to (\d+)", r"“Image in the file” (0 to \1) under “Run again”"),
    (r"--plane z=", "“Plane” under “Run again”"),
    (r"--plane t=", "“Time point” under “Run again”"),
    (r"--plane\b", "“Plane” under “Run again”"),
    (r"--project max", "“Brightest of all planes”"),
    (r"--page\b", "“Page” under “Run again”"),
    (r"--series\b", "“Image in the file” under “Run again”"),
    (r"--channel rgb", "“rgb” as the channel"),
    (r"--channel\b", "“Channel” under “Run again”"),
    (r"--um-per-px\b", "“Pixel size”"),
    (r"--diameter-px\b", "“Cell size” under “Run again”"),
)


def for_page(sentence: str) -> str:
    """A sentence with the names of the fields of the page in place of options."""
    for pattern, words in _FIELDS:
        sentence = re.sub(pattern, words, sentence)
    return sentence
