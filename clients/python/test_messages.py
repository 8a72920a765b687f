"""OpenAI's SDK with models of the Messages API: what it asks for arrives in that API's words, and it cannot tell the answers.

Every answer is validated against OpenAI's description, like all others of the suite (`wire.check`).
"""

import json

import pytest
from openai import LengthFinishReasonError
from pydantic import BaseModel, Field

from control import ANTHROPIC

PIXEL = "iVBORw0KGgo="


class Recipe(BaseModel):
    """With limits that the Messages API does not take as they stand."""

    title: str = Field(min_length=1)
    minutes: int = Field(ge=0)
    steps: list[str]
    note: str | None = None


def user(text):
    return [{"role": "user", "content": text}]


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def dropped(raw):
    return set(filter(None, raw.headers.get("x-route-dropped", "").split(",")))


@pytest.fixture
def who():
    return "free"


def test_a_question_is_answered(client, control, prompt, provider_keys):
    messages = [{"role": "developer", "content": "Be brief."}, *user(prompt)]
    raw = client.chat.completions.with_raw_response.create(
        model="claude", messages=messages, max_tokens=500, stop="zzz", user="somebody"
    )
    answer = raw.parse()
    assert prompt in answer.choices[0].message.content
    assert (answer.choices[0].finish_reason, answer.object) == ("stop", "chat.completion")
    assert answer.model == raw.headers["x-route-model"] == "claude-haiku-5-5"
    assert raw.headers["x-route-attempts"] == "anthropic/claude-haiku-5-5:200"
    assert raw.headers["x-request-id"] == answer._request_id == raw.headers["x-route-id"]
    assert dropped(raw) == set()
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0

    sent = control.request(ANTHROPIC, prompt)
    assert (sent["path"], sent["headers"]["x-api-key"]) == ("/v1/messages", provider_keys[ANTHROPIC])
    assert "authorization" not in sent["headers"]
    assert sent["body"] == {
        "model": "claude-haiku-5-5",
        "max_tokens": 500,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        "stop_sequences": ["zzz"],
        "metadata": {"user_id": "somebody"},
    }


async def test_an_async_question_is_answered(async_client, prompt):
    answer = await async_client.chat.completions.create(model="claude", messages=user(prompt))
    assert prompt in answer.choices[0].message.content


@pytest.mark.parametrize("model", ["claude", "claude-thinking", "claude-aloud"])
def test_a_stream_is_whole(client, exchanges, prompt, model):
    chunks = list(client.chat.completions.create(model=model, messages=user(prompt), stream=True))
    assert prompt in text_of(chunks)
    assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices[0].delta.role] == ["assistant"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks), "usage was not asked for"
    assert exchanges[0].events()[-1] == "[DONE]"
    assert b": ping\n\n" in exchanges[0].body, "a ping of the provider keeps the connection alive as a comment"


def test_usage_comes_if_asked_for_and_is_logged_anyway(client, control, exchanges, prompt):
    control.fault(ANTHROPIC, prompt, 'text="one two three" x3')
    create = client.chat.completions.create
    whole = create(model="claude-thinking", messages=user(prompt)).usage
    options = {"include_usage": True}
    *others, last = create(model="claude-thinking", messages=user(prompt), stream=True, stream_options=options)
    assert (last.choices, last.usage) == ([], whole)
    assert all(chunk.choices and chunk.usage is None for chunk in others)
    assert whole.completion_tokens > whole.completion_tokens_details.reasoning_tokens > 0

    list(create(model="claude-thinking", messages=user(prompt), stream=True))
    for exchange in exchanges:
        line = control.log_line(exchange.response.headers["x-route-id"])
        assert line["gen_ai.usage.input_tokens"] == whole.prompt_tokens
        assert line["gen_ai.usage.output_tokens"] == whole.completion_tokens


def test_what_the_cache_held_is_counted_and_costs_less(client, control, exchanges, prompt):
    messages = [{"role": "system", "content": f"{prompt} " * 200}, *user(prompt)]
    options = {"include_usage": True}
    first = client.chat.completions.create(model="claude", messages=messages).usage
    *_, last = client.chat.completions.create(
        model="claude", messages=messages, stream=True, stream_options=options
    )
    written = first.prompt_tokens_details.cache_write_tokens
    assert written > 1024 and first.prompt_tokens_details.cached_tokens == 0
    assert last.usage.prompt_tokens_details.cached_tokens == written
    assert last.usage.prompt_tokens == first.prompt_tokens > written
    costs = [control.log_line(exchange.response.headers["x-route-id"])["cost_usd"] for exchange in exchanges]
    assert costs[1] < costs[0]


