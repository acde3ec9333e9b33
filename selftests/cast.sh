#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets for more than one host:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemon
#
# Proves that broadcast and multicast packets are diverted, come back as what they were, and leave
# by the device they were meant for: the router has two, and routes them by neither; over IPv4 and IPv6.
# TIMEOUT=360
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

answered()	# DESCRIPTION NS ADDRESS OPTION...: somebody answers each of 3 pings
{
	local description=$1 ns=$2 address=$3
	shift 3
	check "$description: pings are answered" pings 3 "$ns" "$address" "$@"
}

received()	# TYPE ADDRESS PING-OPTION...
{
	local type=$1 address=$2
	shift 2

	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	watch "$router" delivered input 0 "$icmp" type echo-request meta pkttype "$type"
	divertd_start d "$router" 7000

	answered "D13 $type $address on input" "$client" "$address" "$@"
	check "D13 $type $address on input: each is read once" has_seen 3 d "^in if=r0 .*dst=$address"
	check "D13 $type $address on input: it is delivered as $type" \
		has_watched 3 "$router" delivered
}

sent()		# TYPE ADDRESS PING-OPTION...
{
	local type=$1 address=$2
	shift 2

	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	watch "$server" came prerouting 0 "$icmp" type echo-request meta pkttype "$type"
	watch "$client" strayed prerouting 0 "$icmp" type echo-request
	divertd_start d "$router" 7000

	answered "D13 $type $address on output" "$router" "$address" "$@"
	check "D13 $type $address on output: each is read once" has_seen 3 d "^out .*dst=$address"
	check "D13 $type $address on output: it leaves as $type" has_watched 3 "$server" came
	check "D13 $type $address on output: by no other device" has_watched 0 "$client" strayed
}

setup_routed
for ns in "$client" "$router" "$server"; do
	in_ns "$ns" sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0
done

for family in $families; do
	use_family "$family"
	if [ "$family" = ip6 ]; then
		run received multicast ff02::1 -I c0
		run sent multicast ff02::1 -I r1
		continue
	fi
	run received broadcast 10.0.1.255 -b
	run received broadcast 255.255.255.255 -b -I c0
	run received multicast 224.0.0.1 -I c0
	run sent broadcast 10.0.2.255 -b
	run sent broadcast 255.255.255.255 -b -I r1
	run sent multicast 224.0.0.1 -I r1
done
