"""The configuration of one trial: a file that `organscope train` takes as it is."""

import os
import tomllib
from pathlib import Path
from typing import Any

from organscope.errors import ConfigError, UsageError
from organscope.images.atomic import atomic_path
from organscope.sweep.space import Space
from organscope.train.record import MODELS
from organscope.train.settings import check_settings


def write_configuration(path: Path, space: Space, settings: dict[str, Any], remark: str) -> None:
    """Write the base configuration with some settings changed, each with every word of the base but its remarks.

    Args:
        path: TOML file. Relative folders of indexes are written relative to it.
        space: Names the base.
        settings: Dotted key to value.
        remark: First line of the file.
    """
    import tomli_w

    content = configuration(space, settings)
    for source in content["data"]["sources"]:
        source["index"] = _relative(Path(source["index"]), path.parent)
    with atomic_path(path) as temporary:
        temporary.write_text(f"# {remark}\n\n{tomli_w.dumps(content)}", encoding="utf-8")


def configuration(space: Space, settings: dict[str, Any]) -> dict[str, Any]:
    """The base configuration with some settings changed, its indexes as absolute paths.

    Raises:
        UsageError: There is no base configuration.
        ConfigError: It is no valid TOML, has no data, or a key leads through a value.
    """
    content = _read_base(space.config)
    for key, value in settings.items():
        _set(content, key, value)
    sources = content.get("data", {}).get("sources")
    if not isinstance(sources, list) or not all(isinstance(source, dict) and "index" in source for source in sources):
        raise ConfigError(f"Expected data.sources with an index each in {space.config}, found {sources!r}.")
    for source in sources:
        source["index"] = str((space.config.parent / source["index"]).resolve())
    return content


def check_space(space: Space) -> None:
    """Try the ends and choices of every parameter on the trainer's own settings, before anything is run.

    Raises:
        UsageError: There is no base configuration.
        ConfigError: A key is unknown to the trainer or a value out of its range.
    """
    first = {name: parameter.examples()[0] for name, parameter in space.parameters.items()}
    model = MODELS[space.task]
    for name, parameter in space.parameters.items():
        for value in parameter.examples():
            settings = space.trial_settings() | space.overrides(first | {name: value})
            check_settings(
                model, configuration(space, settings), f"parameters.{name} = {value!r} of sweep {space.name}"
            )


def _read_base(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Expected the base configuration of the sweep at {path}, but: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}.") from error


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    table = content
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{key}: {name} is a value in the configuration, not a table.")
    table[last] = value


def _relative(index: Path, folder: Path) -> str:
    """Relative where both lie on one drive, so that the folder of the project can be moved."""
    try:
        return Path(os.path.relpath(index, folder.resolve())).as_posix()
    except ValueError:
        return str(index)