def test_the_stream_helper_gathers_the_answer(client, control, prompt):
    control.fault(ANTHROPIC, prompt, 'text="one two three" noise=1')
    options = {"include_usage": True}
    with client.chat.completions.stream(
        model="claude-thinking", messages=user(prompt), stream_options=options
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        answer = stream.get_final_completion()
    assert deltas == ["one ", "two ", "three"], "one chunk for each piece"
    assert (answer.choices[0].message.role, answer.choices[0].message.content) == ("assistant", "one two three")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


async def test_the_async_stream_helper_gathers_the_answer(async_client, prompt):
    async with async_client.chat.completions.stream(model="claude", messages=user(prompt)) as stream:
        await stream.until_done()
        answer = await stream.get_final_completion()
    assert prompt in answer.choices[0].message.content


def test_pieces_are_not_held_back(client, control, prompt):
    control.fault(ANTHROPIC, prompt, "stall=2 events=9")
    with client.chat.completions.create(model="claude", messages=user(prompt), stream=True) as stream:
        found = ""
        for chunk in stream:
            found += text_of([chunk])
            if found == "piece1 piece2 ":
                break
        assert found == "piece1 piece2 "


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_text_survives_unchanged(client, control, prompt, stream):
    text = f"{prompt} ü \U0001f600 \u2028 \\ \" \t\r\n \x7f data: [DONE] </s>"
    script = text.translate({92: "\\\\", 34: '\\"', 9: "\\t", 13: "\\r", 10: "\\n"})
    control.fault(ANTHROPIC, prompt, f'text="{script}" chunk=3')
    answer = client.chat.completions.create(model="claude", messages=user(text), stream=stream)
    assert (text_of(answer) if stream else answer.choices[0].message.content) == text
    assert control.request(ANTHROPIC, prompt)["body"]["messages"][0]["content"][0]["text"] == text


def test_an_image_is_seen(client, control, prompt):
    parts = [
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjcK"}},
    ]
    raw = client.chat.completions.with_raw_response.create(model="claude", messages=user(parts))
    assert prompt in raw.parse().choices[0].message.content
    assert dropped(raw) == {"messages.content.image_url.detail"}
    [_, inline, linked, document] = control.request(ANTHROPIC, prompt)["body"]["messages"][0]["content"]
    assert inline["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert linked["source"] == {"type": "url", "url": "https://example.com/a.jpg"}
    assert (document["type"], document["source"]["media_type"]) == ("document", "application/pdf")


@pytest.mark.parametrize(
    ("model", "effort", "expected", "is_dropped"),
    [
        ("claude-haiku-5-5", "high", {"output_config": {"effort": "high"}}, False),
        ("claude-haiku-5-5", "minimal", {"output_config": {"effort": "low"}}, False),
        ("claude-haiku-5-5", "none", {"thinking": {"type": "disabled"}}, False),
        ("claude-opus-5-5", "max", {"output_config": {"effort": "max"}}, False),
        ("claude-opus-5-5", "none", {"output_config": {"effort": "low"}}, True),
        ("claude-opus-4-6", "none", {}, False),
        ("claude-opus-4-6", "medium", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, False),
        ("claude-sonnet-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, False),
    ],
)
def test_reasoning_effort_is_said_in_the_words_of_the_model(client, control, prompt, model, effort, expected, is_dropped):
    create = client.chat.completions.with_raw_response.create
    raw = create(model=model, messages=user(prompt), reasoning_effort=effort)
    assert prompt in raw.parse().choices[0].message.content
    body = control.request(ANTHROPIC, prompt)["body"]
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected
    assert dropped(raw) == ({"reasoning_effort"} if is_dropped else set())
    reasoning = raw.parse().usage.completion_tokens_details.reasoning_tokens
    assert (reasoning > 0) == (expected != {} and expected.get("thinking") != {"type": "disabled"})


@pytest.mark.parametrize(("model", "is_shown"), [("claude-aloud", True), ("claude-thinking", False)])
def test_thinking_is_shown_where_the_policy_says_so(client, control, exchanges, prompt, model, is_shown):
    message = client.chat.completions.create(model=model, messages=user(prompt)).choices[0].message
    whole = getattr(message, "reasoning_content", None)
    chunks = list(client.chat.completions.create(model=model, messages=user(prompt), stream=True))
    deltas = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    thought = "".join(filter(None, deltas))
    if not is_shown:
        assert whole is None and thought == "" and all(b"let me think" not in exchange.body for exchange in exchanges)
        return
    assert "let me think" in whole and "let me think" in thought
    assert "let me think" not in message.content + text_of(chunks)
    last = max(index for index, delta in enumerate(deltas) if delta)
    assert text_of(chunks[: last + 1]) == "", "it thinks before it speaks"

    # A client that sends the message back as it came gives the model its thought again.
    messages = [*user(prompt), message, *user("Go on.")]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=messages)
    assert dropped(raw) == set()
    said = control.requests(ANTHROPIC, prompt)[-1]["body"]["messages"][1]["content"]
    assert [block["type"] for block in said] == ["thinking", "text"]
    assert said[0]["thinking"] == whole and said[0]["signature"]


def test_what_cannot_be_carried_is_named(client, control, prompt):
    raw = client.chat.completions.with_raw_response.create(
        model="claude",
        messages=[{"role": "user", "content": prompt, "name": "ann"}],
        seed=1,
        temperature=0.2,
        top_p=0.5,
        logprobs=True,
        top_logprobs=2,
        presence_penalty=1,
        frequency_penalty=0,
        logit_bias={"5": 1},
        store=True,
        n=1,
        extra_body={"a_new_field": 1},
    )
    expected = "messages.name seed temperature top_p logprobs top_logprobs presence_penalty logit_bias store a_new_field"
    assert dropped(raw) == set(expected.split())
    assert control.request(ANTHROPIC, prompt)["body"].keys() == {"model", "max_tokens", "messages"}


def test_sampling_is_carried_where_the_model_takes_it(client, control, prompt):
    fields = {"messages": user(prompt), "temperature": 1.5, "top_p": 0.5}
    raw = client.chat.completions.with_raw_response.create(model="claude-opus-4-6", **fields)
    assert dropped(raw) == {"temperature", "top_p"}, "one is lowered to what the API takes, the other left out beside it"
    assert control.request(ANTHROPIC, prompt)["body"]["temperature"] == 1


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("text=one finish=pause_turn", "stop"),
        ("text=one finish=model_context_window_exceeded", "length"),
        ("bytes=2000", "length"),
        ("text=one refusal", "content_filter"),
    ],
)
def test_every_end_has_a_reason(client, control, prompt, words, reason, stream):
    control.fault(ANTHROPIC, prompt, words)
    answer = client.chat.completions.create(
        model="claude", messages=user(prompt), max_completion_tokens=400, stream=stream
    )
    if stream:
        choices = [choice for chunk in answer for choice in chunk.choices]
        assert [choice.finish_reason for choice in choices if choice.finish_reason] == [reason]
        refusal = "".join(choice.delta.refusal or "" for choice in choices)
    else:
        assert answer.choices[0].finish_reason == reason
        refusal = answer.choices[0].message.refusal or ""
    assert bool(refusal) == (reason == "content_filter")


