"""The simulator of the Messages API, asked directly by Anthropic's own SDK.

The gateway's translation is tested against this simulator, so somebody else must say that the simulator is right: here the
SDK validates all that it receives (`_strict_response_validation`) and puts streams together itself. The requests are those
that the SDK makes of its own helpers' arguments.
"""

import anthropic
import httpx2
import pydantic
import pytest
from anthropic import Anthropic, AsyncAnthropic, types

from conftest import TIMEOUT_S, WORLD
from control import ANTHROPIC

THINKING, QUIET, BUDGET, ADAPTIVE = "claude-opus-5-5", "claude-opus-4-8", "claude-sonnet-4-5", "claude-opus-4-6"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of the next days",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}


class Summary(pydantic.BaseModel):
    """What a structured answer is parsed into. The limits are ones that the API does not take as they stand."""

    title: str = pydantic.Field(min_length=1, max_length=200)
    score: int = pydantic.Field(ge=0)
    tags: list[str]
    note: str | None = None


def settings(**more):
    common = {
        "base_url": WORLD["simulator_urls"][ANTHROPIC],
        "api_key": WORLD["provider_keys"][ANTHROPIC],
        "timeout": TIMEOUT_S,
        "max_retries": 0,
        "_strict_response_validation": True,
    }
    return common | more


@pytest.fixture
def claude():
    with Anthropic(**settings()) as client:
        yield client


def ask(prompt, model=QUIET, **more):
    return {"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": prompt}]} | more


def kinds(message):
    return [block.type for block in message.content]


def test_a_question_is_answered(claude, prompt):
    raw = claude.messages.with_raw_response.create(**ask(prompt, system="Be brief.", stop_sequences=["zzz"]))
    message = raw.parse()
    assert prompt in message.content[0].text
    assert (message.stop_reason, message.stop_sequence, message.model) == ("end_turn", None, QUIET)
    assert message.usage.input_tokens > 0 < message.usage.output_tokens
    assert raw.headers["request-id"] == message._request_id
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) > 0


def test_both_versions_and_both_headers_of_the_api_are_served(prompt):
    url, key = WORLD["simulator_urls"][ANTHROPIC], WORLD["provider_keys"][ANTHROPIC]
    for version, header in [
        ("2023-06-01", {"x-api-key": key}),
        ("2026-10-21", {"authorization": f"Bearer {key}"}),
    ]:
        headers = {"anthropic-version": version} | header
        response = httpx2.post(f"{url}/v1/messages", json=ask(prompt), headers=headers, timeout=TIMEOUT_S)
        assert response.status_code == 200, response.text
        types.Message.model_validate(response.json(), strict=True)


async def test_an_async_stream_comes_to_the_same_as_a_whole_answer(anyio_backend, prompt):
    async with AsyncAnthropic(**settings()) as claude:
        async with claude.messages.stream(**ask(prompt)) as stream:
            text = "".join([text async for text in stream.text_stream])
        message = await stream.get_final_message()
        assert text == message.content[0].text and prompt in text
        whole = await claude.messages.create(**ask(prompt))
    assert (whole.stop_reason, whole.usage.output_tokens) == (message.stop_reason, message.usage.output_tokens)


def test_the_events_of_a_stream_are_those_of_the_sdk(claude, prompt):
    """The SDK skips pings itself; every other event must be one that it has a type for."""
    with claude.messages.create(**ask(prompt, THINKING, tools=[WEATHER]), stream=True) as stream:
        events = list(stream)
    known = (
        types.RawMessageStartEvent,
        types.RawContentBlockStartEvent,
        types.RawContentBlockDeltaEvent,
        types.RawContentBlockStopEvent,
        types.RawMessageDeltaEvent,
        types.RawMessageStopEvent,
    )
    assert all(isinstance(event, known) for event in events), events
    assert isinstance(events[0], types.RawMessageStartEvent) and isinstance(events[-1], types.RawMessageStopEvent)
    assert events[0].message.content == [] and events[0].message.stop_reason is None
    assert events[-2].usage.output_tokens > 0


@pytest.mark.filterwarnings("ignore:The model .* is deprecated")
@pytest.mark.parametrize(
    ("model", "thinking", "shown"),
    [
        (THINKING, None, False),
        (THINKING, {"type": "adaptive", "display": "summarized"}, True),
        ("claude-haiku-5-5", {"type": "disabled"}, None),
        (QUIET, None, None),
        (ADAPTIVE, {"type": "adaptive"}, True),
        (BUDGET, {"type": "enabled", "budget_tokens": 1024}, True),
    ],
)
def test_thinking_comes_in_blocks_of_its_own(claude, prompt, model, thinking, shown):
    more = {"thinking": thinking} if thinking else {}
    with claude.messages.stream(**ask(prompt, model, **more)) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
    streamed = stream.get_final_message()
    whole = claude.messages.create(**ask(prompt, model, **more))
    for message in (streamed, whole):
        assert kinds(message) == (["text"] if shown is None else ["thinking", "text"])
        if shown is not None:
            assert message.content[0].signature and bool(message.content[0].thinking) == shown
            assert message.usage.output_tokens_details.thinking_tokens > 0
    assert bool(thought) == bool(shown)


