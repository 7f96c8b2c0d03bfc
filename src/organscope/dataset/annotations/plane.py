"""Which plane of its file an image is, for annotations that name planes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plane:
    """The plane of a stack that was read as the image; numbers count from 1.

    Attributes:
        channel: Channel that was read, None where all were.
        z: Slice that was read, None where all were (a projection).
        t: Frame that was read, None where all were.
        n_channels: Channels of the file, n_z its slices, n_t its frames.
    """

    channel: int | None = None
    z: int | None = 1
    t: int | None = 1
    n_channels: int = 1
    n_z: int = 1
    n_t: int = 1

    @property
    def is_stack(self) -> bool:
        """Whether the file has several planes to choose from."""
        return self.n_channels * self.n_z * self.n_t > 1

    def __str__(self) -> str:
        axes = (("channel", self.channel, self.n_channels), ("z", self.z, self.n_z), ("t", self.t, self.n_t))
        named = [f"{name} {value} of {n}" for name, value, n in axes if value is not None and n > 1]
        return ", ".join(named) or "the only plane"


#: An image whose file holds nothing else.
ONLY_PLANE = Plane()
