"""Claude Code, unmodified: one turn, a loop of tools, a provider that fails in the middle, a cut, and a cancel.

What it is to do stands in the prompt, and the simulators do it as a model would (docs/simulators.md). Each scene is the same
wherever it is pointed at.
"""

import json
import time

import pytest

from claude_code import ClaudeCode, Place
from conftest import WORLD
from control import ANTHROPIC

# Within so many seconds of a cancel nobody works for it any more.
CANCEL_S = 2


def direct() -> Place:
    return Place(WORLD["simulator_urls"][ANTHROPIC], WORLD["provider_keys"][ANTHROPIC], "claude-opus-5-5")


# Where it is pointed at, and the provider that then answers.
PLACES = {"the API": (direct(), ANTHROPIC)}


@pytest.fixture
def claude_code(tmp_path) -> ClaudeCode:
    return ClaudeCode(tmp_path)


@pytest.fixture(params=PLACES)
def placed(request):
    return PLACES[request.param]


def task(prompt: str, folder) -> str:
    """Three steps with real tools, spelled out."""
    notes = folder / "notes.txt"
    write = json.dumps({"file_path": str(notes), "content": "quiet words\n"})
    read = json.dumps({"file_path": str(notes)})
    bash = json.dumps({"command": "tr a-z A-Z <notes.txt >loud.txt && cat loud.txt", "description": "Raise the voice"})
    return f'{prompt} Please call Write with {write}, then call Read with {read}, then call Bash with {bash}, then say "All done."'


def check_done(ended, folder) -> None:
    assert (ended.code, ended.text) == (0, "All done."), ended
    assert not ended.printed["is_error"] and ended.printed["permission_denials"] == []
    assert (folder / "notes.txt").read_text() == "quiet words\n"
    assert (folder / "loud.txt").read_text() == "QUIET WORDS\n"


def test_one_turn(claude_code, control, placed, prompt):
    place, provider = placed
    ended = claude_code.run(place, prompt)
    assert ended.code == 0 and prompt in ended.text, ended
    assert len(control.requests(provider, prompt)) == 1


def test_a_loop_of_tools(claude_code, control, placed, prompt):
    place, provider = placed
    ended = claude_code.run(place, task(prompt, claude_code.folder))
    check_done(ended, claude_code.folder)
    assert len(control.requests(provider, prompt)) == 4


@pytest.mark.parametrize("words", ["cut=2", "text=\"one two three four\" cut=2", "truncate=0", "error-event=3"])
def test_a_stream_that_breaks(claude_code, control, placed, prompt, words):
    place, provider = placed
    control.script(provider, f"if={json.dumps(prompt)} ok; if={json.dumps(prompt)} {words}")
    check_done(claude_code.run(place, task(prompt, claude_code.folder)), claude_code.folder)
    assert len(control.requests(provider, prompt)) > 4


def test_a_cancel(claude_code, control, placed, prompt):
    place, provider = placed
    control.fault(provider, prompt, "events=1000 gap=50ms")
    gone = control.gone(provider)
    run = claude_code.start(place, prompt)
    deadline = time.monotonic() + 30
    while not control.requests(provider, prompt):
        assert time.monotonic() < deadline, run.wait()
        time.sleep(0.02)
    # A few events of the answer are under way.
    time.sleep(0.3)
    run.interrupt()
    control.wait_until_gone(provider, gone + 1, CANCEL_S)
    assert run.wait().printed["terminal_reason"] == "aborted_streaming"
