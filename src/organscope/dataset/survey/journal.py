"""Samples that an interrupted survey had finished."""

from pathlib import Path
from types import TracebackType

from organscope.dataset.names import cannot_write, make_folder
from organscope.dataset.survey.facts import Facts, facts_from_text, facts_to_text


class SurveyJournal:
    """A text file to which every finished sample is appended at once: its key, a tab, its facts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path.parent)
        try:
            self._finished = self._load()
            self._stream = path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error

    def find(self, key: str) -> Facts | None:
        """What an earlier run found in unchanged files."""
        return self._finished.get(key)

    def add(self, key: str, facts: Facts) -> None:
        """Keep a sample that is finished; one with unreadable files is not kept, so that it is tried again.

        Raises:
            OutputError: The disk is full.
        """
        if facts.image_error or facts.labels_error:
            return
        try:
            self._stream.write(f"{key}\t{facts_to_text(facts)}\n")
            self._stream.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __enter__(self) -> "SurveyJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
        except OSError as closing_error:
            # What is not yet on a full disk is written again by closing.
            if error is None:
                raise cannot_write(self._path, closing_error) from closing_error

    def _load(self) -> dict[str, Facts]:
        if not self._path.is_file():
            return {}
        finished = {}
        with self._path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, text = line.partition("\t")
                try:
                    finished[key] = facts_from_text(text)
                except (ValueError, KeyError, TypeError):
                    # The last line of an interrupted survey may be cut off; a line of another version is no use.
                    continue
        return finished
