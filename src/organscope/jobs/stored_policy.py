"""How a run decided, beside its predictions, so that they can be decided on again."""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from organscope.decide import Policy
from organscope.errors import DatasetError
from organscope.images.atomic import atomic_path
from organscope.jobs.models import Models


class StoredPolicy(BaseModel):
    """What `policy.json` holds beside `predictions.csv`.

    Attributes:
        bundle: Name and version of the bundle that gave the probabilities; of both, where image and cells did.
        bundle_sha256: Of its manifest; of those of both.
        organs: Its classes.
        policy: How to decide on them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str
    bundle_sha256: str
    organs: tuple[str, ...]
    policy: Policy


def write_policy(path: Path, models: Models) -> None:
    """Write what `decide_again` needs to know of the bundles of a run.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(stored_policy(models).model_dump_json(indent=2) + "\n", "utf-8")


def stored_policy(models: Models) -> StoredPolicy:
    """What of the bundles decides; one for images must be among them."""
    deciding = [models.organs] if models.together is None else [models.organs, models.cell_organs]
    sha256 = deciding[0].sha256
    if len(deciding) > 1:
        sha256 = hashlib.sha256("".join(bundle.sha256 for bundle in deciding).encode()).hexdigest()
    return StoredPolicy(
        bundle=" with ".join(bundle.manifest.title for bundle in deciding),
        bundle_sha256=sha256,
        organs=tuple(models.organs.manifest.classes),
        # Looks are judged where pixels are; the doubt that they left is in the predictions.
        policy=models.policy.model_copy(update={"quality": None}),
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
