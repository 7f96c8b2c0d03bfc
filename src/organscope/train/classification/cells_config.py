"""What a person may choose about a training on single cells."""

from pydantic import Field

from organscope.train.settings import Settings


class CellsConfig(Settings):
    """Which cells are shown, and how many; only for `field.subject = "cell"`.

    Attributes:
        per_epoch: Cells drawn between two validations.
        validation: Most cells of the inner validation pictures that tell when to stop, spread over the organs.
        picture_balance: 1 draws every picture of an organ equally often however many cells it has, 0 every cell.
        room: The square that a training crop is turned, magnified and shifted in, as a multiple of
            `field.field_px`; 1 mirrors what lies outside the crop.
        second_look: In use, cells whose answer is less probable than this before calibration are seen from all eight
            sides, which takes seven more looks at each of them; 0 for none.
    """

    per_epoch: int = Field(4096, ge=1)
    validation: int = Field(2000, ge=1)
    picture_balance: float = Field(0.5, ge=0, le=1)
    room: float = Field(1.5, ge=1, le=3)
    second_look: float = Field(0.6, ge=0, le=1)
