"""Other sites, other hosts, other users, and what every answer carries."""

import pytest
from fastapi.testclient import TestClient

from organscope.errors import UsageError
from organscope.server.app import create_app
from organscope.server.auth import owner_of, tokens_for
from organscope.server.settings import Settings

ADDRESS = "http://127.0.0.1:8765"
TOKENS = {"ada": "a" * 24, "ben": "b" * 24}


@pytest.fixture
def guarded(tmp_path):
    settings = Settings(tmp_path / "store", host="0.0.0.0", tokens=TOKENS, analyse=False)
    with TestClient(create_app(settings), base_url="http://microscope:8765", follow_redirects=False) as client:
        yield client


def as_user(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.mark.parametrize("path", ["/", "/api/studies", "/static/js/home.js", "/nowhere", "/docs", "/openapi.json"])
def test_every_answer_carries_the_headers(client, path):
    headers = client.get(path).headers
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_resolved_to_this_machine_is_refused(client, host):
    assert client.get("/api/studies", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8765", "[::1]:8765"])
def test_this_machine_has_several_names(client, host):
    assert client.get("/api/studies", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_change_nothing(client, headers):
    answer = client.post("/api/studies", json={"name": "x"}, headers=headers)
    assert answer.status_code == 403
    assert client.get("/api/studies").json() == []


def test_the_page_itself_may_change_things(client):
    headers = {"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/studies", json={"name": "x"}, headers=headers).status_code == 201


def test_a_large_body_is_refused_where_none_is_expected(client):
    assert client.post("/api/studies", content=bytes(1_000_001)).status_code == 413
    assert client.post("/api/studies", content=(bytes(10) for _ in range(3))).status_code == 411


def test_other_addresses_need_a_token(tmp_path):
    with pytest.raises(UsageError, match="token"):
        Settings(tmp_path, host="0.0.0.0")


def test_without_a_token_nothing_is_told(guarded):
    for path in ("/api/studies", "/api/queue", "/api/folders", "/api/images/x", "/api/bundles"):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert "token" in answer.json()["detail"]
    assert guarded.get("/api/studies", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert guarded.get("/").headers["Location"] == "/login"


def test_results_of_one_user_are_not_those_of_another(guarded):
    study = guarded.post("/api/studies", json={"name": "hers"}, headers=as_user("ada")).json()["id"]
    assert guarded.get(f"/api/studies/{study}", headers=as_user("ada")).status_code == 200
    for method, path in [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/verdicts"),
        ("GET", "/annotations.zip"),
        ("GET", "/report.pdf"),
    ]:
        answer = guarded.request(method, f"/api/studies/{study}{path}", headers=as_user("ben"))
        assert answer.status_code == 404
    assert guarded.post(f"/api/studies/{study}/uploads?name=a", content=b"x", headers=as_user("ben")).status_code == 404
    assert guarded.get("/api/studies", headers=as_user("ben")).json() == []


def test_a_token_is_kept_as_a_cookie_that_scripts_cannot_read(guarded):
    answer = guarded.post("/api/login", json={"token": TOKENS["ada"]})
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.get("/").status_code == 200
    guarded.post("/api/logout")
    assert guarded.get("/").status_code == 303


def test_a_wrong_token_opens_nothing(guarded):
    assert guarded.post("/api/login", json={"token": "guess"}).status_code == 401
    assert owner_of("", TOKENS) is None
    assert owner_of(TOKENS["ben"], TOKENS) == "ben"


def test_tokens_outlive_the_server_and_are_for_its_owner_alone(tmp_path):
    first = tokens_for(("ada", "ben"), tmp_path)
    assert len(set(first.values())) == 2
    assert min(map(len, first.values())) >= 24
    assert tokens_for(("ben", "ada"), tmp_path) == first
    assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0
