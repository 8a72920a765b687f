"""Tool calls, whole and streamed, and the loop that answers them."""

import json

import pytest
from openai import pydantic_function_tool
from pydantic import BaseModel

from control import GOOGLE, OPENAI

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def question(prompt):
    return f"{prompt} And what does get_weather say?"


def test_a_tool_is_called_and_its_result_answered(client, control, question):
    messages = user(question)
    answer = client.chat.completions.create(model="fast", messages=messages, tools=[WEATHER])
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    [call] = choice.message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments).keys() == {"city", "days"}

    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}]
    answer = client.chat.completions.create(model="fast", messages=messages, tools=[WEATHER])
    assert "sunny, 21 degrees" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"

    first, second = control.requests(OPENAI, question)
    assert first["body"]["tools"] == [WEATHER]
    assert first["body"]["reasoning_effort"] == "none", "the only effort at which this model takes tools"
    assert second["body"]["messages"][1]["tool_calls"][0]["id"] == call.id


async def test_tools_work_asynchronously(async_client, question):
    answer = await async_client.chat.completions.create(model="fast", messages=user(question), tools=[WEATHER])
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_streamed_calls_come_in_pieces_that_fit(client, question):
    stream = client.chat.completions.create(
        model="fast", messages=user(f"{question} Ask it twice."), tools=[WEATHER], stream=True
    )
    deltas = []
    reasons = []
    for chunk in stream:
        deltas += chunk.choices[0].delta.tool_calls or []
        reasons += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
    assert reasons == ["tool_calls"]
    for index in range(2):
        first, *rest = [delta for delta in deltas if delta.index == index]
        assert (first.function.name, first.type, bool(first.id)) == ("get_weather", "function", True)
        assert not any(delta.id or delta.function.name for delta in rest), "id and name come once"
        arguments = "".join(delta.function.arguments for delta in [first, *rest])
        assert json.loads(arguments).keys() == {"city", "days"}
    assert {delta.index for delta in deltas} == {0, 1}


class GetWeather(BaseModel):
    city: str
    days: int


def test_the_stream_helper_parses_calls(client, question):
    tool = pydantic_function_tool(GetWeather, name="get_weather")
    with client.chat.completions.stream(model="fast", messages=user(question), tools=[tool]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        answer = stream.get_final_completion()
    [call] = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, GetWeather)
    assert [event.name for event in done] == ["get_weather"]


async def test_the_async_stream_helper_parses_calls(async_client, question):
    tool = pydantic_function_tool(GetWeather, name="get_weather")
    async with async_client.chat.completions.stream(model="fast", messages=user(question), tools=[tool]) as stream:
        answer = await stream.get_final_completion()
    assert isinstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, GetWeather)


def test_a_call_can_be_forced_or_forbidden(client, prompt, question):
    create = client.chat.completions.create
    by_name = {"type": "function", "function": {"name": "get_weather"}}
    for choice in ("required", by_name):
        answer = create(model="fast", messages=user(prompt), tools=[WEATHER], tool_choice=choice)
        assert answer.choices[0].message.tool_calls, choice
    answer = create(model="fast", messages=user(question), tools=[WEATHER], tool_choice="none")
    assert answer.choices[0].message.tool_calls is None


def test_tools_find_a_model_that_takes_them(client, control, question):
    """No model of `reasoning` takes tools, and of `quality` only the second, which wants its signatures back."""
    messages = user(question)
    create = client.chat.completions.with_raw_response.create
    raw = create(model="reasoning", messages=messages, tools=[WEATHER])
    assert (raw.headers["x-route-tier"], raw.headers["x-route-model"]) == ("quality", "gemini-3.8-flash")
    assert "needs_tools" in raw.headers["x-route-reason"]
    message = raw.parse().choices[0].message

    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}]
    answer = create(model="reasoning", messages=messages, tools=[WEATHER]).parse()
    assert "rain" in answer.choices[0].message.content
    assert len(control.requests(GOOGLE, question)) == 2
