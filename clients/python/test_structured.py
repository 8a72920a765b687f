"""Answers that follow a schema, by the SDK's own helpers."""

from typing import Literal

import pytest
from openai import LengthFinishReasonError
from pydantic import BaseModel

from control import OPENAI


class Step(BaseModel):
    text: str
    number: int


class Recipe(BaseModel):
    title: str
    difficulty: Literal["easy", "hard"]
    steps: list[Step]


def user(text):
    return [{"role": "user", "content": text}]


def test_an_answer_is_parsed(client, control, prompt):
    answer = client.chat.completions.parse(model="fast", messages=user(prompt), response_format=Recipe)
    assert isinstance(answer.choices[0].message.parsed, Recipe)
    sent = control.request(OPENAI, prompt)["body"]["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "Recipe")


async def test_an_async_answer_is_parsed(async_client, prompt):
    answer = await async_client.chat.completions.parse(model="fast", messages=user(prompt), response_format=Recipe)
    assert isinstance(answer.choices[0].message.parsed, Recipe)


def test_a_streamed_answer_is_parsed(client, prompt):
    with client.chat.completions.stream(model="fast", messages=user(prompt), response_format=Recipe) as stream:
        answer = stream.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, Recipe)


def test_a_cut_answer_is_not_parsed(client, prompt):
    with pytest.raises(LengthFinishReasonError):
        client.chat.completions.parse(
            model="fast", messages=user(prompt), response_format=Recipe, max_completion_tokens=10
        )


def test_json_without_a_schema(client, prompt):
    answer = client.chat.completions.create(
        model="fast", messages=user(prompt), response_format={"type": "json_object"}
    )
    assert answer.choices[0].message.content.startswith("{")
