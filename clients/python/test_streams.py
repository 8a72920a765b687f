"""Streamed answers: their form, and that a broken one is never taken for a whole one."""

import time

import httpx2
import openai
import pytest
from openai import APIError

from conftest import TIMEOUT_S, WORLD
from control import GOOGLE, OPENAI

QUALITY = {"x-route-tier": "quality"}


def user(text):
    return [{"role": "user", "content": text}]


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_stream_is_whole(client, exchanges, prompt):
    chunks = list(client.chat.completions.create(model="fast", messages=user(prompt), stream=True))
    assert prompt in text_of(chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert {chunk.model for chunk in chunks} == {"gpt-6-luna"}
    assert all(chunk.choices and chunk.usage is None for chunk in chunks), "usage was not asked for"
    assert exchanges[0].events()[-1] == "[DONE]"


async def test_an_async_stream_is_whole(async_client, prompt):
    stream = await async_client.chat.completions.create(model="fast", messages=user(prompt), stream=True)
    assert prompt in text_of([chunk async for chunk in stream])


def test_usage_comes_if_asked_for_and_is_logged_anyway(client, control, exchanges, prompt):
    options = {"include_usage": True}
    create = client.chat.completions.create
    chunks = list(create(model="fast", messages=user(prompt), stream=True, stream_options=options))
    *others, last = chunks
    assert (last.choices, last.usage.total_tokens > 0) == ([], True)
    assert all(chunk.usage is None for chunk in others)

    list(create(model="fast", messages=user(prompt), stream=True))
    for exchange in exchanges:
        line = control.log_line(exchange.response.headers["x-route-id"])
        assert line["gen_ai.usage.output_tokens"] == last.usage.completion_tokens
        assert (line["stream"], line["cost_usd"] > 0) == (True, True)


def test_the_stream_helper_gathers_the_answer(client, prompt):
    with client.chat.completions.stream(model="fast", messages=user(prompt)) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == answer.choices[0].message.content
    assert [event.content for event in events if event.type == "content.done"] == ["".join(deltas)]
    assert (answer.choices[0].message.role, answer.choices[0].finish_reason) == ("assistant", "stop")


async def test_the_async_stream_helper_gathers_the_answer(async_client, prompt):
    async with async_client.chat.completions.stream(model="fast", messages=user(prompt)) as stream:
        await stream.until_done()
        answer = await stream.get_final_completion()
    assert prompt in answer.choices[0].message.content


def test_the_head_says_how_it_was_routed(client, prompt):
    create = client.chat.completions.with_raw_response.create
    raw = create(model="gpt-4o", messages=user(prompt), stream=True)
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert (raw.headers["x-route-source"], raw.headers["x-route-model"]) == ("classifier", "gpt-6-luna")
    assert prompt in text_of(raw.parse())


def test_several_choices_stream_side_by_side(client, prompt):
    chunks = list(client.chat.completions.create(model="fast", messages=user(prompt), stream=True, n=2))
    for index in range(2):
        of_one = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert prompt in "".join(choice.delta.content or "" for choice in of_one)
        assert of_one[-1].finish_reason == "stop"


def test_long_streams_arrive_in_order(client, control, prompt):
    control.fault(OPENAI, prompt, "events=3000")
    chunks = client.chat.completions.create(model="fast", messages=user(prompt), stream=True)
    assert text_of(chunks) == "".join(f"piece{number} " for number in range(1, 3001))


def test_pieces_are_not_held_back(client, control, prompt):
    """The provider says nothing after the second piece, so neither would come if the gateway waited for more."""
    control.fault(OPENAI, prompt, "stall=2 events=9")
    with client.chat.completions.create(model="fast", messages=user(prompt), stream=True) as stream:
        found = ""
        for chunk in stream:
            found += text_of([chunk])
            if found == "piece1 piece2 ":
                break
        assert found == "piece1 piece2 "


def test_a_client_may_leave(client, control, exchanges, prompt):
    control.fault(OPENAI, prompt, "events=1000 gap=10ms")
    with client.chat.completions.create(model="fast", messages=user(prompt), stream=True) as stream:
        next(iter(stream))
    line = control.log_line(exchanges[0].response.headers["x-route-id"])
    assert line["client_closed"] is True


@pytest.mark.parametrize("fault", ["cut=3", "error-event=3", "no-finish", "events=6 cut=5"])
def test_a_broken_stream_raises(connect, control, exchanges, prompt, fault):
    control.fault(OPENAI, prompt, fault)
    client = connect(max_retries=2)
    chunks = []
    with pytest.raises((APIError, httpx2.HTTPError)) as raised:
        for chunk in client.chat.completions.create(model="fast", messages=user(prompt), stream=True):
            chunks.append(chunk)
    assert text_of(chunks), "what came before the break is delivered"
    assert raised.value.code == "stream_broken"
    assert len(exchanges) == 1, "a stream that has begun is not asked for again"
    line = control.log_line(exchanges[0].response.headers["x-route-id"])
    assert line["error.type"] == "stream_broken"


def test_the_stream_helper_raises_for_a_broken_stream(client, control, prompt):
    control.fault(OPENAI, prompt, "cut=3")
    with client.chat.completions.stream(model="fast", messages=user(prompt)) as stream:
        with pytest.raises(APIError):
            stream.get_final_completion()


async def test_a_broken_async_stream_raises(async_client, control, prompt):
    control.fault(OPENAI, prompt, "cut=3")
    stream = await async_client.chat.completions.create(model="fast", messages=user(prompt), stream=True)
    with pytest.raises(APIError):
        async for _ in stream:
            pass


def test_a_missing_end_marker_is_made_up_for(client, control, exchanges, prompt):
    control.fault(OPENAI, prompt, "no-done")
    chunks = list(client.chat.completions.create(model="fast", messages=user(prompt), stream=True))
    assert prompt in text_of(chunks)
    assert exchanges[0].events()[-1] == "[DONE]"


@pytest.fixture
def first_answers(keys, healthy):
    """Asks until the first candidate answers. One that is due for a probe has company, which may answer before it is reached."""
    url = f"{WORLD['base_url']}/chat/completions"
    fields = {"headers": {"authorization": f"Bearer {keys['app']}"} | QUALITY, "timeout": TIMEOUT_S}
    question = {"model": "any", "messages": user("Are you there?")}
    deadline = time.monotonic() + TIMEOUT_S
    while httpx2.post(url, json=question, **fields).headers["x-route-attempts"] != "openai/gpt-6.2-sol:200":
        assert time.monotonic() < deadline, "the first candidate does not recover"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "fault",
    [
        "status=503",
        "status=429 retry-after=1",
        "status=401",
        "status=404",
        "quota",
        "html",
        "array",
        "close x2",
        "reset",
        "empty",
        "garbage",
        "error-200",
        "cut=0",
        "error-event=0",
    ],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_failing_first_candidate_does_not_show(client, control, exchanges, prompt, first_answers, fault, stream):
    control.fault(OPENAI, prompt, fault)
    create = client.chat.completions.create
    answer = create(model="any", messages=user(prompt), stream=stream, extra_headers=QUALITY)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text.startswith("google/gemini-3.8-flash") and prompt in text
    [exchange] = exchanges
    *failed, last = exchange.response.headers["x-route-attempts"].split(",")
    assert all(attempt.startswith("openai/gpt-6.2-sol:") and not attempt.endswith(":200") for attempt in failed)
    assert last == "google/gemini-3.8-flash:200"
    # A connection that was closed before the request came is tried once more, unless another candidate is under way.
    assert len(control.requests(OPENAI, prompt)) == len(failed) and 1 <= len(failed) <= (2 if fault.endswith(" x2") else 1)
    assert len(control.requests(GOOGLE, prompt)) == 1


def test_a_stream_that_cannot_begin_is_a_plain_error(client, control, prompt):
    control.fault(OPENAI, prompt, "content-policy")
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt), stream=True)
    assert raised.value.code == "content_policy_violation"
