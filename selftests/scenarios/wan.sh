#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The example divert-wan makes a router a bad line:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                   divert-wan
#
# Proves that delay, jitter, loss, rate and reordering are what it was told, over IPv4 and IPv6. A
# slow machine only adds time, so that of time only the least is tested; all else is by numbers and
# orders.
# TIMEOUT=600
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

# Numbered datagrams; the receiver writes the numbers down as they come.
make_programs()
{
	cat >"$tmp/receive.py" <<-'END'
		import socket
		sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
		sock.bind(("::", 5000))
		while True:
		    print(int(sock.recv(2000)[:8]), flush=True)
	END
	cat >"$tmp/send.py" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
		sock = socket.socket(family, socket.SOCK_DGRAM)
		sock.connect((sys.argv[1], 5000))
		for i in range(int(sys.argv[2])):
		    sock.send(b"%8d" % i + b"." * (int(sys.argv[3]) - 8))
	END
}

wan_start()	# OPTION...
{
	read_before=$(divert_counter read "$router")
	spawn "$server" python3 "$tmp/receive.py" >"$tmp/received"
	receiver=$SPAWNED
	wait_until 20 listening
	example_start "$router" 8668 divert-wan "$@"
	wan=$SPAWNED
}

listening()
{
	in_ns "$server" ss -Huln sport = :5000 | grep -q .
}

# The daemon tells what it did when it ends.
wan_stop()
{
	stop "$wan"
	stop "$receiver"
}

has_read()	# N
{
	[ $(($(divert_counter read "$router") - read_before)) -ge "$1" ]
}

send()		# N [BYTES]: N datagrams; until the daemon has read them
{
	in_ns "$client" python3 "$tmp/send.py" "$server_at" "$1" "${2-100}"
	wait_until 30 has_read "$1"
}

told()		# WORD: the number that the daemon told
{
	sed -n "s/.*\<$1 \([0-9]*\).*/\1/p" "$tmp/divert-wan"
}

between()	# N LOW HIGH
{
	echo "$1, expected $2 to $3"
	[ "$2" -le "$1" ] && [ "$1" -le "$3" ]
}

received()
{
	wc -l <"$tmp/received"
}

all_received()	# N
{
	[ "$(received)" = "$1" ]
}

# How many came after one with a higher number.
late()
{
	awk '$1 < last { late++ } $1 > last { last = $1 } END { print late + 0 }' "$tmp/received"
}

# Times of a ping's answers, in milliseconds without a fraction.
round_trips()
{
	sed -n 's/.* time=\([0-9]*\).*/\1/p' "$tmp/ping"
}

delay()
{
	wan_start --delay 300
	check "wan: delayed pings are answered" pings 5 "$client" "$server_at"
	check "wan: none before its time" \
		between "$(round_trips | sort -n | head -n 1)" 300 100000
	wan_stop
	check "wan: nothing else happened to them" \
		grep -q 'read 5, lost 0, full 0, overtaken 0, written 5, refused 0, queued 0' \
		"$tmp/divert-wan"
}

jitter()
{
	wan_start --delay 100 --jitter 400 --seed 1
	check "wan: pings with jitter are answered" pings 20 "$client" "$server_at"
	check "wan: none before the delay" \
		between "$(round_trips | sort -n | head -n 1)" 100 100000
	check "wan: some by far later" between "$(round_trips | sort -n | tail -n 1)" 300 100000
	send 100
	check "wan: all datagrams come" wait_until 30 all_received 100
	check "wan: in their order" [ "$(late)" = 0 ]
	wan_stop
}

loss()
{
	local first
	wan_start --loss 20 --seed 7
	send 500
	wan_stop
	first=$(told lost)
	check "wan: about 20 % are lost" between "$first" 65 135
	check "wan: all others arrive" all_received $((500 - first))
	check "wan: in their order" [ "$(late)" = 0 ]

	wan_start --loss 20 --seed 7
	send 500
	wan_stop
	check "wan: the same seed, the same loss" [ "$(told lost)" = "$first" ]

	wan_start --loss 100
	send 20
	wan_stop
	check "wan: all are lost" [ "$(told lost)" = 20 ]
	check "wan: nothing arrives" all_received 0
}

reorder()
{
	wan_start --delay 1000 --reorder 25 --seed 3
	send 200
	check "wan: all arrive" wait_until 30 all_received 200
	wan_stop
	check "wan: about 25 % overtake" between "$(told overtaken)" 25 75
	check "wan: so that others are late" [ "$(late)" -gt 20 ]
}

# Fifty packets of 1000 bytes and headers take half a second by a line of 800 kbit/s.
rate()
{
	local start=$EPOCHREALTIME
	wan_start --rate 800
	send 50 1000
	check "wan: all arrive by a slow line" wait_until 60 all_received 50
	check "wan: not faster than it is" \
		between $((${EPOCHREALTIME/./} - ${start/./})) \
		$((50 * (1000 + 8 + header) * 10)) 60000000
	check "wan: in their order" [ "$(late)" = 0 ]
	wan_stop
}

limit()
{
	wan_start --delay 1000000 --limit 5
	send 20
	wan_stop
	check "wan: a full queue takes no more" [ "$(told full) $(told queued)" = "15 5" ]
}

bad_line()
{
	divert_rule "$router" prerouting 8668 100 iifname r0 "$icmp" type echo-request
	divert_rule "$router" prerouting 8668 100 iifname r0 udp dport 5000
	delay
	jitter
	loss
	reorder
	rate
	limit
}

# On one CPU: what is sent into a veth waits on the sender's, and a sender that has moved to another
# overtakes itself.
taskset -pc 0 $$ >"$tmp/taskset"
setup_routed
make_programs
for family in $families; do
	use_family "$family"
	run bad_line
done
