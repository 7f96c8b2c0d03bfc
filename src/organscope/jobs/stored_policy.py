"""How a run decided, beside its predictions, so that they can be decided on again."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from organscope.bundle import Bundle
from organscope.decide import Policy
from organscope.errors import DatasetError
from organscope.images.atomic import atomic_path


class StoredPolicy(BaseModel):
    """What `policy.json` holds beside `predictions.csv`.

    Attributes:
        bundle: Name and version of the bundle that gave the probabilities.
        bundle_sha256: Of its manifest.
        organs: Its classes.
        policy: How to decide on them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str
    bundle_sha256: str
    organs: tuple[str, ...]
    policy: Policy


def write_policy(path: Path, bundle: Bundle) -> None:
    """Write what `decide_again` needs to know of a bundle.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(stored_policy(bundle).model_dump_json(indent=2) + "\n", "utf-8")


def stored_policy(bundle: Bundle) -> StoredPolicy:
    """What of a bundle decides."""
    manifest = bundle.manifest
    # Looks are judged where pixels are; the doubt that they left is in the predictions.
    policy = bundle.policy.model_copy(update={"quality": None})
    return StoredPolicy(
        bundle=f"{manifest.name} {manifest.version}",
        bundle_sha256=bundle.sha256,
        organs=tuple(manifest.classes),
        policy=policy,
    )


def read_policy(path: Path) -> StoredPolicy:
    """What an earlier run wrote.

    Raises:
        DatasetError: There is no such file, or it is none of ours.
    """
    try:
        return StoredPolicy.model_validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise DatasetError(
            f"Expected the policy of the run in {path}, found no such file. Name the bundle that it used with --bundle."
        ) from None
    except (OSError, ValueError, ValidationError) as error:
        sentence = str(error).splitlines()[0]
        raise DatasetError(
            f"Expected the policy of the run in {path}, found: {sentence}. Name the bundle with --bundle."
        ) from None
