#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""datagrams.py: a row of UDP datagrams that belong together.

usage: datagrams.py serve ADDRESS N
       datagrams.py send ADDRESS N

The sender hands N datagrams of the same length to the kernel in one call. The
server, on port 5000, says "ready", and ends with 0 when each of them has come,
once and unchanged, in order; else it says what came, after some seconds.
"""

import socket
import sys

PORT = 5000
LENGTH = 200            # bytes of a datagram
PATIENCE = 5            # seconds
UDP_SEGMENT = 103       # linux/udp.h


def datagram(number):
    return b"%06d" % number + bytes(i * number & 255 for i in range(LENGTH - 6))


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send(address, n):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, LENGTH)
    sock.sendto(b"".join(map(datagram, range(n))), (address, PORT))


def serve(address, n):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.bind((address, PORT))
    sock.settimeout(PATIENCE)
    print("ready", flush=True)
    come = []
    try:
        while len(come) < n:
            come.append(sock.recv(65536))
    except TimeoutError:
        pass
    if come != [datagram(i) for i in range(n)]:
        sys.exit(f"{len(come)} of {n} datagrams: {[bytes(c[:6]) for c in come]}")


def main():
    what, address, n = sys.argv[1:]
    {"serve": serve, "send": send}[what](address, int(n))


main()
