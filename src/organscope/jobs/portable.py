"""Models as another process loads them: by the paths of their bundles, with threads of its own."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from organscope.bundle import load_bundle
from organscope.decide import Rules
from organscope.jobs.models import Models
from organscope.predict import OperatingPoint


@dataclass(frozen=True)
class PortableModels:
    """What `Models` holds, small enough to be sent.

    Attributes:
        bundles: Absolute path by the name of its field in `Models`.
        threads: For each network; one a core where None.
        rules: As in `Models`.
        few_misses: As in `Models`.
    """

    bundles: dict[str, Path]
    threads: int | None
    rules: Rules
    few_misses: OperatingPoint | None

    @cached_property
    def loaded(self) -> Models:
        """The models in this process, read and checked at first use.

        Raises:
            UnknownNameError: A bundle does not exist on this machine.
            BundleError: A bundle is damaged.
        """
        bundles = {name: load_bundle(path, threads=self.threads) for name, path in self.bundles.items()}
        return Models(**bundles, rules=self.rules, few_misses=self.few_misses)


def portable(models: Models, threads: int | None) -> PortableModels:
    """The same models for other processes, each with so many threads."""
    bundles = {"cells": models.cells, "organs": models.organs, "cell_organs": models.cell_organs}
    paths = {name: bundle.source.absolute() for name, bundle in bundles.items() if bundle is not None}
    return PortableModels(paths, threads, models.rules, models.few_misses)
