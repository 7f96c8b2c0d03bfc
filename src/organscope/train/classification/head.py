"""The head: from the maps of several stages to logits that are the mean of a map, so that evidence is exact.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016: where logits are a linear function
of globally averaged maps, the same function of each place says what that place added. It holds for every map that
is averaged, so earlier stages and the logarithm of a local energy (Laws 1980; Bruna & Mallat 2013) may be among
them: what counts is that nothing but a mean and a linear function comes after.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

#: Added to an energy before its logarithm: maps have a variance of about 1, and a silent one must not dominate.
ENERGY_FLOOR = 1e-2
#: Added to a variance before a division: a channel that is silent in training would otherwise say a thousand times too
#: much of the one picture that wakes it.
VARIANCE_FLOOR = 1e-2


@dataclass(frozen=True)
class Stage:
    """Maps that the head reads.

    Attributes:
        channels: Of the maps.
        factor: How many of their pixels lie along one pixel of the last stage.
        rounds_up: Whether the last stage has a pixel for a remainder, or leaves it out.
    """

    channels: int
    factor: int
    rounds_up: bool = True


class OrganHead(nn.Module):
    """Local means of the maps of some stages, averaged over the field, to logits.

    All maps are brought to the grid of the last stage and standardised there. Each stage has a linear function of
    its own on the averages; the logits are the mean over the stages.

    Args:
        stages: The last stage of the backbone last.
        n_organs: Number of classes.
        texture: Beside the local means, the earlier stages give the logarithm of their local energies, and every
            stage gives the squares of all these, which tell how a texture varies over the field.
        limit: Of a local value before it is squared, in its standard deviations; none lets one place of a picture
            drown all the others.
        drop_rate: Dropout before the linear functions.
    """

    def __init__(self, stages: list[Stage], n_organs: int, *, texture: bool, limit: float, drop_rate: float) -> None:
        super().__init__()
        self.stages = stages
        self.texture = texture
        self.limit = limit
        widths = [stage.channels * (2 if texture and stage.factor > 1 else 1) for stage in stages]
        repeats = 2 if texture else 1
        self.local_norms = nn.ModuleList([nn.BatchNorm2d(width, VARIANCE_FLOOR, affine=False) for width in widths])
        self.norms = nn.ModuleList([nn.BatchNorm1d(repeats * width, VARIANCE_FLOOR, affine=False) for width in widths])
        self.drop = nn.Dropout(drop_rate)
        self.linears = nn.ModuleList([nn.Linear(repeats * width, n_organs) for width in widths])

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"]]:
        """Logits and standardised averages of all stages."""
        features = self.features(maps)
        return torch.stack(self.stage_logits(features)).mean(dim=0), torch.cat(features, dim=1)

    def features(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n _"]]:
        """Standardised averages over the whole field, by stage."""
        return [norm(part.mean(dim=(2, 3))) for norm, part in zip(self.norms, self.local(maps), strict=True)]

    def stage_logits(self, features: list[Float[Tensor, "n _"]]) -> list[Float[Tensor, "n organ"]]:
        """What each stage says by itself."""
        return [linear(self.drop(part)) for linear, part in zip(self.linears, features, strict=True)]

    def local(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n _ y x"]]:
        """What each place of the last stage's grid gives, by stage; `features` are the averages."""
        return [
            self._describe(values, stage, norm)
            for values, stage, norm in zip(maps, self.stages, self.local_norms, strict=True)
        ]

    def explain(
        self, maps: list[Float[Tensor, "n _ _ _"]]
    ) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"], Float[Tensor, "n y x organ"]]:
        """Logits, features and evidence, in evaluation mode: logits are the mean of the evidence plus the bias."""
        local = self.local(maps)
        features = [norm(part.mean(dim=(2, 3))) for norm, part in zip(self.norms, local, strict=True)]
        evidence = [
            _at_each_place(part, norm, linear)
            for part, norm, linear in zip(local, self.norms, self.linears, strict=True)
        ]
        bias = torch.stack([linear.bias for linear in self.linears]).mean(dim=0)
        mean = sum(evidence) / len(evidence)
        return mean.mean(dim=(1, 2)) + bias, torch.cat(features, dim=1), mean

    def _describe(self, values: Tensor, stage: Stage, norm: nn.BatchNorm2d) -> Tensor:
        local = block_means(values, stage.factor, rounds_up=stage.rounds_up)
        if self.texture and stage.factor > 1:
            energy = block_means(values * values, stage.factor, rounds_up=stage.rounds_up)
            local = torch.cat([local, (energy + ENERGY_FLOOR).log()], dim=1)
        local = norm(local)
        if not self.texture:
            return local
        bounded = local.clamp(-self.limit, self.limit)
        return torch.cat([bounded, bounded * bounded], dim=1)


def _at_each_place(local: Tensor, norm: nn.BatchNorm1d, linear: nn.Linear) -> Float[Tensor, "n y x organ"]:
    """The linear function of the standardised averages, of each place instead; without its bias."""
    scale = (norm.running_var + norm.eps).rsqrt()
    return functional.linear((local.permute(0, 2, 3, 1) - norm.running_mean) * scale, linear.weight)


def block_means(values: Float[Tensor, "n d v u"], factor: int, *, rounds_up: bool) -> Float[Tensor, "n d y x"]:
    """Means of square blocks; a block that is cut at the edge is the mean of what is there, or is left out."""
    if factor == 1:
        return values
    return functional.avg_pool2d(values, factor, ceil_mode=rounds_up, count_include_pad=False)
