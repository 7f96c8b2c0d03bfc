"""organscope train: from a dataset index to a verified bundle."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from organscope.cli.guard import say
from organscope.cli.options import Debug, Json, Track, TrackTo
from organscope.train.loading import extra_installed

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model and export it as a verified bundle.")

Config = Annotated[
    Path,
    # Asked here, because loading a framework to find that there is no such file takes seconds.
    typer.Argument(
        metavar="CONFIG.toml", help="What to train on, and how.", exists=True, dir_okay=False, show_default=False
    ),
]
OptionalConfig = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG.toml]",
        help="What to train on, and how; not needed with --from and --data.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="BUNDLE", help="Go on from this bundle: name, folder or zip.", show_default=False),
]
NewData = Annotated[
    Path | None,
    typer.Option("--data", metavar="INDEX", help="With --from: learn from these pictures.", show_default=False),
]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="INDEX", help="With --from: see on these pictures what was lost.", show_default=False),
]
RunFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN_DIR", help="Folder of the run.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one value of the configuration: dotted key, value as in TOML. May be given again.",
        show_default=False,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]


@app.command(
    epilog="\b\nExamples:\n  organscope train segmentation configs/nuclei.toml -o runs/nuclei\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/short --set fit.epochs=3\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/nuclei --resume\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/nuclei --track both\n"
    "  organscope train segmentation --from nuclei --data indexes/mine -o runs/mine\n"
    "  organscope train segmentation --from nuclei --data indexes/mine --reference indexes/dsb2018 -o runs/mine"
)
def segmentation(
    run_dir: RunFolder,
    config: OptionalConfig = None,
    base: From = None,
    data: NewData = None,
    reference: Reference = None,
    settings: Settings = None,
    resume: Resume = False,
    track: Track = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that finds cells.

    Keras on TensorFlow; ends with a verified bundle in RUN_DIR/bundle. With --from a trained bundle learns from as
    few as 3 annotated pictures (10 are better) within minutes, and is compared with what it was before.
    """
    from organscope.cli.finetune import finetune, require_fitting_options

    require_fitting_options(config, base, data, reference)
    if base is not None:
        overrides = (*tracking_override(config, track, settings or []), *(settings or ()))
        finetune(base, run_dir, config, data, reference, overrides, resume=resume, as_json=as_json)
        return
    with extra_installed():
        from organscope.train.segmentation.train import train_segmentation
    _train(train_segmentation, config, run_dir, settings, resume, track, as_json)


@app.command(
    epilog="\b\nExamples:\n  organscope train classification configs/organs.toml -o runs/organs\n"
    "  organscope train classification configs/organs.toml -o runs/r34 --set network.backbone=resnet34\n"
    "  organscope train classification configs/organs.toml -o runs/organs --resume"
)
def classification(
    config: Config,
    run_dir: RunFolder,
    settings: Settings = None,
    resume: Resume = False,
    track: Track = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that names organs.

    PyTorch and timm; ends with a verified bundle in RUN_DIR/bundle.
    """
    with extra_installed():
        from organscope.train.classification.train import train_classification
    _train(train_classification, config, run_dir, settings, resume, track, as_json)


def _train(
    trainer: Callable[..., Any],
    config: Path,
    run_dir: Path,
    settings: list[str] | None,
    resume: bool,
    track: TrackTo | None,
    as_json: bool,
) -> None:
    """Run a trainer in this process, with its lines on stderr, and tell where the bundle is."""
    from organscope.cli.printing import print_json

    overrides = (*tracking_override(config, track, settings or []), *(settings or ()))
    bundle = trainer(config, run_dir, overrides=overrides, resume=resume, report=say)
    if bundle is None:
        # One of several processes that train together; the first one tells.
        return
    manifest = bundle.manifest
    folder = run_dir / "bundle"
    scores = [score.model_dump() for score in manifest.scores]
    if as_json:
        print_json({"bundle": str(folder), "name": manifest.name, "version": manifest.version, "scores": scores})
    else:
        print(f"Bundle: {folder}\nScores: organscope bundle show {folder}")


def tracking_override(config: Path | None, track: TrackTo | None, settings: list[str]) -> tuple[str, ...]:
    """Setting that names the tracker: the option before the configuration, and MLflow where neither says one."""
    if track is not None:
        return (f"tracking.to={track.value}",)
    try:
        written = "" if config is None else config.read_text(encoding="utf-8")
        said = "to" in tomllib.loads(written).get("tracking", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError):
        # The trainer says what is wrong with the file.
        return ()
    return () if said or any(setting.startswith("tracking.to=") for setting in settings) else ("tracking.to=mlflow",)
