"""Errors arrive as the SDK's classes with OpenAI's fields, and the SDK retries when that can help and never else."""

import json

import openai
import pytest

from control import INCEPTION, OPENAI

FAST = {"x-route-tier": "fast"}


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    "key",
    ["retired", "tg_app_WrongButOfTheRightFormAndLength012", "tg_nobody_WrongButOfTheRightFormAndLen012", "sk-other"],
)
def test_a_bad_key_is_refused_once(connect, exchanges, control, prompt, key):
    client = connect(key, max_retries=2)
    with pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt))
    error = raised.value
    assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "authentication_error")
    assert len(exchanges) == 1
    assert control.requests(OPENAI, prompt) == control.requests(INCEPTION, prompt) == []


async def test_async_errors_have_the_same_classes(async_client, prompt):
    with pytest.raises(openai.NotFoundError):
        await async_client.models.retrieve("nothing")
    with pytest.raises(openai.BadRequestError):
        await async_client.chat.completions.create(model="fast", messages=[])


@pytest.mark.parametrize(
    ("request_fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_a_wrong_field_is_named(connect, exchanges, prompt, request_fields, param):
    fields = {"model": "fast", "messages": user(prompt)} | request_fields
    with pytest.raises(openai.BadRequestError) as raised:
        connect(max_retries=2).chat.completions.create(**fields)
    error = raised.value
    assert (error.status_code, error.param, error.code) == (400, param, "invalid_value")
    assert error.type == "invalid_request_error"
    assert len(exchanges) == 1


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("x-route-tier", "great", "fast, balanced, quality, "),
        ("x-route-cache", "always", "no-store, no-cache"),
        ("x-route-timeout-ms", "soon", "1800000"),
    ],
)
def test_a_wrong_routing_header_is_refused_with_what_is_valid(client, prompt, name, value, valid):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="m", messages=user(prompt), extra_headers={name: value})
    assert (raised.value.code, valid in raised.value.message) == ("invalid_header", True)


@pytest.mark.parametrize(
    ("who", "header", "value", "code"),
    [
        ("cheap", "x-route-tier", "quality", "tier_not_allowed"),
        ("app", "x-route-model", "gpt-6-luna", "pin_not_allowed"),
    ],
)
def test_what_a_client_may_not_do_is_forbidden(connect, exchanges, prompt, who, header, value, code):
    with pytest.raises(openai.PermissionDeniedError) as raised:
        connect(who, max_retries=2).chat.completions.create(
            model="m", messages=user(prompt), extra_headers={header: value}
        )
    assert (raised.value.status_code, raised.value.code) == (403, code)
    assert len(exchanges) == 1


def test_a_limited_client_is_served_within_its_limits(connect, prompt):
    create = connect("cheap").chat.completions.with_raw_response.create
    raw = create(model="gpt-4o", messages=user(f"{prompt} Prove it."))
    assert raw.headers["x-route-tier"] == "fast"


def test_an_unknown_path_and_method(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.embeddings.create(model="m", input="x")
    assert raised.value.code == "unknown_path"
    with pytest.raises(openai.APIStatusError) as raised:
        client.models.delete("fast")
    assert (raised.value.status_code, raised.value.code) == (405, "method_not_allowed")
    assert "GET" in raised.value.response.headers["allow"]


def test_a_body_over_the_limit(client, control, prompt):
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt + "x" * 10_485_760))
    assert (raised.value.status_code, raised.value.code) == (413, "body_too_large")
    assert control.requests(OPENAI, prompt) == []


