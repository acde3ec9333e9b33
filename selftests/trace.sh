#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What tracing tells of packets:
#
#	source c0 ─────── r0 diverter: daemons
#
# Proves that each of divert's tracepoints fires with what it is about, and that dropped packets
# bear a reason; over IPv4 and IPv6.
# TIMEOUT=180
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

tracing=/sys/kernel/tracing
[ -d $tracing/events ] || mount -t tracefs tracefs $tracing || skip_all "no tracing here"
[ -d $tracing/events/divert ] || skip_all "no tracepoints here"

# What a namespace is called there.
number_of()	# NS
{
	in_ns "$1" readlink /proc/self/ns/net | tr -dc 0-9
}

trace()		# on|off
{
	local value=0
	[ "$1" = off ] || value=1
	for event in divert/divert_queue divert/divert_reinject divert/divert_drop skb/kfree_skb; do
		echo $value >"$tracing/events/$event/enable"
	done
}

traced()	# N REGEX: since the trace was emptied
{
	local n
	n=$(grep -cE "$2" $tracing/trace || true)
	[ "$n" = "$1" ] || { echo "$n lines of '$2'"; grep divert $tracing/trace | tail; return 1; }
}

begin()
{
	: >$tracing/trace
}

# The place of a counter in /proc/net/stat/divert, of which the first is the number of sockets.
place_of()	# NAME
{
	# shellcheck disable=SC2016 # awk's
	in_ns "$diverter" awk -v name="$1" 'NR == 1 {
		for (i = 2; i <= NF; i++)
			if ($i == name)
				print i - 2
	}' /proc/net/stat/divert
}

# The packet of divert_drop is one that kfree_skb tells the end of, for this reason.
dropped_for()	# NAME REASON
{
	local skb
	skb=$(sed -n "s/.*divert_drop: netns=$netns skbaddr=\([0-9a-f]*\) .*reason=$(place_of "$1")\$/\1/p" \
		$tracing/trace | head -n 1)
	[ -n "$skb" ] && grep -qE "kfree_skb: .*skbaddr=$skb .*reason: $2" $tracing/trace && return
	grep -E "divert_drop|$skb" $tracing/trace | tail
	return 1
}

check_reason()	# DESCRIPTION COUNTER REASON
{
	if grep -q 'reason' $tracing/events/skb/kfree_skb/format; then
		check "$1" dropped_for "$2" "$3"
	else
		skip "$1" "this kernel knows none"
	fi
}

traffic()
{
	local netns length=$((header + 64))
	netns=$(number_of "$diverter")
	divert_rule "$diverter" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$diverter" 7000
	trace on

	begin
	check "L4 packets pass while they are traced" pings 3 "$source" "$diverter_at"
	check "L4 each queued packet is traced" \
		traced 3 "divert_queue: netns=$netns skbaddr=[0-9a-f]+ len=$length port=7000 cookie=100"
	check "L4 each written packet is traced" \
		traced 3 "divert_reinject: netns=$netns skbaddr=[0-9a-f]+ len=$length in cookie=100"
	check "L4 none is dropped" traced 0 "divert_drop: netns=$netns"

	begin
	divertd_stop d
	check "L4 a packet for nobody is lost" ping_lost "$source" "$diverter_at"
	check "L4 its drop is traced" traced 1 "divert_drop: netns=$netns .* reason=$(place_of noport)\$"
	check_reason "L4 its drop has a reason" noport NO_SOCKET

	begin
	in_ns "$diverter" sysctl -qw net.divert.rcvbuf=131072
	divertd_start d "$diverter" 7000
	divertd_signal d STOP
	in_ns "$source" ping -q -n -f -c 300 -s 1400 -W 1 "$diverter_at" >/dev/null || true
	check_reason "L4 a drop at a full queue has a reason" full SOCKET_RCVBUFF
	check "L4 each of them is traced" traced "$(divert_counter full "$diverter")" \
		"divert_drop: netns=$netns .* reason=$(place_of full)\$"

	begin
	divertd_signal d KILL
	check "L4 what is unread is traced" \
		wait_until 10 grep -q "divert_drop: netns=$netns .* reason=$(place_of unread)\$" $tracing/trace
	trace off
	begin
}

for family in $families; do
	setup_link
	use_family "$family"
	traffic
	cleanup_ns
	unset '_divertd[d]'
done
