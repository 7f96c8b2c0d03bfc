"""organscope bundle: what models there are, what they say about themselves, and whether they are sound."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organscope.cli._errors import SOME_FAILED, say
from organscope.cli._options import Debug, Json

if TYPE_CHECKING:
    from organscope.models import Manifest


app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, show and verify bundles, the portable models."
)

_BundleName = Annotated[
    str, typer.Argument(metavar="NAME_OR_PATH", help="A name, a folder or a zip file.", show_default=False)
]
_BundleNames = Annotated[
    list[str], typer.Argument(metavar="NAME_OR_PATH", help="Names, folders or zip files.", show_default=False)
]


_BundleFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the bundle.", show_default=False)
]


@app.command("list", epilog="\b\nExample:\n  organscope bundle list --json")
def list_command(as_json: Json = False, debug: Debug = False) -> None:
    """List the bundles inside the package."""
    from organscope.cli._output import output_console, plain_table, print_json
    from organscope.models import list_bundles

    found = list_bundles()
    if as_json:
        print_json(
            [
                {
                    "name": bundle.name,
                    "version": bundle.version,
                    "task": bundle.task,
                    "summary": bundle.summary,
                    "size_mb": round(bundle.size_bytes / 1e6, 2),
                    "scores": [score.model_dump() for score in bundle.scores],
                    "path": str(bundle.path),
                }
                for bundle in found
            ]
        )
        return
    table = plain_table("name", "version", "task", "MB", "what it is", numbers=("MB",))
    for bundle in found:
        table.add_row(bundle.name, bundle.version, bundle.task, f"{bundle.size_bytes / 1e6:.1f}", bundle.summary)
    output_console().print(table)


@app.command("show", epilog="\b\nExample:\n  organscope bundle show runs/a/bundle --json")
def show_command(bundle: _BundleName, as_json: Json = False, debug: Debug = False) -> None:
    """Show what a bundle says about itself: task, classes, license, scores, decision policy, parity certificate."""
    from organscope.cli._output import print_json
    from organscope.models import describe, load_bundle

    loaded = load_bundle(bundle)
    certificate = loaded.certificate
    if as_json:
        told = None if certificate is None else certificate.model_dump(mode="json")
        print_json(loaded.manifest.model_dump(mode="json") | {"certificate": told})
    else:
        print(describe(loaded.manifest, certificate))


@app.command("verify", epilog="\b\nExample:\n  organscope bundle verify nuclei organs runs/a/bundle")
def verify_command(bundles: _BundleNames, as_json: Json = False, debug: Debug = False) -> None:
    """Check every file's SHA-256 and replay the test input; exit code 1 where a bundle fails."""
    from organscope.cli._output import print_json

    rows = [_verify(name) for name in bundles]
    if as_json:
        print_json(rows)
    for row in rows:
        if row["message"]:
            say(f"Failed: {row['bundle']}: {row['message']}")
        elif not as_json:
            print(f"{row['bundle']}: sound (difference {row['max_difference']:.1e}, at most {row['tolerance']:.1e})")
    if any(not row["ok"] for row in rows):
        raise typer.Exit(SOME_FAILED)


_OnIndexes = Annotated[
    list[Path],
    typer.Option("--on", metavar="INDEX", help="Annotated images; may be given again.", show_default=False),
]
_CertifiedFolder = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the new bundle. Default: the old one."),
]


