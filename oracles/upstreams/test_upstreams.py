"""The same conversations with servers of other makers: none refuses what the gateway sends, and what they say arrives."""

import base64
import json
import struct
import zlib

import pytest

CITIES = [{"city": "Rome"}, {"city": "Oslo"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of today.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
RECIPE = {
    "type": "json_schema",
    "json_schema": {
        "name": "recipe",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "minutes": {"type": "integer", "minimum": 1}},
            "required": ["name", "minutes"],
            "additionalProperties": False,
        },
    },
}


def png() -> str:
    """A red square of one pixel, as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def user(content):
    return {"role": "user", "content": content}


SPEAKERS = pytest.mark.parametrize("model", ["aimock", "litellm", "sdk"])
EVERYBODY = pytest.mark.parametrize("model", ["aimock", "litellm", "sdk", "mock-ai-api"])
STREAM_OR_WHOLE = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def ask(client, stream, **fields):
    """The answer, and its message put together by the SDK if it is streamed."""
    if not stream:
        return client.chat.completions.create(**fields).choices[0]
    with client.chat.completions.stream(**fields) as events:
        return events.get_final_completion().choices[0]


@EVERYBODY
@STREAM_OR_WHOLE
def test_a_question_is_answered(client, model, stream):
    system = {"role": "system", "content": "Be brief."}
    fields = {"stop": ["###"], "user": "someone@example.org", "max_completion_tokens": 100}
    choice = ask(client, stream, model=model, messages=[system, user("Name a prime.")], **fields)
    said = {"mock-ai-api": "Hello. It's nice to meet you."}.get(model, "Seven is a prime number.")
    assert (choice.message.content, choice.finish_reason) == (said, "stop")


@SPEAKERS
@STREAM_OR_WHOLE
def test_parallel_calls_are_made_and_answered(client, model, stream):
    messages = [user("Two cities, please.")]
    choice = ask(client, stream, model=model, messages=messages, tools=[WEATHER])
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", city) for city in CITIES
    ]
    assert len({call.id for call in calls}) == 2

    messages.append(choice.message.model_dump(exclude_none=True))
    for call, degrees in zip(calls, (28, 21), strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{degrees} degrees"})
    choice = ask(client, stream, model=model, messages=messages, tools=[WEATHER])
    assert (choice.message.content, choice.finish_reason) == ("Rome is warmer than Oslo.", "stop")


@STREAM_OR_WHOLE
def test_a_call_is_made(client, stream):
    choice = ask(client, stream, model="mock-ai-api-calls", messages=[user("Write a file.")], tools=[WEATHER])
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert json.loads(call.function.arguments) == {"path": "tmp/mock-file.txt", "contents": "mock output"}


@EVERYBODY
@STREAM_OR_WHOLE
def test_an_image_is_looked_at(client, model, stream):
    parts = [{"type": "image_url", "image_url": {"url": png()}}, {"type": "text", "text": "What is on it?"}]
    choice = ask(client, stream, model=model, messages=[user(parts)])
    assert choice.finish_reason == "stop"
    assert choice.message.content == {"mock-ai-api": "Hello. It's nice to meet you."}.get(model, "A red square.")


@SPEAKERS
@STREAM_OR_WHOLE
def test_an_answer_has_its_form(client, model, stream):
    choice = ask(client, stream, model=model, messages=[user("A recipe, please.")], response_format=RECIPE)
    assert json.loads(choice.message.content) == {"name": "Toast", "minutes": 4}


@SPEAKERS
@STREAM_OR_WHOLE
def test_everything_at_once_is_refused_by_none(client, model, stream):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
    mark = {"cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", **mark}]},
        user([{"type": "image_url", "image_url": {"url": png()}}, {"type": "text", "text": "Where is it?"}]),
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "21 degrees"}]},
    ]
    fields = {"tools": [WEATHER], "tool_choice": "auto", "response_format": RECIPE, "parallel_tool_calls": False}
    settings = {"user": "ada", "temperature": 0.5, "stop": ["###"], "max_completion_tokens": 500}
    # The model says something else than was asked for, so the SDK's helper for parsed answers has no place here.
    answer = client.chat.completions.create(model=model, messages=messages, stream=stream, **fields, **settings)
    chunks = answer if stream else [answer]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    texts = [(choice.delta if stream else choice.message).content or "" for choice in choices]
    assert "".join(texts) == "Rome is warmer than Oslo."
    assert choices[-1].finish_reason == "stop"
