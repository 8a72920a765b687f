"""Everything that came over the wire in one test, kept by the SDK's own transport and checked when the test is over.

The promises that hold for every answer are checked here, once: its schema, its headers, the form of its stream, and that
no provider's key is in it.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2


@dataclass
class Exchange:
    request: httpx2.Request
    response: httpx2.Response
    body: bytearray = field(default_factory=bytearray)
    # Whether all of the body was read; the SDK need not, once it has seen an end marker.
    is_read: bool = False
    # Whether the transfer broke off.
    is_broken: bool = False

    @property
    def is_stream(self) -> bool:
        return self.response.headers.get("content-type", "").startswith("text/event-stream")

    def events(self) -> list[str]:
        """The data of each event of a stream, whose form is that which every SDK can read."""
        text = self.body.decode()
        *events, rest = text.split("\n\n")
        assert not (rest and self.is_read), f"the stream ends in the middle of an event: {rest!r}"
        data = [event for event in events if not event.startswith(":")]
        assert all(event.startswith("data: ") and "\n" not in event for event in data), text
        return [event.removeprefix("data: ") for event in data]


class _Tee(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Passes a body on and keeps a copy."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self.stream = stream
        self.exchange = exchange

    def __iter__(self):
        try:
            for part in self.stream:
                self.exchange.body += part
                yield part
        except httpx2.HTTPError:
            self.exchange.is_broken = True
            raise
        self.exchange.is_read = True

    async def __aiter__(self):
        try:
            async for part in self.stream:
                self.exchange.body += part
                yield part
        except httpx2.HTTPError:
            self.exchange.is_broken = True
            raise
        self.exchange.is_read = True

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()


class Transport(httpx2.HTTPTransport):
    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__()
        self.exchanges = exchanges

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return _keep(self.exchanges, request, super().handle_request(request))


class AsyncTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__()
        self.exchanges = exchanges

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return _keep(self.exchanges, request, await super().handle_async_request(request))


def _keep(exchanges: list[Exchange], request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    exchange = Exchange(request, response)
    exchanges.append(exchange)
    response.stream = _Tee(response.stream, exchange)
    return response


def check(exchange: Exchange, secrets: list[str], description: Any) -> None:
    headers = exchange.response.headers
    came = exchange.body.decode(errors="replace") + repr(headers.raw)
    assert not any(secret in came for secret in secrets), "a key came over the wire"
    assert headers["x-route-id"]
    for name in ("set-cookie", "server", "openai-organization", "openai-processing-ms"):
        assert name not in headers, f"the provider's header {name} came through"

    validate = description.validate
    if exchange.response.status_code >= 400:
        validate("ErrorResponse", json.loads(exchange.body))
    elif exchange.is_stream:
        _check_stream(exchange, validate)
    elif exchange.is_read:
        value = json.loads(exchange.body)
        name, value = _shape(exchange.request.url.path, value)
        validate(name, value)


def _shape(path: str, value: Any) -> tuple[str, Any]:
    if path.endswith("/models"):
        return "ListModelsResponse", value
    if "/models/" in path:
        return "Model", value
    # Providers of the same dialect leave these two out, and what they leave out is not added.
    for choice in value["choices"]:
        choice.setdefault("logprobs", None)
        choice["message"].setdefault("refusal", None)
    return "CreateChatCompletionResponse", value


def _check_stream(exchange: Exchange, validate: Any) -> None:
    events = exchange.events()
    if "[DONE]" in events:
        assert events.index("[DONE]") == len(events) - 1 and exchange.body.endswith(b"data: [DONE]\n\n")
        assert not exchange.is_broken, "a stream that broke has no end marker"
    else:
        assert not exchange.is_read, f"a stream that ends without an error ends with [DONE]: {events}"
    values = [json.loads(event) for event in events if event != "[DONE]"]
    chunks = [value for value in values if "error" not in value]
    for value in values:
        validate("ErrorResponse" if "error" in value else "CreateChatCompletionStreamResponse", value)
    for name in ("id", "model", "object"):
        assert len({chunk[name] for chunk in chunks}) <= 1, f"`{name}` changes within a stream"
    assert len(chunks) >= len(values) - 1 and values[: len(chunks)] == chunks, "an error is the last event"
