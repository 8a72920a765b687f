"""Claude Code, unmodified: one turn, a loop of tools, a provider that fails in the middle, a cut, and a cancel.

What it is to do stands in the prompt, and the simulators do it as a model would (docs/simulators.md). Each scene is the same
wherever it is pointed at.
"""

import json

import pytest

from claude_code import QUIET, text_of
from conftest import CANCEL_S, TIMEOUT_S, WORLD
from control import ANTHROPIC, OPENAI
from places import gateway
from sandbox import CLIENTS


def task(prompt: str, folder) -> str:
    """Three steps with real tools, spelled out."""
    notes = folder / "notes.txt"
    write = json.dumps({"file_path": str(notes), "content": "quiet words\n"})
    read = json.dumps({"file_path": str(notes)})
    bash = json.dumps({"command": "tr a-z A-Z <notes.txt >loud.txt && cat loud.txt", "description": "Raise the voice"})
    return f'{prompt} Please call Write with {write}, then call Read with {read}, then call Bash with {bash}, then say "All done."'


def check_done(ended, folder) -> None:
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    assert not ended.printed["is_error"] and ended.printed["permission_denials"] == []
    assert (folder / "notes.txt").read_text() == "quiet words\n"
    assert (folder / "loud.txt").read_text() == "QUIET WORDS\n"


def check_untouched(bodies) -> None:
    """What Claude Code sends to its own API arrives there whole, in its place, and grows only at its end."""
    for body, after in zip(bodies, bodies[1:]):
        assert body["context_management"] and body["system"] == after["system"] and body["tools"] == after["tools"]
        said = len(body["messages"])
        assert [unmarked(message) for message in after["messages"][:said]] == list(map(unmarked, body["messages"]))
    assert bodies[0]["system"][0]["text"].startswith("x-anthropic-billing-header")
    environment = bodies[0]["messages"][1]
    assert environment["role"] == "system" and environment["output_config"]
    thoughts = [block for block in bodies[-1]["messages"][2]["content"] if block["type"] == "thinking"]
    assert thoughts and "tgs1_" not in str(bodies), "a sealed thought was not opened"


def unmarked(message):
    """A message without marks for the cache, which move; one that is only a text is written as one."""
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    blocks = [{name: value for name, value in block.items() if name != "cache_control"} for block in content]
    return message | {"content": blocks}


def test_the_line_of_the_readme(claude_code, control, healthy, prompt):
    readme = (CLIENTS.parent / "README.md").read_text()
    line = next(line for line in readme.splitlines() if line.startswith("ANTHROPIC_BASE_URL="))
    place = gateway(WORLD, "auto", ANTHROPIC)
    line = line.replace("http://127.0.0.1:7676", place.url).replace("tg_…", place.key)
    ended = claude_code.run_line(f"{line} -p {json.dumps(prompt)}", place, QUIET)
    assert ended.code == 0 and prompt in ended.output, ended


def test_one_turn(claude_code, control, place, prompt):
    ended = claude_code.ask(place, prompt)
    assert ended.code == 0 and prompt in text_of(ended), ended
    assert len(control.requests(place.provider, prompt)) == 1


def test_a_loop_of_tools(claude_code, control, place, prompt):
    ended = claude_code.ask(place, task(prompt, claude_code.folder))
    check_done(ended, claude_code.folder)
    requests = control.requests(place.provider, prompt)
    assert len(requests) == 4
    if place.provider == ANTHROPIC:
        check_untouched([request["body"] for request in requests])


@pytest.mark.parametrize("words", ["cut=2", "text=\"one two three four\" cut=2", "truncate=0", "error-event=3"])
def test_a_stream_that_breaks(claude_code, control, place, prompt, words):
    control.script(place.provider, f"if={json.dumps(prompt)} ok; if={json.dumps(prompt)} {words}")
    check_done(claude_code.ask(place, task(prompt, claude_code.folder)), claude_code.folder)
    assert len(control.requests(place.provider, prompt)) > 4


def test_a_cancel(claude_code, control, place, prompt):
    control.fault(place.provider, prompt, "events=1000 gap=50ms")
    gone = control.gone(place.provider)
    run = claude_code.begin(place, prompt)
    # Some of the answer has come.
    run.relay.wait_until_heard(b"piece3", TIMEOUT_S)
    run.interrupt()
    control.wait_until_gone(place.provider, gone + 1, CANCEL_S)
    assert text_of(run.wait()) == ""


@pytest.mark.parametrize(
    ("tier", "failing", "going_on"), [("claude-or-gpt", ANTHROPIC, OPENAI), ("gpt-or-claude", OPENAI, ANTHROPIC)]
)
@pytest.mark.parametrize("words", ["status=529", "cut=0"])
def test_a_provider_that_fails_in_the_middle(claude_code, control, healthy, prompt, tier, failing, going_on, words):
    """The other API goes on where the first one stopped."""
    wanted = f"if={json.dumps(prompt)}"
    control.script(failing, f"{wanted} ok; {wanted} {words} *")
    ended = claude_code.ask(gateway(WORLD, tier, failing), task(prompt, claude_code.folder))
    check_done(ended, claude_code.folder)
    assert len(control.requests(going_on, prompt)) == 3
