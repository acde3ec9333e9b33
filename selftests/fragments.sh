#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets larger than the link, forwarded:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	               daemon, on input or output
#
# Proves that a daemon reads whole packets, which are fragmented again when they leave, and
# single fragments where net.divert.defrag is off and nothing else reassembles; over IPv4 and IPv6.
# TIMEOUT=480
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

# Pings of 4000 bytes are three fragments each. IPv6 has a header for them, with 8 bytes.
use_lengths()
{
	local cut

	if [ "$family" = ip6 ]; then
		header_of_fragments=48
	else
		header_of_fragments=20
	fi
	cut=$(((1500 - header_of_fragments) / 8 * 8))
	whole_length=$((header + 4008))
	full_length=$((header_of_fragments + cut))
	last_length=$((header_of_fragments + 4008 - 2 * cut))
}

whole()
{
	local hook=$1 direction=$2

	divert_rule "$router" "$hook" 7000 100 "$icmp" type echo-request
	watch "$server" fragments prerouting -450 "$is_fragment"
	divertd_start d "$router" 7000 -C

	check "D6 $hook: large pings are answered" pings 3 "$client" "$server_at" -s 4000
	check "D6 $hook: each is read once and whole" \
		has_seen 3 d "^$direction .* len=$whole_length .*frag=whole"
	check "D6 $hook: nothing else is read" has_seen 3 d
	check "D6 $hook: they leave as fragments" has_watched 9 "$server" fragments
	divertd_stop d
	check "D6 $hook: the reassembled packets are valid" has_total d badip=0 badl4=0 errors=0
}

# The rule goes by addresses: only the first fragment knows more. Output stages never see
# fragments: the router makes them after POST_ROUTING.
single()	# DESCRIPTION
{
	in_ns "$router" sysctl -qw net.divert.defrag=0
	divert_rule "$router" prerouting 7000 100 "$family" daddr "$server_at"
	watch "$server" fragments prerouting -450 "$is_fragment"
	divertd_start d "$router" 7000 -C

	check "D6 defrag=0, $1: large pings are answered" pings 3 "$client" "$server_at" -s 4000
	check "D6 defrag=0, $1: first fragments are read" has_seen 3 d "len=$full_length .*frag=first"
	check "D6 defrag=0, $1: later fragments are read" has_seen 6 d "len=($full_length|$last_length) .*frag=later"
	check "D6 defrag=0, $1: nothing else is read" has_seen 9 d
	check "C3 $1, written fragments go on as fragments" has_watched 9 "$server" fragments
	divertd_stop d
	check "D6 defrag=0, $1: nothing went wrong" has_total d badip=0 errors=0
}

# Read on input, sent as outgoing: the same fragments must leave.
single_turned()
{
	in_ns "$router" sysctl -qw net.divert.defrag=0
	divert_rule "$router" prerouting 7000 100 "$family" daddr "$server_at"
	watch "$router" untouched forward 0 "$family" daddr "$server_at"
	watch "$server" fragments prerouting -450 "$is_fragment"
	divertd_start d "$router" 7000 -o

	check "C3 fragments written as outgoing arrive" pings 3 "$client" "$server_at" -s 4000
	check "C3 fragments written as outgoing leave as they were" \
		has_watched 9 "$server" fragments
	check "C3 none went another way" has_watched 0 "$router" untouched
}

# Connection tracking reassembles for everybody.
tracked()
{
	in_ns "$router" sysctl -qw net.divert.defrag=0
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	add_rule "$router" track fresh prerouting 0 ct state new counter
	divertd_start d "$router" 7000

	check "D6 defrag=0 with connection tracking: large pings are answered" \
		pings 3 "$client" "$server_at" -s 4000
	check "D6 defrag=0 with connection tracking: each is read once and whole" \
		has_seen 3 d "len=$whole_length .*frag=whole"
	in_ns "$router" sysctl -qw net.divert.defrag=1
}

# A namespace that does not use divert loses nothing.
before_use()
{
	watch "$router" fragments prerouting -101 "$is_fragment"
	in_ns "$router" sysctl -qw net.divert.defrag=1

	check "D6 without a divert socket large pings are answered" \
		pings 1 "$client" "$server_at" -s 4000
	check "D6 without a divert socket fragments stay fragments" \
		has_watched 6 "$router" fragments
}

# Each direction has a daemon of its own, which gets whole packets and gives whole ones back.
both_directions()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" prerouting 7001 100 "$icmp" type echo-reply
	watch "$client" fragments prerouting -450 "$is_fragment"
	watch "$server" fragments prerouting -450 "$is_fragment"
	divertd_start request "$router" 7000 -C
	divertd_start reply "$router" 7001 -C

	check "D6 both directions: large pings are answered" pings 3 "$client" "$server_at" -s 4000
	check "D6 both directions: requests are read once and whole" \
		has_seen 3 request "^in if=r0 .* len=$whole_length .*frag=whole"
	check "D6 both directions: replies are read once and whole" \
		has_seen 3 reply "^in if=r1 .* len=$whole_length .*frag=whole"
	check "D6 both directions: requests leave as fragments" has_watched 9 "$server" fragments
	check "D6 both directions: replies leave as fragments" has_watched 9 "$client" fragments
	divertd_stop
	check "D6 both directions: the requests are valid" has_total request badip=0 badl4=0 errors=0
	check "D6 both directions: the replies are valid" has_total reply badip=0 badl4=0 errors=0
}

# Copies are taken where fragments have been reassembled.
copied()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	watch "$server" fragments prerouting -450 "$is_fragment"
	divertd_start w "$router" 7000 -T -C

	check "D6 T1 copied: large pings are answered" pings 3 "$client" "$server_at" -s 4000
	check "D6 T1 copied: each copy is whole" has_seen 3 w "len=$whole_length .*frag=whole"
	check "D6 T1 copied: they leave as fragments" has_watched 9 "$server" fragments
	divertd_stop w
	check "D6 T1 copied: the copies are valid" has_total w badip=0 badl4=0
}

# Up to Linux 5.12 defragmentation stays on where it once was.
switched_off()
{
	if [ "$(printf '%s\n' 5.13 "$(uname -r)" | sort -V | head -n 1)" = 5.13 ]; then
		run single "switched off"
	else
		skip "D6 defrag=0, switched off" "this kernel cannot"
	fi
}

# Before anybody has switched it on.
never_on()
{
	use_lengths
	run single "never on"
	run single_turned
}

all()
{
	use_lengths
	in_ns "$router" sysctl -qw net.divert.defrag=1
	run whole prerouting in
	run whole postrouting out
	run both_directions
	run copied
	switched_off
	run tracked
}

setup_routed
# Divert is used from the first socket on, for both families.
for family in $families; do
	use_family "$family"
	run before_use
done
for family in $families; do
	use_family "$family"
	never_on
done
for family in $families; do
	use_family "$family"
	all
done
