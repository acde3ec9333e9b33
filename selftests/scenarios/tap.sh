#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A router's traffic is watched by the example divert-tap:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                   divert-tap
#
# Proves that it goes on meanwhile, with an owner beside the watcher and without one, and that the
# tap tells what the kernel knows.
# TIMEOUT=120
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

bound()		# N: sockets on port 8668
{
	[ "$(in_ns "$router" grep -c '^ *8668:' /proc/net/divert)" = "$1" ]
}

start()		# N PROGRAM ARG...: an example; then port 8668 has N sockets
{
	spawn "$router" "$here/../build/examples/$2" "${@:3}" >"$tmp/$2" 2>&1
	wait_until 10 bound "$1"
}

has_lines()	# N REGEX
{
	wait_until 10 [ "$(grep -cE -- "$2" "$tmp/divert-tap")" = "$1" ] || {
		cat "$tmp/divert-tap"
		return 1
	}
}

# All lines' times lie between two: HH:MM:SS, as text.
has_times()
{
	awk -v from="$1" -v to="$2" '$1 < from || $1 > to { print; bad = 1 } END { exit bad }' \
		"$tmp/divert-tap"
}

setup_routed
in_ns "$router" nft -f - <<-RULES
	table inet tap {
		chain in {
			type filter hook prerouting priority mangle
			meta l4proto { icmp, ipv6-icmp } iifname r0 meta mark set 0x21dc0064
		}
		chain out {
			type filter hook output priority mangle
			icmp type echo-request meta mark set 0x21dc00c8
		}
	}
RULES

from=$(date +%T)
start 1 divert-tap 8668
tap=$SPAWNED
check "T1 tap: watched pings are answered" pings 3 "$client" $server_ip
check "T1 tap: each is copied once" has_lines 3 "$client_ip > $server_ip 84 bytes"
check "T1 tap: watched IPv6 pings are answered" pings 3 "$client" $server_ip6
check "O2 tap: IPv6 packets, their interface and rule" \
	has_lines 3 " from r0 cookie 100  $client_ip6 > $server_ip6 104 bytes"
check "T1 tap: the router's own pings are answered" pings 3 "$router" $server_ip
check "O2 tap: their way out and their rule" \
	has_lines 3 " from here to r1 .*cookie 200  $router_server_ip > $server_ip"
check "O2 tap: the time is that of diversion" has_times "$from" "$(date +%T)~"

start 2 divert-print
owner=$SPAWNED
check "B5 tap: pings by an owner are answered" pings 3 "$client" $server_ip
check "B5 tap: the watcher reads them beside the owner" \
	has_lines 6 "$client_ip > $server_ip 84 bytes"
check "B5 tap: so does the owner" grep -q "in .*$client_ip > $server_ip" "$tmp/divert-print"

stop "$owner"
check "B5 tap: without the owner, pings are answered" pings 3 "$client" $server_ip

stop "$tap"
check "B5 tap: without any socket, they are lost" ping_lost "$client" $server_ip
in_ns "$router" sysctl -qw net.divert.no_listener=accept
check "B5 tap: but not with no_listener=accept" pings 3 "$client" $server_ip
