"""Passes connections on, byte by byte; what is closed on one side is closed on the other."""

import contextlib
import re
import socket
from threading import Condition, Thread

CHUNK = 64 * 1024


class Relay:
    """Serves a listener in threads until it is closed; each connection goes on to `target`."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.listener = listener
        self.target = target
        # What came back on each connection.
        self.answers: list[bytearray] = []
        self.more = Condition()
        self.threads = [Thread(target=self._accept)]
        self.threads[0].start()

    def statuses(self) -> list[int]:
        """The statuses of all answers that began."""
        with self.more:
            return [int(status) for answer in self.answers for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]

    def wait_until_heard(self, words: bytes, seconds: float) -> None:
        """Waits until an answer has these words; too long a wait is an error."""
        with self.more:
            if not self.more.wait_for(lambda: any(words in answer for answer in self.answers), seconds):
                raise TimeoutError(f"no answer says {words!r}: {self.answers}")

    def close(self) -> None:
        """Waits for the connections, whose ends must be gone."""
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        # The first is the only one that adds others.
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self.listener.accept()
                self.threads.append(Thread(target=self._serve, args=[inner]))
                self.threads[-1].start()

    def _serve(self, inner: socket.socket) -> None:
        with inner, socket.create_connection(self.target) as outer:
            back = Thread(target=self._answer, args=(outer, inner))
            back.start()
            _copy(inner, outer)
            back.join()

    def _answer(self, outer: socket.socket, inner: socket.socket) -> None:
        answer = bytearray()
        with self.more:
            self.answers.append(answer)
        for data in _copied(outer, inner):
            with self.more:
                answer += data
                self.more.notify_all()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    for _ in _copied(source, sink):
        pass


def _copied(source: socket.socket, sink: socket.socket):
    """Yields what it has copied."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
            yield data
    # No HTTP client closes one direction only: who stops to send has gone.
    for end in (sink, source):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
