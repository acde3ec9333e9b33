#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets whose checksums a device was to fill in:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	              daemon, checks all it reads
#
# Proves that a daemon reads complete and valid checksums of UDP and SCTP, on output and on input
# (veth carries packets to their receiver unfinished); over IPv4 and IPv6. TCP: scenarios/tcp.sh.
# TIMEOUT=480
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

udp_listening()	# NS
{
	in_ns "$1" ss -Huln sport = :5000 | grep -q .
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
	local hook ns receivers=()
	for hook in prerouting output postrouting; do
		divert_rule "$router" $hook 7000 100 udp dport 5000
	done
	watch "$server" came input 0 udp dport 5000
	watch "$router" came input 0 udp dport 5000
	for ns in "$server" "$router"; do
		spawn "$ns" socat -u "$(_socat UDP)-RECV:5000" /dev/null
		receivers+=("$SPAWNED")
		check "D4 UDP receivers are there" wait_until 10 udp_listening "$ns"
	done
	divertd_start d "$router" 7000 -C

	udp_datagrams "$client" "$router_client_at"
	udp_datagrams "$client" "$server_at"
	udp_datagrams "$router" "$server_at"
	check "D4 UDP: datagrams arrive on the router" wait_until 10 has_watched 100 "$router" came
	check "D4 UDP: datagrams arrive on the server" wait_until 10 has_watched 200 "$server" came
	check "D4 UDP: all are read, on all hooks" has_seen 400 d
	divertd_stop d
	check "D4 UDP: all checksums are valid" has_total d badip=0 badl4=0 errors=0
	for ns in "${receivers[@]}"; do
		stop "$ns"
	done
}

sctp_transfer()	# FROM TO ADDRESS
{
	local receiver
	rm -f "$tmp/received"
	spawn "$2" timeout 60 socat -u "$(_socat SCTP)-LISTEN:5000,reuseaddr" "CREATE:$tmp/received"
	receiver=$SPAWNED
	wait_until 10 sctp_listening "$2" &&
		in_ns "$1" timeout 60 socat -u -b 8000 "OPEN:$tmp/sent,rdonly" "$(_socat_to SCTP "$3")" &&
		_received "$receiver"
}

sctp()
{
	local hook
	if ! modprobe -q sctp || [[ $(socat -V) != *'WITH_SCTP 1'* ]]; then
		skip "D4 SCTP: all checksums are valid" "no SCTP in kernel or socat"
		return
	fi
	for hook in prerouting output postrouting; do
		divert_rule "$router" $hook 7000 100 meta l4proto sctp
	done
	divertd_start d "$router" 7000 -C -q -l 1500
	head -c 200k /dev/urandom >"$tmp/sent"

	check "D4 SCTP: a file is sent to the router" sctp_transfer "$client" "$router" "$router_client_at"
	check "D4 SCTP: a file is sent by the router" sctp_transfer "$router" "$server" "$server_at"
	check "D4 SCTP: a file is forwarded" sctp_transfer "$client" "$server" "$server_at"
	divertd_stop d
	check "D4 SCTP: packets were read" [ "$(total d read)" -gt 500 ]
	check "D4 SCTP: all checksums are valid" has_total d badip=0 badl4=0 errors=0
	check "D5 SCTP: no packet is larger than the MTU" has_total d long=0
}

setup_routed
for family in $families; do
	use_family "$family"
	run udp
	run sctp
done
