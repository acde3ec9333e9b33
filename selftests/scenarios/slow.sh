#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A daemon that is slower than the traffic:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemon
#
# Proves that a queue without a limit makes all wait that comes by it, and that a limit of age bounds
# the wait without losing anything; over IPv4 and IPv6.
# TIMEOUT=240
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

rate=25			# packets a second that the daemon lets go on; there are more than three times as many
queue=75		# packets: three seconds of its work
age=100			# ms

slow_start()	# [AGE]
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	spawn "$router" python3 "$here/tools/slow.py" 7000 $rate "$@"
	daemon=$SPAWNED
	wait_until 10 has_port "$router" 7000
	spawn "$client" ping -n -q -i 0.005 "$server_at" >/dev/null
	flooder=$SPAWNED
}

slow_stop()
{
	stop "$flooder"
	stop "$daemon"
}

has_queued()	# N
{
	local n name
	n=$(divert_counter diverted "$router")
	for name in read released unread; do
		n=$((n - $(divert_counter $name "$router")))
	done
	[ "$n" -ge "$1" ]
}

has_released()	# N more than BEFORE
{
	[ $(($(divert_counter released "$router") - $2)) -ge "$1" ]
}

round_trips()	# MIN MAX: milliseconds, of the last pings
{
	local min max
	IFS=/ read -r min _ max _ < <(sed -n 's/^rtt .* = //p' "$tmp/ping")
	echo "$min to $max ms"
	[ "${min%.*}" -ge "$1" ] && [ "${max%.*}" -le "$2" ]
}

unlimited()
{
	slow_start
	check "O5 a daemon is slower than the traffic" wait_until 60 has_queued $queue
	check "O5 all packets come through in the end" pings 3 "$client" "$server_at" -W 60
	check "O5 but they wait for all that is queued" \
		round_trips $((1000 * queue / rate / 2)) 60000
	slow_stop
}

limited()
{
	local before
	before=$(divert_counter released "$router")
	slow_start $age
	check "O5 with a limit of age packets go on without the daemon" \
		wait_until 60 has_released $queue "$before"
	check "O5 with a limit of age all packets come through" pings 3 "$client" "$server_at"
	check "O5 with a limit of age none waits much longer" round_trips 0 $((age * 10))
	slow_stop
}

setup_routed
for family in $families; do
	use_family "$family"
	run unlimited
	run limited
done
