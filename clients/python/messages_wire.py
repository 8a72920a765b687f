"""The promises that hold for every answer in the Messages API: its headers, the form of its stream, and no provider's key."""

import json

import wire
from places import Place


def check(exchange: wire.Exchange, secrets: list[str], place: Place) -> None:
    headers = exchange.response.headers
    body = exchange.body.decode(errors="replace")
    assert not any(secret in body + repr(headers.raw) for secret in secrets), "a key came over the wire"
    assert headers["request-id"]
    if place.is_gateway:
        assert headers["x-route-id"]
        for name in ("set-cookie", "server", "anthropic-organization-id"):
            assert name not in headers, f"the provider's header {name} came through"
    if exchange.response.status_code >= 400:
        error = json.loads(body)
        assert error["type"] == "error" and error["request_id"] == headers["request-id"]
        assert error["error"]["type"] and error["error"]["message"]
    elif exchange.is_stream:
        _check_stream(body, is_whole=exchange.is_read and place.is_gateway)


def _check_stream(body: str, is_whole: bool) -> None:
    """`is_whole`: it was read to its end, and the gateway says how a stream ended."""
    *events, rest = body.split("\n\n")
    assert not (rest and is_whole), f"the stream ends in the middle of an event: {rest!r}"
    values = []
    for event in (event for event in events if not event.startswith(":")):
        name, data = event.split("\n")
        values.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {values[-1]['type']}"
    kinds = [value["type"] for value in values if value["type"] != "ping"]
    if is_whole:
        assert kinds[-1] in ("message_stop", "error"), kinds
    assert kinds[0] in ("message_start", "error") and kinds.count("message_start") <= 1
    starts = [value["index"] for value in values if value["type"] == "content_block_start"]
    assert starts == list(range(len(starts))), "blocks are counted from 0"
    if "message_stop" in kinds:
        assert kinds.count("content_block_stop") == len(starts) and kinds.count("message_delta") >= 1
