#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Things going away at the wrong moment:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemon
#
# Proves that devices, namespaces, daemons and the module itself may go while packets are queued,
# written, or waiting in between, and neighbours may not be had; that the module stays while
# something needs it; and that nothing is left behind then (the runner also looks at the kernel's
# log, and for references); over IPv4 and IPv6.
# TIMEOUT=600
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

flood()		# NS ADDRESS: pings as fast as they come back, until the test ends
{
	spawn "$1" ping -f -q "$2" >/dev/null 2>&1
	flooder=$SPAWNED
}

flooded()	# N: so many more packets were diverted
{
	local target=$(($(divert_counter diverted "$router") + $1))
	wait_until 20 diverted_at_least "$target"
}

diverted_at_least()
{
	[ "$(divert_counter diverted "$router")" -ge "$1" ]
}

queued()	# N
{
	[ "$(divert_counter diverted "$router")" -eq "$1" ]
}

no_references()
{
	[ "$(cat /sys/module/divert/refcnt)" = 0 ]
}

refused()	# N ERROR: writes of the daemon
{
	[ "$(grep -cx "error $2" "$tmp/d")" = "$1" ]
}

busy()
{
	! LC_ALL=C rmmod divert 2>"$tmp/rmmod" && grep -q 'in use' "$tmp/rmmod"
}

no_device()	# NS DEVICE
{
	! ip -n "$1" link show "$2"
}

unload()
{
	wait_until 20 rmmod divert
}

# --- daemons ---------------------------------------------------------------------------------

killed_under_flood()
{
	local i
	divert_always "$router" prerouting 7000 100 "$any_ping"
	divertd_start d "$router" 7000 -q
	flood "$client" "$server_at"
	check "S10 a flood goes through a daemon" flooded 200
	check "S10 the module cannot go under it" busy
	for i in 1 2 3 4 5; do
		divertd_signal d KILL
		divertd_stop d
		divertd_start d "$router" 7000 -q
		check "B3 daemon killed under flood, the next takes its port and goes on ($i)" \
			flooded 50
	done
	stop "$flooder"
	check "S10 after the flood pings are answered" pings 3 "$client" "$server_at"
	divertd_stop
	check "S10 after the flood nothing holds the module" wait_until 10 no_references
}

# --- neighbours ------------------------------------------------------------------------------

# Who scans a network behind the router fills its table: no reason for a daemon to stop. IPv6 makes
# room by the neighbours of multicast groups, which come again and again: IPv4 only.
neighbours_full()
{
	local limit=net.ipv4.neigh.default.gc_thresh3 old lost ns
	old=$(sysctl -n "$limit")
	lost=$(divert_counter congested "$router")
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000
	# The table is one for all, and an old neighbour would make room.
	for ns in "$client" "$router" "$server"; do
		ip -n "$ns" -4 neigh flush all
	done
	sysctl -qw "$limit"=0
	check "W5 no room for a neighbour: the packet is lost" ping_lost "$router" "$nobody"
	sysctl -qw "$limit"="$old"
	check "W5 no room for a neighbour: and counted" \
		wait_until 10 has_counted $((lost + 1)) congested "$router"
	divertd_stop d
	check "W5 no room for a neighbour: the daemon is not told" has_total d errors=0
}

# --- memory ----------------------------------------------------------------------------------

objects()	# in use, of what packets are made of
{
	awk '$1 ~ /^(skbuff_head_cache|skbuff_small_head|ip_dst_cache|kmalloc-(256|512|1k|2k))$/ {
		print $1, $2 }' /proc/slabinfo
}

not_grown()	# FILE MOST
{
	objects | join "$1" - | awk -v most="$2" '
		{ print $1, $2, $3 }
		$3 - $2 > most { grown = 1 }
		END { exit grown || NR < 3 }'
}

# A leaked packet or route would be there 6,000 times.
nothing_kept()
{
	local hook
	for hook in prerouting output postrouting; do
		divert_always "$router" $hook 7000 100 "$any_ping"
	done
	divertd_start d "$router" 7000 -q
	check "S10 packets pass on all hooks" pings 3 "$client" "$server_at"
	objects >"$tmp/before"
	in_ns "$client" ping -f -q -c 3000 "$server_at" >/dev/null || true
	check "S10 packets that passed are not kept" wait_until 20 not_grown "$tmp/before" 1500
	divertd_stop d
	divertd_start d "$router" 7000 -q -d
	in_ns "$client" timeout 20 ping -f -q -i 0.001 -c 6000 -W 1 "$server_at" >/dev/null || true
	check "S10 packets that a daemon drops are not kept" \
		wait_until 20 not_grown "$tmp/before" 1500
}

# --- devices ---------------------------------------------------------------------------------

remake_link()
{
	join_ns "$client" c0 "$client_ip" "$client_ip6" \
		"$router" r0 "$router_client_ip" "$router_client_ip6"
	ip -n "$client" route add default via "$router_client_ip"
	ip -n "$client" route add default via "$router_client_ip6"
	wait_until 10 in_ns "$client" ping -c 1 -W 1 "$router_client_at"
}

device_removed()
{
	local before
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000
	divertd_signal d STOP
	before=$(divert_counter diverted "$router")
	in_ns "$client" ping -q -c 5 -i 0.01 -W 1 "$router_client_at" >/dev/null || true
	check "R6 packets are queued when their device goes" queued $((before + 5))
	check "S10 a device goes while packets from it are queued" ip -n "$router" link del r0
	divertd_signal d CONT
	check "R6 they stay readable" wait_until 10 has_seen 5 d '^in if=r0 '
	check "W3 writing them back fails" \
		wait_until 10 refused 5 EADDRNOTAVAIL
	remake_link
	check "S10 with the device back the daemon goes on" pings 3 "$client" "$router_client_at"
}

