#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Daemons that end in the middle of their work, and leave it to the stack:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemons
#
# Proves that packets which are passed when a daemon is killed are not lost to TCP, and that what
# is queued for a daemon keeps neither device nor namespace.
# TIMEOUT=180
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

retransmitted()	# NS
{
	in_ns "$1" nstat -asz TcpRetransSegs | awk '$1 == "TcpRetransSegs" { print $2 }'
}

has_taken()	# N: more than so many packets
{
	[ "$(divert_counter diverted "$router")" -gt "$1" ]
}

has_unread()
{
	[ "$(divert_counter diverted "$router")" -gt "$(divert_counter read "$router")" ]
}

# The transfer goes on while its daemon is killed, not for long before which it has stopped: TCP
# must not take that for a loss.
killed_under_load()	# NAME
{
	local transfer
	upload "$client" "$server" 10.0.2.1 90 &
	transfer=$!
	wait_until 30 has_taken 300 && divertd_signal "$1" STOP && wait_until 5 has_unread &&
		divertd_signal "$1" KILL && wait $transfer && return
	kill $transfer
	return 1
}

few_more()	# BEFORE SLACK
{
	local now
	now=$(retransmitted "$client")
	[ $((now - $1)) -le "$2" ] || { echo "$((now - $1)) segments sent again"; return 1; }
}

killed()
{
	local before

	in_ns "$router" sysctl -qw net.divert.no_listener=accept
	divert_rule "$router" prerouting 7000 100 tcp dport 5000
	divert_rule "$router" postrouting 7000 100 tcp dport 5000
	divertd_start d "$router" 7000 -k

	before=$(retransmitted "$client")
	check "O5 a transfer outlives its daemon, bytes and all" killed_under_load d
	check "O5 passed packets were not lost: TCP sends next to nothing again" \
		few_more "$before" 8
	check "O5 packets were released" [ "$(divert_counter released "$router")" -gt 0 ]
	check "O5 none was lost" has_counted 0 unread "$router"
	check "O5 none was refused" has_counted 0 full "$router"
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
	divert_always "$router" postrouting 7000 100 icmp type echo-request
	watch "$router" behind postrouting 150 icmp type echo-request
	divertd_start d "$router" 7000 -k

	check "O5 packets wait for a daemon" \
		waiting_pings $(($(divert_counter diverted "$router") + 3)) 10.0.2.1
	check "O5 waiting packets have not left" has_watched 0 "$router" behind
	divertd_signal d KILL
	check "O5 they leave when it is killed" wait_until 10 has_watched 3 "$router" behind
	check "O5 they are counted as released" has_counted $((before + 3)) released "$router"
	unset '_divertd[d]'
}

# The device that packets came by, or were to leave by, goes while they wait.
device_goes()	# DEVICE HOOK ADDRESS
{
	divert_always "$router" "$2" 7000 100 icmp type echo-request
	divertd_start d "$router" 7000 -k
	check "O5 packets wait for a daemon on $2" \
		waiting_pings $(($(divert_counter diverted "$router") + 3)) "$3"
	check "R6 $1 can go while its packets wait" timeout 20 ip -n "$router" link del "$1"
	divertd_signal d CONT
	check "R6 packets of $1, which has gone, can be read" wait_until 10 has_seen 3 d 'sport=8'
}

# So does their namespace, in the end.
namespace_goes()
{
	setup_link
	divert_always "$diverter" prerouting 7000 100 icmp type echo-request
	divertd_start d "$diverter" 7000 -k
	divertd_signal d STOP
	in_ns "$source" ping -n -c 3 -i 0.02 -W 1 10.0.1.2 >/dev/null || true
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
setup_routed
run killed
run passed_on_close
run device_goes r1 postrouting 10.0.2.1
run device_goes r0 prerouting 10.0.1.2
namespace_goes
