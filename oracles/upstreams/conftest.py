"""The servers, each on a port that the system chose, and a gateway whose policy has a tier for each of them."""

import os
import re
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest
from openai import OpenAI

HERE = Path(__file__).parent
START_S = 120
URL = re.compile(r"https?://127\.0\.0\.1:\d+")


class Server:
    """A child that says in its output where it listens. What it says is kept, and shown if it does not come up."""

    def __init__(self, *command: str, place: Path = HERE, environment: dict[str, str] | None = None):
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        self.lines.extend(self.process.stdout)

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        """Where it listens, as soon as it says so."""
        deadline = time.monotonic() + START_S
        while not (found := URL.search(self.said)):
            assert self.process.poll() is None and time.monotonic() < deadline, f"it does not start:\n{self.said}"
            time.sleep(0.05)
        return found.group()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="session")
def servers():
    running: list[Server] = []

    def start(*command: str, **more) -> Server:
        running.append(Server(*command, **more))
        return running[-1]

    yield start
    for server in reversed(running):
        server.stop()


def uvicorn(environment: str, application: str) -> list[str]:
    return [f"{environment}/bin/uvicorn", application, "--host", "127.0.0.1", "--port", "0"]


@pytest.fixture(scope="session")
def gateway(servers) -> str:
    """The gateway's URL."""
    aimock = servers(os.environ["NODE"], "mock.mjs").url()
    proxy = {
        "CONFIG_FILE_PATH": "litellm.yaml",
        "MODEL_URL": f"{aimock}/v1",
        "LITELLM_MASTER_KEY": "sk-made-up-key-of-the-gateway-4f9a0c27be31d865",
        # Its list of prices comes with it.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    upstreams = {
        "aimock": aimock,
        "litellm": servers(*uvicorn(".venv-litellm", "litellm.proxy.proxy_server:app"), environment=proxy).url(),
        "sdk": servers(".venv/bin/python", "sdk.py", environment={"MODEL_URL": aimock}).url(),
        "mock-ai-api": servers(*uvicorn(".venv", "app.anthropic_app:app")).url(),
    }
    command = ["cargo", "run", "--quiet", "--locked", "--package", "tiergate-cli", "--", "dev"]
    command += ["--addr", "127.0.0.1:0", "--kv-api", "127.0.0.1:0", "--no-simulators"]
    command += ["--policy", str(HERE / "policy.json")]
    for name, url in upstreams.items():
        command += ["--backend", f"{name}.test={url}", "--secret", f"{name}.test={proxy['LITELLM_MASTER_KEY']}"]
    return servers(*command, place=HERE.parents[1]).url()


@pytest.fixture
def client(gateway):
    with OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client
