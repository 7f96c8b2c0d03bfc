"""organscope train: from a dataset index to a verified bundle.

organscope train segmentation --from BUNDLE: fine-tune, and print what was gained and lost.

organscope reproduce: train a run again and print how far the numbers differ.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from organscope.cli._errors import SOME_FAILED, say
from organscope.cli._options import Debug, Json, Track, TrackTo
from organscope.errors import UsageError
from organscope.training.loading import extra_installed

if TYPE_CHECKING:
    from organscope.training.reproduce import Reproduction
    from organscope.training.segmentation.finetune import FineTuned


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model and export it as a verified bundle.")

_Config = Annotated[
    Path,
    # Asked here, because loading a framework to find that there is no such file takes seconds.
    typer.Argument(
        metavar="CONFIG.toml", help="What to train on, and how.", exists=True, dir_okay=False, show_default=False
    ),
]
_OptionalConfig = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG.toml]",
        help="What to train on, and how; not needed with --from and --data.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
_From = Annotated[
    str | None,
    typer.Option("--from", metavar="BUNDLE", help="Go on from this bundle: name, folder or zip.", show_default=False),
]
_NewData = Annotated[
    Path | None,
    typer.Option("--data", metavar="INDEX", help="With --from: learn from these images.", show_default=False),
]
_Reference = Annotated[
    Path | None,
    typer.Option(metavar="INDEX", help="With --from: see on these images what was lost.", show_default=False),
]
_RunFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN_DIR", help="Folder of the run.", show_default=False)
]
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one value of the configuration: dotted key, value as in TOML. May be given again.",
        show_default=False,
    ),
]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]


@app.command(
    epilog="\b\nExamples:\n  organscope train segmentation configs/nuclei.toml -o runs/nuclei\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/short --set fit.epochs=3\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/nuclei --resume\n"
    "  organscope train segmentation configs/nuclei.toml -o runs/nuclei --track both\n"
    "  organscope train segmentation --from nuclei --data indexes/mine -o runs/mine\n"
    "  organscope train segmentation --from nuclei --data indexes/mine --reference indexes/dsb2018 -o runs/mine"
)
def segmentation(
    run_dir: _RunFolder,
    config: _OptionalConfig = None,
    base: _From = None,
    data: _NewData = None,
    reference: _Reference = None,
    settings: _Settings = None,
    resume: _Resume = False,
    track: Track = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that finds cells.

    Keras on TensorFlow; ends with a verified bundle in RUN_DIR/bundle. With --from a trained bundle learns from as
    few as 3 annotated images (10 are better) within minutes, and is compared with what it was before.
    """

    _require_fitting_options(config, base, data, reference)
    if base is not None:
        overrides = (*_tracking_override(config, track, settings or []), *(settings or ()))
        finetune(base, run_dir, config, data, reference, overrides, resume=resume, as_json=as_json)
        return
    with extra_installed():
        from organscope.training.segmentation.train import train_segmentation
    assert config is not None
    _train(train_segmentation, config, run_dir, settings, resume, track, as_json)


