"""Make the imitated images that `nuclei` trains on and is judged on beside real ones.

    python bench/imitate_sets.py --he indexes/nuinsseg indexes/tnbc --fluorescence indexes/dsb2018 indexes/bbbc039 \
        indexes/mnfinder --stains indexes/brca_m2c -o indexes

Of each image outside fold 1: one in the stains of another slide, one as immunohistochemistry and, of every second, one
as fluorescence, of the others one as a brown sheet of cells with blue nuclei; and tissue composed of the nuclei of
fluorescence. Images of fold 1 are made into fold 1 in the same
way, those that the trainer holds back for validation (`--validation-fraction`, at least that of the configuration) into
a split `validation`, so that no imitation shows a trained network what it is judged by.
The index `..._part` holds as many of each as `N_TRAIN` says, 5 for validation and 30 of fold 1.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from organscope.data.index import Sample, read_index, write_index
from organscope.ops.intensity import to_rgb
from organscope.training.config import DataSettings, Source
from organscope.training.segmentation.imitations import (
    Nucleus,
    Stains,
    compose_stained,
    compose_tissue,
    cut_nuclei,
    fluoresce,
    immunostain,
    restain,
)
from organscope.training.split import split_samples

N_COMPOSED = {"train": 260, "validation": 16, "test": 30}
N_TRAIN = {"stains": 200, "ihc": 260, "sheet": 200, "dapi": 60, "tissue": 220, "section": 260}
"""Imitated images that the configuration trains on; more take longer to read than they teach in its time."""
COMPOSED_PX = 384
NUCLEI_AN_IMAGE = 12


class ImitatedSet:
    """A folder of images and label images that grows, and its index in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._n_train = N_TRAIN[folder.name.removeprefix("imitated_")]
        self._rows = []
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True, exist_ok=True)

    def add(self, name: str, pixels: np.ndarray, labels: np.ndarray, part: str, group: str) -> None:
        """Keep one image, of the part `train`, `validation` or `test`, which is fold 1."""
        files = [self._folder / kind / f"{name}.png" for kind in ("images", "labels")]
        Image.fromarray(pixels).save(files[0])
        Image.fromarray(labels.astype(np.uint16)).save(files[1])
        sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        self._rows.append(
            {
                "id": name,
                "image": str(files[0]),
                "organ": "",
                "species": "",
                "group": group,
                "labels": str(files[1]),
                "dataset": self._folder.name,
                "split": "validation" if part == "validation" else "",
                "fold": 1 if part == "test" else 2,
                "height_px": pixels.shape[0],
                "width_px": pixels.shape[1],
                "n_channels": 3 if pixels.ndim == 3 else 1,
                "dtype": "uint8",
                "labeled": True,
                "um_per_px_y": np.nan,
                "um_per_px_x": np.nan,
                "classes": "",
                "class_counts": "",
                "choice": "",
                "n_cells": len(np.unique(labels)) - 1,
                "sha256": sums[0],
                "labels_sha256": sums[1],
            }
        )

    def finish(self) -> None:
        """Write the index, and that of the part that is used."""
        table = pd.DataFrame(self._rows)
        held, scored = table["split"] == "validation", table["fold"] == 1
        chosen = [
            rows.sample(min(n, len(rows)), random_state=0)
            for rows, n in ((table[~held & ~scored], self._n_train), (table[held], 5), (table[scored], 30))
        ]
        index = write_index(self._folder, table)
        part = write_index(self._folder.with_name(f"{self._folder.name}_part"), pd.concat(chosen))
        print(f"{self._folder}: {len(index)} images, {len(part)} of them in {part.folder.name}")


def main() -> None:
    told = _arguments()
    stained = _parts(told.he)
    compose(told.output / "imitated_tissue", _parts(told.fluorescence), told.seed)
    slides = _slides(stained, told.stains)
    compose_sections(told.output / "imitated_section", stained, slides, told.seed)
    imitate(told.output, stained, slides, told.seed)


