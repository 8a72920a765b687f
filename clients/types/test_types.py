"""What clients get in the table of crossings, by the types of the official SDKs: strictly, and nothing beside them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from openai.types import ErrorObject
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter, ValidationError

ANSWERS = Path(__file__).parents[2] / "tests" / "golden" / "crossings"
ROWS = sorted(path for path in ANSWERS.iterdir())

# What the gateway adds on purpose: what was thought, and the state of it.
ADDED = {
    ("ChatCompletionMessage", "reasoning_content"),
    ("ChatCompletionMessage", "reasoning_details"),
    ("ChoiceDelta", "reasoning_content"),
    ("ChoiceDelta", "reasoning_details"),
}
# Events of the API that its SDKs pass over.
PASSED_OVER = {"ping"}

COMPLETION, CHUNK, CHAT_ERROR = (TypeAdapter(kind) for kind in (ChatCompletion, ChatCompletionChunk, ErrorObject))
MESSAGE, EVENT, MESSAGES_ERROR = (TypeAdapter(kind) for kind in (Message, RawMessageStreamEvent, ErrorResponse))


def parts(path: Path) -> Iterator[tuple[TypeAdapter, Any]]:
    """What a file holds, each with its type."""
    text = path.read_text()
    is_chat = path.name.startswith("chat-")
    if path.suffix == ".json":
        value = json.loads(text)
        if "error" in value:
            yield (CHAT_ERROR, value["error"]) if is_chat else (MESSAGES_ERROR, value)
        else:
            yield COMPLETION if is_chat else MESSAGE, value
        return
    for event in text.removesuffix("\n\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.split("\n"))
        if is_chat and lines["data"] != "[DONE]":
            data = json.loads(lines["data"])
            yield (CHAT_ERROR, data["error"]) if "error" in data else (CHUNK, streamed_as_function(data))
        elif not is_chat and lines["event"] not in PASSED_OVER:
            yield MESSAGES_ERROR if lines["event"] == "error" else EVENT, json.loads(lines["data"])


def streamed_as_function(chunk: Any) -> Any:
    """The types of this SDK know calls of custom tools in whole answers only; the API streams them in the same form."""
    for choice in chunk["choices"]:
        for call in choice["delta"].get("tool_calls") or []:
            if custom := call.pop("custom", None):
                assert call.pop("type", "custom") == "custom"
                call["function"] = {"arguments": custom.pop("input"), **custom}
    return chunk


def beside(value: Any) -> Iterator[tuple[str, str]]:
    """The members of a validated value that its types do not have."""
    if isinstance(value, list):
        for item in value:
            yield from beside(item)
    elif isinstance(value, BaseModel):
        yield from ((type(value).__name__, name) for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from beside(getattr(value, name))


def validate(adapter: TypeAdapter, value: Any) -> set[tuple[str, str]]:
    validated = adapter.validate_json(json.dumps(value), strict=True)
    found = set(beside(validated))
    assert found <= ADDED, f"{found - ADDED} in {json.dumps(value)}"
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_types(row: Path) -> None:
    for path in row.iterdir():
        for adapter, value in parts(path):
            validate(adapter, value)


def test_what_is_added_is_there() -> None:
    files = [path for row in ROWS for path in row.iterdir()]
    assert len(files) > 200
    assert set().union(*(validate(*part) for path in files for part in parts(path))) == ADDED


def damages(value: Any) -> Iterator[Any]:
    """The same with one thing wrong at its root."""
    yield {**value, "unknown": 1}
    for name, member in value.items():
        yield {**value, name: {"unknown": member}}
        if name in {"id", "type", "choices", "content", "delta"}:
            yield {other: value[other] for other in value if other != name}


@pytest.mark.parametrize("name", ["chat-from-messages", "messages-from-chat"])
@pytest.mark.parametrize("kind", ["json", "sse"])
def test_what_is_damaged_is_noticed(name: str, kind: str) -> None:
    for adapter, value in parts(ANSWERS / "tools" / f"{name}.{kind}"):
        for damaged in damages(value):
            with pytest.raises((ValidationError, AssertionError)):
                validate(adapter, damaged)
