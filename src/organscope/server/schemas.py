"""Request and response schemas."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from organscope.errors import UsageError
from organscope.ops.pixel_size import PixelSize, given_pixel_size
from organscope.server.corrections import Action

_Name = Annotated[str, Field(min_length=1, max_length=120)]
_Number = Annotated[int, Field(ge=0, le=1_000_000)]
_ChannelChoice = Annotated[int, Field(ge=0, le=1000)] | Annotated[str, Field(min_length=1, max_length=100)]
_CellNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]


_Length = Annotated[float, Field(ge=1e-4, le=1e4)]
_Sides = Annotated[list[_Length], Field(min_length=2, max_length=2, description="Height and width in micrometers.")]


def _known_size(size: Any) -> PixelSize | None:
    try:
        return given_pixel_size(size)
    except UsageError as error:
        raise ValueError(str(error)) from error


_GivenSize = Annotated[_Sides | _Length | None, AfterValidator(_known_size)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class NewStudy(_Asked):
    """A study to make."""

    name: _Name = "Untitled study"
    um_per_px: _GivenSize = Field(
        None, description="Pixel size in place of what the files say: one number, or height and width."
    )
    channel: _ChannelChoice | None = Field(
        None, description="Only channel to look at: its number, from 0, or its name; 'rgb' where they are colors."
    )
    page: _Number | None = Field(None, description="Page of files whose planes have no names, from 0.")
    z: _Number | None = Field(None, description="Plane of a stack, from 0.")
    t: _Number | None = Field(None, description="Time point, from 0.")
    series: _Number | None = Field(None, description="Image of files that hold several, from 0.")
    project: Literal["max"] | None = Field(None, description="'max' takes the brightest of all z planes.")

    diameter_px: float | None = Field(None, gt=1, le=2000, description="Typical diameter of the cells in pixels.")
    min_cell_recall: float | None = Field(None, gt=0, lt=1, description="Share of all cells to find, where measured.")
    measures: list[Literal["texture", "stain", "neighbors"]] = Field(
        [], description="More columns of the cells, which own kinds of cells learn from too."
    )
    bundles: list[_Name] = Field([], max_length=3, description="Ids of bundles to use, one a task; else the standard.")

    @property
    def choice(self) -> dict[str, Any]:
        """What was chosen beside the channel, without what was not."""
        chosen = {name: getattr(self, name) for name in ("page", "z", "t", "series", "project")}
        return {name: value for name, value in chosen.items() if value is not None}


class Again(NewStudy):
    """Images of a study to analyze again as a study of their own, without another upload."""

    name: _Name | None = None
    images: list[_Name] = Field([], max_length=2000, description="Their ids; all images of the study where empty.")


class NewLesson(_Asked):
    """A bundle to teach from the images of a study that have a name, or from its named cells."""

    name: _Name = "Own organs"
    subject: Literal["organs", "cells"] = Field("organs", description="What was named: images, or cells.")


class Lesson(BaseModel):
    """A lesson, and what came of it: figures on images whose group the answering model had not seen."""

    id: str
    bundle: str = Field(description="Id to choose the taught bundle by.")
    name: str
    subject: str
    state: str
    message: str
    seconds: float | None
    result: dict[str, Any] | None


class NewPixelSize(_Asked):
    """Another pixel size for all images of a study."""

    um_per_px: _GivenSize = Field(description="One number, or height and width; null for what each file says.")


class AllowedPath(_Asked):
    """An image or folder below an allowed folder, such as `slides/case 12/a.svs`."""

    path: str = Field(min_length=1, max_length=1000)


class NewCorrection(_Asked):
    """What an expert says: of the organ of an image, or of some of its cells."""

    action: Action
    organ: _Name | None = Field(None, description="With `accept` and `override`; of `name_cell` the kind of cell.")
    cells: list[_CellNumber] = Field(default_factory=list, max_length=100_000, description="With the actions on cells.")
    note: str = Field("", max_length=2000)


class Edit(_Asked):
    """A change to the shape of cells, drawn on the image.

    `draw`: the points go round a cell that was missed; `click`: it lies at the point, and grows there; `add` and
    `erase`: a brush of `radius_px` follows the points, over one cell; `split`: the points cross one cell; `merge`:
    several cells become that of the lowest number.
    """

    kind: Literal["draw", "click", "add", "erase", "split", "merge"]
    cells: list[_CellNumber] = Field(default_factory=list, max_length=50)
    points: list[tuple[float, float]] = Field(default_factory=list, max_length=20_000, description="x, y in pixels.")
    radius_px: float = Field(3.0, gt=0, le=500)


class NewRegion(_Asked):
    """A region of interest that was drawn."""

    name: _Name
    ring: list[tuple[float, float]] = Field(min_length=3, max_length=20_000, description="x, y in pixels.")


class Region(BaseModel):
    """A region of interest and the cells whose center lies in it."""

    id: int
    name: str
    ring: list[tuple[float, float]]
    area_px: float
    area_mm2: float | None
    n_cells: int
    density_per_mm2: float | None
    kinds: dict[str, int]


class Login(_Asked):
    """The token of a user."""

    token: str = Field(max_length=200)


class Study(BaseModel):
    """A study and how far it is."""

    id: str
    name: str
    created: float
    um_per_px: _Sides | None
    channel: int | str | None
    choice: dict[str, Any] = {}
    analysis: dict[str, Any] = {}
    n_images: int = 0
    n_done: int = 0
    n_waiting: int = 0
    n_failed: int = 0


class Image(BaseModel):
    """An image and how far its analysis is."""

    id: str
    study: str
    name: str
    height_px: int
    width_px: int
    um_per_px: _Sides | None
    n_bytes: int
    state: str
    stage: str
    fraction: float
    message: str
    seconds: float | None
    seconds_left: float | None = None
    is_shown: bool = Field(description="The image can be looked at; its results may still be on their way.")
    n_cells: int | None = Field(None, description="Cells that are there, with the corrections of experts.")
    n_found: int | None = Field(None, description="Cells that the analysis found.")
    file_stem: str = Field(description="How the names of its downloads begin; no other image of the study has it.")


class Rejected(BaseModel):
    """A file that is no image, and why."""

    name: str
    reason: str


class Arrived(BaseModel):
    """What came of an upload."""

    images: list[Image]
    refused: list[Rejected]


class Queue(BaseModel):
    """Images that wait or are worked on, of this user."""

    images: list[Image]
    n_waiting: int = Field(description="Of all users together.")


class Probability(BaseModel):
    """How probable an organ is."""

    organ: str
    probability: float


class Verdict(BaseModel):
    """The answer for one image at the prices that were asked about."""

    image: str
    organ: str
    confidence: float
    decision: str
    reason: str
    why: list[str] = Field(description="Why the answer is withheld, in sentences; empty where it is given.")
    prediction_set: list[str] | None = Field(description="Holds nothing where `is_strange`; see `set_note`.")
    set_note: str = Field(description="What the prediction set means here, as a sentence; empty where there is none.")
    coverage: float | None = Field(
        description="Share of images like those of the calibration whose organ is in the prediction set."
    )
    is_strange: bool = Field(description="Unlike the calibration images: promise and prediction set do not hold.")
    flagged: bool | None
    cost: float = Field(description="What the answer costs on average if it is believed; a false alarm costs 1.")
    distance: float
    max_distance: float
    top: list[Probability]


class Verdicts(BaseModel):
    """Answers for the images of a study, those to look at first at the top."""

    organs: list[str]
    promise: list[str]
    verdicts: list[Verdict]


class EditedCell(BaseModel):
    """A cell that an expert drew or changed: its outline (x, y in pixels of the image) and its measures."""

    id: int
    ring: list[tuple[int, int]]
    measures: dict[str, float]


class Corrected(BaseModel):
    """What the experts' corrections of an image come to."""

    organ: str | None
    action: str | None
    who: str | None
    at: float | None
    note: str
    deleted: list[int]
    marked: list[int]
    edited: list[EditedCell]
    is_checked: bool = Field(description="An expert looked at all cells.")
    kinds: dict[int, str] = Field({}, description="Kinds of cells that experts named, by number of the cell.")
    is_reviewed: bool = Field(description="An expert said anything about this image.")
    can_undo: bool
    can_redo: bool