device_down()
{
	local before
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000
	divertd_signal d STOP
	before=$(divert_counter diverted "$router")
	in_ns "$client" ping -q -c 5 -i 0.01 -W 1 "$router_client_at" >/dev/null || true
	check "R6 packets are queued when their device goes down" queued $((before + 5))
	ip -n "$router" link set r0 down
	divertd_signal d CONT
	check "W3 writing to a device that is down fails" \
		wait_until 10 refused 5 ENETDOWN
	ip -n "$router" link set r0 up
	wait_until 10 in_ns "$client" ping -c 1 -W 1 "$router_client_at"
	check "S10 with the device up the daemon goes on" pings 3 "$client" "$router_client_at"
}

# --- namespaces ------------------------------------------------------------------------------

# The namespace lives until the daemon's socket goes, and then ends with all that is queued.
namespace_removed()
{
	local ns daemon
	setup_ns NS_OTHER
	ns=$NS_OTHER
	join_ns "$client" c9 10.0.9.1 fd00:9::1 "$ns" r9 10.0.9.2 fd00:9::2
	divert_always "$ns" prerouting 7000 100 "$icmp" type echo-request
	spawn "$ns" "$tools/divertd" 7000 >"$tmp/other"
	daemon=$SPAWNED
	wait_until 10 grep -q ready "$tmp/other"
	kill -STOP "$daemon"
	in_ns "$client" ping -q -c 5 -i 0.01 -W 1 "$other_at" >/dev/null || true
	check "S10 packets are queued when their namespace goes" \
		[ "$(divert_counter diverted "$ns")" = 5 ]
	ip netns del "$ns"
	_forget_ns "$ns"
	kill -KILL "$daemon"
	check "S10 the namespace ends with the last socket" wait_until 20 no_device "$client" c9
	check "S10 and lets go of the module" wait_until 10 no_references
}

_forget_ns()
{
	local name rest=()
	for name in "${_namespaces[@]}"; do
		[ "$name" = "$1" ] || rest+=("$name")
	done
	_namespaces=("${rest[@]}")
}

# Packets on their way into, through and out of a daemon when everything goes at once.
namespace_removed_under_flood()
{
	local ns
	setup_ns NS_OTHER
	ns=$NS_OTHER
	join_ns "$client" c9 10.0.9.1 fd00:9::1 "$ns" r9 10.0.9.2 fd00:9::2
	divert_always "$ns" prerouting 7000 100 "$any_ping"
	divert_always "$ns" output 7000 100 "$any_ping"
	spawn "$ns" "$tools/divertd" -q 7000 >"$tmp/other"
	wait_until 10 grep -q ready "$tmp/other"
	flood "$client" "$other_at"
	check "S10 a flood goes through the other namespace" \
		wait_until 20 other_diverted "$ns" 200
	ip netns pids "$ns" | xargs kill -KILL
	ip netns del "$ns"
	_forget_ns "$ns"
	check "S10 a namespace ends under a flood" wait_until 20 no_device "$client" c9
	stop "$flooder"
}

other_diverted()
{
	[ "$(divert_counter diverted "$1")" -ge "$2" ]
}

# --- the module ------------------------------------------------------------------------------

# Packets that wait behind the write, in NFQUEUE. Written as received they hold nothing of ours;
# written to be sent they hold their socket, and with it the module.
parked_in()
{
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request
	add_rule "$router" waiting in prerouting -300 "$icmp" type echo-request \
		'meta mark & 0xffff0000 == 0xffff0000' queue num 0
	divertd_start d "$router" 7000
	nfqd_start "$router" 0
	nfqd_signal USR1
	in_ns "$client" ping -q -c 5 -i 0.01 -W 1 "$router_client_at" >/dev/null || true
	check "S10 written packets wait in NFQUEUE" wait_until 10 grep -qx 'held 5' "$tmp/nfqd"
	divertd_stop
	check "S10 the module goes while packets written as received wait" unload
	"$here/insmod"
	nfqd_signal USR2
	check "S10 the host goes on" pings 1 "$router" "$client_at"
	nfqd_stop
}

parked_out()
{
	divert_always "$router" output 7000 100 "$icmp" type echo-request
	add_rule "$router" waiting out postrouting 150 "$icmp" type echo-request queue num 0
	divertd_start d "$router" 7000
	nfqd_start "$router" 0
	nfqd_signal USR1
	in_ns "$router" ping -q -c 5 -i 0.01 -W 1 "$client_at" >/dev/null || true
	check "S10 sent packets wait in NFQUEUE" wait_until 10 grep -qx 'held 5' "$tmp/nfqd"
	divertd_stop
	check "S10 the module stays while packets it sent wait" busy
	nfqd_signal USR2
	check "S10 the module goes when they have gone" unload
	"$here/insmod"
	nfqd_stop
}

all()
{
	run killed_under_flood
	run device_removed
	run device_down
	run namespace_removed
	run namespace_removed_under_flood
	run parked_in
	run parked_out
	run nothing_kept
}

setup_routed
in_ns "$router" sysctl -qw net.ipv6.conf.default.keep_addr_on_down=1
for family in $families; do
	use_family "$family"
	case $family in
	ip) other_at=10.0.9.2 nobody=10.0.2.77 ;;
	ip6) other_at=fd00:9::2 ;;
	esac
	all
done
use_family ip
run neighbours_full
