"""Passes connections on, byte by byte; what is closed on one side is closed on the other."""

import contextlib
import socket
from threading import Thread

CHUNK = 64 * 1024


class Relay:
    """Serves a listener in threads until it is closed; each connection goes on to `target`."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.listener = listener
        self.target = target
        self.threads = [Thread(target=self._accept)]
        self.threads[0].start()

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
            back = Thread(target=_copy, args=(outer, inner))
            back.start()
            _copy(inner, outer)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    # No HTTP client closes one direction only: who stops to send has gone.
    for end in (sink, source):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
