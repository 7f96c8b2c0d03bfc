"""A space from a file: TOML of our own, or a sweep of Weights & Biases as it is."""

import tomllib
from pathlib import Path
from typing import Any

from organscope.errors import ConfigError, UsageError
from organscope.sweep.space import Space, Task
from organscope.sweep.wandb import from_wandb
from organscope.training.config import check_settings


def read_space(path: Path, *, config: Path | None = None, task: Task | None = None) -> Space:
    """Read a space.

    Args:
        path: `.toml`, or `.yaml` / `.yml` for a sweep of W&B.
        config: Base configuration, in place of the file's; needed for W&B, whose sweeps name a program instead.
        task: In place of the file's; needed for W&B.

    Raises:
        UsageError: The file cannot be read, or `config` or `task` is missing.
        ConfigError: A key is unknown, unsupported or out of range; names it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Expected a file with a search space at {path}, found: {error}.") from error
    content = _from_yaml(text, path) if path.suffix.lower() in (".yaml", ".yml") else _from_toml(text, path)
    content.setdefault("name", path.stem.replace(" ", "-"))
    if config is not None:
        content["config"] = config.resolve()
    elif isinstance(content.get("config"), str):
        content["config"] = (path.parent / content["config"]).resolve()
    if task is not None:
        content["task"] = task
    for key, option in (("config", "--config CONFIG.toml"), ("task", "--task segmentation or classification")):
        if key not in content:
            raise UsageError(f"{path} does not say the {key} of the trainings: give {option}.")
    return check_settings(Space, content, str(path))


def _from_toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no valid TOML: {error}. A sweep of W&B needs the suffix .yaml.") from error


def _from_yaml(text: str, path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"Expected the keys of a W&B sweep in {path}, found {type(content).__name__}.")
    return from_wandb(content, str(path))
