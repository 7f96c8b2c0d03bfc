"""How the golden bundles of format version 1 were made; they are never made again.

Run once, as `PYTHONPATH=tests python tests/golden/make_tiny_v1.py`, when version 1 was first released. A later
version must read them as they are.
"""

from pathlib import Path

from tiny_bundles import write_tiny_classification, write_tiny_segmentation

if __name__ == "__main__":
    here = Path(__file__).parent
    write_tiny_segmentation(here / "tiny_nuclei_v1")
    write_tiny_classification(here / "tiny_organs_v1")
