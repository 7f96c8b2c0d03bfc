"""Sheets as spreadsheet programs write them; one that cannot be used says why."""

from pathlib import Path

import pytest

from organscope.data.discovery import Entry
from organscope.data.layouts import read_sheet
from organscope.errors import DatasetError

ROWS = [("pics/a 1.png", "lab/a 1.tif", "Leber"), ("pics/b.png", "lab/b.tif", "Niere")]


@pytest.fixture
def folder(tmp_path) -> Path:
    for image, label, _ in ROWS:
        for name in (image, label):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "index.csv") -> None:
    (folder / name).write_bytes(text.encode(encoding))


def lines(separator: str, heading: str = "image{s}label{s}organ") -> str:
    rows = [heading.format(s=separator), *(separator.join(row) for row in ROWS)]
    return "\r\n".join(rows) + "\r\n"


def facts(folder: Path, entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(str(e.path), e.annotation.relative_to(folder).as_posix(), e.organ) for e in entries]


SHEETS = {
    "comma": (lines(","), "utf-8", ""),
    "semicolon and byte order mark": (lines(";"), "utf-8-sig", "semicolons"),
    "tab": (lines("\t"), "utf-8", "tabs"),
    "tab and UTF-16": (lines("\t"), "utf-16", "tabs"),
    "UTF-16 without a mark": (lines(";"), "utf-16-le", "semicolons"),
    "sep line": ("sep=;\r\n" + lines(";"), "utf-8", "semicolons"),
    "sep line in quotation marks": ('"sep=,"\n' + lines(","), "utf-8", ""),
    "capitals": (lines(",", "Image{s}LABEL{s}Organ"), "utf-8", ""),
    "blanks": (lines(" , "), "utf-8", ""),
    "empty rows and columns": (lines(",").replace("\r\n", ",,\r\n") + ",,,,\r\n,,,,\r\n\r\n", "utf-8", ""),
    "empty first row": (",,\n" + lines(","), "utf-8", ""),
    "quotation marks": ('"image","label","organ"\n' + "\n".join(f'"{a}","{b}","{c}"' for a, b, c in ROWS), "utf-8", ""),
    "other names": (lines(",", "File Name{s}Mask-Path{s}Class"), "utf-8", "'Mask-Path' was read as label"),
    "backslashes": (lines(",").replace("/", "\\"), "utf-8", "4 paths were read as files below the folder"),
    "another machine": (lines(",").replace("pics/", "C:\\set\\pics\\"), "utf-8", "2 paths were read"),
    "other capitals": (lines(",").replace("pics/a 1.png", "Pics/A 1.PNG"), "utf-8", "1 paths were read"),
    "names without folders": (lines(",").replace("pics/", ""), "utf-8", "such as 'a 1.png' as 'pics/a 1.png'"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHEETS)
def test_sheets_of_spreadsheet_programs_say_the_same(folder, name):
    text, encoding, said = SHEETS[name]
    write(folder, text, encoding)
    sheet = read_sheet(folder)
    assert facts(folder, sheet.entries) == ROWS
    assert said in " ".join(sheet.remarks)


def test_the_name_of_the_sheet_in_other_spellings(folder):
    write(folder, lines("\t"), name="Index.TSV")
    assert facts(folder, read_sheet(folder).entries) == ROWS
    write(folder, lines(","), name="INDEX.csv")
    assert read_sheet(folder).path.name == "INDEX.csv"
    assert read_sheet(folder / "pics") is None


def test_letters_of_windows(folder):
    (folder / "pics" / "ö.png").touch()
    write(folder, "image;organ\npics/ö.png;Drüse\n", "cp1252")
    sheet = read_sheet(folder)
    assert (str(sheet.entries[0].path), sheet.entries[0].organ) == ("pics/ö.png", "Drüse")
    assert "Windows-1252" in sheet.remarks[0]


def test_numbers_with_a_decimal_comma(folder):
    write(folder, "image;um_per_px;fold\npics/b.png;0,25;2\npics/a 1.png;0.5;1.0\n")
    sheet = read_sheet(folder)
    assert [(e.um_per_px, e.fold) for e in sheet.entries] == [((0.25, 0.25), 2), ((0.5, 0.5), 1)]
    assert any("1 pixel sizes have a decimal comma" in remark for remark in sheet.remarks)


def test_columns_that_are_not_used_are_named(folder):
    write(folder, lines(",", "image{s}label{s}organ").replace("organ", "organ,stain,").replace("Leber", "Leber,HE,x"))
    remarks = " ".join(read_sheet(folder).remarks)
    assert "columns 'stain' were passed over" in remarks
    assert "columns without a heading, which were passed over: 5" in remarks


def test_a_label_that_names_no_file_is_a_class(folder):
    write(folder, "filename,label\npics/a 1.png,Leber\npics/b.png,Niere\n")
    sheet = read_sheet(folder)
    assert [(e.organ, e.annotation) for e in sheet.entries] == [("Leber", None), ("Niere", None)]
    assert "'label' names no files, and was read as organ" in " ".join(sheet.remarks)


WRONG = {
    "no column of images": ("a;b\n1;2\n", "expected a column that names the images .* found the columns 'a;?'?"),
    "nothing in it": ("", "found no image in an empty table"),
    "only headings": ("image,label\n", "found no image"),
    "no file is there": ("image\nx.png\ny.png\n", "found none of them below .* such as 'x.png'"),
    "too many cells": ("image,organ\npics/b.png,a,b\n", "expected 2 cells in line 2, found 3"),
    "an open quotation mark": ('image,organ\n"pics/b.png,a\npics/a 1.png,b\n', "quotation mark is missing"),
    "two columns for one thing": ("image,mask,gt\npics/b.png,lab/b.tif,lab/a 1.tif\n", "'mask' and 'gt', which differ"),
    "one heading twice": ("image,organ,organ\npics/b.png,a,b\n", "'organ' and 'organ', which differ"),
    "a label without an image": ("image,label\n,lab/b.tif\npics/b.png,\n", "row 2: expected the path of an image"),
    "its own label": ("image,label\npics/b.png,pics/b.png\n", "found the image itself"),
    "a part for validation": ("image,split\npics/b.png,val\n", "call it train"),
    "half a fold": ("image,fold\npics/b.png,1.5\n", "whole number"),
    "a size of 0": ("image,um_per_px\npics/b.png,0\n", "um_per_px of pics/b.png: .*0"),
    "a size in words": ("image,mpp\npics/b.png,large\n", "um_per_px of pics/b.png: .*large"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_sheet_that_cannot_be_used_says_why(folder, name):
    text, message = WRONG[name]
    write(folder, text)
    with pytest.raises(DatasetError, match=rf"(?s)index\.csv.*{message}"):
        read_sheet(folder)


def test_a_name_that_could_be_two_files_is_asked_for(folder):
    (folder / "lab" / "b.png").touch()
    write(folder, "image\nb.png\npics/a 1.png\n")
    with pytest.raises(DatasetError, match=r"'b.png' could be lab/b.png, pics/b.png"):
        read_sheet(folder)


@pytest.mark.parametrize("suffix", [".xls", ".ods"])
def test_workbooks_are_not_passed_over(folder, suffix):
    (folder / f"index{suffix}").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"Export it as index\.csv"):
        read_sheet(folder)


def test_a_workbook_is_read_where_openpyxl_is_installed(folder):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    book.active.append(["Notes"])
    sheet = book.create_sheet("images")
    for row in [("Image", "Label", "Organ"), *ROWS]:
        sheet.append(row)
    book.save(folder / "index.xlsx")
    found = read_sheet(folder)
    assert facts(folder, found.entries) == ROWS
    assert "its other sheets were passed over: Sheet" in found.remarks[0]
