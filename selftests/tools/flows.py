#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""flows.py: many UDP and TCP flows at once.

usage: flows.py serve ADDRESS
       flows.py send ADDRESS UDP TCP

The server echoes, on port 5000. The sender sends a numbered line on each of so
many flows, again and again, until SIGTERM. Then it waits for what is still under
way and prints a line for each flow:
    udp|tcp PORT sent=N answered=N last=N
Numbers begin with 1; last is the last one that was answered, -1 if a stream
has come back changed.
"""

import selectors
import signal
import socket
import sys
import time

PORT = 5000
INTERVAL = 0.5          # seconds between the lines of a flow
PATIENCE = 10           # seconds, for the last answers


class Flow:
    def __init__(self, address, kind):
        self.name = "tcp" if kind == socket.SOCK_STREAM else "udp"
        self.sock = socket.socket(socket.AF_INET, kind)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((address, PORT))
        self.sock.setblocking(False)
        self.sent = self.answered = self.last = 0
        self.rest = b""

    def send(self):
        self.sent += 1
        try:
            self.sock.send(b"%d\n" % self.sent)
        except OSError:         # an ICMP error has come: lost, if it is UDP
            if self.name == "tcp":
                raise

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            if self.name == "tcp":
                raise
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            in_order = int(line) == self.last + 1
            self.answered += 1
            self.last = int(line) if in_order or self.name == "udp" else -1

    def done(self):
        return self.last == self.sent

    def __str__(self):
        port = self.sock.getsockname()[1]
        return f"{self.name} {port} sent={self.sent} answered={self.answered} last={self.last}"


def receive_until(selector, deadline):
    while (left := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            key.data.receive()


def send(address, udp, tcp):
    running = True

    def stop(*_):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    flows = [Flow(address, socket.SOCK_DGRAM) for _ in range(udp)]
    flows += [Flow(address, socket.SOCK_STREAM) for _ in range(tcp)]
    selector = selectors.DefaultSelector()
    for flow in flows:
        selector.register(flow.sock, selectors.EVENT_READ, flow)

    while running:
        for flow in flows:
            flow.send()
        receive_until(selector, time.monotonic() + INTERVAL)

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not all(flow.done() for flow in flows):
        receive_until(selector, time.monotonic() + INTERVAL)
    for flow in flows:
        print(flow)


def serve(address):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, PORT))
    listener = socket.create_server((address, PORT), backlog=100)
    selector = selectors.DefaultSelector()
    selector.register(udp, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)

    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            if sock is listener:
                selector.register(sock.accept()[0], selectors.EVENT_READ)
            elif sock is udp:
                sock.sendto(*sock.recvfrom(65536))
            elif data := sock.recv(65536):
                sock.sendall(data)
            else:
                selector.unregister(sock)
                sock.close()


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
