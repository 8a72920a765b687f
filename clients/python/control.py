"""The suite's way to the simulators and the log; see clients/tests/sdks/control.rs."""

import json
from typing import Any

import httpx2

OPENAI, ANTHROPIC, GOOGLE, INCEPTION = "openai", "anthropic", "google", "inception"


class Control:
    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=30)

    def script(self, simulator: str, text: str) -> None:
        """Replaces what is left of a simulator's fault script (docs/simulators.md)."""
        response = self.http.put(f"/simulators/{simulator}/script", content=text)
        assert response.is_success, response.text

    def fault(self, simulator: str, prompt: str, words: str) -> None:
        """What happens to the requests with this prompt, and to no others."""
        self.script(simulator, f"if={json.dumps(prompt)} {words}")

    def reset(self) -> None:
        for simulator in (OPENAI, ANTHROPIC, GOOGLE, INCEPTION):
            self.script(simulator, "")

    def requests(self, simulator: str, prompt: str) -> list[dict[str, Any]]:
        """What a simulator received with this prompt."""
        response = self.http.get(f"/simulators/{simulator}/requests", params={"containing": prompt})
        return response.raise_for_status().json()

    def request(self, simulator: str, prompt: str) -> dict[str, Any]:
        """The only request that a simulator received with this prompt."""
        [request] = self.requests(simulator, prompt)
        return request

    def gone(self, simulator: str) -> int:
        """How many clients of a simulator went away before their answer was whole."""
        return self.http.get(f"/simulators/{simulator}/gone").raise_for_status().json()

    def wait_until_gone(self, simulator: str, count: int, seconds: float) -> None:
        """Waits until so many went away; too long a wait is an error."""
        self.http.get(f"/simulators/{simulator}/gone/{count}", timeout=seconds).raise_for_status()

    def log_line(self, route_id: str) -> dict[str, Any]:
        """The gateway's log line for one request, once it is written."""
        return self.http.get(f"/log/{route_id}").raise_for_status().json()
