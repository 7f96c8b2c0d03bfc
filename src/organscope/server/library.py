"""The bundles that a user may choose: those of the operator, those of the package, and those that were taught here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from organscope.models import Manifest, load_bundle
from organscope.models.bundle import shipped_names
from organscope.server.errors import RefusalError
from organscope.server.settings import Settings

#: Bundles for this are used by commands; the page names kinds by clicks.
_KINDS = "cell kinds"


@dataclass(frozen=True)
class Entry:
    """A bundle.

    Attributes:
        id: By which a person chooses it.
        source: Name or path to load it by.
        manifest: What it says of itself.
        used: Whether it is used where nothing is chosen.
    """

    id: str
    source: str
    manifest: Manifest
    used: bool

    @property
    def title(self) -> str:
        """Its name and version, for people."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def task(self) -> str:
        """What it is for."""
        spec = self.manifest.spec
        return "classification of cells" if getattr(spec, "subject", "image") == "cell" else spec.task


def library(settings: Settings, taught: Sequence[tuple[str, Path]] = ()) -> list[Entry]:
    """All bundles, those of the operator first; `taught` are ids and folders of those that a user taught."""
    given = [_entry(source, used=True) for source in settings.bundles]
    tasks = {entry.task for entry in given}
    shipped = [_entry(name, used=False) for name in shipped_names() if name not in settings.bundles]
    shipped = [Entry(one.id, one.source, one.manifest, one.task not in (*tasks, _KINDS)) for one in shipped]
    own = [Entry(name, str(folder), load_bundle(folder).manifest, False) for name, folder in taught if folder.is_dir()]
    return [*given, *shipped, *own]


def _entry(source: str, *, used: bool) -> Entry:
    manifest = load_bundle(source).manifest
    return Entry(manifest.name, source, manifest, used)


def sources_of(chosen: Sequence[str], known: Sequence[Entry]) -> list[str]:
    """Names or paths of the chosen bundles, with those of the operator for the other tasks; none where none is chosen.

    Raises:
        RefusalError: 422, where there is no such bundle, or two are for one task.
    """
    by_id = {entry.id: entry for entry in known}
    missing = [name for name in chosen if name not in by_id]
    if missing:
        raise RefusalError(422, f"Expected a bundle of this server, found none called {missing[0]!r}. Choose another.")
    entries = [by_id[name] for name in chosen]
    tasks = [entry.task for entry in entries]
    if len(set(tasks)) < len(tasks):
        raise RefusalError(422, "Expected one bundle for each task, found two for one. Leave one out.")
    others = [entry.source for entry in known if entry.used and entry.task not in tasks and entry.source != entry.id]
    return [entry.source for entry in entries] + (others if entries else [])
