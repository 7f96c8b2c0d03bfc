"""The page of a sweep stands alone, and shows what there is."""

import re

import optuna
import pytest

from organscope.sweep.report import render_sweep_page
from organscope.sweep.study import quieten, trial_table

PARAMETERS = {
    "fit.learning_rate": {"min": 1e-3, "max": 3e-2, "log": True},
    "network.depth": {"min": 2, "max": 5, "int": True},
    "augmentation": {"min": 0.0, "max": 1.5, "sets": {"augmentation.stain": [0.0, 0.1]}},
    "<b>net</b>": {"options": {"small": {"network.base_filters": 8}, "large": {"network.base_filters": 32}}},
}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    quieten()


def finished_study(space, n_trials: int) -> optuna.Study:
    """A study whose first objective grows with the learning rate; every third trial was given up."""
    directions = [objective.direction for objective in space.objectives]
    study = optuna.create_study(directions=directions, sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(n_trials):
        trial = study.ask({name: p.distribution() for name, p in space.parameters.items()})
        rate = trial.params["fit.learning_rate"]
        trial.set_user_attr("reason", "<script>alert(1)</script>")
        if len(directions) == 1:
            trial.report(rate, 1)
            if number % 3 == 2:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                continue
        study.tell(trial, [rate, *range(1, len(directions))])
    return study


@pytest.fixture
def render(space):
    def page(n_trials: int, **changes) -> str:
        searched = space(parameters=PARAMETERS, pruner={"kind": "hyperband"}, **changes)
        study = finished_study(searched, n_trials)
        return render_sweep_page(study, searched, trial_table(study, searched))

    return page


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_all_figures_are_inside_and_nothing_is_fetched(render):
    page = render(9)
    assert titles(page) == [
        "Optimization history",
        "Parallel coordinates",
        "Slices",
        "Importance of the parameters",
        "Learning curves",
        "Trials",
    ]
    assert page.count('src="data:image/svg+xml;base64,') == 5
    assert not re.search(r"(src|href|srcset)=\"(?!data:)", page)
    assert "<script" not in page
    assert "<b>net</b>" not in page


def test_several_objectives_have_a_front_and_no_curves(render):
    page = render(5, objectives=[{"metric": "score"}, {"metric": "size_mb", "direction": "minimize"}])
    assert titles(page)[0] == "Pareto front"
    assert "Learning curves" not in titles(page)


@pytest.mark.parametrize("n_trials", [0, 1, 2])
def test_a_sweep_of_few_trials_has_a_page_too(render, n_trials):
    page = render(n_trials)
    assert titles(page)[-1] == "Trials"
    assert ("at least two trials" in page) == (n_trials < 2)
    assert "Importance of the parameters" not in titles(page)
