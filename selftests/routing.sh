#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A daemon in the way does not change the way:
#
#	client c0 ─────── r0 router r1 ─────── s0 server, which is 10.0.3.1 and fd00:3::1, too
#	                       │
#	                    daemon
#
# These addresses are blackholes in the router's main table. Only what makes a packet special
# (its sender's mark, its sender's device, the device it came from) leads to a table with a way.
# Proves that packets go by this table also after a round trip through a daemon, at LOCAL_OUT and
# at POST_ROUTING, and that without it they do not arrive: nothing leaks; over IPv4 and IPv6.
# TIMEOUT=800
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

policy()	# RULE...: these packets have a way
{
	ip -n "$router" "-$version" rule add "$@" table 100
	policies+=("$*")
}

no_policies()
{
	local rule
	for rule in "${policies[@]}"; do
		# shellcheck disable=SC2086 # words
		ip -n "$router" "-$version" rule del $rule table 100
	done
	policies=()
}

# Packets of the router itself, on both hooks of the output stage.
local_pings()	# DESCRIPTION PING-OPTION...
{
	local description=$1 hook
	shift

	for hook in output postrouting; do
		divert_rule "$router" $hook 7000 100 "$icmp" type echo-request
		divertd_start d "$router" 7000
		check "W9 $description, $hook: pings arrive" pings 3 "$router" "$far" "$@"
		check "W9 $description, $hook: each is read once" has_seen 3 d '^out '
		check "W9 $description, $hook: others have no way" ping_lost "$router" "$far"
		divertd_stop d
		check "W9 $description, $hook: no write failed" has_total d errors=0
		in_ns "$router" nft flush ruleset
	done
	no_policies
}

sender_mark()
{
	policy fwmark 0x1
	local_pings "sender's SO_MARK" -m 1
}

# The rule overwrites all of the mark: what is left of it is in the address.
sender_mark_high()
{
	policy fwmark 0x12340000/0xffff0000
	divert_always "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000
	check "W9 sender's SO_MARK with port bits: pings arrive" \
		pings 3 "$router" "$far" -m $((0x12345678))
	check "W9 sender's SO_MARK with port bits: each is read once" has_seen 3 d '^out '
	no_policies
}

sender_device()
{
	policy oif r1
	local_pings "sender's SO_BINDTODEVICE" -I r1
}

# The daemon says itself where to: its word counts.
daemon_mark()
{
	policy fwmark 0x2
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -m 2
	# The sender needs a way to begin with.
	policy fwmark 0x1
	check "W2 daemon's SO_MARK: pings arrive" pings 3 "$router" "$far" -m 1
	ip -n "$router" "-$version" rule del fwmark 0x2 table 100
	ip -n "$router" "-$version" rule add fwmark 0x2 blackhole
	check "W2 daemon's SO_MARK counts, not the sender's" ping_lost "$router" "$far" -m 1
	divertd_stop d
	check "W2 daemon's SO_MARK: what has no way is refused" has_total d errors=1
	ip -n "$router" "-$version" rule del fwmark 0x2 blackhole
	policies=("fwmark 0x1")
	no_policies
}

# What the kernel found for a flow counts no longer than it is true.
route_changes()
{
	local way=("$far" via "$server_at" dev r1)

	policy fwmark 0x1
	ip -n "$router" "-$version" rule add fwmark 0x2 table 101
	ip -n "$router" route add "${way[@]}" table 101
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -m 2
	check "W9 there is a route: pings arrive" pings 3 "$router" "$far" -m 1
	ip -n "$router" route del "${way[@]}" table 101
	ip -n "$router" route add blackhole "$far" table 101
	check "W9 the route has changed: the next one has no way" ping_lost "$router" "$far" -m 1
	ip -n "$router" route del blackhole "$far" table 101
	ip -n "$router" route add "${way[@]}" table 101
	check "W9 the route is back: pings arrive" pings 3 "$router" "$far" -m 1
	divertd_stop d
	check "W9 a route changes: what has no way is refused" has_total d errors=1
	ip -n "$router" route del "${way[@]}" table 101
	ip -n "$router" "-$version" rule del fwmark 0x2 table 101
	in_ns "$router" nft flush ruleset
	no_policies
}

