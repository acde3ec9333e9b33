#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""divert-dns: answer DNS queries for some names with "no such name".

usage: divert-dns.py PORT NAME...

Queries (UDP, to port 53) that come to divert port PORT and ask for one of the
names, or for a name below it, are turned round; all others go on. Nothing but
Python's standard library is needed.

Python cannot give an address back: it exchanges the bytes of the port, which is
the rule's cookie, and it loses sin_zero. So the control message DIVERT_INFO is
given back instead. It says all that the address does.
"""

import errno
import socket
import struct
import sys

IPPROTO_DIVERT = SOL_DIVERT = 258
DIVERT_VERSION, DIVERT_INFO = 1, 2
INFO_SPACE = socket.CMSG_SPACE(256)     # struct divert_info may grow
PACKET_MAX = 65575


def open_port(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_DIVERT)
    try:
        sock.getsockopt(SOL_DIVERT, DIVERT_VERSION)
    except OSError:
        sys.exit("the divert module is not loaded: run 'modprobe divert'")
    sock.setsockopt(SOL_DIVERT, DIVERT_INFO, 1)
    sock.bind(("0.0.0.0", port))
    return sock


def udp_offset(packet):
    """Where the UDP header begins, or None: no UDP, or not right behind IP."""
    if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP:
        return (packet[0] & 15) * 4
    if packet[0] >> 4 == 6 and packet[6] == socket.IPPROTO_UDP:
        return 40
    return None


def query_name(message):
    """The name that a DNS query asks for, in lower case; None if it is none."""
    _, flags, questions = struct.unpack_from("!HHH", message)
    if flags & 0xf800 or questions != 1:
        return None
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]])
        at += 1 + message[at]
    return b".".join(labels).lower().decode("latin-1")


def exchange(packet, a, b, size):
    packet[a:a + size], packet[b:b + size] = packet[b:b + size], packet[a:a + size]


def refuse(packet, udp):
    """Make the query its own answer: a response (QR), no such name (3).

    Exchanging addresses and ports does not change the checksum's words, only
    their places; of the sum, the new flags alone must be taken out.
    """
    if packet[0] >> 4 == 4:
        exchange(packet, 12, 16, 4)
    else:
        exchange(packet, 8, 24, 16)
    exchange(packet, udp, udp + 2, 2)
    flags, = struct.unpack_from("!H", packet, udp + 10)
    checksum, = struct.unpack_from("!H", packet, udp + 6)
    answer = flags & 0x0110 | 0x8083
    struct.pack_into("!H", packet, udp + 10, answer)
    if checksum:
        total = (~checksum & 0xffff) + (~flags & 0xffff) + answer
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        struct.pack_into("!H", packet, udp + 6, ~total & 0xffff or 0xffff)


def is_refused(packet, udp, names):
    try:
        if struct.unpack_from("!H", packet, udp + 2) != (53,):
            return False
        name = query_name(packet[udp + 8:])
    except (struct.error, IndexError):
        return False                    # cut short: not for us to judge
    return name is not None and any(
        name == n or name.endswith("." + n) for n in names)


def handle(sock, names):
    data, control, _, _ = sock.recvmsg(PACKET_MAX, INFO_SPACE)
    packet = bytearray(data)
    udp = udp_offset(packet)
    if udp is not None and is_refused(packet, udp, names):
        refuse(packet, udp)
        control = []                    # a packet of ours: it is sent
        print("refused", ascii(query_name(data[udp + 8:])), flush=True)
    try:
        sock.sendmsg([packet], control)
    except OSError as error:
        print("packet lost:", errno.errorcode[error.errno], file=sys.stderr)


def main():
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        sys.exit("usage: divert-dns.py PORT NAME...")
    names = [name.lower().strip(".") for name in sys.argv[2:]]
    sock = open_port(int(sys.argv[1]))
    while True:
        handle(sock, names)


main()
