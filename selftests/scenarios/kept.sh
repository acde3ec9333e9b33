#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Files go through daemons that keep packets in the kernel, with segmentation offload on:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │                    │
#	               daemon, on all hooks   a plain one looks at the checksums
#
# Proves that every byte arrives, that checksums are right where the daemon has changed headers,
# that connections and their NAT are what they would be without a daemon, and that of each packet
# that was kept it is known what became of it; over IPv4 and IPv6.
# TIMEOUT=900
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

tcp_rules()	# HOOK...: both directions of the connection, but no other
{
	local hook
	for hook; do
		divert_rule "$router" "$hook" 7000 100 tcp dport 5000
		divert_rule "$router" "$hook" 7000 100 tcp sport 5000
	done
}

# What the router has counted before the test.
remember()
{
	local name
	for name in held held_passed held_dropped held_lost held_released inject_in inject_out; do
		declare -g "before_$name=$(divert_counter "$name" "$router")"
	done
}

moved()		# COUNTER
{
	local before=before_$1
	echo $(($(divert_counter "$1" "$router") - ${!before}))
}

balanced()
{
	local held gone
	held=$(moved held)
	gone=$(($(moved held_passed) + $(moved held_dropped) + $(moved held_lost) + $(moved held_released)))
	[ "$held" -gt 0 ] && [ "$held" = "$gone" ] && return
	echo "held $held, gone $gone"
	return 1
}

transfers()	# DESCRIPTION ADDRESS [SERVER]
{
	check "O7 $1: 8 MiB up" upload "$client" "${3-$server}" "$2"
	check "O7 $1: 8 MiB down" download "$client" "${3-$server}" "$2"
}

all_passed()	# DESCRIPTION
{
	holdd_stop
	check "O7 $1: every packet got its verdict" has_total h errors=0
	check "O7 $1: no packet was written as one of its own" \
		[ "$(moved inject_in)$(moved inject_out)" = 00 ]
	check "L3 $1: the books balance" balanced
}

held()		# DESCRIPTION [OPTION...]
{
	local what=$1
	shift
	tcp_rules prerouting postrouting
	remember
	holdd_start "$router" "$@"
	transfers "$what" "$server_at"
	all_passed "$what"
}

# The daemon changes headers; what the server's plain one reads has complete checksums.
changed()	# DESCRIPTION [OPTION...]
{
	local what=$1
	shift
	tcp_rules prerouting postrouting
	watch "$server" seen prerouting -149 tcp dport 5000 "$ttl" 33
	divert_rule "$server" prerouting 7001 100 tcp dport 5000
	divertd_start s "$server" 7001 -q -C
	remember
	holdd_start "$router" -t 33 "$@"
	check "O7 $what: 8 MiB up" upload "$client" "$server" "$server_at" 120
	divertd_stop s
	check "O7 $what: checksums are right" has_total s badip=0 badl4=0
	check "O7 $what: the server sees the changed headers" [ "$(watched "$server" seen)" -gt 50 ]
	all_passed "$what"
}

several_in_one()
{
	tcp_rules prerouting
	holdd_start "$router" -r
	check "O7 GSO: 8 MiB up" upload "$client" "$server" "$server_at"
	holdd_stop
	check "O7 GSO: packets were not segmented" [ "$(total h gso)" -gt 0 ]
}

without_offload()
{
	in_ns "$client" ethtool -K c0 tx off >/dev/null
	in_ns "$server" ethtool -K s0 tx off >/dev/null
	changed "no offload"
	in_ns "$client" ethtool -K c0 tx on >/dev/null
	in_ns "$server" ethtool -K s0 tx on >/dev/null
}

local_ends()
{
	tcp_rules prerouting output
	remember
	holdd_start "$router"
	transfers "to the router itself" "$router_client_at" "$router"
	all_passed "to the router itself"
}

translated()	# DESCRIPTION ADDRESS RULES
{
	in_ns "$router" nft -f - <<<"$3"
	watch "$router" invalid forward 0 ct state invalid
	tcp_rules prerouting postrouting
	remember
	holdd_start "$router" -r
	transfers "$1" "$2"
	check "O7 $1: connection tracking finds none invalid" has_watched 0 "$router" invalid
	all_passed "$1"
}

nat()
{
	translated masquerade "$server_at" "table $family nat {
		chain out {
			type nat hook postrouting priority srcnat
			oifname r1 masquerade
		}
	}"
	in_ns "$router" nft flush ruleset
	translated "destination NAT" "$router_client_at" "table $family nat {
		chain in {
			type nat hook prerouting priority dstnat
			$family daddr $router_client_at tcp dport 5000 dnat to $server_at
		}
	}"
}

# A daemon that knows nothing of it.
in_place()	# MODE
{
	in_ns "$router" sysctl -qw net.divert.in_place="$1"
	watch "$router" met prerouting -250 tcp dport 5000
	tcp_rules prerouting postrouting
	divertd_start d "$router" 7000 -q -C -l 1500
	remember
	check "O9 in place $1: 4 MiB up" upload "$client" "$server" "$server_at"
	check "O9 in place $1: 4 MiB down" download "$client" "$server" "$server_at"
	divertd_stop d
	check "O9 in place $1: all is as on the wire" has_total d badip=0 badl4=0 long=0 errors=0
	check "O9 in place $1: all packets got their old place" \
		[ "$(moved inject_in)$(moved inject_out)" = 00 ]
	check "L3 in place $1: the books balance" balanced
	in_ns "$router" sysctl -qw net.divert.in_place=0
}

all()
{
	make_file 8
	run held "held"
	run held "bare verdicts" -b
	run held "records" -r
	run held "bare records" -r -b
	run several_in_one
	run changed "changed"
	run changed "changed records" -r
	run without_offload
	run local_ends
	run nat
	make_file 4
	run in_place 1
	run in_place 2
}

setup_routed
for family in $families; do
	use_family "$family"
	all
done
