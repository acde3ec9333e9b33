#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Daemons that end in the middle of their work, and leave it to the stack:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemons
#
# Proves that packets which are passed when a daemon is killed are not lost to TCP, and that what
# is queued for a daemon keeps neither device nor namespace; over IPv4 and IPv6.
# TIMEOUT=400
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

has_taken()	# N: more than so many packets
{
	[ "$(divert_counter diverted "$router")" -gt "$1" ]
}

has_unread()
{
	[ "$(divert_counter diverted "$router")" -gt "$(divert_counter read "$router")" ]
}

# The transfer goes on while its daemon, which has stopped reading a moment before, is killed.
killed_under_load()	# NAME
{
	local transfer
	upload "$client" "$server" "$server_at" 90 &
	transfer=$!
	wait_until 30 has_taken 300 && divertd_signal "$1" STOP && wait_until 5 has_unread &&
		divertd_signal "$1" KILL && wait $transfer && return
	kill $transfer
	return 1
}

# Each packet that entered the router came, but for one at most that the daemon had in hand.
all_came()
{
	local entered came lost
	entered=$(watched "$router" entered) came=$(watched "$server" came)
	lost=$(($(divert_counter read "$router") - $(divert_counter inject_in "$router") -
		$(divert_counter inject_out "$router")))
	echo "$entered entered, $came came, $lost lost in the daemon's hands"
	[ "$entered" -gt 8000 ] && [ $((came + lost)) = "$entered" ] && [ $lost -le 1 ]
}

wait_for_all()
{
	busywait 10000 all_came || all_came
}

killed()
{
	local backlog
	# All that is released at once has to find room on its way, which is not ours.
	backlog=$(sysctl -n net.core.netdev_max_backlog)
	sysctl -qw net.core.netdev_max_backlog=100000
	in_ns "$router" sysctl -qw net.divert.no_listener=accept
	# One by one from there on, but not again when they are written.
	in_ns "$client" ethtool -K c0 tso off gso off
	watch "$router" entered prerouting -300 tcp dport 5000 'meta mark & 0xffff0000 != 0xffff0000'
	watch "$server" came input 0 tcp dport 5000
	divert_rule "$router" prerouting 7000 100 tcp dport 5000
	divert_rule "$router" postrouting 7000 100 tcp dport 5000
	divertd_start d "$router" 7000 -k

	check "O5 a transfer outlives its daemon, bytes and all" killed_under_load d
	check "O5 no packet was lost: all that entered came, but what the daemon had in hand" \
		wait_for_all
	check "O5 packets were released" [ "$(divert_counter released "$router")" -gt 0 ]
	check "O5 none was lost" has_counted 0 unread "$router"
	check "O5 none was refused" has_counted 0 full "$router"
	sysctl -qw "net.core.netdev_max_backlog=$backlog"
	unset '_divertd[d]'
}

waiting_pings()	# N ADDRESS: so many have been diverted in the end, three of them now
{
	divertd_signal d STOP
	in_ns "$client" ping -n -c 3 -i 0.02 -W 1 "$2" >/dev/null || true
	has_counted "$1" diverted "$router"
}

# Behind the hook other rules see them, this stage's divert rules do not.
passed_on_close()
{
	local before
	before=$(divert_counter released "$router")
	divert_always "$router" postrouting 7000 100 "$icmp" type echo-request
	watch "$router" behind postrouting 150 "$icmp" type echo-request
	divertd_start d "$router" 7000 -k

	check "O5 packets wait for a daemon" \
		waiting_pings $(($(divert_counter diverted "$router") + 3)) "$server_at"
	check "O5 waiting packets have not left" has_watched 0 "$router" behind
	divertd_signal d KILL
	check "O5 they leave when it is killed" wait_until 10 has_watched 3 "$router" behind
	check "O5 they are counted as released" has_counted $((before + 3)) released "$router"
	unset '_divertd[d]'
}

# The device that packets came by, or were to leave by, goes while they wait.
device_goes()	# DEVICE HOOK ADDRESS
{
	divert_always "$router" "$2" 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -k
	check "O5 packets wait for a daemon on $2" \
		waiting_pings $(($(divert_counter diverted "$router") + 3)) "$3"
	check "R6 $1 can go while its packets wait" timeout 20 ip -n "$router" link del "$1"
	divertd_signal d CONT
	check "R6 packets of $1, which has gone, can be read" wait_until 10 has_seen 3 d "sport=$icmp_request"
}

# So does their namespace, in the end.
namespace_goes()
{
	setup_link
	use_family "$family"
	divert_always "$diverter" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$diverter" 7000 -k
	divertd_signal d STOP
	in_ns "$source" ping -n -c 3 -i 0.02 -W 1 "$diverter_at" >/dev/null || true
	check "O5 packets wait for a daemon" has_counted 3 diverted "$diverter"
	ip netns del "$diverter"
	unset "_namespaces[-1]"
	divertd_signal d KILL
	wait "${_divertd[d]}" 2>/dev/null || true
	unset '_divertd[d]'
	# Its end of the link goes with it, and only with it.
	check "S10 a namespace with waiting packets goes with its daemon" \
		wait_until 20 _fails ip -n "$source" link show c0
}

make_file 12
for family in $families; do
	setup_routed
	use_family "$family"
	run killed
	run passed_on_close
	run device_goes r1 postrouting "$server_at"
	run device_goes r0 prerouting "$router_client_at"
	cleanup_ns
	namespace_goes
done
