"""Keeps the worker process alive as long as the server is."""

import subprocess
import sys
import threading
from contextlib import suppress

from organscope.server import queue
from organscope.server.database import Database
from organscope.server.lessons import Teacher
from organscope.server.settings import CROWDED_SHARE, Settings, used_bytes
from organscope.server.worker import settings_line

_LOOK_EVERY_S = 0.3
#: A worker that dies at once is started again ever later.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
#: A cancelled image is dropped at its next piece of progress; a worker that does not get there is replaced.
_CANCEL_PATIENCE_S = 5.0
_STOP_PATIENCE_S = 5.0


class Supervisor:
    """Starts the worker, starts it again where it ended, and replaces it where it does not let go."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._process: subprocess.Popen | None = None
        self._teacher = Teacher(settings, database)
        self._used_bytes = 0

    def start(self) -> None:
        """Put back what an earlier server left unfinished, and start the worker."""
        queue.requeue_interrupted(self._database)
        self._teacher.begin()
        self._thread.start()

    def stop(self) -> None:
        """End the worker; what it works on is put back at the next start."""
        self._stopping.set()
        self._thread.join(_STOP_PATIENCE_S)
        self._teacher.end()
        self._end_process()

    @property
    def worker(self) -> int | None:
        """Process number of the worker, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def is_crowded(self) -> bool:
        """Whether memory is so nearly used up that new work should wait."""
        return self._used_bytes > CROWDED_SHARE * self._settings.limits.memory_bytes

    def _watch(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._used_bytes = used_bytes()
            if self.worker is None:
                if self._process is not None:
                    queue.requeue_interrupted(self._database)
                    self._stopping.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                if not self._stopping.is_set():
                    self._process = self._start_process()
            elif queue.overdue_cancel(self._database, self.worker, _CANCEL_PATIENCE_S):
                self._end_process()
                pause = _FIRST_PAUSE_S
            elif self._used_bytes > self._settings.limits.memory_bytes and self._give_up_image():
                pause = _FIRST_PAUSE_S
            elif self.is_crowded and not queue.has_work(self._database, self.worker):
                # What an idle worker still holds of its last image comes back with its end.
                self._end_process()
            self._teacher.advance()
            self._stopping.wait(_LOOK_EVERY_S)

    def _give_up_image(self) -> bool:
        """The image that the worker has in hand needs more memory than there may be; False where it has none."""
        message = _TOO_MUCH.format(gigabytes=self._settings.limits.memory_bytes / 1e9)
        if not queue.give_up(self._database, self.worker, message):
            return False
        self._end_process()
        return True

    def _start_process(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "organscope.server.worker"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        with suppress(OSError):
            process.stdin.write(settings_line(self._settings))
            process.stdin.flush()
        return process

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        try:
            process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_TOO_MUCH = (
    "Expected the analysis to take at most {gigabytes:.1f} GB of memory, found that it needs more. Crop the image, "
    "or ask the operator for more memory (--memory-gb)."
)
