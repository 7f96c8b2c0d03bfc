"""Submit images to a page that `organscope serve` opened, and fetch what was found.

    from organscope.client import Client

    client = Client("http://127.0.0.1:8765")
    study = client.submit(["slide.tif", "images/"])
    for image in study.wait():
        print(image.name, image.organ, image.decision, image.n_cells)
        image.download("cells.csv", "results/")

Nothing but the standard library is needed.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from organscope.errors import InputError, OrganscopeError, OutputError, UsageError

_POLL_S = 0.5
_MAX_BUSY_S = 600.0
_TIMEOUT_S = 300.0
_ENDED = frozenset({"done", "failed", "cancelled"})


class RefusedError(OrganscopeError):
    """The server did not carry a request out; `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Result:
    """One image of a study that ended.

    Attributes:
        id: Names it on the server.
        name: As it was submitted.
        state: `done`, `failed` or `cancelled`; `message` says why it failed.
        message: Empty where it is done.
        organ: The most probable organ, or the cheapest; None where it is not done.
        confidence: Its probability.
        decision: `accept` or `abstain`; `reason` says why it abstained.
        reason: Empty where it was accepted.
        prediction_set: Organs that cannot be ruled out; None where the bundle has no sets.
        n_cells: Cells that are there, with the corrections of experts.
        file_stem: How the names of its downloads begin; no other image of the study has the same.
    """

    client: "Client"
    id: str
    name: str
    state: str
    message: str
    organ: str | None
    confidence: float | None
    decision: str | None
    reason: str
    prediction_set: list[str] | None
    n_cells: int | None
    file_stem: str

    def download(self, kind: str, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Save a file of this image: cells.csv, cells.parquet, cells.geojson, labels.ome.tif, report.html, report.pdf.

        Args:
            kind: Name of the file.
            folder: Where it is saved; made where it is missing. The name begins with `file_stem`.
            overwrite: Replace a file of that name with other content.

        Raises:
            RefusedError: There is no such file, or the image is not done.
            OutputError: A file of that name with other content is there, or it cannot be written.
        """
        part = kind if kind.startswith("report.") else f"files/{kind}"
        content = self.client.fetch(f"/api/images/{self.id}/{part}")
        target = Path(folder) / f"{self.file_stem}-{kind}"
        try:
            _save(target, content, overwrite=overwrite)
        except OSError as error:
            raise OutputError(f"Cannot write to {target}: {error.strerror or error}. Choose another folder.") from error
        return target


@dataclass(frozen=True)
class _Study:
    """A study on the server; `refused` are files that are no images, each with `name` and `reason`."""

    client: "Client"
    id: str
    refused: tuple[dict[str, str], ...] = ()

    def results(self, **asked: Any) -> list[Result]:
        """What is known of every image now, those to look at first at the top.

        Args:
            asked: `positive`, `miss_cost`, `min_recall`: the verdicts at these prices, without running the network.
        """
        query = urllib.parse.urlencode(asked)
        rows = self.client.get(f"/api/studies/{self.id}?{query}")["rows"]
        return [_result(self.client, row) for row in rows]

    def wait(self, *, timeout_s: float | None = None, **asked: Any) -> list[Result]:
        """The results once every image ended.

        Args:
            timeout_s: Longest time to wait; None for as long as it takes.
            asked: As in `results`.

        Raises:
            TimeoutError: Some image did not end in time.
        """
        started = time.monotonic()
        while True:
            found = self.results(**asked)
            if all(result.state in _ENDED for result in found):
                return found
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                left = sum(result.state not in _ENDED for result in found)
                raise TimeoutError(f"Expected all images within {timeout_s:g} s, found {left} that did not end.")
            time.sleep(_POLL_S)


class Client:
    """A server of `organscope serve`; `token` where it asks for one."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self._address = address.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def submit(
        self,
        inputs: str | Path | Sequence[str | Path],
        *,
        name: str | None = None,
        um_per_px: float | Sequence[float] | None = None,
    ) -> _Study:
        """Upload images, and all images below folders, into a new study.

        Args:
            inputs: Files (images or zips of images) and folders.
            name: Of the study; that of the first input where it is left out.
            um_per_px: Pixel size in place of what the files say: one number, or height and width.

        Raises:
            UsageError: An input does not exist, or there is no image.
            InputError: No file was taken; says why.
            RefusedError: The server refused the study.
        """
        chosen = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        files = _named_apart(list(_files(chosen)))
        title = (name or Path(chosen[0]).name or "Untitled study")[:120]
        study = self.post("/api/studies", {"name": title, "um_per_px": um_per_px})["id"]
        refused: list[dict[str, str]] = []
        for path, shown in files:
            try:
                refused += self.upload(study, path, shown)
            except RefusedError as error:
                if error.status in (401, 503):
                    raise
                refused.append({"name": shown, "reason": str(error)})
        if not self.get(f"/api/studies/{study}")["rows"]:
            self._send("DELETE", f"/api/studies/{study}")
            raise InputError(refused[0]["reason"])
        return _Study(self, study, tuple(refused))

    def upload(self, study: str, path: Path, name: str) -> list[dict[str, str]]:
        """Upload one file; what of it is no image. A busy server is asked again until it has room."""
        query = urllib.parse.urlencode({"name": name})
        started = time.monotonic()
        while True:
            try:
                with path.open("rb") as file:
                    size = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
                    answer = self._send("POST", f"/api/studies/{study}/uploads?{query}", file, size)
                return json.loads(answer)["refused"]
            except RefusedError as error:
                if error.status != 503 or time.monotonic() - started > _MAX_BUSY_S:
                    raise
                time.sleep(2.0)

    def study(self, study: str) -> _Study:
        """A study of before, by its id."""
        return _Study(self, study)

    def get(self, path: str) -> Any:
        """What the interface answers, see `/docs` of the server."""
        return json.loads(self.fetch(path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send something to the interface, see `/docs` of the server."""
        answer = self._send("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.loads(answer)

    def fetch(self, path: str) -> bytes:
        """The bytes at a path."""
        return self._send("GET", path)

    def _send(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        request = urllib.request.Request(
            self._address + path, data=body, method=method, headers={**self._headers, **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, _sentence(error)) from None
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise RefusedError(
                503, f"Expected a server at {self._address}, found: {reason}. Start it with `organscope serve`."
            ) from None


def _save(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file whole or not at all, and never over another one unasked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not overwrite:
        if target.read_bytes() == content:
            return
        raise OutputError(
            f"Expected no file of that name, found {target} with other content. Choose another folder, or pass "
            "overwrite=True."
        )
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _named_apart(files: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Files of equal names with the folders above them in front, as far up as it takes to tell them apart."""
    named = list(files)
    while True:
        counts = Counter(shown.casefold() for _, shown in set(named))
        longer = [
            (path, f"{_above(path, shown)}/{shown}" if counts[shown.casefold()] > 1 and _above(path, shown) else shown)
            for path, shown in named
        ]
        if longer == named:
            return named
        named = longer


def _above(path: Path, shown: str) -> str:
    """The folder above what is shown of a path; empty at the top."""
    parts = path.absolute().parts[: -len(PurePosixPath(shown).parts)]
    return parts[-1] if len(parts) > 1 else ""


def _files(inputs: Sequence[str | Path]) -> Iterator[tuple[Path, str]]:
    """Every file with the name that the server shows."""
    for source in map(Path, inputs):
        if source.is_file():
            yield source, source.name
        elif source.is_dir():
            # Imported here because uploading single files needs no reader of images.
            from organscope.io.paths import walk_images

            found = list(walk_images(source))
            if not found:
                raise UsageError(f"Expected images below {source}, found none. Name another folder.")
            yield from ((path, f"{source.name}/{path.relative_to(source).as_posix()}") for path, _ in found)
        else:
            raise UsageError(f"Expected a file or a folder, found nothing at {source}. Check the name.")


def _result(client: Client, row: dict[str, Any]) -> Result:
    image, verdict = row["image"], row["verdict"] or {}
    return Result(
        client=client,
        id=image["id"],
        name=image["name"],
        state=image["state"],
        message=image["message"],
        organ=verdict.get("organ"),
        confidence=verdict.get("confidence"),
        decision=verdict.get("decision"),
        reason=verdict.get("reason", ""),
        prediction_set=verdict.get("prediction_set"),
        n_cells=image["n_cells"],
        file_stem=image["file_stem"],
    )


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {error.code}."
