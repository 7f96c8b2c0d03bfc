"""Who trains, who validates, who is only scored."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile

from organscope.data import Sample
from organscope.errors import DatasetError
from organscope.training import split as split_module
from organscope.training.config import DataSettings, Source
from organscope.training.split import split_cells, split_samples


class Listed:
    """An index that is a list of samples."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def samples(self) -> list[Sample]:
        return self._samples


def sample(number: int, organ: str, fold: int, split: str = "") -> Sample:
    name = f"{organ}-{number}"
    return Sample(name, Path(name), None, organ, organ, "set", fold, split, None)


@pytest.fixture
def divide(monkeypatch):
    def run(*sets: list[Sample], **settings):
        tables = {Path(str(number)): Listed(samples) for number, samples in enumerate(sets)}
        monkeypatch.setattr(split_module, "read_index", tables.get)
        weights = settings.pop("weights", [1.0] * len(sets))
        sources = tuple(Source(index=path, weight=w) for path, w in zip(tables, weights, strict=True))
        split = split_cells if settings.pop("cells", False) else split_samples
        return split(DataSettings(sources=sources, **settings))

    return run


LIVER_AND_LUNG = [sample(i, "liver", i % 4 + 1) for i in range(80)] + [sample(i, "lung", i % 4 + 1) for i in range(20)]


def test_the_three_parts_do_not_meet(divide):
    split = divide(LIVER_AND_LUNG)
    parts = [{s.id for s in part} for part in (split.training, split.validation, split.test)]
    assert sum(len(part) for part in parts) == 100 == len(set.union(*parts))
    assert all(s.fold == 1 for s in split.test)
    assert set(split.table()["part"]) == {"training", "validation", "test"}


def test_a_delivered_validation_part_is_taken_as_it_is(divide):
    delivered = [sample(i, "liver", 2, "validation" if i < 3 else "") for i in range(20)] + [sample(20, "liver", 1)]
    split = divide(delivered, validation_fraction=0.4)
    assert sorted(s.id for s in split.validation) == ["liver-0", "liver-1", "liver-2"]
    assert len(split.training) == 17
    assert [s.id for s in split.test] == ["liver-20"]


def test_validation_takes_its_share_of_every_organ(divide):
    held = Counter(s.organ for s in divide(LIVER_AND_LUNG, validation_fraction=0.1).validation)
    # 60 and 15 images lie outside fold 1: 6 livers, and 1 or 2 lungs by chance.
    assert held["liver"] in (6, 7)
    assert held["lung"] in (1, 2)


def test_the_same_seed_gives_the_same_split(divide):
    first, second, other = (divide(LIVER_AND_LUNG, seed=seed).validation for seed in (1, 1, 2))
    assert first == second != other


def test_the_delivered_test_part_is_never_trained_on(divide):
    samples = [sample(i, "skin_1", 0, "train") for i in range(30)] + [sample(i, "skin_2", 0, "test") for i in range(9)]
    split = divide(samples)
    assert {s.organ for s in split.test} == {"skin_2"}
    assert {s.organ for s in split.training} == {"skin_1"}


def test_full_balance_draws_every_organ_alike(divide):
    split = divide(LIVER_AND_LUNG, organ_balance=1.0)
    organs = np.array([s.organ for s in split.training])
    assert split.draw_probability.sum() == pytest.approx(1)
    assert split.draw_probability[organs == "lung"].sum() == pytest.approx(0.5)


def test_sources_are_drawn_by_their_weights(divide):
    other = [sample(i, "", i % 4 + 1) for i in range(400)]
    split = divide(LIVER_AND_LUNG, other, weights=[3.0, 1.0])
    fluorescence = np.array([s.organ == "" for s in split.training])
    assert split.draw_probability[fluorescence].sum() == pytest.approx(0.25)


def test_nothing_left_to_train_on_is_an_error(divide):
    with pytest.raises(DatasetError, match="found 0 to train"):
        divide([sample(i, "liver", 1) for i in range(5)])


def labeled(folder: Path, number: int, n_cells: int | None) -> Sample:
    path = folder / f"{number}.tif"
    if n_cells is not None:
        tifffile.imwrite(path, np.full((4, 4), n_cells, np.uint16))
    labels = None if n_cells is None else path
    return Sample(f"image-{number}", path, labels, "", str(number), "set", number % 4 + 1, "", None)


def test_trainings_on_cells_need_cells_to_validate_on(divide, tmp_path):
    """Whichever image is drawn: with cells it trains, without any it is refused before the first step."""
    whole = [labeled(tmp_path, number, 1) for number in range(1, 12)]
    held = divide(whole, cells=True).validation
    assert held
    numbers = {int(sample.id.split("-")[1]) for sample in held}
    empty = [labeled(tmp_path, number, 0 if number in numbers else 1) for number in range(1, 12)]
    with pytest.raises(DatasetError, match=r"to validate on, found none \(image-.*data.seed"):
        divide(empty, cells=True)
    others = [labeled(tmp_path, number, 1 if number in numbers else 0) for number in range(1, 12)]
    with pytest.raises(DatasetError, match="to train on, found none"):
        divide(others, cells=True)


def test_images_without_labels_do_not_train_on_cells(divide, tmp_path):
    """They are not images without cells."""
    split = divide([labeled(tmp_path, number, 1 if number % 3 else None) for number in range(40)], cells=True)
    for samples in (split.training, split.validation, split.test):
        assert samples
        assert all(sample.labels_path is not None for sample in samples)
    assert split.draw_probability.sum() == pytest.approx(1)
    assert len(split.draw_probability) == len(split.training)
    with pytest.raises(DatasetError, match="Import the annotations"):
        divide([labeled(tmp_path, number, None) for number in range(40)], cells=True)
