"""Pages of the reference that are made from the code when the site is built: a hook of MkDocs.

The command line from typer, configurations, cluster files and the manifest of bundles from their pydantic models, and
the changes from CHANGELOG.md. So an option or a key is described in one place, where it is defined.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "Path": "path",
    "Any": "any",
    "AwareDatetime": "time",
}

_ROOT = Path(__file__).resolve().parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    pages = {
        "reference/cli.md": _command_line(),
        "reference/configuration.md": _configurations(),
        "reference/manifest.md": _manifest(),
        "changes.md": _changes(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def _changes() -> str:
    text = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.replace("](docs/", "](")


def _command_line() -> str:
    from organscope.cli.main import app

    group = typer.main.get_command(app)
    parts = [
        "# Command line\n",
        "Made from the commands themselves; `organscope COMMAND --help` prints the same. Exit codes: 0 done, 1 some "
        "inputs failed (each is named, the others are finished), 2 wrong use (nothing was started), 130 interrupted. "
        "`organscope --install-completion` completes names and options in your shell.\n",
    ]
    context = typer.Context(group, info_name="organscope")
    for words, command in _commands(group, ("organscope",)):
        parts += [f"## {' '.join(words[1:])}\n", *_command(words, command, context)]
    return "\n".join(parts)


def _commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


def _command(words: tuple[str, ...], command: Any, parent: typer.Context) -> Iterator[str]:
    context = typer.Context(command, info_name=" ".join(words[1:]), parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{' '.join(words)} {usage}\n```\n"
    yield _prose(command.help or "") + "\n"
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    if records:
        yield "| option | meaning |\n|---|---|"
        yield "\n".join(f"| `{' '.join(name.split())}` | {_cell(meaning)} |" for name, meaning in records) + "\n"
    if command.epilog:
        yield f"```bash\n{_examples(command.epilog)}\n```\n"


def _prose(text: str) -> str:
    return inspect.cleandoc(text.replace("\b", "")).replace("<", "&lt;").replace("*", "\\*")


def _examples(epilog: str) -> str:
    lines = inspect.cleandoc(epilog.replace("\b", "")).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip() and line.strip() != "Examples:")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _configurations() -> str:
    from organscope.dask_backend import ClusterFile
    from organscope.decision.costs import CostTable
    from organscope.sweep.space import Space
    from organscope.training.classification.config import ClassificationConfig
    from organscope.training.segmentation.config import SegmentationConfig

    parts = [
        "# Configuration\n",
        "Made from the models that check each file. Files are TOML; a key that is not known is refused by name. "
        "`--set TABLE.KEY=VALUE` changes a single key of a training.\n",
    ]
    for title, anchor, model in (
        ("Training on cells", "`organscope train segmentation FILE`", SegmentationConfig),
        ("Training on classes of images or cells", "`organscope train classification FILE`", ClassificationConfig),
        ("Sweeps", "`organscope sweep FILE`", Space),
        ("Costs of mistakes", "`--costs FILE`", CostTable),
        ("Clusters", "`--cluster FILE`", ClusterFile),
    ):
        parts += [f"## {title}\n", f"{anchor}. {_summary(model)}\n", *_tables(model, "")]
    return "\n".join(parts)


def _manifest() -> str:
    from organscope.models.manifest import Certificate, Manifest

    parts = [
        "# Manifest of a bundle\n",
        "`manifest.json`, made from the model that checks it. What a bundle is: [bundles](../bundles.md).\n",
        *_tables(Manifest, ""),
        "## `parity.json`\n",
        f"{_summary(Certificate)}\n",
        *_tables(Certificate, ""),
    ]
    return "\n".join(parts)


def _tables(model: type[BaseModel], prefix: str, seen: tuple[type, ...] = ()) -> Iterator[str]:
    """A table of a model's own keys, then one of each model that is a value of it."""
    meanings = _meanings(model)
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        nested = _models_in(field.annotation)
        inner += [(f"{prefix}{name}.", one) for one in nested if one not in seen]
        kind = _type_name(field.annotation) + _limits(field)
        meaning = _cell(meanings.get(name, "; ".join(_summary(one) for one in nested)))
        yield f"| `{prefix}{name}` | {kind} | {_default(field)} | {meaning} |"
    yield ""
    for inner_prefix, one in inner:
        yield f"**`{inner_prefix.removesuffix('.')}`**: {_summary(one)}\n"
        yield from _tables(one, inner_prefix, (*seen, model))


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """From the `Attributes:` of a model and those that it inherits from."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = inspect.cleandoc(one.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        for entry in re.split(r"\n(?=    \w)", "\n" + text):
            name, colon, meaning = entry.strip().partition(":")
            if colon:
                found[name] = " ".join(meaning.split())
    return found


def _summary(model: type[BaseModel]) -> str:
    return (inspect.cleandoc(model.__dict__.get("__doc__") or "").splitlines() or [""])[0]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is NoneType:
        return "none"
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(one) for one in arguments)
    if origin in (tuple, list, frozenset):
        return "list of " + _type_name(arguments[0])
    if origin is dict:
        return "table of " + _type_name(arguments[1])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    name = getattr(annotation, "__name__", str(annotation))
    return _TYPES.get(name, name)


def _limits(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "pattern": "like"}
    found = [
        f"{sign} {value}"
        for limit in field.metadata
        for name, sign in signs.items()
        if (value := getattr(limit, name, None)) is not None
    ]
    return f" (`{', '.join(found)}`)" if found else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return "" if value is None or isinstance(value, BaseModel) or value in ("", (), {}) else f"`{value}`"
