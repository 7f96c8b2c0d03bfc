"""Whatever is sent to the interface, it answers as it says, and never with an error of its own."""

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from organscope.server.app import create_app
from organscope.server.settings import Limits, Settings
from web_pictures import encoded

HOST = {"Host": "127.0.0.1"}
N_REQUESTS_A_ROUTE = 6
FUZZ = settings(
    max_examples=N_REQUESTS_A_ROUTE,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def interface(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    app = create_app(Settings(store, analyse=False, limits=Limits(upload_bytes=100_000), allowed=(store,)))
    found = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HOST)
    return found, app


def real_ids(app, png: bytes) -> dict[str, str]:
    """A study with an image, because ids that are made up name nothing."""
    client = TestClient(app, base_url="http://127.0.0.1")
    study = client.post("/api/studies", json={"name": "fuzz"}).json()["id"]
    answer = client.post(f"/api/studies/{study}/uploads?name=a", content=png)
    return {"study": study, "image": answer.json()["images"][0]["id"]}


def test_every_route_keeps_to_its_description(interface, colon):
    schema, app = interface
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        _fuzz(operation, real_ids(app, encoded(colon[:64, :64])))


def _fuzz(operation, ids: dict[str, str]) -> None:
    @FUZZ
    @given(case=operation.as_strategy(), is_real=st.booleans())
    def ask(case, is_real):
        if is_real:
            case.path_parameters.update({name: ids[name] for name in case.path_parameters if name in ids})
        response = case.call(headers=HOST)
        assert response.status_code < 500, f"{operation.label}: {response.text}"
        if response.status_code >= 400:
            assert response.json()["detail"], operation.label
        else:
            case.validate_response(response, headers=HOST)

    ask()
