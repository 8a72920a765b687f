"""Whole answers, the headers and the log line that come with them, and what a provider sees of a request."""

import asyncio
import re

from control import INCEPTION, OPENAI

FAST = {"x-route-tier": "fast"}
BALANCED = {"x-route-tier": "balanced"}


def user(text):
    return [{"role": "user", "content": text}]


def test_a_question_is_answered(client, prompt):
    answer = client.chat.completions.create(model="gpt-4o", messages=user(prompt), extra_headers=FAST)
    assert prompt in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-6-luna", "the body names the model that served"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_an_async_question_is_answered(async_client, prompt):
    answer = await async_client.chat.completions.create(model="fast", messages=user(prompt))
    assert prompt in answer.choices[0].message.content


async def test_concurrent_questions_get_their_own_answers(async_client, prompt):
    prompts = [f"{prompt} Number {number}." for number in range(12)]
    ask = async_client.chat.completions.create
    answers = await asyncio.gather(*(ask(model="fast", messages=user(text)) for text in prompts))
    for text, answer in zip(prompts, answers, strict=True):
        assert text in answer.choices[0].message.content


def test_the_answer_says_how_it_was_routed(client, prompt):
    raw = client.chat.completions.with_raw_response.create(model="any", messages=user(prompt), extra_headers=FAST)
    assert raw.parse().model == "gpt-6-luna"
    expected = {
        "x-route-tier": "fast",
        "x-route-source": "header",
        "x-route-provider": "openai",
        "x-route-model": "gpt-6-luna",
        "x-route-attempts": "openai/gpt-6-luna:200",
        "content-type": "application/json",
        # The provider's own, which applications may read.
        "x-ratelimit-remaining-requests": "4999",
    }
    assert {name: raw.headers.get(name) for name in expected} == expected
    assert re.fullmatch(r"clients\.1@[0-9a-f]{8}", raw.headers["x-route-policy"])
    assert "x-route-reason" not in raw.headers, "empty headers are left out"
    timings = dict(re.findall(r"(\w+);dur=([\d.]+)", raw.headers["server-timing"]))
    assert {"auth", "policy", "decide", "upstream", "total"} <= timings.keys()


def test_the_classifier_decides_on_what_names_no_tier(client, control, prompt):
    for text, tier in [
        (prompt, "fast"),
        (f"{prompt} Prove it step by step.", "reasoning"),
        (f"{prompt} Then implement it.", "quality"),
        (f"{prompt} {'Look at this from some sides. ' * 5}", "balanced"),
    ]:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=user(text))
        assert raw.headers["x-route-source"] == "classifier", text
        assert raw.headers["x-route-tier"] == tier, text
        assert 0.5 <= float(raw.headers["x-route-confidence"]) <= 1
        assert prompt in raw.parse().choices[0].message.content, "the classifier's reply is no answer"
    assert control.requests(INCEPTION, prompt)


def test_a_tier_or_an_allowed_model_can_be_named(connect, prompt):
    for who, model, tier, served in [
        ("app", "reasoning", "reasoning", "gpt-6.2-astra"),
        ("pinner", "gpt-6-sol", "balanced", "gpt-6-sol"),
        ("pinner", "gemini-3.8-flash", "quality", "gemini-3.8-flash"),
    ]:
        create = connect(who).chat.completions.with_raw_response.create
        raw = create(model=model, messages=user(prompt))
        found = [raw.headers[name] for name in ("x-route-source", "x-route-tier", "x-route-model")]
        assert found == ["model", tier, served], model


def test_the_provider_gets_the_request_and_its_own_key_only(connect, control, prompt, keys, provider_keys):
    client = connect(organization="org-of-client", project="project-of-client")
    client.chat.completions.create(
        model="fast",
        messages=user(prompt),
        prompt_cache_key="cached",
        prediction={"type": "content", "content": "ü"},
        extra_body={"models": ["other"]},
        extra_headers={"x-custom": "private", "cookie": "private", "x-route-tags": "job=nightly"},
    )
    request = control.request(OPENAI, prompt)
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == f"Bearer {provider_keys['openai']}"
    allowed = {"authorization", "accept", "accept-encoding", "content-type", "content-length", "host", "traceparent", "user-agent"}
    assert request["headers"].keys() <= allowed
    assert request["headers"]["user-agent"].startswith("tiergate/")
    assert keys["app"] not in str(request)
    assert request["body"] == {
        "model": "gpt-6-luna",
        "messages": user(prompt),
        "prompt_cache_key": "cached",
        "prediction": {"type": "content", "content": "ü"},
    }


