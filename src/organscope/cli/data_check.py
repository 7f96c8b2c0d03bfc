"""organscope data check: what is wrong with a data set, and what to do about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from organscope.cli.guard import SOME_FAILED
from organscope.cli.options import Debug, IndexFolder, Json, Workers

if TYPE_CHECKING:
    from organscope.dataset.checks import CheckReport, Finding

EXAMPLES = """\b
Examples:
  organscope data check index
  organscope data check index --strict --json -o checked
"""


def check(
    index: IndexFolder,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Folder for findings.csv; INDEX if left out.", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors for the exit code.")] = False,
    workers: Workers = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every file of an index and say what is wrong with the set.

    Finds files that are unreadable or have changed, labels that do not fit, are empty, occur twice or have cells in
    pieces, copies of images, slides on both sides of the split, images without content, rare organs, mixed pixel types
    and sizes, and organs that are told by their colour or by how they were taken. Writes OUT/findings.csv. An
    interrupted check goes on where it stopped.

    Exit codes: 0 no errors, 1 errors were found (with --strict also warnings), 2 wrong use.
    """
    import os

    from organscope.cli.printing import print_json
    from organscope.cli.progress import counting
    from organscope.dataset import read_index
    from organscope.dataset.checks import Severity, check_index

    known = read_index(index)
    with counting("checking") as progress:
        report = check_index(known, output, workers=workers or os.cpu_count() or 1, progress=progress)
    if as_json:
        print_json(_as_data(report))
    else:
        _print_findings(report)
    if report.count(Severity.ERROR) or (strict and report.count(Severity.WARNING)):
        raise typer.Exit(SOME_FAILED)


def _as_data(report: "CheckReport") -> dict:
    from dataclasses import asdict

    from organscope.dataset.checks import Severity

    counts = {f"n_{severity}s": report.count(severity) for severity in Severity}
    findings = [asdict(finding) for finding in report.findings]
    return {"n_images": report.n_samples, **counts, "findings": findings, "file": str(report.path)}


def _print_findings(report: "CheckReport") -> None:
    """A table with one row a check that found something: how often, the first finding, and the remedy."""
    from organscope.cli.printing import output_console, plain_table
    from organscope.dataset.checks import Severity

    console = output_console()
    table = plain_table("severity", "check", "found", "what, and what to do", numbers=("found",))
    by_check: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        by_check.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, name), findings in by_check.items():
        table.add_row(severity, name, str(len(findings)), _describe(findings))
    if by_check:
        console.print(table)
    counts = [
        f"{report.count(severity)} {severity}{'' if report.count(severity) == 1 else 's'}" for severity in Severity
    ]
    console.print(f"\n{report.n_samples} images: {', '.join(counts)}.")
    console.print(f"Findings: {report.path}", soft_wrap=True)


def _describe(findings: "list[Finding]") -> str:
    from organscope.cli.printing import shown

    first = findings[0]
    where = f"{shown(first.sample)}: " if first.sample else ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{where}{shown(first.message)}{more}\n> {first.remedy}"
