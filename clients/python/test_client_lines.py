"""The lines that `tiergate dev` prints for clients, run as they are printed."""

import pytest

from conftest import WORLD
from control import OPENAI
from places import gateway
from sandbox import CLIENTS, Sandbox


@pytest.mark.parametrize("client", WORLD["lines"])
def test_a_line_gets_an_answer(tmp_path, healthy, client):
    if client == "opencode" and not list((CLIENTS / "node_modules").glob("opencode-*-*")):
        pytest.skip("OpenCode is not installed on this platform")
    ended = Sandbox(tmp_path).run_line(WORLD["lines"][client], gateway(WORLD, "auto", OPENAI), {})
    assert ended.code == 0 and 'you said "Hello' in ended.output.replace("'", '"'), ended
