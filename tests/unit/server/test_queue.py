"""Nothing is lost: every image is waiting, worked on, or ended."""

import pytest

from organscope.errors import UsageError
from organscope.server import queue, store
from organscope.server.database import Database, sole_server
from organscope.server.settings import Limits, Settings
from organscope.server.store import NewImage
from organscope.server.supervisor import Supervisor


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "a.sqlite3")


@pytest.fixture
def three(database, tmp_path) -> list[str]:
    study = store.add_study(database, "local", "a", 0.5, None)
    images = [NewImage(f"i{n}", f"{n}.png", tmp_path / f"{n}.png", True, 1, 1000, 1000, None) for n in range(3)]
    store.add_images(database, study, images, Settings(tmp_path))
    return [image.id for image in images]


def state_of(database, image: str) -> str:
    return store.image_of(database, image, "local")["state"]


def test_images_are_taken_in_order_once(database, three):
    jobs = [queue.claim(database, 7) for _ in range(4)]
    assert [job.image for job in jobs[:3]] == three
    assert jobs[3] is None
    assert jobs[0].um_per_px == (0.5, 0.5)


def test_progress_and_end(database, three):
    job = queue.claim(database, 7)
    assert queue.report(database, job.number, "looking", 0.5)
    row = store.image_of(database, three[0], "local")
    assert (row["state"], row["stage"], row["fraction"]) == ("running", "looking", 0.5)
    queue.end(database, job.number, queue.DONE)
    row = store.image_of(database, three[0], "local")
    assert (row["state"], row["fraction"]) == ("done", 1.0)
    assert row["seconds"] >= 0


def test_a_cancelled_image_is_unwanted_and_stays_cancelled(database, three):
    job = queue.claim(database, 7)
    queue.cancel(database, three[0])
    queue.cancel(database, three[1])
    assert not queue.report(database, job.number, "looking", 0.5)
    assert queue.overdue_cancel(database, 7, 0.0)
    queue.end(database, job.number, queue.DONE)
    assert state_of(database, three[0]) == state_of(database, three[1]) == "cancelled"
    assert not queue.overdue_cancel(database, 7, 0.0)
    assert queue.claim(database, 7).image == three[2]


def test_all_of_one_user_are_cancelled(database, three):
    queue.claim(database, 7)
    assert queue.cancel_all(database, "somebody else") == 0
    assert queue.cancel_all(database, "local") == 3
    assert {state_of(database, image) for image in three} == {"cancelled"}


def test_an_image_that_needs_too_much_memory_fails_alone(database, three):
    assert not queue.give_up(database, 7, "too large")
    queue.claim(database, 7)
    assert queue.has_work(database, 7)
    assert queue.give_up(database, 7, "too large")
    assert not queue.has_work(database, 7)
    queue.requeue_interrupted(database)
    assert store.image_of(database, three[0], "local")["message"] == "too large"
    assert [state_of(database, image) for image in three] == ["failed", "queued", "queued"]


def test_a_worker_over_its_memory_is_replaced(database, three, tmp_path, monkeypatch):
    """The supervisor gives up the image, not the queue behind it."""
    watching = Supervisor(Settings(tmp_path, limits=Limits(memory_bytes=1000)), database)
    ended = []
    monkeypatch.setattr(Supervisor, "worker", 7)
    monkeypatch.setattr(watching, "_end_process", lambda: ended.append(True))
    queue.claim(database, 7)
    assert watching._give_up_image()
    assert ended == [True]
    assert "--memory-gb" in store.image_of(database, three[0], "local")["message"]
    assert not watching._give_up_image()


def test_what_was_interrupted_waits_again_but_not_for_ever(database, three):
    for _ in range(queue.MAX_ATTEMPTS):
        assert queue.claim(database, 7).image == three[0]
        queue.requeue_interrupted(database)
    assert state_of(database, three[0]) == "failed"
    assert "3 times" in store.image_of(database, three[0], "local")["message"]
    assert queue.claim(database, 7).image == three[1]


def test_time_left_grows_along_the_queue(database, three):
    queue.claim(database, 7)
    left = queue.seconds_left(database)
    assert 0 < left[three[0]] < left[three[1]] < left[three[2]]


def test_pace_is_that_of_finished_images(database, three):
    assert queue.seconds_per_megapixel(database) == queue.DEFAULT_SECONDS_PER_MEGAPIXEL
    database.read().execute("UPDATE jobs SET state = 'done', seconds = 3.0, ended = 1.0")
    assert queue.seconds_per_megapixel(database) == pytest.approx(3.0)


def test_trying_again_makes_a_new_job(database, three):
    job = queue.claim(database, 7)
    queue.end(database, job.number, queue.FAILED, "damaged")
    store.try_again(database, {"id": three[0]})
    assert state_of(database, three[0]) == "queued"


def test_writes_are_kept_together_or_not_at_all(database, three):
    def half_done():
        with database.write() as connection:
            connection.execute("DELETE FROM studies")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    assert len(queue.seconds_left(database)) == 3


def test_a_store_has_one_server(tmp_path):
    with sole_server(tmp_path), pytest.raises(UsageError, match="another"), sole_server(tmp_path):
        pass
    with sole_server(tmp_path):
        pass
