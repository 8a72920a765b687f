"""A server of the Messages API that asks MODEL_URL with Anthropic's own SDK: what the SDK has no argument or type for is a 400.

Prints its URL.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from anthropic import Anthropic
from anthropic.types import message_create_params
from pydantic import TypeAdapter, ValidationError

CLAUDE = Anthropic(base_url=os.environ["MODEL_URL"], api_key="made-up", max_retries=0)
REQUESTS = TypeAdapter(message_create_params.MessageCreateParams)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            REQUESTS.validate_python(body)
            answer = CLAUDE.messages.create(**body)
        except (ValidationError, TypeError) as error:
            refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": str(error)}}
            self.send(400, "application/json", json.dumps(refusal))
            return
        if not body.get("stream"):
            self.send(200, "application/json", answer.to_json())
            return
        events = [f"event: {event.type}\ndata: {event.to_json(indent=None)}\n\n" for event in answer]
        self.send(200, "text/event-stream", "".join(events))

    def send(self, status: int, content_type: str, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_) -> None:
        """Nothing: what counts is in the answers."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"Running on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