@pytest.mark.parametrize(
    ("fault", "error_class", "status", "code", "should_retry"),
    [
        ("status=400", openai.BadRequestError, 400, "provider_rejected", None),
        ("flat", openai.BadRequestError, 400, "provider_rejected", None),
        ("list-message", openai.BadRequestError, 400, "provider_rejected", None),
        ("context-length", openai.BadRequestError, 400, "context_length_exceeded", None),
        ("content-policy", openai.BadRequestError, 400, "content_policy_violation", None),
        ("status=422", openai.UnprocessableEntityError, 422, "provider_rejected", None),
        ("status=413", openai.APIStatusError, 413, "request_too_large", None),
        ("status=401", openai.InternalServerError, 502, "provider_auth", "false"),
        ("status=402", openai.InternalServerError, 503, "provider_quota", "false"),
        ("status=403", openai.InternalServerError, 502, "provider_auth", "false"),
        ("status=404", openai.InternalServerError, 502, "provider_not_found", "false"),
        ("status=429", openai.RateLimitError, 429, "rate_limit_exceeded", "true"),
        ("quota", openai.InternalServerError, 503, "provider_quota", "false"),
        ("status=500", openai.InternalServerError, 502, "provider_error", "true"),
        ("status=529", openai.InternalServerError, 502, "provider_error", "true"),
        ("html", openai.InternalServerError, 502, "provider_error", "true"),
        ("array", openai.InternalServerError, 502, "provider_error", "true"),
        ("close x2", openai.InternalServerError, 502, "provider_error", "true"),
        ("error-200", openai.InternalServerError, 502, "provider_error", "true"),
        ("garbage", openai.InternalServerError, 502, "provider_error", "true"),
        ("cut=20", openai.InternalServerError, 502, "provider_error", "true"),
    ],
)
def test_a_providers_failure_is_mapped(client, control, prompt, fault, error_class, status, code, should_retry):
    control.fault(OPENAI, prompt, fault)
    with pytest.raises(error_class) as raised:
        client.chat.completions.create(model="any", messages=user(prompt), extra_headers=FAST)
    error = raised.value
    assert (error.status_code, error.code) == (status, code)
    headers = error.response.headers
    assert headers.get("x-should-retry") == should_retry
    assert ("retry-after" in headers) == (should_retry == "true")
    assert headers["x-route-attempts"].startswith("openai/gpt-6-luna:")
    line = control.log_line(headers["x-route-id"])
    assert (line["http.response.status_code"], line["error.type"]) == (status, code)


def test_a_rate_limit_of_all_candidates_is_the_clients(client, control, prompt):
    for simulator in (INCEPTION, OPENAI):
        control.fault(simulator, prompt, "status=429 retry-after=7")
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="balanced", messages=user(prompt))
    headers = raised.value.response.headers
    assert headers["x-route-attempts"] == "inception/mercury-2:429,openai/gpt-6-sol:429"
    assert (headers["retry-after"], headers["x-should-retry"]) == ("7", "true")


def test_a_delay_that_is_too_long_is_not_worth_waiting_for(client, control, prompt):
    control.fault(OPENAI, prompt, "status=429 retry-after=3000")
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt))
    headers = raised.value.response.headers
    assert headers["x-should-retry"] == "false" and "retry-after" not in headers


def test_a_providers_words_come_masked(client, control, prompt, provider_keys):
    """A 400 may quote what the client sent, but never the gateway's key; `exchanges` looks for it too."""
    body = json.dumps({"error": {"message": f"bad field, key {provider_keys['openai']}", "param": "seed"}})
    control.fault(OPENAI, prompt, f"status=400 body={json.dumps(body)}")
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt))
    assert "bad field, key [masked]" in raised.value.message
    assert raised.value.param == "seed"


def test_a_clients_own_deadline(client, control, prompt):
    control.fault(OPENAI, prompt, "hang")
    headers = {"x-route-timeout-ms": "300"}
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="fast", messages=user(prompt), extra_headers=headers)
    assert (raised.value.status_code, raised.value.code) == (504, "provider_timeout")


def test_the_sdk_retries_what_may_pass(connect, control, exchanges, prompt):
    control.fault(OPENAI, prompt, "status=503")
    answer = connect(max_retries=2).chat.completions.create(model="fast", messages=user(prompt))
    assert prompt in answer.choices[0].message.content
    assert [exchange.response.status_code for exchange in exchanges] == [502, 200]
    assert len(control.requests(OPENAI, prompt)) == 2


def test_the_sdk_does_not_retry_what_will_not_pass(connect, control, exchanges, prompt):
    """A 502 by itself would be retried; the gateway has said that it should not be."""
    control.fault(OPENAI, prompt, "status=401 *")
    with pytest.raises(openai.InternalServerError):
        connect(max_retries=2).chat.completions.create(model="fast", messages=user(prompt))
    assert len(exchanges) == len(control.requests(OPENAI, prompt)) == 1


def test_the_sdk_gives_up_after_its_retries(connect, control, exchanges, prompt):
    control.fault(OPENAI, prompt, "status=429 *")
    with pytest.raises(openai.RateLimitError):
        connect(max_retries=1).chat.completions.create(model="fast", messages=user(prompt))
    assert len(exchanges) == len(control.requests(OPENAI, prompt)) == 2