@app.command(
    epilog="\b\nExamples:\n  organscope train classification configs/organs.toml -o runs/organs\n"
    "  organscope train classification configs/organs.toml -o runs/r34 --set network.backbone=resnet34\n"
    "  organscope train classification configs/organs.toml -o runs/organs --resume"
)
def classification(
    config: _Config,
    run_dir: _RunFolder,
    settings: _Settings = None,
    resume: _Resume = False,
    track: Track = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that names organs.

    PyTorch and timm; ends with a verified bundle in RUN_DIR/bundle.
    """
    with extra_installed():
        from organscope.training.classification.train import train_classification
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
    from organscope.cli._output import print_json

    overrides = (*_tracking_override(config, track, settings or []), *(settings or ()))
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


def _tracking_override(config: Path | None, track: TrackTo | None, settings: list[str]) -> tuple[str, ...]:
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


def _require_fitting_options(config: Path | None, base: str | None, data: Path | None, reference: Path | None) -> None:
    """Refuse what cannot be meant, before a framework is loaded.

    Raises:
        UsageError: Says what to give.
    """
    if base is None and (data is not None or reference is not None):
        raise UsageError("Expected --data and --reference only with --from, found them without. Add --from nuclei.")
    if base is None and config is None:
        raise UsageError(
            "Expected a configuration, or --from BUNDLE with --data INDEX, found neither. Give one of them."
        )
    if base is not None and (config is None) == (data is None):
        raise UsageError("Expected with --from either a configuration or --data INDEX. Give one of them.")


def finetune(
    base: str,
    run_dir: Path,
    config: Path | None,
    data: Path | None,
    reference: Path | None,
    overrides: tuple[str, ...],
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """Fine-tune in this process, with the trainer's lines on stderr."""
    from organscope.models import load_bundle
    from organscope.training.loading import extra_installed

    loaded = load_bundle(base)
    with extra_installed():
        from organscope.training.segmentation.finetune import finetune_segmentation
    found = finetune_segmentation(
        loaded, run_dir, config_file=config, data=data, reference=reference,
        overrides=overrides, resume=resume, report=say,
    )  # fmt: skip
    show = _print_finetuned if as_json else _print_comparison
    show(found, run_dir / "bundle")


def _print_finetuned(found: "FineTuned", folder: Path) -> None:
    from organscope.cli._output import print_json

    rows = found.comparison.astype(object)
    manifest = found.bundle.manifest
    print_json(
        {
            "bundle": str(folder),
            "name": manifest.name,
            "version": manifest.version,
            "comparison": rows.where(rows.notna(), None).to_dict("records"),
            "notes": list(found.notes),
        }
    )


def _print_comparison(found: "FineTuned", folder: Path) -> None:
    from organscope.cli._output import output_console, plain_table

    console = output_console()
    numbers = ("images", "before", "after", "change")
    table = plain_table("pictures", "data", "images", "metric", "before", "after", "change", numbers=numbers)
    for row in found.comparison.itertuples():
        figures = (f"{row.before:.3f}", f"{row.after:.3f}", f"{row.change:+.3f}")
        table.add_row(row.data, f"{row.dataset}, {row.subset}", str(row.n_images), row.metric, *figures)
    console.print(table)
    for note in found.notes:
        console.print(f"\n{note}", soft_wrap=True)
    console.print(f"\nBundle: {folder}", soft_wrap=True)


EXAMPLES = (
    "\b\nExamples:\n  organscope reproduce runs/nuclei\n"
    "  organscope reproduce runs/nuclei -o runs/nuclei-elsewhere --data indexes/nuinsseg --data indexes/dsb2018"
)

_Run = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="Folder of a training, or of a trial of a sweep.", show_default=False)
]
_NewRun = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="NEW_RUN",
        help="Folder of the new run. Default: RUN_DIR-again.",
        show_default=False,
    ),
]
_Indexes = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="INDEX",
        help="Where an index of the run lies now; once for each, in its order.",
        show_default=False,
    ),
]
_ReproducedFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="BUNDLE", help="Bundle that a fine-tuning went on from.", show_default=False),
]
_ResumeReproduction = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted reproduction.")]


def reproduce(
    run_dir: _Run,
    new_run: _NewRun = None,
    data: _Indexes = None,
    base: _ReproducedFrom = None,
    resume: _ResumeReproduction = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train again from what a run directory holds, and say how far the numbers differ.

    The same seed, data, software and machine give the same numbers; exit code 1 where they are not the same. Warns
    where data, packages, commit or computer are others.
    """
    from organscope.training.loading import extra_installed
    from organscope.training.reproduce import reproduce as train_again

    run_dir = Path(run_dir)
    target = new_run or run_dir.with_name(f"{run_dir.resolve().name}-again")
    found = train_again(
        run_dir, target, indexes=tuple(data or ()), base=base, resume=resume, report=say, loading=extra_installed
    )
    (_print_reproduction if as_json else _print)(found)
    if not found.numbers.same:
        raise typer.Exit(SOME_FAILED)


def _print(found: "Reproduction") -> None:
    from organscope.cli._output import output_console, plain_table

    for change in found.changes:
        say(f"Warning: {change}")
    for note in found.notes:
        say(f"Note: {note}")
    table = plain_table("part", "metric", "then", "now", "difference", numbers=("then", "now", "difference"))
    for row in found.numbers.table.itertuples():
        table.add_row(row.part, row.metric, f"{row.then:.6g}", f"{row.now:.6g}", f"{row.difference:+.2g}")
    output_console().print(table)
    print(f"\n{_verdict(found)}\nRun: {found.run}")


def _verdict(found: "Reproduction") -> str:
    numbers = found.numbers
    if numbers.same:
        outputs = "" if numbers.output_difference is None else ", every score and every output of the network"
        return f"The same numbers: all {numbers.n_epochs} epochs{outputs} agree to the last digit."
    said = [f"first in {numbers.first_difference}"] if numbers.first_difference else []
    if numbers.output_difference:
        said.append(f"outputs of the network for its test input by up to {numbers.output_difference:.2g}")
    return f"Not the same numbers: they differ {' and '.join(said) or 'in their scores'}."


def _print_reproduction(found: "Reproduction") -> None:
    from organscope.cli._output import print_json

    numbers = found.numbers
    rows = numbers.table.astype(object)
    print_json(
        {
            "run": str(found.run),
            "same": numbers.same,
            "n_epochs": numbers.n_epochs,
            "first_difference": numbers.first_difference,
            "output_difference": numbers.output_difference,
            "table": rows.where(rows.notna(), None).to_dict("records"),
            "changes": list(found.changes),
            "notes": list(found.notes),
        }
    )