def test_fields_that_a_model_refuses_are_renamed_or_dropped(client, control, prompt):
    raw = client.chat.completions.with_raw_response.create(
        model="fast", messages=user(prompt), max_tokens=500, temperature=0.3, top_p=0.9
    )
    assert raw.headers["x-route-dropped"] == "temperature,top_p"
    body = control.request(OPENAI, prompt)["body"]
    assert body["max_completion_tokens"] == 500
    assert not {"max_tokens", "temperature", "top_p"} & body.keys()


def test_a_provider_gets_what_its_dialect_variant_knows(client, control, prompt):
    raw = client.chat.completions.with_raw_response.create(
        model="any",
        messages=[{"role": "developer", "content": "Be brief."}, *user(prompt)],
        stop="END",
        extra_headers=BALANCED,
    )
    assert raw.headers["x-route-provider"] == "inception"
    body = control.request(INCEPTION, prompt)["body"]
    assert (body["messages"][0]["role"], body["stop"]) == ("system", ["END"])


def test_several_choices_and_parts(client, control, prompt):
    parts = [
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    raw = client.chat.completions.with_raw_response.create(model="balanced", messages=user(parts), n=3)
    assert [choice.index for choice in raw.parse().choices] == [0, 1, 2]
    assert raw.headers["x-route-model"] == "gpt-6-sol", "the first candidate takes no images"
    assert control.request(OPENAI, prompt)["body"]["messages"] == user(parts)


def test_text_survives_unchanged(client, control, prompt):
    text = f"{prompt} ü \U0001f600 \u2028 \\ \" \t\r\n \x7f data: [DONE] </s>"
    control.fault(OPENAI, prompt, 'text="' + text.translate({92: "\\\\", 34: '\\"', 9: "\\t", 13: "\\r", 10: "\\n"}) + '"')
    answer = client.chat.completions.create(model="fast", messages=user(text))
    assert answer.choices[0].message.content == text
    assert control.request(OPENAI, prompt)["body"]["messages"] == user(text)


def test_large_questions_and_answers(client, control, prompt):
    control.fault(OPENAI, prompt, "bytes=2000000")
    text = prompt + " word" * 400_000
    answer = client.chat.completions.create(model="fast", messages=user(text))
    assert len(answer.choices[0].message.content) == 2_000_000
    assert control.request(OPENAI, prompt)["body"]["messages"] == user(text)


def test_the_log_line_has_what_was_used_and_nothing_of_the_text(client, control, prompt):
    headers = FAST | {"x-route-tags": "job=nightly"}
    raw = client.chat.completions.with_raw_response.create(model="m", messages=user(prompt), extra_headers=headers)
    line = control.log_line(raw.headers["x-route-id"])
    usage = raw.parse().usage
    expected = {
        "client": "app",
        "tags": {"team": "clients", "job": "nightly"},
        "tier": "fast",
        "source": "header",
        "model": "gpt-6-luna",
        "http.response.status_code": 200,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "stream": False,
    }
    assert {name: line.get(name) for name in expected} == expected
    cost = (usage.prompt_tokens * 0.10 + usage.completion_tokens * 0.50) / 1e6
    assert abs(line["cost_usd"] - cost) < 1e-12
    assert prompt not in str(line)


def test_other_paths_of_the_same_api_work(connect, prompt):
    client = connect()
    without_version = client.with_options(base_url=str(client.base_url).removesuffix("v1/"))
    answer = without_version.chat.completions.create(model="fast", messages=user(prompt))
    assert prompt in answer.choices[0].message.content