@app.command(
    "certify",
    epilog="\b\nExamples:\n  organscope bundle certify nuclei --on indexes/nuinsseg --on indexes/dsb2018 --fold 1\n"
    "  organscope bundle certify mine.zip --on indexes/mine --without-framework -o mine",
)
def certify_command(
    bundle: _BundleName,
    on: _OnIndexes,
    folder: _CertifiedFolder = None,
    fold: Annotated[int | None, typer.Option(min=1, help="Images of this fold only.", show_default=False)] = None,
    n_pictures: Annotated[int, typer.Option("--pictures", "-n", min=1, help="Of each index.")] = 6,
    without_framework: Annotated[
        bool, typer.Option("--without-framework", help="Leave out what needs the extra [train].")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare what computes a bundle on real images, and write the certificate into it.

    Framework against ONNX (the network is built again from its weights), floating point against integers, tiles against
    the whole, 1 thread against 2. Training does this by itself.
    """
    from organscope.cli._output import print_json
    from organscope.errors import UsageError
    from organscope.models import load_bundle
    from organscope.models.manifest import certificate_in_words
    from organscope.training.bundling import with_certificate
    from organscope.training.certify import certify
    from organscope.training.loading import extra_installed

    loaded = load_bundle(bundle)
    target = folder or loaded.source
    if folder is None and not loaded.source.is_dir():
        raise UsageError(f"Expected -o FOLDER for a bundle in a zip file, found none for {loaded.source}.")
    found = certify(
        loaded, on, fold=fold, n_pictures=n_pictures, with_framework=not without_framework, loading=extra_installed
    )
    with_certificate(loaded, found, target)
    if as_json:
        print_json({"bundle": str(target), "certificate": found.model_dump(mode="json")})
    else:
        print("\n".join([*certificate_in_words(found), f"Bundle: {target}"]))


_PackageFile = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE.zip", help="The package to write.", show_default=False)
]


@app.command(
    "export",
    epilog="\b\nExample:\n  organscope bundle export organs --bioimageio --author 'Ada Lovelace' -o organs.zip",
)
def export_command(
    bundle: _BundleName,
    file: _PackageFile,
    bioimageio: Annotated[
        bool, typer.Option("--bioimageio", help="As a model package of bioimage.io, format 0.5.")
    ] = False,
    authors: Annotated[
        list[str] | None, typer.Option("--author", metavar="NAME", help="May be given again.", show_default=False)
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="SPDX", help="Such as BSD-3-Clause.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a bundle in the format of others, and test it with their own test."""
    from organscope.errors import UsageError
    from organscope.models import load_bundle
    from organscope.models.bioimageio.export import AUTHORS, export_package

    if not bioimageio:
        raise UsageError("Expected the format to write, found none. Add --bioimageio.")
    export_package(load_bundle(bundle), file, authors=authors or AUTHORS, licence=licence)
    print(f"Package: {file}\nIt passed the test of bioimage.io.")


@app.command(
    "import",
    epilog="\b\nExamples:\n  organscope bundle import affable-shark.zip -o bundles/shark\n"
    "  organscope bundle import model.zip -o bundles/model --maps=-,foreground,boundary",
)
def import_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model package of bioimage.io.", exists=True, show_default=False)
    ],
    folder: _BundleFolder,
    maps: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="What its channels are: foreground, boundary, distance; - for others."),
    ] = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a bundle from a model package of bioimage.io, where a bundle can say what it says."""
    from organscope.cli._output import print_json
    from organscope.models.bioimageio.importing import import_package

    manifest = import_package(file, folder, maps=[name.strip() for name in maps.split(",")] if maps else ()).manifest
    if as_json:
        print_json({"bundle": str(folder), "name": manifest.name, "task": manifest.spec.task})
    else:
        print(f"Bundle: {folder} ({manifest.name}, for {manifest.spec.task})\nMore: organscope bundle show {folder}")


class _Precision(StrEnum):
    """Arithmetic of the graph that ships."""

    INT8 = "int8"
    FLOAT32 = "float32"


_Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN_DIR...", help="Runs of different test folds.", show_default=False)
]


@app.command(
    "ensemble",
    epilog="\b\nExample:\n  organscope bundle ensemble runs/fold1 runs/fold2 runs/fold3 runs/fold4 -o bundles/organs",
)
def ensemble_command(
    runs: _Runs,
    folder: _BundleFolder,
    precision: Annotated[_Precision, typer.Option(help="int8 is smaller and faster.")] = _Precision.INT8,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Average the organ networks of several folds into one bundle.

    Calibrated and scored on what each network said of the images that it never saw.
    """
    from organscope.training.loading import extra_installed

    with extra_installed():
        from organscope.training.classification.ensemble import build_ensemble
    _tell_bundle(folder, build_ensemble(runs, folder, precision=precision.value, report=say).manifest, as_json)


@app.command(
    "together",
    epilog="\b\nExample:\n  organscope evaluate cells1/bundle cells2/bundle indexes/mine --out-of-fold -o scores\n"
    "  organscope bundle together organs cells1/bundle scores -o bundles/cell-organs",
)
def together_command(
    images: Annotated[str, typer.Argument(metavar="IMAGE_BUNDLE", help="An ensemble.", show_default=False)],
    cells: Annotated[str, typer.Argument(metavar="CELL_BUNDLE", help="Of the same organs.", show_default=False)],
    scores: Annotated[
        Path, typer.Argument(help="Folder of the evaluation of bundles for cells, out of fold.", show_default=False)
    ],
    folder: _BundleFolder,
    version: Annotated[
        str | None, typer.Option(help="Of the new bundle; else that of CELL_BUNDLE.", show_default=False)
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Calibrate a bundle for cells beside one for images, so that `analyze` lets both answer together."""
    from organscope.evaluation.joint import calibrate_together
    from organscope.models import load_bundle

    bundle = calibrate_together(load_bundle(images), load_bundle(cells), scores, folder, version=version)
    _tell_bundle(folder, bundle.manifest, as_json)


def _tell_bundle(folder: Path, manifest: "Manifest", as_json: bool) -> None:
    """Where a bundle was written, and what was measured."""
    from organscope.cli._output import print_json

    if as_json:
        scores = [score.model_dump() for score in manifest.scores]
        print_json({"bundle": str(folder), "name": manifest.name, "version": manifest.version, "scores": scores})
    else:
        print(f"Bundle: {folder}\nScores: organscope bundle show {folder}")


def _verify(name: str) -> dict[str, object]:
    from organscope.errors import BundleError
    from organscope.models import load_bundle, require_verified

    row: dict[str, object] = {"bundle": name, "ok": False, "max_difference": None, "tolerance": None, "message": ""}
    try:
        report = require_verified(load_bundle(name))
    except BundleError as error:
        return row | {"message": str(error)}
    return row | {"ok": True, "max_difference": report.max_difference, "tolerance": report.tolerance}
