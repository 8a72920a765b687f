"""Claude Code, unmodified, in less usual ways: results that are odd, tools that come late, agents, and sessions that go on.

As in `test_claude_code.py`, what it is to do stands in the prompt, and each scene is the same wherever it is pointed at.
"""

import base64
import json
import struct
import sys
import zlib

from claude_code import text_of
from conftest import WORLD
from control import ANTHROPIC, GOOGLE, OPENAI
from places import gateway
from sandbox import CLIENTS

# More than Claude Code keeps of a result, and more than it reads at once.
LONG = 60_000


def moves(prompt, *moves, end="All done."):
    """A task that spells out its calls: pairs of a tool's name and its input, or lists of those that are made together."""
    spelled = []
    for move in moves:
        calls = move if isinstance(move, list) else [move]
        spelled.append("call " + " and ".join(f"{name} with {json.dumps(given)}" for name, given in calls))
    return f"{prompt} Please {', then '.join(spelled)}, then say {json.dumps(end)}"


def bash(command):
    return "Bash", {"command": command, "description": "Run it"}


def results(ended):
    """What the tools gave to Claude Code itself, in its order."""
    blocks = [block for line in ended.lines if line["type"] == "user" for block in line["message"]["content"]]
    return [block for block in blocks if block["type"] == "tool_result"]


def picture():
    """A red square as PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header, rows = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0), (b"\0" + b"\xff\0\0" * 8) * 8
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def test_results_that_are_odd(claude_code, control, place, prompt):
    """One that failed beside one that did not, one that is too long, a file that is too large, and a picture."""
    big, red = claude_code.folder / "big.txt", claude_code.folder / "red.png"
    red.write_bytes(picture())
    ended = claude_code.ask(
        place,
        moves(
            prompt,
            [bash("echo out; echo err >&2; exit 3"), bash("echo fine")],
            bash(f"seq {LONG}; seq {LONG} >big.txt"),
            ("Read", {"file_path": str(big)}),
            ("Read", {"file_path": str(big), "limit": 2000}),
            ("Read", {"file_path": str(red)}),
        ),
    )
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    failed, fine, long, refused, part, seen = results(ended)
    assert failed["is_error"] and "err" in failed["content"] and not fine["is_error"] and fine["content"] == "fine"
    assert len(long["content"]) < LONG and refused["is_error"] and "2000" in part["content"]
    assert seen["content"][0]["type"] == "image"
    last = str(control.requests(place.provider, prompt)[-1]["body"])
    for words in ("err", "fine", "1999", base64.b64encode(red.read_bytes()).decode()[:60]):
        assert words in last, words


def test_files_that_the_prompt_names(claude_code, control, place, prompt):
    (claude_code.folder / "red.png").write_bytes(picture())
    (claude_code.folder / "words.txt").write_text("quiet words\n")
    ended = claude_code.ask(place, f"{prompt} What is in @red.png and @words.txt?")
    assert ended.code == 0 and prompt in text_of(ended), ended
    asked = str(control.requests(place.provider, prompt)[0]["body"])
    assert "quiet words" in asked and base64.b64encode(picture()).decode()[:60] in asked


def test_tools_that_come_late(claude_code, control, place, prompt):
    """Of an MCP server and of its own, which it looks up before it calls them; one of them is not allowed."""
    server = {"command": sys.executable, "args": [str(CLIENTS / "python/tiny_mcp.py")]}
    ended = claude_code.ask(
        place,
        moves(
            prompt,
            ("ToolSearch", {"query": "select:mcp__tiny__add,WebFetch"}),
            [("mcp__tiny__add", {"a": 2, "b": 40}), ("WebFetch", {"url": "http://example.com/", "prompt": "What is it?"})],
        ),
        *["--strict-mcp-config", "--mcp-config", json.dumps({"mcpServers": {"tiny": server}})],
        *["--allowedTools", "ToolSearch,mcp__tiny__add"],
    )
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    assert "the sum is 42" in str(results(ended))
    assert [denied["tool_name"] for denied in ended.printed["permission_denials"]] == ["WebFetch"]
    # Nothing was asked again.
    assert len(control.requests(place.provider, prompt)) == 3


def test_agents_work_beside_each_other(claude_code, control, place, prompt):
    """Each is a conversation of its own with a small model."""
    dives = [moves(f"{prompt} Dive {number}.", bash(f"echo deep >{number}.txt"), end="Up.") for number in range(2)]
    calls = [
        ("Agent", {"description": "Dive", "prompt": dive, "subagent_type": "diver", "run_in_background": False})
        for dive in dives
    ]
    diver = {"description": "Dives", "prompt": "You dive.", "model": "haiku", "tools": ["Bash"]}
    small = "claude-fast" if place.is_gateway else "claude-haiku-5-5"
    ended = claude_code.ask(
        place, moves(prompt, calls), "--agents", json.dumps({"diver": diver}), ANTHROPIC_DEFAULT_HAIKU_MODEL=small
    )
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    assert [(claude_code.folder / f"{number}.txt").read_text() for number in range(2)] == ["deep\n", "deep\n"]
    assert "Up." in str(control.requests(place.provider, prompt)[-1]["body"])
    if place.is_gateway:
        of_agents = [r for r in control.requests(OPENAI, f"{prompt} Dive") if "You dive." in str(r["body"])]
        assert len(of_agents) == 4, "two steps of each, by the tier `fast`"


def test_a_session_goes_on_with_another_model(claude_code, control, healthy, prompt):
    """Whatever one model left in the conversation, the next one takes."""
    models = [("claude-opus-5-5", ANTHROPIC), ("gpt-6-luna", OPENAI), ("gemini-3.8-flash", GOOGLE)]
    more = []
    for model, provider in [*models, models[0]]:
        ended = claude_code.ask(gateway(WORLD, model, provider), moves(prompt, bash("echo word")), *more)
        assert (ended.code, text_of(ended)) == (0, "All done."), ended
        more = ["--continue"]
    assert str(control.requests(ANTHROPIC, prompt)[-1]["body"]["messages"]).count("tool_result") >= 4


def test_a_tier_is_asked_for_by_its_name(claude_code, control, healthy, prompt):
    ended = claude_code.ask(gateway(WORLD, "auto", OPENAI), moves(prompt, bash("echo word")), "--model", "claude-fast")
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    assert {request["body"]["model"] for request in control.requests(OPENAI, prompt)} == {"gpt-6-luna"}


def test_it_runs_bare(claude_code, control, place, prompt):
    """With three tools, no agents, and a system message that is empty but for the effort."""
    ended = claude_code.ask(place, moves(prompt, bash("echo word")), "--bare")
    assert (ended.code, text_of(ended)) == (0, "All done."), ended
    assert len(control.requests(place.provider, prompt)) == 2, "nothing was asked again"


def test_an_answer_fits_a_schema(claude_code, place, prompt):
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    ended = claude_code.ask(place, prompt, "--json-schema", json.dumps(schema))
    assert ended.code == 0 and ended.printed["structured_output"]["answer"], ended
