"""Tool calls of OpenAI's SDK with models of the Messages API: whole, streamed, in loops, forced, and in the legacy form."""

import json

import pytest
from openai import pydantic_function_tool
from pydantic import BaseModel

from control import ANTHROPIC, OPENAI
from test_tools import WEATHER

TIME = {"type": "function", "function": {"name": "get_time"}}
BY_NAME = {"type": "function", "function": {"name": "get_weather"}}
MODELS = ["claude", "claude-thinking", "claude-aloud"]


class GetWeather(BaseModel):
    city: str
    days: int


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def who():
    return "free"


@pytest.fixture
def question(prompt):
    return f"{prompt} And what does get_weather say?"


def ask(client, stream, **fields):
    """The answer, and its message put together by the SDK if it is streamed."""
    if not stream:
        return client.chat.completions.create(**fields).choices[0]
    with client.chat.completions.stream(**fields) as events:
        return events.get_final_completion().choices[0]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", MODELS)
def test_tools_are_called_in_a_loop(client, control, prompt, model, stream):
    messages = [{"role": "system", "content": "Be brief."}, *user(f"{prompt} Ask get_weather twice.")]
    fields = {"model": model, "messages": messages, "tools": [WEATHER]}
    choice = ask(client, stream, **fields)
    assert (choice.finish_reason, choice.message.content or None) == ("tool_calls", None)
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_weather"]
    assert all(json.loads(call.function.arguments).keys() == {"city", "days"} for call in calls)
    assert len({call.id for call in calls}) == 2

    # The results may come in any order, and the user may add something.
    results = {call.id: f"sunny, {21 + number} degrees" for number, call in enumerate(calls)}
    messages.append(choice.message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call_id in reversed(results):
        messages.append({"role": "tool", "tool_call_id": call_id, "content": results[call_id]})
    messages += user("In one sentence, please.")
    choice = ask(client, stream, **fields)
    assert choice.finish_reason == "stop"
    assert "21 degrees" in choice.message.content and "22 degrees" in choice.message.content

    first, second = (request["body"] for request in control.requests(ANTHROPIC, prompt))
    assert first["tools"][0]["input_schema"] == WEATHER["function"]["parameters"]
    [_, answer, last] = second["messages"]
    *thoughts, one, two = answer["content"]
    # The provider sees its own ids, without the end that says who made the calls.
    ids = [call_id.split("_tg1")[0] for call_id in results]
    assert [one["id"], two["id"]] == ids
    # What the model thought comes back to it, in a form that only it reads.
    assert all(block["type"] == "thinking" and block["signature"] for block in thoughts)
    assert [block["type"] for block in last["content"]] == ["tool_result", "tool_result", "text"]
    assert {block["tool_use_id"] for block in last["content"][:2]} == set(ids)


async def test_tools_work_asynchronously(async_client, question):
    fields = {"model": "claude", "messages": user(question), "tools": [WEATHER]}
    answer = await async_client.chat.completions.create(**fields)
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
    async with async_client.chat.completions.stream(**fields) as stream:
        answer = await stream.get_final_completion()
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments).keys() == {"city", "days"}


@pytest.mark.parametrize("model", MODELS)
def test_streamed_calls_come_in_pieces_that_fit(client, control, question, model):
    control.fault(ANTHROPIC, question, 'text="Let me look." call=get_weather chunk=1')
    stream = client.chat.completions.create(model=model, messages=user(question), tools=[WEATHER], stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Let me look."
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "tool_calls"
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    first, *rest = deltas
    assert {delta.index for delta in deltas} == {0}, "calls are counted, not blocks"
    assert (first.function.name, first.type, bool(first.id)) == ("get_weather", "function", True)
    assert not any(delta.id or delta.function.name for delta in rest), "id and name come once"
    assert json.loads("".join(delta.function.arguments for delta in deltas)).keys() == {"city", "days"}
    assert len(rest) > 10


def test_parallel_streamed_calls_are_counted(client, question):
    messages = user(f"{question} Ask it twice.")
    stream = client.chat.completions.create(model="claude-thinking", messages=messages, tools=[WEATHER], stream=True)
    deltas = [delta for chunk in stream for delta in chunk.choices[0].delta.tool_calls or []]
    assert [delta.index for delta in deltas if delta.id] == [0, 1]
    for index in range(2):
        arguments = "".join(delta.function.arguments for delta in deltas if delta.index == index)
        assert json.loads(arguments).keys() == {"city", "days"}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_tool_without_parameters_is_called_with_none(client, prompt, stream):
    fields = {"model": "claude", "messages": user(f"{prompt} Ask get_time."), "tools": [TIME]}
    [call] = ask(client, stream, **fields).message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_time", {})


def test_the_stream_helper_parses_calls(client, question):
    tool = pydantic_function_tool(GetWeather, name="get_weather")
    with client.chat.completions.stream(model="claude", messages=user(question), tools=[tool]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        answer = stream.get_final_completion()
    [call] = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, GetWeather)
    assert [event.name for event in done] == ["get_weather"]


def test_a_strict_tool_is_strict(client, control, question):
    tool = pydantic_function_tool(GetWeather, name="get_weather")
    answer = client.chat.completions.parse(model="claude", messages=user(question), tools=[tool])
    assert isinstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, GetWeather)
    assert control.request(ANTHROPIC, question)["body"]["tools"][0]["strict"] is True


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", {"type": "any"}),
        (BY_NAME, {"type": "tool", "name": "get_weather"}),
        ("none", {"type": "none"}),
        ("auto", {"type": "auto"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [BY_NAME]}},
            {"type": "any"},
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_call_can_be_forced_or_forbidden(client, control, prompt, question, choice, expected, stream):
    text = question if choice == "none" else prompt
    fields = {"model": "claude", "messages": user(text), "tools": [TIME, WEATHER], "tool_choice": choice}
    message = ask(client, stream, **fields).message
    is_forced = expected["type"] in ("any", "tool")
    assert bool(message.tool_calls) == is_forced
    if choice not in ("required", "none", "auto"):
        assert [call.function.name for call in message.tool_calls] == ["get_weather"]
    body = control.request(ANTHROPIC, prompt)["body"]
    assert body["tool_choice"] == expected
    assert len(body["tools"]) == (1 if isinstance(choice, dict) and "allowed_tools" in choice else 2)


