"""The answers of the page's server, without a browser."""

import pytest


def test_the_first_view_is_one_answer_that_is_not_sent_twice(client):
    answer = client.get("/api/overview")
    found = answer.json()
    assert len(found["runs"]) == 6
    assert found["sweeps"]["s0"]["name"] == "rates"
    assert found["companions"]["mlflow"]["state"] == "stopped"
    assert found["problems"] == []
    again = client.get("/api/overview", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_curves_of_chosen_runs(client):
    ids = [run["id"] for run in client.get("/api/overview").json()["runs"][:2]]
    found = client.get("/api/curves", params={"run": ids, "metric": ["train/loss", "nothing"]}).json()
    assert set(found["train/loss"]) == set(ids)
    assert len(found["train/loss"][ids[0]]) == 3
    assert found["nothing"] == {ids[0]: [], ids[1]: []}


def test_too_many_curves_are_refused(client):
    (run, *_) = client.get("/api/overview").json()["runs"]
    answer = client.get("/api/curves", params={"run": [run["id"]] * 20, "metric": ["a"] * 20})
    assert answer.status_code == 400


def test_images_of_a_run_and_nothing_else(client):
    (run, *_) = client.get("/api/overview").json()["runs"]
    names = [image["name"] for image in client.get(f"/api/runs/{run['id']}").json()["pictures"]]
    answer = client.get(f"/api/runs/{run['id']}/pictures/{names[0]}")
    assert answer.headers["content-type"] == "image/png"
    assert client.get(f"/api/runs/{run['id']}/pictures/%2e%2e/%2e%2e/config.json").status_code == 404
    assert client.get("/api/runs/none").status_code == 404


def test_a_sweep_with_its_figures_in_both_themes(client):
    found = client.get("/api/sweeps/s0").json()
    assert dict(found["facts"])["trials"] == "5 complete, 1 failed"
    assert [trial["best"] for trial in found["trials"]][:2] == [True, False]
    assert found["trials"][-1]["state"] == "failed"
    titles = [figure["title"] for figure in found["figures"]]
    assert {"Parallel coordinates", "Slices", "Importance of the parameters", "Learning curves"} <= set(titles)
    address = found["figures"][titles.index("Slices")]["address"]
    drawn = {theme: client.get(f"{address}/{theme}.svg") for theme in ("light", "dark")}
    assert drawn["light"].headers["content-type"] == "image/svg+xml"
    assert drawn["light"].content != drawn["dark"].content
    assert client.get(f"{address}/blue.svg").status_code == 404
    assert client.get("/api/sweeps/s0/figures/99/light.svg").status_code == 404
    assert client.get("/api/sweeps/s9").status_code == 404


def test_every_answer_forbids_what_is_from_elsewhere(client):
    for path in ("/", "/static/js/main.js", "/api/overview", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8766", "127.0.0.1.evil.example", ""])
def test_other_names_of_this_machine_are_refused(client, host):
    assert client.get("/api/overview", headers={"Host": host}).status_code == 400


def test_other_sites_cannot_start_anything(client):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/api/companions/mlflow", headers=headers).status_code == 403
    assert client.get("/api/overview").json()["companions"]["mlflow"]["state"] == "stopped"
    assert client.post("/api/companions/nothing").status_code == 404
