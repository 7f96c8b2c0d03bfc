"""The HTML page."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.errors import OutputError
from organscope.reporting.run_report import (
    BundleEntry,
    CellsEntry,
    CellShare,
    FailureEntry,
    ImageEntry,
    OrganEntry,
    Page,
    image_uri,
    render_page,
    side_px_for,
    write_page,
)

NASTY = '<script>alert("x")</script>&.tif'


class Links(HTMLParser):
    """Collects every address that the page refers to, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def overlay(tmp_path, colon) -> Path:
    path = tmp_path / "overlay.png"
    PillowImage.fromarray(colon).save(path)
    return path


def entry(overlay: Path, **changes) -> ImageEntry:
    organ = OrganEntry("kidney", 0.41, False, "confidence 0.41 is below 0.60", (("kidney", 0.41), ("liver", 0.3)))
    fields = {
        "name": "a.png",
        "overlay": overlay,
        "height_px": 512,
        "width_px": 512,
        "um_per_px": None,
        "areas": np.array([100.0, 200.0, 300.0]),
        "area_unit": "px",
        "organ": organ,
    }
    return ImageEntry(**{**fields, **changes})


def page_of(*images: ImageEntry, failures: tuple[FailureEntry, ...] = ()) -> Page:
    bundles = [BundleEntry("organs", "1.0.0", "classification", "CC BY 4.0", "Names organs.")]
    return Page(datetime(2025, 1, 2, tzinfo=UTC), "0.1.0", images, failures, bundles)


def test_page_needs_no_other_file(overlay):
    links = Links(render_page(page_of(entry(overlay), entry(overlay))))
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in links.addresses)
    assert "script" not in links.tags
    assert "link" not in links.tags


def test_abstaining_is_said_in_plain_words(overlay):
    text = render_page(page_of(entry(overlay)))
    assert re.search(r"I don't know:</span> confidence 0.41 is below 0.60", text)
    assert "Research use, not a medical device" in text


def test_accepted_organ_comes_with_its_probability(overlay):
    organ = OrganEntry("liver", 0.97, True, "", (("liver", 0.97), ("kidney", 0.02)))
    text = render_page(page_of(entry(overlay, organ=organ)))
    assert "I don't know" not in text
    assert re.search(r"liver</span>, probability 0.97", text)


def test_names_and_messages_are_escaped(overlay):
    page = page_of(entry(overlay, name=NASTY), failures=(FailureEntry(NASTY, NASTY),))
    assert "script" not in Links(render_page(page)).tags
    assert "&lt;script&gt;" in render_page(page)


def test_image_without_cells_and_run_without_images(overlay):
    assert "No cell was found." in render_page(page_of(entry(overlay, areas=np.zeros(0))))
    assert "No image could be analyzed." in render_page(page_of(failures=(FailureEntry("a.tif", "Broken."),)))


def test_areas_are_shown_in_their_unit(overlay):
    text = render_page(
        page_of(entry(overlay, um_per_px=(0.5, 0.5), areas=np.array([25.0, 50.0, 75.0]), area_unit="µm²"))
    )
    assert "50.0 µm²" in text
    assert "pixels 0.5 µm" in text


def test_name_that_is_no_text_is_written_with_a_mark(overlay, tmp_path):
    write_page(tmp_path / "report.html", page_of(entry(overlay, name="bad\udcff.png")))
    assert "bad?.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_folder_that_is_a_file_is_an_output_error(overlay, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_page(tmp_path / "file" / "report.html", page_of(entry(overlay)))


def test_images_shrink_as_their_number_grows(overlay):
    sides = [side_px_for(n) for n in (1, 13, 61, 5000)]
    assert sides == sorted(sides, reverse=True)
    assert len(image_uri(overlay, 128)) < len(image_uri(overlay, 512)) / 4


def cells_entry(picture: Path, **changes) -> CellsEntry:
    shares = (CellShare("kidney", 30, (0, 114, 178)), CellShare("2 others", 10, (128, 128, 128)))
    fields = {"organ": "kidney", "confidence": 0.93, "accepted": True, "agreement": "agree", "shares": shares}
    fields |= {"image_organ": "liver", "image_confidence": 0.8}
    return CellsEntry(picture=picture, **{**fields, **changes})


def test_organs_of_cells_are_bars_in_the_colors_of_the_image(overlay):
    text = render_page(page_of(entry(overlay, cells=cells_entry(overlay))))
    assert re.search(r"width: 75.0%; background: rgb\(0, 114, 178\)", text)
    assert "2 others" in text
    assert "Each cell in the color of its most probable organ" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "All cells together say the same, probability 0.93."),
        ({"accepted": False}, "0.93, which alone would not be relied on."),
        (
            {"agreement": "disagree"},
            "Contradiction:</span> the image as a whole says liver, probability 0.80; all",
        ),
        (
            {"agreement": "unsure"},
            "say kidney, probability 0.93; the image as a whole says liver, probability 0.80",
        ),
        ({"agreement": "unsure", "accepted": False}, "say kidney, probability 0.93, which is not to be relied on; the"),
        ({"help_to_decide": True}, "The answer counts the image and its cells alike."),
        ({"agreement": "no cells", "organ": "", "shares": ()}, "so the cells say nothing about the organ."),
    ],
)
def test_what_the_cells_say_stands_under_the_verdict(overlay, changes, expected):
    assert expected in render_page(page_of(entry(overlay, cells=cells_entry(overlay, **changes))))


def test_overview_has_a_column_for_the_cells_where_they_were_asked(overlay):
    plain, named = entry(overlay), entry(overlay, cells=cells_entry(overlay, agreement="disagree"))
    assert "Its cells say" not in render_page(page_of(plain, plain))
    text = render_page(page_of(plain, named))
    assert "Its cells say" in text
    assert "contradiction" in text


def test_prediction_set_and_promise_are_said(overlay):
    organ = OrganEntry("liver", 0.97, True, "", (("liver", 0.97),), ("liver", "kidney"), 0.9, ("At least 90 %.",))
    text = render_page(page_of(entry(overlay, organ=organ)))
    assert "Not ruled out: liver, kidney" in text
    assert "90 % of the images" in text
    assert "What can be promised about missing liver" in text
    assert "<p>At least 90 %.</p>" in text


def test_a_long_set_is_cut(overlay):
    many = tuple(f"organ {n}" for n in range(20))
    text = render_page(page_of(entry(overlay, organ=OrganEntry("liver", 0.1, True, "", (("liver", 0.1),), many, 0.9))))
    assert re.search(r"organ 7 and 12 others", text)


def test_evidence_is_shown_where_there_is_some(overlay):
    assert "speaks for" not in render_page(page_of(entry(overlay)))
    assert "orange speaks for kidney, blue against" in render_page(page_of(entry(overlay, evidence=overlay)))


def test_the_organ_that_must_not_be_missed_is_told_of(overlay):
    organ = OrganEntry("liver", 0.97, False, "?", (("liver", 0.97),), must_find="melanoma", flagged=True)
    page = replace(page_of(entry(overlay, organ=organ)), promise=("At least 90 %.",))
    assert "Flagged:</span> it may show melanoma." in render_page(page)
    assert "<p>At least 90 %.</p>" in render_page(page)
    calm = replace(organ, flagged=False)
    assert "Not flagged as melanoma." in render_page(page_of(entry(overlay, organ=calm)))
