#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""slow.py: let so many packets a second go on, unchanged, and no more.

usage: slow.py PORT RATE [AGE]

A packet that has been queued for AGE milliseconds goes on without it.
"""

import socket
import struct
import sys
import time

IPPROTO_DIVERT = SOL_DIVERT = 258
DIVERT_INFO, DIVERT_LIMITS = 2, 5
DIVERT_POLICY_DROP, DIVERT_POLICY_PASS = 0, 1
INFO_SPACE = socket.CMSG_SPACE(256)
PACKET_MAX = 65575


def limit_age(sock, age):
    layout = "=IIQIBBBx"
    limits = struct.pack(layout, struct.calcsize(layout), 0, 0, age,
                         DIVERT_POLICY_DROP, DIVERT_POLICY_PASS,
                         DIVERT_POLICY_DROP)
    sock.setsockopt(SOL_DIVERT, DIVERT_LIMITS, limits)


def main():
    port, rate = int(sys.argv[1]), int(sys.argv[2])
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_DIVERT)
    sock.setsockopt(SOL_DIVERT, DIVERT_INFO, 1)
    if len(sys.argv) > 3:
        limit_age(sock, int(sys.argv[3]))
    sock.bind(("0.0.0.0", port))
    due = time.monotonic()
    while True:
        packet, control, _, _ = sock.recvmsg(PACKET_MAX, INFO_SPACE)
        sock.sendmsg([packet], control)
        now = time.monotonic()
        due = max(due + 1 / rate, now)
        time.sleep(due - now)


main()
