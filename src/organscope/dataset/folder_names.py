"""What the name of a folder says: images, labels, a part such as train or test; in the spelling of many tools."""

import re
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a folder holds by its name."""

    IMAGES = "images"
    LABELS = "labels"


_WORDS = {
    Role.IMAGES: "image images img imgs raw raws input inputs original originals source sources picture pictures x",
    Role.LABELS: (
        "label labels mask masks annotation annotations gt gts groundtruth groundtruths target targets seg segs "
        "segmentation "
        "segmentations labelimage labelimages labelmask labelmasks instance instances instancemask instancemasks y"
    ),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_VALIDATION = frozenset({"val", "valid", "validation", "dev"})
#: nnU-Net: imagesTr, labelsTr, imagesTs.
_TAILS = {"tr": "train", "val": "train", "ts": "test"}


@dataclass(frozen=True)
class FolderName:
    """What a name says.

    Attributes:
        role: Images or labels; None where the name says neither.
        split: "train", "test" or "".
        validates: It names a part for validation, which is part of "train".
    """

    role: Role | None = None
    split: str = ""
    validates: bool = False


def read_folder_name(name: str) -> FolderName:
    """What a name says, whatever its capitals, blanks, marks and numbers at the end (`train2017`, `Test_Images`)."""
    plain = re.sub(r"[\s_.-]+", "", name).lower()
    if plain in _ROLES:
        return FolderName(_ROLES[plain])
    nnunet = re.fullmatch(r"(images|labels)(tr|ts|val)", plain)
    if nnunet:
        return FolderName(_ROLES[nnunet[1]], _TAILS[nnunet[2]], nnunet[2] == "val")
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    words = [word for word in words if not word.isdigit() and word not in ("stage", "set", "data", "part", "subset")]
    split = [word for word in words if word in _SPLITS] or [_split_in(plain)]
    rest = [word for word in words if word not in _SPLITS]
    if len(split) != 1 or not split[0]:
        return FolderName()
    role = _ROLES.get("".join(rest))
    if rest and role is None and len(words) != 1:
        return FolderName()
    return FolderName(role, _SPLITS[split[0]], split[0] in _VALIDATION)


def _split_in(plain: str) -> str:
    """The part that a name in one word means (`trainset`, `testdata`), or ""."""
    found = re.fullmatch(rf"({'|'.join(_SPLITS)})(set|data|\d+)*", plain)
    return found[1] if found else ""
