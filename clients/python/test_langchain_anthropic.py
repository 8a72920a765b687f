"""LangChain's `ChatAnthropic`, wherever it is pointed at."""

import pydantic
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from conftest import TIMEOUT_S


class Summary(pydantic.BaseModel):
    """A title and what it is about."""

    title: str
    tags: list[str]


@tool
def get_weather(city: str, days: int) -> str:
    """The weather of the next days."""
    return f"sunny in {city} for {days} days"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def loop(anyio_backend):
    """One for all tests: LangChain keeps its connections for the next model, and they belong to a loop."""
    yield


@pytest.fixture
def model(place):
    return ChatAnthropic(
        model=place.model, base_url=place.url, api_key=place.key, max_tokens=4096, max_retries=0, timeout=TIMEOUT_S
    )


def test_a_question_is_answered(model, prompt):
    answer = model.invoke([("system", "Be brief."), ("human", prompt)])
    assert prompt in answer.text and answer.response_metadata["stop_reason"] == "end_turn"
    assert answer.usage_metadata["total_tokens"] > answer.usage_metadata["input_tokens"] > 0


def test_a_stream_comes_to_the_same(model, prompt):
    chunks = list(model.stream(prompt))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert len(chunks) > 3 and prompt in whole.text


async def test_an_async_stream_is_read(anyio_backend, model, prompt):
    assert prompt in "".join([chunk.text async for chunk in model.astream(prompt)])


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_loop_of_tools_ends_in_text(model, prompt, is_streamed):
    bound = model.bind_tools([get_weather])

    def ask(messages):
        if not is_streamed:
            return bound.invoke(messages)
        first, *rest = bound.stream(messages)
        return sum(rest, start=first)

    messages = [HumanMessage(f"{prompt} Use get_weather twice.")]
    answer = ask(messages)
    assert len({call["id"] for call in answer.tool_calls}) == 2
    messages.append(answer)
    for call in answer.tool_calls:
        result = get_weather.invoke(call)
        assert isinstance(result, ToolMessage)
        messages.append(result)
    assert "sunny in" in ask(messages).text


def test_structured_answers_parse(model, prompt):
    structured = model.with_structured_output(Summary, method="json_schema")
    assert isinstance(structured.invoke(prompt), Summary)


def test_tokens_are_counted(model, prompt):
    assert model.get_num_tokens_from_messages([HumanMessage(prompt)]) > 0
