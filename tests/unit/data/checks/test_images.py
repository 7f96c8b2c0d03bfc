"""Files that are damaged or have changed."""

import numpy as np
import tifffile

from organscope.data import survey as pixels
from organscope.data.checks.finding import Severity
from organscope.data.checks.images import changed_files, partly_read, unreadable_images, unreadable_labels
from tiny_set import TinySet, two_cells


def test_truncated_and_missing_images_are_named(tiny: TinySet):
    cut, gone = tiny.add("cut"), tiny.add("gone")
    tiny.add("sound")
    cut.write_bytes(cut.read_bytes()[:500])
    gone.unlink()
    findings = list(unreadable_images(tiny.survey()))
    assert [finding.sample for finding in findings] == ["cut", "gone"]
    assert {finding.severity for finding in findings} == {Severity.ERROR}
    assert findings[0].file == str(cut)
    assert "truncated" in findings[0].message
    assert "No such file" in findings[1].message


def test_sound_files_are_silent(tiny: TinySet):
    tiny.add("a", labels=two_cells())
    survey = tiny.survey()
    for check in (unreadable_images, unreadable_labels, changed_files, partly_read):
        assert list(check(survey)) == []


def test_labels_that_are_no_label_image_are_named(tiny: TinySet):
    tiny.add("a", labels=two_cells())
    tifffile.imwrite(tiny.rows[0]["labels"], np.full((32, 32), 0.5, np.float32))
    (finding,) = unreadable_labels(tiny.survey())
    assert finding.severity is Severity.ERROR
    assert "not probabilities" in finding.message


def test_changed_image_and_changed_labels_are_two_findings(tiny: TinySet):
    path = tiny.add("a", labels=two_cells())
    tifffile.imwrite(path, tiny.noise())
    tifffile.imwrite(tiny.rows[0]["labels"], two_cells().T)
    findings = list(changed_files(tiny.survey()))
    assert [finding.file for finding in findings] == [str(path), tiny.rows[0]["labels"]]
    assert all(finding.severity is Severity.ERROR for finding in findings)


def test_image_that_is_read_at_lower_resolution_only_is_noted(tiny: TinySet, monkeypatch):
    path = tiny.add("pyramid")
    large = tiny.noise((256, 256))
    with tifffile.TiffWriter(path) as writer:
        writer.write(large, tile=(64, 64), subifds=1)
        writer.write(large[::2, ::2], tile=(64, 64), subfiletype=1)
    monkeypatch.setattr(pixels, "_MAX_DECODED_PIXELS", 200 * 200)
    (finding,) = partly_read(tiny.survey())
    assert finding.severity is Severity.NOTE
    assert "256 x 256 px" in finding.message
