"""Errors of the Messages API are OpenAI's to the SDK, and a candidate of one API makes up for one of the other."""

import httpx2
import openai
import pytest
from openai import APIError

from control import ANTHROPIC, OPENAI
from test_tools import WEATHER

HAIKU, OPUS, LUNA = "anthropic/claude-haiku-5-5", "anthropic/claude-opus-5-5", "openai/gpt-6-luna"
STREAM_OR_WHOLE = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def user(text):
    return [{"role": "user", "content": text}]


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.fixture
def who():
    return "free"


def part(**fields):
    return [{"role": "user", "content": [{"type": "text", "text": "Listen."}, fields]}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        # No model here takes audio, whoever would have to carry it.
        ({"messages": part(type="input_audio", input_audio={"data": "AAAA", "format": "wav"})}, None),
        ({"messages": part(type="file", file={"file_id": "file-1"})}, "messages[0].content[1].file.file_id"),
        (
            {"messages": part(type="image_url", image_url={"url": "data:image/bmp;base64,AAAA"})},
            "messages[0].content[1].image_url.url",
        ),
        ({"tools": [WEATHER, WEATHER]}, "tools[1]"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "none"}}}, "tool_choice"),
        (
            {"messages": [*user("Hello"), {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
            "messages[1].tool_call_id",
        ),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ],
)
@STREAM_OR_WHOLE
def test_what_cannot_be_carried_is_a_400(connect, exchanges, control, prompt, fields, param, stream):
    fields = {"model": "claude", "messages": user(prompt), "stream": stream} | fields
    with pytest.raises(openai.BadRequestError) as raised:
        connect("free", max_retries=2).chat.completions.create(**fields)
    error = raised.value
    assert (error.param, error.type) == (param, "invalid_request_error"), error.message
    assert len(exchanges) == 1 and control.requests(ANTHROPIC, prompt) == []


def test_what_only_the_other_api_carries_goes_there(client, control, prompt, healthy):
    raw = client.chat.completions.with_raw_response.create(model="claude-or-gpt", messages=user(prompt), n=2)
    assert len(raw.parse().choices) == 2
    assert raw.headers["x-route-attempts"] == f"{OPUS}:unfit,{LUNA}:200"
    assert control.requests(ANTHROPIC, prompt) == []


@pytest.mark.parametrize(
    ("fault", "error_class", "status", "code", "should_retry"),
    [
        ("status=400", openai.BadRequestError, 400, "provider_rejected", None),
        ("context-length", openai.BadRequestError, 400, "context_length_exceeded", None),
        ("content-policy", openai.BadRequestError, 400, "content_policy_violation", None),
        ("status=413", openai.APIStatusError, 413, "request_too_large", None),
        ("status=401", openai.InternalServerError, 502, "provider_auth", "false"),
        ("leak-key", openai.InternalServerError, 502, "provider_auth", "false"),
        ("status=402", openai.InternalServerError, 503, "provider_quota", "false"),
        ("status=403", openai.InternalServerError, 502, "provider_auth", "false"),
        ("status=404", openai.InternalServerError, 502, "provider_not_found", "false"),
        # A spend limit has the type of a rate limit.
        ("quota", openai.InternalServerError, 503, "provider_quota", "false"),
        ("status=429", openai.RateLimitError, 429, "rate_limit_exceeded", "true"),
        ("rate-limit=30s", openai.RateLimitError, 429, "rate_limit_exceeded", "true"),
        ("status=500", openai.InternalServerError, 502, "provider_error", "true"),
        ("status=504", openai.InternalServerError, 502, "provider_error", "true"),
        ("status=529", openai.InternalServerError, 502, "provider_error", "true"),
        ("html", openai.InternalServerError, 502, "provider_error", "true"),
        ("close x2", openai.InternalServerError, 502, "provider_error", "true"),
        ("error-200", openai.InternalServerError, 502, "provider_error", "true"),
        ("garbage", openai.InternalServerError, 502, "provider_error", "true"),
    ],
)
@STREAM_OR_WHOLE
def test_a_providers_failure_is_mapped(
    client, control, prompt, fault, error_class, status, code, should_retry, stream
):
    control.fault(ANTHROPIC, prompt, fault)
    with pytest.raises(error_class) as raised:
        client.chat.completions.create(model="claude", messages=user(prompt), stream=stream)
    error = raised.value
    assert (error.status_code, error.code) == (status, code)
    headers = error.response.headers
    assert headers.get("x-should-retry") == should_retry
    assert ("retry-after" in headers) == (should_retry == "true")
    assert headers["x-route-attempts"].startswith(f"{HAIKU}:")


def test_the_sdk_retries_what_may_pass(connect, control, exchanges, prompt):
    control.fault(ANTHROPIC, prompt, "status=529")
    answer = connect("free", max_retries=2).chat.completions.create(model="claude", messages=user(prompt))
    assert prompt in answer.choices[0].message.content
    assert [exchange.response.status_code for exchange in exchanges] == [502, 200]


@pytest.mark.parametrize(
    "fault",
    ["status=429", "rate-limit=1s", "quota", "status=529", "status=401", "close x2", "error-200", "cut=0", "error-event=0"],
)
@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@STREAM_OR_WHOLE
def test_openai_makes_up_for_a_failing_message(client, control, prompt, healthy, fault, tools, stream):
    control.fault(ANTHROPIC, prompt, fault)
    fails_over(client, control, prompt, "claude-or-gpt", (OPUS, LUNA), tools, stream)


@pytest.mark.parametrize("fault", ["status=503", "status=429", "close x2", "cut=0", "error-event=0"])
@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@STREAM_OR_WHOLE
def test_a_message_makes_up_for_a_failing_completion(client, control, prompt, healthy, fault, tools, stream):
    control.fault(OPENAI, prompt, fault)
    fails_over(client, control, prompt, "gpt-or-claude", (LUNA, OPUS), tools, stream)


def fails_over(client, control, prompt, model, candidates, tools, stream):
    first, second = candidates
    fields = {"model": model, "messages": user(f"{prompt} And what does get_weather say?" if tools else prompt)}
    if tools:
        fields["tools"] = [WEATHER]
    raw = client.chat.completions.with_raw_response.create(**fields, stream=stream)
    attempts = raw.headers["x-route-attempts"].split(",")
    # A connection that was closed before the request came is tried once more, unless another is under way.
    *failed, last = attempts
    assert last == f"{second}:200" and 1 <= len(failed) <= 2
    assert all(attempt.startswith(f"{first}:") and not attempt.endswith(":200") for attempt in failed)
    answer = list(raw.parse()) if stream else raw.parse()
    if not tools:
        text = text_of(answer) if stream else answer.choices[0].message.content
        assert text.startswith(second) and prompt in text
    elif stream:
        deltas = [delta for chunk in answer for delta in chunk.choices[0].delta.tool_calls or []]
        assert [delta.function.name for delta in deltas if delta.id] == ["get_weather"]
    else:
        assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["get_weather"]
    assert len(control.requests(OPENAI, prompt)) + len(control.requests(ANTHROPIC, prompt)) == len(attempts)


@pytest.mark.parametrize("fault", ["cut=3", "error-event=3", "leak-event=3", "bad-event=3", "no-finish", "truncate=3"])
def test_a_broken_stream_raises(connect, control, exchanges, prompt, fault):
    control.fault(ANTHROPIC, prompt, fault)
    chunks = []
    with pytest.raises((APIError, httpx2.HTTPError)) as raised:
        for chunk in connect("free", max_retries=2).chat.completions.create(
            model="claude", messages=user(prompt), stream=True
        ):
            chunks.append(chunk)
    assert text_of(chunks), "what came before the break is delivered"
    assert raised.value.code == "stream_broken"
    assert len(exchanges) == 1, "a stream that has begun is not asked for again"
    assert control.log_line(exchanges[0].response.headers["x-route-id"])["error.type"] == "stream_broken"


def test_the_stream_helper_raises_for_a_broken_call(client, control, prompt):
    control.fault(ANTHROPIC, prompt, "call=get_weather chunk=4 error-event=3")
    with client.chat.completions.stream(model="claude", messages=user(prompt), tools=[WEATHER]) as stream:
        with pytest.raises(APIError):
            stream.get_final_completion()


async def test_a_broken_async_stream_raises(async_client, control, prompt):
    control.fault(ANTHROPIC, prompt, "error-event=3")
    stream = await async_client.chat.completions.create(model="claude", messages=user(prompt), stream=True)
    with pytest.raises(APIError):
        async for _ in stream:
            pass


@pytest.mark.parametrize("fault", ["noise=1", "text-event=1", "no-done"])
def test_what_does_not_matter_does_not_show(client, control, prompt, fault):
    control.fault(ANTHROPIC, prompt, f'text="one two three" {fault}')
    chunks = client.chat.completions.create(model="claude", messages=user(prompt), stream=True)
    assert text_of(chunks) == "one two three"
