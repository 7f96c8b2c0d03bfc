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


def test_time_left_of_a_slow_image_is_told_by_its_own_speed(database, three):
    """At 7 % of a slide, what was expected minus the clock said 197 s where 2,000 s were left."""
    job = queue.claim(database, 7)
    database.read().execute("UPDATE jobs SET started = started - 150 WHERE number = ?", (job.number,))
    assert queue.seconds_left(database)[three[0]] >= 150, "beyond what was expected"
    queue.report(database, job.number, "looking", 0.07)
    assert queue.seconds_left(database)[three[0]] == pytest.approx(150 * 93 / 7, rel=0.02)


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


def submitted(database, tmp_path, owner: str, **sides_px: int) -> None:
    """Put one image of each name and side into the queue, in a study of its own."""
    study = store.add_study(database, owner, "a", None, None)
    images = [NewImage(name, name, tmp_path / name, True, 1, side, side, None) for name, side in sides_px.items()]
    store.add_images(database, study, images, Settings(tmp_path))


def order(database) -> list[str]:
    """All images that wait, in the order in which they are worked on."""
    found = []
    while (job := queue.claim(database, 7)) is not None:
        found.append(job.image)
        queue.end(database, job.number, queue.DONE)
    return found


def test_short_images_do_not_wait_for_long_ones(database, tmp_path):
    submitted(database, tmp_path, "ada", slide=40_000, large=2_000, small=500)
    assert order(database) == ["small", "large", "slide"]


def test_users_take_turns(database, tmp_path):
    submitted(database, tmp_path, "ada", **{f"a{n}": 1000 for n in range(4)})
    submitted(database, tmp_path, "ben", b=1000)
    first = queue.claim(database, 7)
    database.read().execute("UPDATE jobs SET started = started - 20 WHERE number = ?", (first.number,))
    queue.end(database, first.number, queue.DONE)
    assert first.image == "a0"
    assert queue.claim(database, 7).image == "b", "who had nothing yet comes before who had 20 s"


def test_a_slide_that_was_passed_over_has_its_turn(database, tmp_path):
    submitted(database, tmp_path, "ada", slide=40_000, small=500)
    database.read().execute("UPDATE jobs SET created = created - ? WHERE image = 'slide'", (queue.PATIENCE_S + 1,))
    assert order(database) == ["slide", "small"]


def test_a_slide_makes_room_after_a_turn_and_goes_on(database, tmp_path):
    submitted(database, tmp_path, "ada", slide=40_000)
    slide = queue.claim(database, 7)
    database.read().execute("UPDATE jobs SET started = started - 100 WHERE number = ?", (slide.number,))
    queue.report(database, slide.number, "looking", 0.25)
    assert not queue.should_yield(database, slide.number), "nobody waits"
    submitted(database, tmp_path, "ben", small=500)
    assert queue.seconds_left(database)["small"] < 20, "a short image does not wait until a slide ends"
    assert queue.should_yield(database, slide.number)
    queue.put_back(database, slide.number)
    row = store.image_of(database, "slide", "ada")
    assert (row["state"], row["fraction"]) == ("queued", 0.25)
    small = queue.claim(database, 7)
    assert small.image == "small"
    queue.end(database, small.number, queue.DONE)
    assert queue.seconds_left(database)["slide"] == pytest.approx(300, rel=0.02), "100 s were a quarter"
    again = queue.claim(database, 7)
    assert again.image == "slide"
    assert not queue.should_yield(database, again.number), "a new turn has begun"


def test_slides_of_two_users_share(database, tmp_path):
    submitted(database, tmp_path, "ada", first=40_000)
    slide = queue.claim(database, 7)
    submitted(database, tmp_path, "ben", second=40_000)
    assert not queue.should_yield(database, slide.number)
    database.read().execute("UPDATE jobs SET started = started - ? WHERE number = ?", (400, slide.number))
    assert queue.should_yield(database, slide.number)
    queue.put_back(database, slide.number)
    assert queue.claim(database, 7).image == "second"
