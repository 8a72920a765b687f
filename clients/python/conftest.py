"""Where the gateway is, the SDK's clients for it, and the checks that follow every test."""

import json
import os
import time
import uuid
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

import messages_wire
import wire
from claude_code import ClaudeCode
from control import Control
from description import Description
from places import Place, places

if "TIERGATE_CLIENTS" not in os.environ:
    pytest.exit("run this suite with: cargo test --package tiergate-clients", returncode=2)
WORLD: dict[str, Any] = json.loads(os.environ["TIERGATE_CLIENTS"])
TIMEOUT_S = 30
# Within so many seconds of a cancel nobody works for it any more.
CANCEL_S = 2


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    return WORLD["keys"]


@pytest.fixture(scope="session")
def provider_keys() -> dict[str, str]:
    return WORLD["provider_keys"]


@pytest.fixture(scope="session")
def description() -> Description:
    return Description(WORLD["api_description"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def control():
    control = Control(WORLD["control_url"])
    yield control
    control.reset()
    control.http.close()


@pytest.fixture
def healthy(keys: dict[str, str]) -> None:
    """Waits until no candidate cools down after a fault of an earlier test, so that the first comes first again."""
    url = WORLD["base_url"].removesuffix("/v1") + "/healthz"
    # Longer than any cool-down that a fault asks for, also on a busy machine.
    deadline = time.monotonic() + 6 * TIMEOUT_S
    while httpx2.get(url, headers={"x-api-key": keys["free"]}).raise_for_status().json()["cooling"]:
        assert time.monotonic() < deadline, "a candidate does not recover"
        time.sleep(0.02)


@pytest.fixture
def exchanges(description: Description):
    """What the test's clients sent and received; checked when it is over."""
    exchanges: list[wire.Exchange] = []
    yield exchanges
    assert exchanges, "the test sent nothing"
    secrets = [*WORLD["keys"].values(), *WORLD["provider_keys"].values()]
    for exchange in exchanges:
        wire.check(exchange, secrets, description)


@pytest.fixture(params=places(WORLD), ids=lambda place: place.name)
def place(request) -> Place:
    """Where a client of the Messages API is pointed at: the same test holds everywhere."""
    return request.param


@pytest.fixture
def messages_exchanges(place: Place):
    """As `exchanges`, of clients of the Messages API."""
    exchanges: list[wire.Exchange] = []
    yield exchanges
    secrets = [*WORLD["keys"].values(), *WORLD["provider_keys"].values()]
    for exchange in exchanges:
        messages_wire.check(exchange, secrets, place)


@pytest.fixture
def claude_code(tmp_path) -> ClaudeCode:
    return ClaudeCode(tmp_path)


@pytest.fixture
def prompt() -> str:
    """A text that no other test sends."""
    return f"What does the word {uuid.uuid4().hex} mean?"


@pytest.fixture
def connect(exchanges: list[wire.Exchange], keys: dict[str, str]):
    """Makes clients; those of one test share its exchanges."""
    clients: list[OpenAI] = []

    def connect(client: str = "app", **options: Any) -> OpenAI:
        http_client = httpx2.Client(transport=wire.Transport(exchanges))
        settings = {"api_key": keys.get(client, client), "timeout": TIMEOUT_S, "max_retries": 0} | options
        clients.append(OpenAI(base_url=WORLD["base_url"], http_client=http_client, **settings))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def who() -> str:
    """Whose key `client` and `async_client` have; a file of tests may say otherwise."""
    return "app"


@pytest.fixture
def client(connect, who: str) -> OpenAI:
    return connect(who)


@pytest.fixture
async def async_client(exchanges: list[wire.Exchange], keys: dict[str, str], who: str, anyio_backend: str):
    http_client = httpx2.AsyncClient(transport=wire.AsyncTransport(exchanges))
    key = keys[who]
    async with AsyncOpenAI(
        base_url=WORLD["base_url"], api_key=key, timeout=TIMEOUT_S, max_retries=0, http_client=http_client
    ) as client:
        yield client
