#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module goes and comes while packets and sockets do:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	   a process that opens, binds and closes divert sockets
#
# Proves that it can be removed whenever nobody holds a socket, under traffic that it would divert,
# over IPv4 and IPv6, and that nothing is left behind (the runner also looks at the kernel's log).
# TIMEOUT=600
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

reloads=50

no_references()
{
	[ "$(cat /sys/module/divert/refcnt)" = 0 ]
}

# Somebody opens and closes sockets all the time, and everything is marked.
reloaded()
{
	local i flooder start=$SECONDS failed=0 busy=0
	divert_always "$router" prerouting 7000 100 "$any_ping"
	divert_always "$router" postrouting 7000 100 "$any_ping"
	spawn "$client" ping -f -q "$server_at" >/dev/null 2>&1
	flooder=$SPAWNED
	spawn "$router" "$tools/manyports" churn 7000 >"$tmp/churn"
	for ((i = 0; i < reloads && failed == 0; i++)); do
		while ! rmmod divert 2>/dev/null; do
			busy=$((busy + 1))
			[ $((SECONDS - start)) -lt 250 ] || { failed=1; break; }
		done
		[ $failed = 1 ] || "$here/insmod" || failed=1
	done
	echo "# $i reloads, $busy times busy, $((SECONDS - start)) s"
	check "S10 the module is reloaded $reloads times under traffic" \
		[ "$failed $i" = "0 $reloads" ]
	stop "$SPAWNED"
	check "S10 sockets were opened meanwhile" grep -q 'opened=[1-9]' "$tmp/churn"
	stop "$flooder"
	in_ns "$router" nft flush ruleset
	check "S10 the host goes on" pings 3 "$client" "$server_at"
	check "S10 nothing holds the module" wait_until 10 no_references
}

setup_routed
for family in $families; do
	use_family "$family"
	run reloaded
done
