"""When to answer and when to abstain, as data that travels in the bundle."""

from pydantic import BaseModel, ConfigDict, Field

from organscope.decision.conformal import ConformalSets
from organscope.decision.ood import QualityLimits
from organscope.decision.risk_control import RecallGuaranteeTable


class Policy(BaseModel):
    """The rule from a classifier's outputs to an answer.

    Attributes:
        temperature: Divides the logits before softmax.
        min_confidence: The first class must be at least this probable.
        max_distance: The image must be at most this far from the training images: distance to the
            `n_neighbours`-th nearest embedding of length 1, from 0 to 2.
        n_neighbours: k of that distance.
        reference: File of the bundle, safetensors, whose tensor `features` holds the training embeddings.
        contract: What recall can be promised for each organ, and its price in false alarms.
        conformal: From probabilities to the set of organs that cannot be ruled out.
        quality: What an image must look like before the network is asked: contrast, sharpness, magnification,
            texture. None where the images are not judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: float = Field(1.0, gt=0)
    min_confidence: float = Field(0.0, ge=0, le=1)
    max_distance: float = Field(2.0, ge=0, le=2)
    n_neighbours: int = Field(5, ge=1)
    reference: str = "reference.safetensors"
    contract: RecallGuaranteeTable | None = None
    conformal: ConformalSets | None = None
    quality: QualityLimits | None = None
