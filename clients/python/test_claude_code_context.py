"""Claude Code, unmodified, in conversations that grow: it counts them, and puts a summary in the place of one that is too long."""

import json
import re

import pytest

from claude_code import text_of
from conftest import WORLD
from control import ANTHROPIC, OPENAI
from places import gateway
from test_claude_code_uses import bash, moves

# About how many bytes each step adds.
STEP_BYTES = 10_000
STEPS = 8
# How Claude Code asks for a summary.
ASKS_FOR_SUMMARY = "Do NOT call any tools"
# How it begins what it goes on with.
GOES_ON = "This session is being continued"


def test_the_context_is_counted(claude_code, place, prompt):
    """By some dozens of counts at a time."""
    run = claude_code.begin(place, "/context")
    ended = run.wait()
    assert ended.code == 0, ended
    statuses = run.relay.statuses()
    assert len(statuses) > 15 and set(statuses) == {200}
    table = text_of(ended)
    counts = dict(re.findall(r"^\| ([A-Z][\w ()]+) \| ([\d.]+k?) \|", table, re.MULTILINE))
    assert counts.keys() >= {"System prompt", "System tools", "Messages", "Free space"}, table
    assert all(float(count.removesuffix("k")) > 0 for count in counts.values()), table


def steps(prompt):
    """Each names the prompt, by which its request is found also where the prompt itself was summed up."""
    command = f": {prompt}; echo %d >>steps.txt; yes | head -c {STEP_BYTES}"
    return [bash(command % number) for number in range(STEPS)]


def check_summed_up(claude_code, control, place, prompt, **environment):
    """The simulators say in a summary what is left to do, and go on with that."""
    ended = claude_code.ask(place, moves(prompt, *steps(prompt)), **environment)
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    made = (claude_code.folder / "steps.txt").read_text().split()
    assert made == [str(number) for number in range(STEPS)]
    bodies = [json.dumps(request["body"]) for request in control.requests(place.provider, prompt)]
    assert any(ASKS_FOR_SUMMARY in body for body in bodies) and GOES_ON in bodies[-1]


@pytest.mark.parametrize(("model", "provider"), [("claude-opus-5-5-small", ANTHROPIC), ("gpt-6-luna-small", OPENAI)])
def test_a_conversation_that_is_too_long_goes_on(claude_code, control, prompt, model, provider):
    """The gateway's words for it are such that it is summed up."""
    check_summed_up(claude_code, control, gateway(WORLD, model, provider), prompt)


def test_a_conversation_is_summed_up_before_it_is_too_long(claude_code, control, place, prompt):
    """By the tokens that answers say they took."""
    early = {"CLAUDE_CODE_AUTO_COMPACT_WINDOW": "100000", "CLAUDE_AUTOCOMPACT_PCT_OVERRIDE": "25"}
    check_summed_up(claude_code, control, place, prompt, **early)