def compose(folder: Path, samples: dict[str, list[Sample]], seed: int) -> None:
    """Tissue of the nuclei of each part."""
    tissue = ImitatedSet(folder)
    for part, of_part in samples.items():
        random = np.random.default_rng([seed, *part.encode()])
        nuclei = [n for s in of_part for n in cut_nuclei(_gray(s), s.read_labels(), NUCLEI_AN_IMAGE)]
        for number in range(N_COMPOSED[part]):
            tissue.add(f"{part}_{number:03}", *compose_tissue(nuclei, COMPOSED_PX, random), part, part)
    tissue.finish()


def compose_sections(folder: Path, samples: dict[str, list[Sample]], slides: list[Stains], seed: int) -> None:
    """Crowded stained tissue of the nuclei of each part."""
    section = ImitatedSet(folder)
    for part, of_part in samples.items():
        random = np.random.default_rng([seed, *part.encode()])
        nuclei = [n for sample in of_part for n in _stained_nuclei(sample)]
        for number in range(N_COMPOSED[part]):
            section.add(f"{part}_{number:03}", *compose_stained(nuclei, slides, COMPOSED_PX, random), part, part)
    section.finish()


def imitate(folder: Path, samples: dict[str, list[Sample]], slides: list[Stains], seed: int) -> None:
    """H&E in other stains."""
    kinds = ("stains", "ihc", "sheet", "dapi")
    restained, immuno, sheet, dapi = (ImitatedSet(folder / f"imitated_{kind}") for kind in kinds)
    for part, of_part in samples.items():
        for number, sample in enumerate(of_part):
            pixels, labels = _pixels(sample), sample.read_labels()
            own = Stains.of(pixels)
            if own is None:
                continue
            random = np.random.default_rng([seed, *sample.id.encode()])
            other = slides[random.integers(len(slides))]
            restained.add(sample.id, restain(pixels, own, other, random), labels, part, sample.group)
            immuno.add(sample.id, immunostain(pixels, labels, own, random), labels, part, sample.group)
            if number % 2 == 1 and labels.any():
                shown = immunostain(pixels, labels, own, np.random.default_rng([seed, 1, *sample.id.encode()]), "sheet")
                sheet.add(sample.id, shown, labels, part, sample.group)
            if number % 2 == 0:
                dapi.add(sample.id, fluoresce(pixels, labels, own, random), labels, part, sample.group)
    for made in (restained, immuno, sheet, dapi):
        made.finish()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--he", type=Path, nargs="+", required=True, help="indexes of labeled H&E")
    parser.add_argument("--fluorescence", type=Path, nargs="+", required=True, help="indexes of labeled fluorescence")
    parser.add_argument("--stains", type=Path, nargs="*", default=[], help="indexes of H&E that only lend their stains")
    parser.add_argument("--validation-fraction", type=float, default=0.08)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def _parts(folders: list[Path]) -> dict[str, list[Sample]]:
    sources, fraction = tuple(Source(index=folder) for folder in folders), _arguments().validation_fraction
    split = split_samples(DataSettings(sources=sources, validation_fraction=fraction))
    return {"train": split.training, "validation": split.validation, "test": split.test}


def _slides(samples: dict[str, list[Sample]], lenders: list[Path]) -> list[Stains]:
    """Stains of the images that train, and of those that only lend theirs."""
    donors = [s for lender in lenders for s in read_index(lender).samples() if s.fold != 1]
    found = (Stains.of(_pixels(sample)) for sample in [*donors, *samples["train"]])
    return [stains for stains in found if stains is not None]


def _stained_nuclei(sample: Sample) -> list[Nucleus]:
    """Nuclei of H&E by their haematoxylin."""
    pixels = _pixels(sample)
    own = Stains.of(pixels)
    if own is None:
        return []
    blue = np.minimum(own.amounts(pixels)[..., 0], 2) / 2
    return cut_nuclei((255 * blue).astype(np.uint8), sample.read_labels(), NUCLEI_AN_IMAGE)


def _gray(sample: Sample) -> np.ndarray:
    return _pixels(sample).mean(axis=2).astype(np.uint8)


def _pixels(sample: Sample) -> np.ndarray:
    """Uint8 (y, x, 3) as the file has it."""
    with sample.open() as image:
        return to_rgb(image.read_whole())


if __name__ == "__main__":
    main()
