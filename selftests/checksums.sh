#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets whose checksums a device was to fill in:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	              daemon, checks all it reads
#
# Proves that a daemon reads complete and valid checksums of UDP and SCTP, on output and on input
# (veth carries packets to their receiver unfinished). TCP: scenarios/tcp.sh.
# TIMEOUT=240
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

listening()	# NS PROTOCOL
{
	in_ns "$1" grep -q ":1388 " "/proc/net/$2" 2>/dev/null
}

sctp_listening()
{
	in_ns "$1" grep -qw 5000 /proc/net/sctp/eps
}

# 100 datagrams of all lengths, odd ones too.
udp_datagrams()
{
	# shellcheck disable=SC2016 # expanded there
	in_ns "$1" bash -c 'exec 3>"/dev/udp/$1/5000"
		for ((i = 1; i <= 100; i++)); do printf "%*s" $((i * 13)) x >&3; done' -- "$2"
}

udp()
{
	local hook
	for hook in prerouting output postrouting; do
		divert_rule "$router" $hook 7000 100 udp dport 5000
	done
	watch "$server" came input 0 udp dport 5000
	watch "$router" came input 0 udp dport 5000
	spawn "$server" socat -u UDP4-RECV:5000 /dev/null
	spawn "$router" socat -u UDP4-RECV:5000 /dev/null
	check "D4 UDP receivers are there" wait_until 10 listening "$server" udp
	check "D4 UDP receivers are there" wait_until 10 listening "$router" udp
	divertd_start d "$router" 7000 -C

	udp_datagrams "$client" 10.0.1.2
	udp_datagrams "$client" 10.0.2.1
	udp_datagrams "$router" 10.0.2.1
	check "D4 UDP: datagrams arrive on the router" wait_until 10 has_watched 100 "$router" came
	check "D4 UDP: datagrams arrive on the server" wait_until 10 has_watched 200 "$server" came
	check "D4 UDP: all are read, on all hooks" has_seen 400 d
	divertd_stop d
	check "D4 UDP: all checksums are valid" has_total d badip=0 badl4=0 errors=0
}

sctp_transfer()	# FROM TO ADDRESS
{
	local receiver
	rm -f "$tmp/received"
	spawn "$2" timeout 60 socat -u SCTP4-LISTEN:5000,reuseaddr "CREATE:$tmp/received"
	receiver=$SPAWNED
	wait_until 10 sctp_listening "$2" &&
		in_ns "$1" timeout 60 socat -u -b 8000 "OPEN:$tmp/sent,rdonly" "SCTP4:$3:5000" &&
		_received "$receiver"
}

sctp()
{
	local hook
	if ! modprobe -q sctp || ! socat -V | grep -q 'WITH_SCTP 1'; then
		skip "D4 SCTP: all checksums are valid" "no SCTP in kernel or socat"
		return
	fi
	for hook in prerouting output postrouting; do
		divert_rule "$router" $hook 7000 100 ip protocol sctp
	done
	divertd_start d "$router" 7000 -C -q -l 1500
	head -c 200k /dev/urandom >"$tmp/sent"

	check "D4 SCTP: a file is sent to the router" sctp_transfer "$client" "$router" 10.0.1.2
	check "D4 SCTP: a file is sent by the router" sctp_transfer "$router" "$server" 10.0.2.1
	check "D4 SCTP: a file is forwarded" sctp_transfer "$client" "$server" 10.0.2.1
	divertd_stop d
	check "D4 SCTP: packets were read" [ "$(total d read)" -gt 500 ]
	check "D4 SCTP: all checksums are valid" has_total d badip=0 badl4=0 errors=0
	check "D5 SCTP: no packet is larger than the MTU" has_total d long=0
}

setup_routed
run udp
run sctp
