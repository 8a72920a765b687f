"""Anthropic's own SDK, wherever it is pointed at: it validates every object and event that it receives."""

import asyncio
import contextlib

import anthropic
import httpx2
import pydantic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool, types

import wire
from conftest import CANCEL_S, TIMEOUT_S, WORLD

WEATHER = {
    "name": "get_weather",
    "description": "The weather of the next days",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


class Summary(pydantic.BaseModel):
    """What a structured answer is parsed into."""

    title: str = pydantic.Field(min_length=1, max_length=200)
    score: int = pydantic.Field(ge=0)
    tags: list[str]


def settings(place):
    common = {"timeout": TIMEOUT_S, "max_retries": 0, "_strict_response_validation": True}
    return common | {"base_url": place.url, "api_key": place.key}


@pytest.fixture
def connect(place, messages_exchanges):
    """Makes clients; those of one test share its exchanges."""
    clients = []

    def connect(**more):
        http_client = httpx2.Client(transport=wire.Transport(messages_exchanges))
        clients.append(Anthropic(**settings(place) | {"http_client": http_client} | more))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(connect):
    return connect()


def ask(place, prompt, **more):
    return {"model": place.model, "max_tokens": 4096, "messages": [{"role": "user", "content": prompt}]} | more


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def final(client, fields, is_streamed):
    """The answer to a request, as the SDK puts it together."""
    if not is_streamed:
        return client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        stream.until_done()
    return stream.get_final_message()


def test_a_question_is_answered(client, place, prompt):
    raw = client.messages.with_raw_response.create(**ask(place, prompt, system="Be brief.", metadata={"user_id": "u1"}))
    message = raw.parse()
    assert prompt in text_of(message)
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.usage.input_tokens > 0 < message.usage.output_tokens
    assert raw.headers["request-id"] == message._request_id


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_comes_in_either_header(connect, place, prompt, header):
    client = connect(api_key=None, auth_token=place.key) if header == "authorization" else connect()
    assert prompt in text_of(client.messages.create(**ask(place, prompt)))


def test_a_stream_comes_to_the_same_as_a_whole_answer(client, place, prompt):
    with client.messages.stream(**ask(place, prompt)) as stream:
        text = "".join(stream.text_stream)
    message = stream.get_final_message()
    assert text == text_of(message) and prompt in text
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0 < message.usage.input_tokens
    with client.messages.create(**ask(place, prompt), stream=True) as stream:
        events = list(stream)
    assert isinstance(events[0], types.RawMessageStartEvent) and isinstance(events[-1], types.RawMessageStopEvent)


async def test_an_async_stream_is_read(anyio_backend, place, prompt):
    async with AsyncAnthropic(**settings(place)) as client:
        async with client.messages.stream(**ask(place, prompt)) as stream:
            text = "".join([text async for text in stream.text_stream])
        assert prompt in text == text_of(await stream.get_final_message())


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_loop_of_tools_ends_in_text(client, place, prompt, is_streamed):
    asked = ask(place, f"{prompt} Use get_weather twice.", tools=[WEATHER])
    message = final(client, asked, is_streamed)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use" and len({call.id for call in calls}) == 2
    assert all(call.name == "get_weather" and isinstance(call.input["city"], str) for call in calls)

    results = [
        # In the order of completion, and one that failed.
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "no such city", "is_error": True},
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "rain"}]},
    ]
    asked["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    answer = final(client, asked, is_streamed)
    assert answer.stop_reason == "end_turn" and "the tool gave" in text_of(answer)


def test_the_tool_runner_runs_tools(client, control, place, prompt):
    """It asks the server to hold the conversation, and sends all of it where that is refused."""
    asked = []

    @beta_tool
    def get_weather(city: str, days: int) -> str:
        """The weather of the next days."""
        asked.append((city, days))
        return "sunny, 21 degrees"

    runner = client.beta.messages.tool_runner(**ask(place, f"{prompt} Use get_weather."), tools=[get_weather])
    assert "sunny, 21 degrees" in text_of(runner.until_done())
    assert len(asked) == 1
    last = control.requests(place.provider, prompt)[-1]["body"]
    assert "sunny, 21 degrees" in str(last) and "thread" not in last


def test_the_tool_runner_streams(client, place, prompt):
    @beta_tool
    def get_weather(city: str, days: int) -> str:
        """The weather of the next days."""
        return "sunny, 21 degrees"

    asked = ask(place, f"{prompt} Use get_weather.")
    runner = client.beta.messages.tool_runner(**asked, tools=[get_weather], stream=True)
    messages = [stream.get_final_message() for stream in runner]
    assert [message.stop_reason for message in messages] == ["tool_use", "end_turn"]
    assert "sunny, 21 degrees" in text_of(messages[-1])


async def test_the_tool_runner_runs_tools_that_wait(anyio_backend, place, prompt):
    @beta_async_tool
    async def get_weather(city: str, days: int) -> str:
        """The weather of the next days."""
        await asyncio.sleep(0)
        return "sunny, 21 degrees"

    async with AsyncAnthropic(**settings(place)) as client:
        asked = ask(place, f"{prompt} Use get_weather.")
        runner = client.beta.messages.tool_runner(**asked, tools=[get_weather])
        assert "sunny, 21 degrees" in text_of(await runner.until_done())


def test_a_result_may_be_an_image(client, control, place, prompt):
    asked = ask(place, f"{prompt} Use get_weather.", tools=[WEATHER])
    message = client.messages.create(**asked)
    [call] = [block for block in message.content if block.type == "tool_use"]
    content = [{"type": "text", "text": "the sky"}, {"type": "image", "source": PIXEL}]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": content}]
    asked["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    assert client.messages.create(**asked).stop_reason == "end_turn"
    assert PIXEL["data"] in str(control.requests(place.provider, prompt)[-1]["body"])


def test_structured_answers_parse(client, place, prompt):
    message = client.messages.parse(**ask(place, prompt), output_format=Summary)
    assert isinstance(message.parsed_output, Summary) and message.parsed_output.title


def test_structured_answers_are_streamed(client, place, prompt):
    with client.messages.stream(**ask(place, prompt), output_format=Summary) as stream:
        stream.until_done()
    assert isinstance(stream.get_final_message().parsed_output, Summary)


def test_a_schema_may_be_written_out(client, place, prompt):
    schema = anthropic.transform_schema(Summary)
    message = client.messages.create(
        **ask(place, prompt), output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    assert Summary.model_validate_json(text_of(message)).title


def test_tokens_are_counted(client, place, prompt):
    fields = ask(place, prompt)
    del fields["max_tokens"]
    few = client.messages.count_tokens(**fields).input_tokens
    more = client.messages.count_tokens(**fields, system=f"{prompt} " * 50, tools=[WEATHER]).input_tokens
    assert 0 < few < more


def test_models_are_listed(client):
    models = list(client.models.list())
    assert models and all(isinstance(model, types.ModelInfo) and model.display_name for model in models)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("context-length", anthropic.BadRequestError),
        ("status=429", anthropic.RateLimitError),
        ("status=529", anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_providers_error_is_raised(client, control, healthy, place, prompt, words, error, is_streamed):
    control.fault(place.provider, prompt, words)
    with pytest.raises(error) as raised:
        final(client, ask(place, prompt), is_streamed)
    if words == "context-length":
        assert "prompt is too long" in raised.value.message


def test_a_wrong_key_is_refused(connect, place, prompt):
    with pytest.raises(anthropic.AuthenticationError):
        connect(api_key="sk-wrong").messages.create(**ask(place, prompt))


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.messages.batches.list(),
        lambda client: client.messages.batches.retrieve("msgbatch_1"),
        lambda client: client.messages.batches.create(requests=[]),
        lambda client: client.beta.files.list(),
        lambda client: client.beta.files.upload(file=("a.txt", b"words", "text/plain")),
        lambda client: client.beta.skills.list(),
    ],
    ids=["batches", "a batch", "a new batch", "files", "a new file", "skills"],
)
def test_what_is_not_there_is_not_found(client, call):
    with pytest.raises(anthropic.NotFoundError) as raised:
        call(client)
    assert raised.value.body["error"]["type"] == "not_found_error"


def test_a_tier_that_a_client_may_not_use_is_denied(connect, place, prompt):
    if not place.is_gateway:
        pytest.skip("the API has no tiers")
    client = connect(api_key=WORLD["keys"]["cheap"])
    with pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(**ask(place, prompt), extra_headers={"x-route-tier": "claude"})


def test_what_is_wrong_in_a_request_is_said(client, place, prompt):
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        client.messages.create(**ask(place, prompt) | {"messages": []})
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(**ask(place, prompt, max_tokens="many"))


def test_a_failure_is_retried(connect, control, healthy, place, prompt):
    control.fault(place.provider, prompt, "status=529 x2")
    assert prompt in text_of(connect(max_retries=4).messages.create(**ask(place, prompt)))
    assert len(control.requests(place.provider, prompt)) == 3


def test_a_stream_that_is_left_frees_the_provider(client, control, place, prompt):
    control.fault(place.provider, prompt, "events=1000 gap=50ms")
    gone = control.gone(place.provider)
    with client.messages.stream(**ask(place, prompt)) as stream:
        next(iter(stream.text_stream))
    control.wait_until_gone(place.provider, gone + 1, CANCEL_S)


async def test_a_task_that_is_cancelled_frees_the_provider(anyio_backend, control, place, prompt):
    control.fault(place.provider, prompt, "events=1000 gap=50ms")
    gone = control.gone(place.provider)
    begun = asyncio.Event()

    async def read():
        async with client.messages.stream(**ask(place, prompt)) as stream:
            async for _ in stream.text_stream:
                begun.set()

    async with AsyncAnthropic(**settings(place)) as client:
        reading = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), TIMEOUT_S)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        control.wait_until_gone(place.provider, gone + 1, CANCEL_S)


@pytest.mark.parametrize("words", ["error-event=3", "cut=3", "truncate=3", "no-finish"])
def test_a_stream_that_breaks_raises(client, control, healthy, place, prompt, words):
    if words != "error-event=3" and not place.is_gateway:
        pytest.skip("the SDK takes what the API leaves off for the whole")
    control.fault(place.provider, prompt, words)
    said = []
    with client.messages.stream(**ask(place, prompt)) as stream:
        with pytest.raises(anthropic.APIStatusError):
            said.extend(stream.text_stream)
    assert said
