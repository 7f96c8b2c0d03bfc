"""The certificate: read, shown, and left out by bundles that have none."""

import pytest

from organscope.errors import IntegrityError
from organscope.models import describe, load_bundle
from organscope.models.manifest import Certificate, Comparison, certificate_in_words, parse_certificate
from organscope.training.bundling import with_certificate
from tiny_bundles import tiny_segmentation

INT8 = Comparison(
    kind="int8",
    n_images=3,
    largest_difference=0.0123,
    unit="cells",
    n_units=40,
    n_changed=7,
    n_lost=1,
    scores={"pq": -0.00214, "dice": -0.000001},
    note="tried, not used",
)
THREADS = Comparison(kind="threads", n_images=3, largest_difference=0, unit="cells", n_units=40, n_changed=0)
CERTIFICATE = Certificate(pictures="3 images of discs", made_with={"keras": "3"}, comparisons=[INT8, THREADS])


def test_it_is_told_in_words():
    assert certificate_in_words(CERTIFICATE) == [
        "Parity, on 3 images of discs",
        "  floating point against 8-bit integers (tried, not used): probabilities within 1.2e-02; 7 of 40 cells "
        "changed (1 lost or new), pq -0.0021, dice +0.0000",
        "  1 thread against 2: the same to the last digit",
    ]


def test_it_travels_with_the_bundle(tmp_path):
    bundle = tiny_segmentation(tmp_path / "tiny")
    assert bundle.certificate is None
    assert "Parity: not compared" in describe(bundle.manifest)
    certified = with_certificate(bundle, CERTIFICATE, tmp_path / "tiny")
    assert load_bundle(tmp_path / "tiny").certificate == CERTIFICATE
    assert certified.manifest.graph == bundle.manifest.graph
    assert "1 thread against 2" in describe(certified.manifest, certified.certificate)


def test_what_is_no_certificate_is_said():
    with pytest.raises(IntegrityError, match=r"parity certificate, found: .* at comparisons"):
        parse_certificate(b'{"pictures": "", "made_with": {}, "comparisons": 3}', "here")
