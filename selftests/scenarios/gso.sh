#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Files go through daemons by TCP, many segments in one packet (DIVERT_GSO):
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	              daemons, on all hooks
#
# Proves that every byte arrives and that segments stay together, whether a daemon passes packets
# on, or gives them other addresses and leaves their checksums to the kernel.
# TIMEOUT=600
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

# Both directions of the connection, but no other.
tcp_rules()	# HOOK...
{
	local hook
	for hook; do
		divert_rule "$router" "$hook" 7000 100 tcp dport 5000
		divert_rule "$router" "$hook" 7000 100 tcp sport 5000
	done
	divertd_start d "$router" 7000 -q -g -C
}

all_valid()	# DESCRIPTION DAEMON
{
	divertd_stop "$2"
	check "O3 $1: checksums are valid or begun" has_total "$2" badip=0 badl4=0
	check "O3 $1: every packet is written back" has_total "$2" errors=0
}

all_whole()	# DESCRIPTION DAEMON
{
	all_valid "$1" "$2"
	check "O3 $1: packets of several segments were read" [ "$(total "$2" whole)" -gt 50 ]
}

transfers()	# DESCRIPTION ADDRESS [SERVER]
{
	check "O3 $1: 16 MiB up" upload "$client" "${3-$server}" "$2"
	check "O3 $1: 16 MiB down" download "$client" "${3-$server}" "$2"
}

# Each of them meets the daemon twice.
no_more_than_sent()
{
	local sent got
	sent=$(($(watched "$client" sent) + $(watched "$server" sent)))
	got=$(total d read)
	[ "$got" -le $((2 * sent)) ] && return
	echo "read $got, sent $sent"
	return 1
}

# How many segments a packet has is for its sender to choose: a busy one makes many packets.
forwarded()
{
	watch "$client" sent postrouting 0 tcp dport 5000
	watch "$server" sent postrouting 0 tcp sport 5000
	tcp_rules prerouting postrouting
	transfers forwarded "$server_at"
	all_whole forwarded d
	check "O3 forwarded: segments stay together" no_more_than_sent
}

local_ends()
{
	tcp_rules prerouting output
	transfers "to the router itself" "$router_client_at" "$router"
	all_whole "to the router itself" d
}

# Here a segment is as long as a packet can be: what is left to be done is the checksum.
loopback()
{
	local client=$router
	tcp_rules prerouting output
	transfers "over lo" "$loopback_at" "$router"
	all_valid "over lo" d
}

# The client knows the server by another address.
rewritten()
{
	local virtual=10.0.9.9
	[ "$family" = ip ] || virtual=fd00:9::9

	divert_rule "$router" prerouting 7000 100 "$family" daddr $virtual tcp dport 5000
	divert_rule "$router" prerouting 7001 100 "$family" saddr "$server_at" tcp sport 5000
	divertd_start there "$router" 7000 -q -g -C -D "$server_at"
	divertd_start back "$router" 7001 -q -g -C -s $virtual

	transfers "other addresses" $virtual
	all_whole "other addresses, there" there
	all_whole "other addresses, back" back
}

# A link that takes shorter packets than their sender's: it learns the path's MTU.
narrower()
{
	ip -n "$router" link set r1 mtu 1400
	ip -n "$server" link set s0 mtu 1400
	tcp_rules prerouting postrouting
	transfers "narrow link" "$server_at"
	all_whole "narrow link" d
	ip -n "$router" link set r1 mtu 1500
	ip -n "$server" link set s0 mtu 1500
}

setup_routed
make_file 16
for f in $families; do
	use_family "$f"
	run forwarded
	run local_ends
	run loopback
	run rewritten
	run narrower
done
