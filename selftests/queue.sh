#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# More packets than a daemon reads:
#
#	source c0 ─────── r0 diverter
#	                       │
#	                daemon, stopped
#
# Proves that what does not fit is dropped and counted, that other traffic does not notice, that
# all goes on when the daemon does, and that the books balance; over IPv4 and IPv6.
# TIMEOUT=360
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

flood=2000

send_flood()	# small UDP packets, from one shell: as fast as it can
{
	# shellcheck disable=SC2016 # expanded there
	in_ns "$source" bash -c 'exec 3>"/dev/udp/$2/9"
		for ((i = 0; i < $1; i++)); do echo $i >&3; done' -- $flood "$diverter_at"
}

all_came()
{
	has_watched $flood "$diverter" came
}

balance()	# queued + dropped = sent
{
	local diverted full
	diverted=$(divert_counter diverted "$diverter")
	full=$(divert_counter full "$diverter")
	echo "diverted $diverted, full $full, sent $flood"
	[ "$full" -gt 0 ] && [ "$diverted" -gt 50 ] && [ $((diverted + full)) = $flood ]
}

listed()	# COLUMN of the socket's line
{
	in_ns "$diverter" cat /proc/net/divert | awk -v column="$1" 'NR == 2 { print $column }'
}

listed_drops()
{
	[ "$(listed 13)" = "$(divert_counter full "$diverter")" ]
}

listed_empty()	# tx_queue:rx_queue
{
	[ "$(listed 5)" = 00000000:00000000 ]
}

all_read()
{
	[ "$(divert_counter read "$diverter")" = "$(divert_counter diverted "$diverter")" ]
}

balance_closed()
{
	local queued unread
	queued=$(divert_counter diverted "$diverter")
	unread=$(divert_counter unread "$diverter")
	echo "diverted $queued, read $read_before, unread $unread"
	[ "$unread" -gt 0 ] && [ $((read_before + unread)) = "$queued" ]
}

stopped()
{
	local queued
	in_ns "$diverter" sysctl -qw net.divert.rcvbuf=131072
	divert_rule "$diverter" prerouting 7000 100 udp dport 9
	divert_rule "$diverter" prerouting 7000 100 "$icmp" type echo-request "$ttl" 77
	watch "$diverter" came prerouting -160 udp dport 9
	divertd_start d "$diverter" 7000
	divertd_signal d STOP

	send_flood
	check "D8 the flood arrives" wait_until 20 all_came
	check "D8 what does not fit is dropped and counted" balance
	check "L1 the socket's line shows the drops" listed_drops
	check "L1 the socket's line shows a queue" _fails listed_empty
	check "D8 unmarked packets pass meanwhile" pings 3 "$source" "$diverter_at"
	check "D8 marked ones do not" ping_lost "$source" "$diverter_at" -t 77

	divertd_signal d CONT
	check "D8 the daemon goes on: all that was queued is read" wait_until 20 all_read
	check "D8 the daemon goes on: marked packets pass again" pings 3 "$source" "$diverter_at" -t 77
	check "D8 the daemon goes on: new ones are read" has_seen 3 d 'ttl=77 '
	check "L1 the socket's line shows an empty queue" listed_empty
	queued=$(divert_counter diverted "$diverter")
	divertd_stop d
	check "L3 all that was queued was read" has_total d "read=$queued"
	check "L3 all that was read was written" has_total d "written=$queued" errors=0
	check "L3 all that was written was received" has_counted "$queued" inject_in "$diverter"
	check "L3 nothing was left unread" has_counted 0 unread "$diverter"
}

# Closed with packets queued: they are lost, and counted.
closed()
{
	local read_before
	divertd_start d "$diverter" 7000
	divertd_signal d STOP
	in_ns "$diverter" nft reset counters table "$family" watch >/dev/null
	read_before=$(divert_counter read "$diverter")
	send_flood
	check "S10 another flood arrives" wait_until 20 all_came
	divertd_signal d KILL

	check "L3 packets unread at close are counted" wait_until 10 balance_closed
}

for family in $families; do
	setup_link
	use_family "$family"
	stopped
	closed
	unset "_divertd[d]"
	cleanup_ns
done
