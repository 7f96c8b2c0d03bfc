"""Tables as spreadsheet programs write them: encoding, separator, headings and rows of text."""

import codecs
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from organscope.errors import DatasetError

#: In order of preference where a folder has several.
SHEET_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What surrounds a value without being part of it: blanks, also the ones that do not break, and marks without width.
_BLANKS = " \t\r\n\v\f\u00a0\u200b\ufeff"


@dataclass(frozen=True)
class Spreadsheet:
    """A table of text.

    Attributes:
        path: The file.
        headings: One a column, as written, without blanks around.
        rows: One value a column, without blanks around; empty rows are left out.
        numbers: The line of each row in the file, counted from 1.
        remarks: Ends of sentences about how the file was read; the first word of each is a verb.
    """

    path: Path
    headings: list[str]
    rows: list[list[str]]
    numbers: list[int]
    remarks: list[str]

    def values(self, column: int) -> list[str]:
        """The values of a column, counted from 0."""
        return [row[column] for row in self.rows]


def read_spreadsheet(path: Path, is_heading: Callable[[str], bool]) -> Spreadsheet:
    """Read a table from CSV with any usual separator and encoding, or from XLSX where openpyxl is installed.

    Args:
        path: The file.
        is_heading: Whether a cell is one of the headings that are looked for; decides between separators.

    Raises:
        DatasetError: The file is no table, or damaged.
    """
    remarks: list[str] = []
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        lines = _read_workbook(path, is_heading, remarks)
    else:
        lines = _read_text(path, is_heading, remarks)
    return _tidy(path, lines, remarks)


def _read_text(path: Path, is_heading: Callable[[str], bool], remarks: list[str]) -> list[tuple[int, list[str]]]:
    text = _decode(path, remarks)
    separator, skipped = _separator(text, is_heading)
    if separator != ",":
        remarks.append(f"was read as a table with {_SEPARATORS.get(separator, repr(separator))} between the columns.")
    lines = text.splitlines(keepends=True)[skipped:]
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    rows = []
    try:
        for row in reader:
            rows.append((reader.line_num + skipped, row))
    except csv.Error as error:
        raise DatasetError(
            f"{path} is no table ({error} in line {reader.line_num + skipped}). Export it again."
        ) from error
    return rows


def _decode(path: Path, remarks: list[str]) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error.strerror or error}. Check the file.") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not encoding and content[1:2] == b"\0":
        encoding = "utf-16-le"
    try:
        if encoding:
            return content.decode(encoding)
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise DatasetError(f"{path} is damaged: {error}. Export it again as UTF-8.") from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected text in UTF-8, found {error}. Export it again as UTF-8.") from error
    remarks.append("is not UTF-8, and was read as Windows-1252; check letters with accents.")
    return text


def _separator(text: str, is_heading: Callable[[str], bool]) -> tuple[str, int]:
    """The separator, and how many lines come before the headings."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip(_BLANKS + ',;|"')), 0)
    line = lines[first].strip(_BLANKS) if lines else ""
    named = line.strip('"')
    if named.lower().startswith("sep=") and len(named) <= len("sep=") + 1:
        # A tab is stripped with the blanks around the line.
        return (named[4:] or "\t"), first + 1
    return max(_SEPARATORS, key=lambda mark: _score(line, mark, is_heading)), first


def _score(line: str, separator: str, is_heading: Callable[[str], bool]) -> tuple[bool, int]:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return any(is_heading(cell.strip(_BLANKS)) for cell in cells), len(cells)


def _read_workbook(path: Path, is_heading: Callable[[str], bool], remarks: list[str]) -> list[tuple[int, list[str]]]:
    try:
        if path.suffix.lower() != ".xlsx":
            raise ImportError(path.suffix)
        import openpyxl
    except ImportError:
        raise DatasetError(
            f"{path}: expected a table as text, found a workbook. Export it as index.csv, or, for .xlsx, install "
            "openpyxl."
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises errors of zip files, XML and its own for damaged workbooks
        raise DatasetError(f"{path} cannot be read ({error}). Export it as index.csv.") from error
    sheets = {sheet.title: [[_cell_text(cell) for cell in row] for row in sheet.values] for sheet in book.worksheets}
    book.close()
    fitting = [name for name, rows in sheets.items() if any(is_heading(cell) for row in rows[:2] for cell in row)]
    chosen = (fitting or list(sheets))[0]
    if len(sheets) > 1:
        others = ", ".join(name for name in sheets if name != chosen)
        remarks.append(f"was read from its sheet {chosen!r}; its other sheets were passed over: {others}.")
    return list(enumerate(sheets[chosen], start=1))


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _tidy(path: Path, lines: list[tuple[int, list[str]]], remarks: list[str]) -> Spreadsheet:
    """Take blanks, empty rows and empty columns away, and refuse rows that do not fit the headings."""
    filled = [(n, [cell.strip(_BLANKS) for cell in row]) for n, row in lines]
    filled = [(number, row) for number, row in filled if any(row)]
    if not filled:
        raise DatasetError(f"{path}: expected headings and rows, found no image in an empty table. Export it again.")
    headings, rows, numbers = filled[0][1], [], []
    for number, row in filled[1:]:
        row = row + [""] * (len(headings) - len(row))
        if any(row[len(headings) :]):
            raise DatasetError(
                f"{path}: expected {len(headings)} cells in line {number}, found {len(row)}. Put cells that hold the "
                "separator into quotation marks."
            )
        if any("\n" in cell for cell in row):
            raise DatasetError(
                f"{path}: found a line break within a cell that ends in line {number}. A quotation mark is missing."
            )
        rows.append(row[: len(headings)])
        numbers.append(number)
    keep = [place for place, heading in enumerate(headings) if heading or any(row[place] for row in rows)]
    unnamed = [place + 1 for place in keep if not headings[place]]
    if unnamed:
        remarks.append(f"has columns without a heading, which were passed over: {', '.join(map(str, unnamed))}.")
        keep = [place for place in keep if headings[place]]
    return Spreadsheet(path, [headings[p] for p in keep], [[row[p] for p in keep] for row in rows], numbers, remarks)
