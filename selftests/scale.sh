#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A daemon beside 5,000 others:
#
#	diverter, pinging itself through a daemon
#
# Proves that a packet costs the same, whether one port is bound or thousands.
# TIMEOUT=300
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

rounds=20 packets=2000 others=5000

# Milliseconds for a flood of pings, as ping itself says.
measure()
{
	in_ns "$NS" ping -f -q -c $packets 127.0.0.1 |
		sed -n "s/.* $packets received.* time \([0-9]*\)ms$/\1/p"
}

less()		# A B
{
	echo $(($1 < $2 ? $1 : $2))
}

bound()		# N: so many sockets are listed
{
	[ "$(in_ns "$NS" cat /proc/net/divert | wc -l)" = $(($1 + 1)) ]
}

same_cost()
{
	[ $((best_many * 100)) -le $((best_one * 115)) ]
}

# Alternating, so that whatever else this machine does hits both. The best counts; as many rounds as
# it takes, and a few at least.
compare()
{
	local i one many
	for ((i = 0; i < rounds; i++)); do
		one=$(measure) && [ -n "$one" ] || return 1
		spawn "$NS" "$tools/manyports" 10000 $others >"$tmp/many"
		wait_until 20 grep -qx ready "$tmp/many" && bound $((others + 1)) || return 1
		many=$(measure) && [ -n "$many" ] || return 1
		stop "$SPAWNED"
		best_one=$(less "$one" "${best_one:-$one}")
		best_many=$(less "$many" "${best_many:-$many}")
		[ $i -lt 3 ] || ! same_cost || return 0
	done
}

# On one CPU: waking another costs more than all that is measured here.
taskset -pc 0 $$ >"$tmp/taskset"
setup_ns NS
divert_rule "$NS" prerouting 7000 100 icmp type echo-request
divertd_start d "$NS" 7000 -q
best_one='' best_many=''
check "B1 $others more ports can be bound, again and again" compare
echo "# $packets pings: $best_one ms beside no port, $best_many ms beside $others"
check "B1 with $others more ports a packet costs the same" same_cost