@pytest.mark.parametrize("choice", ["required", BY_NAME])
def test_a_model_that_cannot_be_forced_is_asked_in_words(client, control, question, choice):
    raw = client.chat.completions.with_raw_response.create(
        model="claude-thinking", messages=user(question), tools=[WEATHER, TIME], tool_choice=choice
    )
    assert raw.headers["x-route-dropped"] == "tool_choice"
    assert raw.headers["x-route-reason"] == "forced_tools_weaker"
    assert raw.parse().choices[0].message.tool_calls[0].function.name == "get_weather"
    body = control.request(ANTHROPIC, question)["body"]
    assert body["tool_choice"] == {"type": "auto"}
    assert len(body["tools"]) == (2 if choice == "required" else 1), "a named tool stands alone"
    assert "You must answer with a call" in body["system"][-1]["text"]


def test_a_model_that_can_be_forced_comes_first(client, prompt):
    raw = client.chat.completions.with_raw_response.create(
        model="claude-or-gpt", messages=user(prompt), tools=[WEATHER], tool_choice="required"
    )
    assert raw.headers["x-route-attempts"] == "openai/gpt-6-luna:200"
    assert raw.parse().choices[0].message.tool_calls and "x-route-dropped" not in raw.headers


def test_one_call_at_a_time_if_asked_for(client, control, question):
    answer = client.chat.completions.create(
        model="claude", messages=user(f"{question} Ask it twice."), tools=[WEATHER], parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls) == 1
    choice = control.request(ANTHROPIC, question)["body"]["tool_choice"]
    assert choice == {"type": "auto", "disable_parallel_tool_use": True}


def test_legacy_functions_are_called_in_a_loop(client, question):
    messages = user(question)
    fields = {"model": "claude", "messages": messages, "functions": [WEATHER["function"]]}
    choice = client.chat.completions.create(**fields).choices[0]
    assert (choice.finish_reason, choice.message.function_call.name) == ("function_call", "get_weather")
    stream = client.chat.completions.create(**fields, stream=True)
    calls = [chunk.choices[0].delta.function_call for chunk in stream if chunk.choices[0].delta.function_call]
    assert json.loads("".join(call.arguments or "" for call in calls)).keys() == {"city", "days"}

    messages += [choice.message, {"role": "function", "name": "get_weather", "content": "sunny, 21 degrees"}]
    answer = client.chat.completions.create(**fields)
    assert "sunny, 21 degrees" in answer.choices[0].message.content


@pytest.mark.parametrize("path", [("fast", "claude"), ("claude", "fast"), ("quality", "claude-thinking")])
def test_a_loop_may_go_on_with_another_model(client, control, question, path):
    """As after a failover, or when the classifier decides anew: ids and extensions of one API come to the other."""
    before, after = path
    messages = user(question)
    choice = client.chat.completions.create(model=before, messages=messages, tools=[WEATHER]).choices[0]
    [call] = choice.message.tool_calls
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}]
    answer = client.chat.completions.create(model=after, messages=messages, tools=[WEATHER])
    assert "sunny, 21 degrees" in answer.choices[0].message.content
    assert control.requests(OPENAI if after == "fast" else ANTHROPIC, question)


def test_no_tools_are_needed_to_answer_after_calls(client, question):
    messages = user(question)
    message = client.chat.completions.create(model="claude", messages=messages, tools=[WEATHER]).choices[0].message
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
    answer = client.chat.completions.create(model="claude", messages=messages)
    assert "sunny" in answer.choices[0].message.content