daemon_device()
{
	policy oif r1
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -z -b r1
	check "W2 daemon's SO_BINDTODEVICE: pings arrive" pings 3 "$router" "$far" -I r1
	check "W2 daemon's SO_BINDTODEVICE: each is read once" has_seen 3 d '^out '
	no_policies
}

# An address that lost its context is routed plainly, here to nowhere.
context_lost()
{
	policy fwmark 0x1
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -z
	check "W9 without the context there is no way" ping_lost "$router" "$far" -m 1
	check "W9 without the context the packet was read" has_seen 1 d
	divertd_stop d
	check "W9 without the context the write fails" has_total d errors=1
	no_policies
}

# Packets that the router forwards, by the device they came from.
forwarded()	# RP_FILTER
{
	in_ns "$router" sysctl -qw net.ipv4.conf.r0.rp_filter="$1"
	policy iif r0
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" postrouting 7001 100 "$icmp" type echo-request
	divertd_start in "$router" 7000
	divertd_start out "$router" 7001

	check "W9 forwarded, ip rule iif, rp_filter=$1: pings arrive" pings 3 "$client" "$far"
	check "W9 forwarded, rp_filter=$1: each is read once on input" has_seen 3 in '^in if=r0 '
	check "W9 forwarded, rp_filter=$1: each is read once on output" has_seen 3 out '^out if=r0 '
	check "W9 forwarded, rp_filter=$1: others have no way" ping_lost "$router" "$far"
	divertd_stop
	check "W9 forwarded, rp_filter=$1: no write failed" has_total out errors=0
	no_policies
}

# As natd does: from the network side the packet is the router's own. The answer is led back by
# kernel NAT's counterpart in the daemon on input.
source_rewritten()	# RP_FILTER
{
	in_ns "$router" sysctl -qw net.ipv4.conf.r0.rp_filter="$1"
	policy iif r0
	divert_rule "$router" postrouting 7000 100 oifname r1 "$icmp" type echo-request
	divert_rule "$router" prerouting 7001 100 iifname r1 "$icmp" type echo-reply "$family" daddr "$router_server_at"
	watch "$server" rewritten prerouting 0 "$icmp" type echo-request "$family" saddr "$router_server_at"
	divertd_start out "$router" 7000 -s "$router_server_at"
	divertd_start in "$router" 7001 -D "$client_at"

	check "W9 rewritten source, rp_filter=$1: pings arrive and are answered" \
		pings 3 "$client" "$far"
	check "W9 rewritten source, rp_filter=$1: it arrives from the router" \
		has_watched 3 "$server" rewritten
	check "W9 rewritten source, rp_filter=$1: requests are read once" has_seen 3 out
	check "W9 rewritten source, rp_filter=$1: replies are read once" has_seen 3 in
	divertd_stop
	check "W9 rewritten source, rp_filter=$1: no write failed" has_total out errors=0
	no_policies
}

all()
{
	local filter

	ip -n "$server" addr add "$far" dev lo
	ip -n "$router" route add blackhole "$far"
	ip -n "$router" route add "$far" via "$server_at" dev r1 table 100

	run sender_mark
	run sender_mark_high
	run sender_device
	run daemon_mark
	run route_changes
	run daemon_device
	run context_lost
	for filter in $rp_filters; do
		run forwarded "$filter"
		run source_rewritten "$filter"
	done
}

setup_routed
policies=()
for family in $families; do
	use_family "$family"
	case $family in
	ip) far=10.0.3.1 rp_filters='0 1' ;;
	ip6) far=fd00:3::1 rp_filters=0 ;;	# there is no such setting
	esac
	all
done
