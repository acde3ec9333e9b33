#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A kernel without IPv6:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	            daemon, on input and output
#
# Proves that the module is loaded there and diverts IPv4 as anywhere, and what programs that want
# IPv6 are told.
# TIMEOUT=120
# BOOT=ipv6.disable=1
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

refused()	# MESSAGE COMMAND...
{
	local message=$1
	shift
	LC_ALL=C _fails "$@" 2>"$tmp/refused" && grep -q "$message" "$tmp/refused" && return
	cat "$tmp/refused"
	return 1
}

diverted()	# RULES' FAMILY
{
	local family=$1 hook
	for hook in prerouting output postrouting; do
		divert_always "$router" $hook 7000 100 icmp type '{ echo-request, echo-reply }'
	done
	divertd_start d "$router" 7000 -C

	check "6.2 no IPv6, table $1: pings of the router are answered" \
		pings 3 "$client" "$router_client_ip"
	check "6.2 no IPv6, table $1: they are read once on input" has_seen 3 d '^in if=r0 .*sport=8'
	check "6.2 no IPv6, table $1: replies are read once on output" has_seen 3 d '^out if=- .*sport=0'
	check "6.2 no IPv6, table $1: forwarded pings are answered" pings 3 "$client" "$server_ip"
	check "6.2 no IPv6, table $1: they are read on input and on output, both ways" has_seen 18 d
	check "6.2 no IPv6, table $1: large ones are answered" \
		pings 3 "$client" "$router_client_ip" -s 4000
	check "6.2 no IPv6, table $1: and read whole" has_seen 6 d 'len=4028 .*frag=whole'
	divertd_stop d
	check "6.2 no IPv6, table $1: all was valid and written back" \
		has_total d badip=0 badl4=0 errors=0
}

copied()
{
	divert_rule "$router" prerouting 7000 100 icmp type echo-request
	divertd_start w "$router" 7000 -T
	check "6.2 no IPv6: watched pings are answered" pings 3 "$client" "$server_ip"
	check "6.2 no IPv6: they are copied" has_seen 3 w
}

reloaded()
{
	check "6.2 no IPv6: the module goes" wait_until 10 rmmod divert
	check "6.2 no IPv6: and comes" "$here/insmod"
	check "6.2 no IPv6: its settings are there" test -e /proc/sys/net/divert
}

! have_ipv6 || skip_all "this kernel has IPv6: boot it with ipv6.disable=1"
setup_routed
check "6.2 no IPv6: AF_INET6 sockets are refused" \
	refused 'socket: Address family not supported' in_ns "$router" "$tools/divertd" -6 7000
run diverted ip
run diverted inet
run copied
run reloaded
