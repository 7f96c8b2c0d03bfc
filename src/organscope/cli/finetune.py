"""organscope train segmentation --from BUNDLE: fine-tune, and print what was gained and lost."""

from pathlib import Path
from typing import TYPE_CHECKING

from organscope.cli.guard import say
from organscope.errors import UsageError

if TYPE_CHECKING:
    from organscope.train.segmentation.finetune import FineTuned


def require_fitting_options(config: Path | None, base: str | None, data: Path | None, reference: Path | None) -> None:
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
    from organscope.bundle import load_bundle
    from organscope.train.loading import extra_installed

    loaded = load_bundle(base)
    with extra_installed():
        from organscope.train.segmentation.finetune import finetune_segmentation
    found = finetune_segmentation(
        loaded, run_dir, config_file=config, data=data, reference=reference,
        overrides=overrides, resume=resume, report=say,
    )  # fmt: skip
    show = _print_data if as_json else _print_comparison
    show(found, run_dir / "bundle")


def _print_data(found: "FineTuned", folder: Path) -> None:
    from organscope.cli.printing import print_json

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
    from organscope.cli.printing import output_console, plain_table

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
