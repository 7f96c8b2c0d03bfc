"""The distribution drawn as SVG."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from organscope.reporting.run_report import histogram_svg

SVG = "{http://www.w3.org/2000/svg}"


def bars(svg: str) -> list[float]:
    return [float(rect.get("height")) for rect in ElementTree.fromstring(svg).iter("rect")]


def test_bars_are_as_tall_as_their_counts():
    heights = bars(histogram_svg(np.array([1.0, 1.0, 1.0, 1.0, 99.0, 100.0]), unit="px"))
    assert heights[0] == max(heights)
    assert heights[-1] == pytest.approx(max(heights) / 2, abs=0.1)  # one decimal is written


def test_title_tells_count_and_median():
    svg = histogram_svg(np.arange(1.0, 1002.0), unit="µm²")
    assert "Areas of 1,001 cells: median 501 µm²" in svg


@pytest.mark.parametrize("values", [[5.0], [0.0], [3.0, 3.0, 3.0], [1.0] * 200 + [1e6]])
def test_odd_distributions_are_drawn_within_the_image(values):
    root = ElementTree.fromstring(histogram_svg(np.array(values), unit="px"))
    for rect in root.iter("rect"):
        assert 0 <= float(rect.get("x")) <= 360
        assert 0 <= float(rect.get("y")) <= 150
    line = next(line for line in root.iter("line") if line.get("class") == "median")
    assert 34 <= float(line.get("x1")) <= 350


def test_one_huge_value_does_not_squeeze_the_others_and_is_marked():
    svg = histogram_svg(np.array([100.0] * 200 + [1e6]), unit="px")
    assert "100+" in svg


def test_unit_is_escaped():
    assert "<b>" not in histogram_svg(np.array([1.0]), unit="<b>")
