"""Which of the processes of a training this is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from organscope.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """One process among those that train one network.

    The first one leads: it writes the run, tells how it goes on, and makes the bundle; the others only help it to fit.

    Attributes:
        rank: From 0.
        world: Number of processes on all machines.
        on_machine: Number of them on each machine.
    """

    rank: int = 0
    world: int = 1
    on_machine: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.world == 1

    @property
    def n_machines(self) -> int:
        return self.world // self.on_machine

    def require_shares(self, batch: int) -> None:
        """Every process gets as many pictures of a step as any other.

        Raises:
            ConfigError: The batch cannot be divided so.
        """
        if self.is_alone:
            return
        if batch % self.world or batch < 2 * self.world:
            raise ConfigError(
                f"Expected fit.batch to be a multiple of the {self.world} processes, and at least 2 for each, found "
                f"{batch}. Set another with --set fit.batch={max(2, batch // self.world) * self.world}."
            )

    def seed(self, *numbers: int) -> tuple[int, ...]:
        """For what each process draws by itself; alone it is the seed as it was given."""
        return numbers if self.is_alone else (*numbers, self.rank)


def torchrun_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that `torchrun` gave this process; alone without it."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return Place()
    return Place(*(int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")))
