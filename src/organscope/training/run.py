"""A run directory explains itself: configuration, split, environment, metrics, state, bundle.

What a finished training shows its trackers: scores, figures, sample predictions and the bundle.

The run directory of a process that only helps: it reads what the leading one writes there, and writes nothing.
"""

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from organscope.data.index import Sample
from organscope.errors import OutputError, UsageError
from organscope.inference import classify_image, segment_image
from organscope.io.paths import atomic_path
from organscope.models import Bundle
from organscope.reporting.overlays import draw_overlay, shrunk_to_bytes
from organscope.tracking import Outcome, Trackers, open_trackers
from organscope.tracking.base import STEP_LOSS, metric_names
from organscope.tracking.environment import memory_mb
from organscope.tracking.figures import NamedImage, confusion_figure, gallery_figure, image_png, reliability_figure
from organscope.training.config import TrainingSettings
from organscope.training.origin import ORIGIN_FILE, Base, Origin, Place, this_origin
from organscope.training.split import TrainingSplit

_N_SAMPLES = 6
_MAX_SAMPLE_PX = 4_000_000
_SAMPLE_SIDE_PX = 640


def track_results(trackers: Trackers, bundle: Bundle, validation: Sequence[Sample], folder: Path) -> None:
    """Hand over everything that came out. What cannot be drawn is left out, with a line in the table of problems.

    Args:
        trackers: Of the run.
        bundle: The result.
        validation: Images of the inner validation; some are predicted and shown.
        folder: Of the run; its small files become artifacts.
    """
    scores = pd.DataFrame([score.model_dump() for score in bundle.manifest.scores])
    if len(scores):
        trackers.tell("log_table", "scores", scores)
    problems = []
    for draw in (_figures, _samples):
        try:
            for name, png in draw(bundle, validation):
                trackers.tell("log_picture", name, png)
        except Exception as error:
            # The training is done and its bundle verified: an image of it is not worth its loss.
            problems.append({"figures": draw.__name__, "problem": f"{type(error).__name__}: {error}"})
    if problems:
        trackers.tell("log_table", "problems", pd.DataFrame(problems))
    trackers.tell("log_artifact", "bundle", bundle.source)
    for name in ("split.csv", "config.json"):
        trackers.tell("log_artifact", Path(name).stem, folder / name)


