"""The list of models is what the client may name."""

import openai
import pytest

TIERS = ["auto", "fast", "balanced", "quality", "reasoning"]
# For agents that list only what sounds like their maker's.
FOR_AGENTS = ["claude-auto"]


def test_tiers_are_listed_and_models_for_those_who_may_pin(connect):
    ids = [model.id for model in connect().models.list()]
    assert ids == TIERS + FOR_AGENTS
    ids = [model.id for model in connect("pinner").models.list()]
    assert ids[:5] == TIERS and {"gpt-6-luna", "gemini-3.8-flash", "mercury-2"} <= set(ids[5:])
    assert [model.id for model in connect("cheap").models.list()] == ["auto", "fast", *FOR_AGENTS]


async def test_models_are_listed_asynchronously(async_client):
    assert [model.id async for model in async_client.models.list()] == TIERS + FOR_AGENTS


def test_one_model_is_shown(connect):
    model = connect().models.retrieve("balanced")
    assert (model.id, model.object, model.owned_by) == ("balanced", "model", "tiergate")
    assert connect("pinner").models.retrieve("gpt-6-luna").owned_by == "openai"


@pytest.mark.parametrize("name", ["nothing", "gpt-6-luna", "vendor/name"])
def test_what_a_client_may_not_name_is_not_found(client, name):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve(name)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert "fast, balanced, quality, reasoning" in raised.value.message


def test_models_are_for_clients_only(connect):
    with pytest.raises(openai.AuthenticationError):
        connect("retired").models.list()
