"""Where a client of the Messages API is pointed at: the simulated API itself, or the gateway with a candidate of each dialect."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from control import ANTHROPIC, GOOGLE, OPENAI


@dataclass(frozen=True)
class Place:
    name: str
    url: str
    key: str
    model: str
    # The simulator that answers there.
    provider: str

    @property
    def is_gateway(self) -> bool:
        return self.name.startswith("gateway")

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname, parts.port


def gateway(world: dict[str, Any], model: str, provider: str) -> Place:
    return Place(f"gateway to {model}", world["base_url"].removesuffix("/v1"), world["keys"]["free"], model, provider)


def places(world: dict[str, Any]) -> list[Place]:
    url, key = world["simulator_urls"][ANTHROPIC], world["provider_keys"][ANTHROPIC]
    return [
        Place("API", url, key, "claude-opus-5-5", ANTHROPIC),
        gateway(world, "claude-opus-5-5", ANTHROPIC),
        gateway(world, "gpt-6-luna", OPENAI),
        gateway(world, "gemini-3.8-flash", GOOGLE),
    ]
