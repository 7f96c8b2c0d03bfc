"""What both trainers are told: which images, which folds, which run. Read from TOML, unknown keys refused."""

import tomllib
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.errors import ConfigError, UsageError
from organscope.tracking.base import TrackingSettings


class Settings(BaseModel):
    """Base of every settings model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Settings):
    """One dataset index and how often its images are drawn relative to the other sources.

    Attributes:
        index: Folder of the index.
        weight: Share of the training samples, relative to the weights of the other sources.
    """

    index: Path
    weight: float = Field(1.0, gt=0)


class DataSettings(Settings):
    """Which images train, which tell when to stop, and which are only scored.

    Attributes:
        sources: Dataset indexes, all of the same kind of annotation.
        test_folds: Folds that training never sees; the bundle's scores are measured on them.
        validation_fraction: Part of the training images that is held back for early stopping, temperature
            and thresholds, drawn by organ.
        organ_balance: 1 draws every organ equally often, 0 every image equally often.
        seed: Of the inner split.
    """

    sources: tuple[Source, ...] = Field(min_length=1)
    test_folds: tuple[int, ...] = (1,)
    validation_fraction: float = Field(0.1, gt=0, lt=0.5)
    organ_balance: float = Field(0.5, ge=0, le=1)
    seed: int = 0


class BundleSettings(Settings):
    """What the trained bundle is called and what its card says.

    Attributes:
        name: Of the bundle.
        version: Of the bundle, for instance `2026.11`.
        summary: One sentence: what it finds and in which images.
        license: Of the weights.
        data_statement: Markdown: which data, by whom, under which license.
        limits: Markdown: what it must not be used for, and what it has never seen.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str = "1"
    summary: str
    licence: str = "BSD-3-Clause"
    data_statement: str = ""
    limits: str = ""


class TrainingSettings(Settings):
    """What every training is told, whatever its network.

    Attributes:
        task: Name of the task.
        data: Which images.
        bundle: What the result is called.
        tracking: Which trackers follow the run.
        draft: End with a bundle that was neither tuned, calibrated nor scored: what a trial of a sweep needs.
        FREE_ON_RESUME: What changes nothing in the fit, so that a run may be finished with other values.
    """

    FREE_ON_RESUME: ClassVar[frozenset[str]] = frozenset({"tracking", "bundle", "draft"})

    task: str
    data: DataSettings
    bundle: BundleSettings
    tracking: TrackingSettings = TrackingSettings()
    draft: bool = False


Model = TypeVar("Model", bound=Settings)


def read_settings(model: type[Model], path: Path, overrides: tuple[str, ...] = ()) -> Model:
    """Read a TOML configuration, change single keys and check it.

    Args:
        model: The settings model of the task.
        path: TOML file. Relative index folders are taken from this file's folder.
        overrides: `key.of.table=value` with the value in TOML, for instance `fit.epochs=3`; a value that is
            no TOML is taken as text.

    Raises:
        ConfigError: The file is no TOML, or a key is unknown, missing or out of range; names each of them.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Expected a configuration file at {path}, but: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}.") from error
    for override in overrides:
        _override(content, override)
    _anchor_sources(content, Path(path).parent)
    return check_settings(model, content, str(path))


def check_settings(model: type[Model], content: dict[str, Any], origin: str) -> Model:
    """Validate plain data against a settings model; `origin` names it in the error."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']} (found {fault['input']!r})"
            for fault in error.errors(include_url=False)
        ]
        raise ConfigError(f"{origin} does not fit: " + "; ".join(faults) + ".") from error


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"Expected --set KEY=VALUE, found {override!r}. Example: --set fit.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    table = content
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {key}: {name} is a value in the configuration, not a table.")
    table[last] = value


def _anchor_sources(content: dict[str, Any], folder: Path) -> None:
    """Make relative index folders relative to the configuration's folder."""
    data = content.get("data")
    for source in data.get("sources", []) if isinstance(data, dict) else []:
        if isinstance(source, dict) and isinstance(source.get("index"), str):
            source["index"] = str(folder / source["index"])
