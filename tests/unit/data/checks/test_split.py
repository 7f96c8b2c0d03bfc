"""Groups and organs on the sides of a split."""

from organscope.data.checks.finding import Severity
from organscope.data.checks.labels import class_imbalance, divided_groups, one_sided_organs
from tiny_set import TinySet


def add_organs(tiny: TinySet, counts: dict[str, int], folds: int = 2) -> None:
    for organ, n in counts.items():
        for number in range(n):
            tiny.add(f"{organ} {number}", organ=organ, fold=number % folds + 1)


def test_a_group_in_two_folds_is_an_error(tiny: TinySet):
    tiny.add("a", group="slide 1", fold=1)
    tiny.add("b", group="slide 1", fold=3)
    tiny.add("c", group="slide 2", fold=2)
    (finding,) = divided_groups(tiny.survey())
    assert finding.severity is Severity.ERROR
    assert "'slide 1' (2 images)" in finding.message
    assert "fold 1, fold 3" in finding.message


def test_a_group_in_train_and_test_is_an_error_even_without_folds(tiny: TinySet):
    tiny.add("a", group="slide 1", split="train")
    tiny.add("b", group="slide 1", split="test")
    (finding,) = divided_groups(tiny.survey())
    assert "test and train" in finding.message


def test_whole_groups_are_silent(tiny: TinySet):
    tiny.add("a", group="slide 1", fold=2, split="train")
    tiny.add("b", group="slide 1", fold=2, split="train")
    tiny.add("c", group="slide 2", fold=0)
    tiny.add("d", group="slide 2", fold=1)
    assert list(divided_groups(tiny.survey())) == []


def test_ten_times_the_images_is_imbalance(tiny: TinySet):
    add_organs(tiny, {"liver": 20, "femur": 2})
    (finding,) = class_imbalance(tiny.survey())
    assert finding.severity is Severity.WARNING
    assert "20 images of liver and 2 of femur" in finding.message


def test_balanced_organs_and_unknown_ones_are_silent(tiny: TinySet):
    add_organs(tiny, {"liver": 6, "femur": 2, "": 1})
    survey = tiny.survey()
    assert list(class_imbalance(survey)) == []
    assert list(one_sided_organs(survey)) == []


def test_organs_on_one_side_are_named(tiny: TinySet):
    add_organs(tiny, {"liver": 4})
    tiny.add("only scored", organ="lung", fold=1)
    tiny.add("only trained", organ="skin", fold=2)
    findings = list(one_sided_organs(tiny.survey()))
    assert [finding.message.partition(",")[0] for finding in findings] == [
        "Expected images of lung on both sides of the split",
        "Expected images of skin on both sides of the split",
    ]
    assert "folds 2 and above" in findings[0].message
    assert "fold 1, which is scored" in findings[1].message