def _figures(bundle: Bundle, validation: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
    """Confusion matrix and reliability diagram, from the calibration table that travels with the bundle."""
    table = bundle.calibration()
    if not len(table):
        return
    if bundle.manifest.spec.task == "segmentation":
        probability, matched = table["probability"].to_numpy(float), table["matched"].to_numpy(bool)
        if len(probability):
            title = "Cells of the inner validation: probability, as the network gives it"
            yield "figures/reliability", reliability_figure(probability, matched, title)
        return
    organs = bundle.manifest.classes
    by_image = table.groupby("id")[["label", *(f"p_{organ}" for organ in organs)]].mean()
    probs = by_image[[f"p_{organ}" for organ in organs]].to_numpy()
    labels = by_image["label"].to_numpy().astype(int)
    yield "figures/confusion", confusion_figure(labels, probs.argmax(axis=1), organs)
    title = "Images of the inner validation, calibrated"
    yield "figures/reliability", reliability_figure(probs.max(axis=1), probs.argmax(axis=1) == labels, title)


def _samples(bundle: Bundle, validation: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
    """A few validation images, evenly spaced over the list, with what the bundle makes of them."""
    step = max(1, len(validation) // _N_SAMPLES)
    chosen = list(validation)[::step][:_N_SAMPLES]
    if bundle.manifest.spec.task == "segmentation":
        for sample in chosen:
            if (overlay := _segmented(sample, bundle)) is not None:
                yield f"samples/{sample.dataset}-{sample.id}".replace(" ", "_"), image_png(overlay)
    elif bundle.manifest.classification.subject == "image":
        yield "samples/organs", gallery_figure([_classified(sample, bundle) for sample in chosen])


def _segmented(sample: Sample, bundle: Bundle) -> np.ndarray | None:
    with sample.open() as image:
        if image.height_px * image.width_px > _MAX_SAMPLE_PX:
            return None
        labels = segment_image(image, bundle).labels
        return draw_overlay(image.visible(image.read_whole()), labels, image.value_range, max_side_px=_SAMPLE_SIDE_PX)


def _classified(sample: Sample, bundle: Bundle) -> NamedImage:
    with sample.open() as image:
        found = classify_image(image, bundle)
        side = min(image.height_px, image.width_px, 2 * _SAMPLE_SIDE_PX)
        pixels = image.visible(image.read((image.height_px - side) // 2, (image.width_px - side) // 2, side, side))
        labels = np.zeros(pixels.shape[:2], np.int32)
        picture, _ = shrunk_to_bytes(pixels, labels, image.value_range, max_side_px=_SAMPLE_SIDE_PX // 2)
    best = int(np.argmax(found.probabilities))
    named = found.organs[best]
    caption = f"{sample.organ}\n{named} {found.probabilities[best]:.0%}"
    return NamedImage(picture, caption, right=named == sample.organ)


Report = Callable[[str], None]
"""Gets a line for the person who watches."""


class RunDirectory:
    """The folder of one training.

    `config.json` is the configuration with every default spelled out, `config.toml` what the person wrote,
    `split.csv` who trained, validated and was scored, `origin.json` where and from what it was started, `metrics.jsonl`
    one line an epoch, `state/` what a resumed training needs, `bundle/` the result.

    What is written here is told to the trackers that the configuration names, so that trainers know of none. As a
    context manager it tells them how the training ended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.state = self.folder / "state"
        self.bundle = self.folder / "bundle"
        self._trackers = Trackers()
        self._origin = Origin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        outcome: Outcome = "finished"
        if kind is not None:
            outcome = "failed" if issubclass(kind, Exception) else "interrupted"
        self._trackers.finish(outcome)

    def start(
        self,
        settings: TrainingSettings,
        *,
        source: Path | None,
        resume: bool,
        report: Report = lambda line: None,
        base: Base | None = None,
    ) -> None:
        """Make the folder, or check that it holds the same run to go on with; start the trackers.

        Args:
            settings: The whole configuration.
            source: The file that it was read from.
            resume: Go on with a run.
            report: Gets one sentence when a tracker fails.
            base: Bundle that the training goes on from.

        Raises:
            UsageError: A new run would overwrite one, or the resumed run had another configuration.
            MissingExtraError: The package of a tracker is not installed.
            OutputError: The folder cannot be written.
        """
        self._require_same(settings, resume)
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the run folder {self.folder}: {error.strerror}.") from error
        packages = environment()
        self._trackers = open_trackers(
            settings.tracking,
            self.folder,
            config=settings.model_dump(mode="json", exclude={"tracking"}),
            task=settings.task,
            environment=packages,
            resume=resume,
            report=report,
        )
        self.write_text("config.json", settings.model_dump_json(indent=2))
        self.write_text("environment.txt", packages)
        self._write_origin(this_origin(base))
        if source is not None:
            self.write_text("config.toml", Path(source).read_text(encoding="utf-8"))

    def write_text(self, name: str, text: str) -> None:
        """Write one small file of the run, whole or not at all."""
        with atomic_path(self.folder / name) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")

    def write_split(self, split: TrainingSplit) -> None:
        """Record who trained, validated and was scored."""
        self.write_text("split.csv", split.table().to_csv(index=False))
        self._write_origin(self._origin.model_copy(update={"data_fingerprint": split.fingerprint()}))
        parts = {"training": split.training, "validation": split.validation, "test": split.test}
        counts = {f"n_{part}": str(len(samples)) for part, samples in parts.items()}
        self._trackers.tell("log_facts", {"data_fingerprint": split.fingerprint(), **counts})

    def log(self, row: dict[str, Any], step_losses: Sequence[float] = ()) -> None:
        """Append one epoch's numbers; an epoch that was logged before a restart is replaced.

        Args:
            row: `epoch` (from 1), `loss`, `learning_rate`, `seconds`, `n_images` (training images shown) and scores
                of the validation. Throughput and memory are added here, the same for every trainer.
            step_losses: Training loss of each step of the epoch; for the trackers only.
        """
        row = row | {"memory_mb": round(memory_mb(), 1)}
        if row.get("n_images") and row.get("seconds"):
            row["images_per_s"] = row["n_images"] / row["seconds"]
        rows = [line for line in self.metrics() if line["epoch"] != row["epoch"]] + [row]
        self.write_text("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in rows))
        self._trackers.tell("log_metrics", metric_names(row), row["epoch"])
        if len(step_losses):
            self._trackers.tell("log_steps", STEP_LOSS, step_losses, (row["epoch"] - 1) * len(step_losses) + 1)

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, oldest first."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def complete(self, bundle: Bundle, split: TrainingSplit) -> Bundle:
        """Tell the trackers what came out: the bundle, its scores, figures and sample predictions."""
        if self._trackers:
            track_results(self._trackers, bundle, split.validation, self.folder)
        return bundle

    def _write_origin(self, origin: Origin) -> None:
        self._origin = origin
        self.write_text(ORIGIN_FILE, origin.model_dump_json(indent=2))

    def _require_same(self, settings: TrainingSettings, resume: bool) -> None:
        written = self.folder / "config.json"
        if not written.exists():
            return
        if not resume:
            raise UsageError(f"{self.folder} already holds a run. Add --resume to go on, or choose another folder.")
        started = json.loads(written.read_text(encoding="utf-8"))
        asked = settings.model_dump(mode="json")
        other = [name for name in asked if name not in settings.FREE_ON_RESUME and asked[name] != started.get(name)]
        if other:
            raise UsageError(
                f"{self.folder} was started with another configuration ([{'], ['.join(other)}]): it cannot be resumed "
                "with this one. Resume with the file that it was started with, or choose another folder."
            )


def environment() -> str:
    """Python, operating system and every installed package with its version."""
    packages = sorted({f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()}, key=str.lower)
    return "\n".join([f"python {platform.python_version()}", platform.platform(), *packages]) + "\n"


class FollowingRun(RunDirectory):
    """A `RunDirectory` for all processes but the first."""

    def start(self, *_args: Any, **_keywords: Any) -> None:
        """The leading process checks and makes the folder, and tells the trackers."""

    def write_text(self, name: str, text: str) -> None:
        """Nothing is written."""


def run_directory(folder: Path, place: Place, report: Report) -> tuple[RunDirectory, Report]:
    """The run of a process and whom it reports to: all but the first say nothing."""
    if place.leads:
        return RunDirectory(folder), report
    return FollowingRun(folder), lambda line: None