@pytest.mark.parametrize(("model", "choice"), [(QUIET, {"type": "any"}), (THINKING, {"type": "auto"})])
def test_a_loop_of_tools_ends_in_text(claude, prompt, model, choice):
    asked = ask(f"{prompt} Use get_weather twice.", model, tools=[WEATHER], tool_choice=choice)
    with claude.messages.stream(**asked) as stream:
        fragments = [event.partial_json for event in stream if event.type == "input_json"]
    message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use" and len(calls) == 2 and len({call.id for call in calls}) == 2
    assert all(call.name == "get_weather" and isinstance(call.input["city"], str) for call in calls)
    assert len(fragments) > 4

    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"rain {call.id}"} for call in calls]
    asked["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    answer = claude.messages.create(**asked | {"tool_choice": {"type": "auto"}})
    assert answer.stop_reason == "end_turn" and all(call.id in answer.content[-1].text for call in calls)


def test_structured_answers_parse(claude, prompt):
    """The helper makes a schema of the class that the API takes; the answer is validated against the class itself."""
    message = claude.messages.parse(**ask(prompt), output_format=Summary)
    assert isinstance(message.parsed_output, Summary) and message.parsed_output.title
    with claude.messages.stream(**ask(prompt), output_format=Summary) as stream:
        stream.until_done()
    assert isinstance(stream.get_final_message().parsed_output, Summary)


def test_images_and_documents_are_taken(claude, prompt):
    data = {"type": "base64", "data": "iVBORw0KGgo="}
    content = [
        {"type": "image", "source": data | {"media_type": "image/png"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": data | {"media_type": "application/pdf"}},
        {"type": "text", "text": prompt},
    ]
    assert prompt in claude.messages.create(**ask(content)).content[0].text


def test_a_marked_prompt_is_read_from_the_cache(claude, prompt):
    system = [{"type": "text", "text": f"{prompt} " * 200, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    first, second = (claude.messages.create(**ask(prompt, system=system)).usage for _ in range(2))
    assert first.cache_creation_input_tokens > 1024 and first.cache_read_input_tokens == 0
    assert first.cache_creation.ephemeral_1h_input_tokens == first.cache_creation_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0 and second.input_tokens == first.input_tokens


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("text=\"one two\" finish=pause_turn", "pause_turn"),
        ("finish=model_context_window_exceeded", "model_context_window_exceeded"),
        ("text=one refusal", "refusal"),
        ("bytes=100000", "max_tokens"),
    ],
)
def test_every_end_is_known_to_the_sdk(claude, control, prompt, words, reason):
    control.fault(ANTHROPIC, prompt, f"{words} x2")
    with claude.messages.stream(**ask(prompt)) as stream:
        stream.until_done()
    for message in (stream.get_final_message(), claude.messages.create(**ask(prompt))):
        assert message.stop_reason == reason
        if reason == "refusal":
            assert message.stop_details.type == "refusal" and message.stop_details.explanation


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("status=400", anthropic.BadRequestError),
        ("context-length", anthropic.BadRequestError),
        ("status=401", anthropic.AuthenticationError),
        ("status=402", anthropic.PaymentRequiredError),
        ("status=403", anthropic.PermissionDeniedError),
        ("status=404", anthropic.NotFoundError),
        ("status=413", anthropic.ContentTooLargeError),
        ("rate-limit=1s", anthropic.RateLimitError),
        ("quota", anthropic.RateLimitError),
        ("status=500", anthropic.InternalServerError),
        ("status=504", anthropic.GatewayTimeoutError),
        ("status=529", anthropic.OverloadedError),
    ],
)
def test_errors_are_those_of_the_sdk(claude, control, prompt, words, error):
    control.fault(ANTHROPIC, prompt, words)
    with pytest.raises(error) as raised:
        claude.messages.create(**ask(prompt))
    assert type(raised.value) is error
    body = raised.value.body
    assert body["request_id"] == raised.value.request_id == raised.value.response.headers["request-id"]
    assert body["type"] == "error" and body["error"]["type"] == raised.value.type
    # Documented, but not among the SDK's types.
    if raised.value.type != "request_too_large":
        types.ErrorResponse.model_validate(body, strict=True)


def test_what_is_wrong_in_a_request_is_said(claude, prompt):
    with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
        claude.messages.create(**ask(prompt, THINKING, tools=[WEATHER], tool_choice={"type": "any"}))
    with pytest.raises(anthropic.NotFoundError, match="model: claude-1"):
        claude.messages.create(**ask(prompt, "claude-1"))


def test_an_error_in_the_middle_of_a_stream_is_raised(claude, control, prompt):
    control.fault(ANTHROPIC, prompt, "text=\"a b c\" error-event=2")
    said = []
    with claude.messages.stream(**ask(prompt)) as stream:
        with pytest.raises(anthropic.APIStatusError) as raised:
            said.extend(stream.text_stream)
    assert said == ["a ", "b "] and raised.value.type == "overloaded_error"


@pytest.mark.parametrize("words", ["noise=1", "text-event=1"])
def test_what_may_come_between_events_is_passed_over(control, prompt, words):
    """An unknown event has no type to be validated against."""
    control.fault(ANTHROPIC, prompt, f"text=\"a b c\" {words}")
    with Anthropic(**settings(_strict_response_validation=False)) as claude:
        with claude.messages.stream(**ask(prompt)) as stream:
            assert "".join(stream.text_stream) == "a b c"


def test_models_are_listed(claude):
    models = list(claude.models.list())
    assert THINKING in [model.id for model in models]
    assert all(isinstance(model, types.ModelInfo) and model.max_input_tokens > 0 for model in models)
