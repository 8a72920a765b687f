"""Runs a program that can reach one address, and that only here: `unshare --net python offline.py FD PORT PROGRAM...`.

Its network is a namespace of its own with nothing but a loopback. There this listens on PORT, hands the listener over
through the socket FD to who started it outside, who serves what connects, and becomes the program.
"""

import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def main() -> None:
    outside, port, *program = sys.argv[1:]
    start_loopback()
    listener = socket.create_server(("127.0.0.1", int(port)))
    with socket.socket(fileno=int(outside)) as channel:
        socket.send_fds(channel, [b"listener"], [listener.fileno()])
    listener.close()
    os.execv(program[0], program)


main()