@pytest.mark.parametrize("model", ["claude", "claude-thinking"])
def test_an_answer_is_parsed(client, control, prompt, model):
    raw = client.chat.completions.with_raw_response.parse(model=model, messages=user(prompt), response_format=Recipe)
    assert isinstance(raw.parse().choices[0].message.parsed, Recipe)
    assert dropped(raw) == {"response_format"}, "limits within the schema are left to the client"
    sent = control.request(ANTHROPIC, prompt)["body"]["output_config"]["format"]
    assert (sent["type"], sent["schema"]["additionalProperties"]) == ("json_schema", False)


async def test_an_async_answer_is_parsed(async_client, prompt):
    answer = await async_client.chat.completions.parse(model="claude", messages=user(prompt), response_format=Recipe)
    assert isinstance(answer.choices[0].message.parsed, Recipe)


def test_a_streamed_answer_is_parsed(client, prompt):
    with client.chat.completions.stream(model="claude", messages=user(prompt), response_format=Recipe) as stream:
        answer = stream.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, Recipe)


def test_a_cut_answer_is_not_parsed(client, prompt):
    with pytest.raises(LengthFinishReasonError):
        client.chat.completions.parse(
            model="claude", messages=user(prompt), response_format=Recipe, max_completion_tokens=10
        )


def test_json_without_a_schema_is_asked_for_in_words(client, control, prompt):
    control.fault(ANTHROPIC, prompt, f"text={json.dumps(json.dumps({'a': 1}))}")
    raw = client.chat.completions.with_raw_response.create(
        model="claude", messages=user(prompt), response_format={"type": "json_object"}
    )
    assert json.loads(raw.parse().choices[0].message.content) == {"a": 1}
    assert dropped(raw) == {"response_format"}
    assert "JSON" in control.request(ANTHROPIC, prompt)["body"]["system"][0]["text"]


def test_a_message_that_was_begun_goes_on(client, control, prompt):
    """Where the model can; elsewhere the user asks for the rest, which `x-route-dropped` says."""
    messages = [*user(prompt), {"role": "assistant", "content": "one "}]
    for model, expected, role in [("claude-sonnet-4-5", set(), "assistant"), ("claude", {"messages"}, "user")]:
        control.fault(ANTHROPIC, prompt, 'text="one two"')
        raw = client.chat.completions.with_raw_response.create(model=model, messages=messages)
        assert dropped(raw) == expected
        assert control.requests(ANTHROPIC, prompt)[-1]["body"]["messages"][-1]["role"] == role