class Options(BaseModel):
    """What a person gave for a drop of images."""

    um_per_px: _Sides | None
    channel: int | str | None
    choice: dict[str, Any] = Field({}, description="Page, plane, time point, image and projection that were chosen.")
    analysis: dict[str, Any] = Field({}, description="Cell size, share of cells to find and bundles that were chosen.")


class Findings(BaseModel):
    """What is said of an image beside its verdict; tables and reports say the same."""

    n_found: int | None = Field(description="Cells that the analysis found.")
    n_cells: int | None = Field(description="Cells that are there, with the corrections of experts.")
    n_deleted: int
    n_added: int
    n_edited: int
    n_marked: int
    median_area_px: float | None = Field(description="Of the cells that are there.")
    median_area_um2: float | None
    quality: list[dict[str, str]]
    notes: list[str] = Field(description="What was chosen, guessed or passed over in reading and showing the image.")


class Correction(BaseModel):
    """One thing that was said; `of` is the batch that an undo or redo speaks of."""

    batch: int | None = None
    of: int | None = None

    number: int
    action: str
    cell: int | None
    organ: str | None
    note: str
    who: str
    at: float


class Corrections(BaseModel):
    """Everything that was said of an image, and what it comes to."""

    now: Corrected
    said: list[Correction]
    findings: Findings


class Details(BaseModel):
    """All that the page of one image starts from."""

    image: Image
    study_name: str
    options: Options
    tile_px: int
    highest_power: int
    has_evidence: bool
    evidence_organ: str | None = Field(description="The organ that the evidence speaks for or against.")
    has_cell_map: bool
    organs: list[str]
    summary: dict[str, Any] | None
    findings: Findings
    corrections: Corrected
    previous: str | None
    next: str | None


class Row(BaseModel):
    """One image of a study in its table."""

    image: Image
    verdict: Verdict | None
    findings: Findings
    corrections: Corrected
    cells_organ: str | None
    agreement: str | None


class Overview(BaseModel):
    """All images of a study, those to look at first at the top."""

    study: Study
    organs: list[str]
    promise: list[str]
    rows: list[Row]


class Place(BaseModel):
    """A folder or an image below an allowed folder."""

    name: str
    path: str
    is_folder: bool


class Places(BaseModel):
    """What lies in an allowed folder."""

    path: str
    entries: list[Place]


class BundleEntry(BaseModel):
    """A model that this server knows."""

    id: str
    name: str
    version: str
    task: str
    summary: str
    licence: str
    used: bool
    classes: list[str]
    scores: list[dict[str, Any]]


class Health(BaseModel):
    """Whether the server works on its queue."""

    version: str
    worker: bool
    n_waiting: int
