#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What /proc/net/divert and /proc/net/stat/divert say:
#
#	source c0 ─────── r0 diverter: a daemon and another
#
# Proves that the first has the columns of /proc/net/raw, that its inode leads to the process, and
# that both speak of their own namespace only; of IPv4 and IPv6.
# TIMEOUT=480
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

listing()	# [NS]
{
	in_ns "${1-$diverter}" cat /proc/net/divert
}

line_of()	# PORT
{
	listing | awk -v sl="$1:" '$1 == sl'
}

column()	# PORT N
{
	line_of "$1" | awk -v n="$2" '{ print $n }'
}

same_heading()	# words, not blanks, as those who parse it do
{
	diff <(listing | head -n 1 | xargs -n 1) \
		<(in_ns "$diverter" head -n 1 /proc/net/raw | xargs -n 1)
}

shape()
{
	line_of 7000
	line_of 7000 | grep -E '^ *7000: 00000000:1B58 00000000:0000 [0-9A-F]{2} [0-9A-F]{8}:[0-9A-F]{8} [0-9A-F]{2}:[0-9A-F]{8} [0-9A-F]{8} +0 +0 [0-9]+ [0-9]+ [0-9a-fp]+ 0$'
}

lines()		# N [NS]
{
	[ "$(listing "${2-$diverter}" | tail -n +2 | wc -l)" = "$1" ]
}

inode_of()	# PORT PID: is a descriptor of the process
{
	local inode fd
	inode=$(column "$1" 10)
	for fd in "/proc/$2/fd"/*; do
		[ "$(readlink "$fd")" != "socket:[$inode]" ] || return 0
	done
	ls -l "/proc/$2/fd"
	return 1
}

statistics_shape()
{
	in_ns "$diverter" cat /proc/net/stat/divert >"$tmp/statistics"
	awk 'NR == 1 { n = NF }
		NR > 1 && NF != n { exit 1 }
		NR > 1 && /[^0-9a-f ]/ { exit 1 }
		END { if (NR < 2) exit 1 }' "$tmp/statistics" &&
		[ "$(tail -n +2 "$tmp/statistics" | wc -l)" -ge "$(nproc)" ]
}

counts()	# NAME N
{
	has_counted "$2" "$1" "$diverter"
}

all()		# OF-SOCKETS: for divertd
{
	local sockets=$1
	check "L1 without sockets there is a heading alone" lines 0
	divertd_start d "$diverter" 7000 ${sockets:+"$sockets"}
	divertd_start e "$diverter" 65000 -u ${sockets:+"$sockets"}
	check "L1 the heading is that of /proc/net/raw" same_heading
	check "L1 each socket has a line" lines 3
	check "L1 a line has the columns of /proc/net/raw" shape
	check "L1 another port is there" [ "$(column 65000 2)" = 00000000:FDE8 ]
	check "L1 an unbound socket shows port 0" [ "$(column 0 2)" = 00000000:0000 ]
	check "L1 the inode leads to the process" inode_of 7000 "${_divertd[d]}"
	check "L1 each socket to its own" inode_of 65000 "${_divertd[e]}"
	check "L1 the other namespace lists none of them" lines 0 "$source"

	divert_rule "$diverter" prerouting 7000 100 "$icmp" type echo-request
	check "L1 packets pass" pings 5 "$source" "$diverter_at" -s 72
	check "L1 counters are a heading and a line for each CPU" statistics_shape
	check "L3 packets are counted: diverted" counts diverted 5
	check "L3 packets are counted: read" counts read 5
	check "L3 packets are counted: written" counts inject_in 5
	check "L3 packets are counted: bytes" counts bytes $((5 * (header + 80)))
	check "L3 the other namespace counts none of them" has_counted 0 diverted "$source"

	divertd_stop
	check "L1 closed sockets have no line" lines 0
}

for family in $families; do
	setup_link
	use_family "$family"
	case $family in
	ip) all '' ;;
	ip6) all -6 ;;
	esac
	cleanup_ns
done
