#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Marked packets that nobody wants, and marks that are not ours:
#
#	source c0 ─────── r0 diverter
#
# Proves that loading the module costs nobody a packet or a mark, what net.divert.no_listener does,
# and that every packet is in a counter; over IPv4 and IPv6. The steps follow each other: a
# namespace cannot unlearn that divert was used in it.
# TIMEOUT=360
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

pass()		# DESCRIPTION
{
	check "$1: packets pass" pings 3 "$source" "$diverter_at"
}

left_alone()	# DESCRIPTION: and keep the mark of the rule
{
	local before
	before=$(watched "$diverter" kept)
	pass "$1"
	check "$1: the mark stays" has_watched $((before + 3)) "$diverter" kept
}

dropped()	# DESCRIPTION: all of them, and counted
{
	local before
	before=$(divert_counter noport "$diverter")
	check "$1: packets are dropped" ping_lost "$source" "$diverter_at"
	check "$1: drops are counted" has_counted $((before + 1)) noport "$diverter"
	check "$1: unmarked packets pass" pings 1 "$diverter" "$source_at"
}

passed_counted()	# DESCRIPTION COMMAND...: adds 3 to "passed"
{
	local before
	before=$(divert_counter passed "$diverter")
	"${@:2}" "$1"
	check "$1: packets are counted" has_counted $((before + 3)) passed "$diverter"
}

set_policy()
{
	in_ns "$diverter" sysctl -qw "net.divert.no_listener=$1"
}

unused()	# NS: none of its packets ever met us
{
	has_counted 0 passed "$1" && has_counted 0 noport "$1" && has_counted 0 diverted "$1"
}

all()
{
	divert_always "$source" output 7000 100 "$icmp" type echo-request
	divert_always "$diverter" prerouting 7000 100 "$icmp" type echo-request
	watch "$diverter" kept input 0 "$icmp" type echo-request meta mark 0x1b580064
	watch "$diverter" cleared input 0 "$icmp" type echo-request meta mark 0

	left_alone "D7 auto, module only loaded"
	check "D2 a namespace that does not use divert has no hooks" unused "$diverter"

	set_policy auto
	passed_counted "D2 hooks come with the first write to no_listener; D7 auto, no socket opened yet" left_alone

	set_policy accept
	passed_counted "D7 accept, no socket opened yet" pass
	check "D3 accept: the mark is cleared" has_watched 3 "$diverter" cleared

	set_policy drop
	dropped "D7 drop, no socket opened yet"

	set_policy auto
	divertd_start other "$diverter" 7999
	divertd_stop
	dropped "D2 hooks stay when the last socket goes; D7 auto, once a socket was opened"

	set_policy accept
	passed_counted "D7 accept, once a socket was opened" pass

	set_policy drop
	in_ns "$diverter" sysctl -qw net.divert.port_range="8000 9000"
	left_alone "D7 port outside net.divert.port_range"
	in_ns "$diverter" sysctl -qw net.divert.port_range="1 65535"
	dropped "D7 port inside net.divert.port_range again"

	divertd_start d "$diverter" 7000
	pass "D7 a listener came"
	check "D7 a listener came: it reads them" has_seen 3 d
	check "D2 the other namespace still has no hooks" unused "$source"
}

for family in $families; do
	setup_link
	use_family "$family"
	all
	divertd_stop
	cleanup_ns
done
