#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A client shares the router's address by the example divert-nat:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	10.0.1.1               │               10.0.2.1, has no way to 10.0.1.0/24
#	                  divert-nat
#
# Proves that TCP, UDP, echoes and the errors about them find their way in both directions, many
# connections at once, that the server never sees the client's address, and that the router's own
# traffic is left alone; in both modes of the daemon.
# TIMEOUT=600
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

listening()	# NS PORT
{
	in_ns "$1" ss -Htuln "sport = :$2" | grep -q .
}

servers()
{
	mkdir "$tmp/web"
	head -c 3M /dev/urandom >"$tmp/web/file"
	spawn "$server" python3 -m http.server --directory "$tmp/web" 80 >/dev/null 2>&1
	spawn "$server" iperf3 -s >/dev/null 2>&1
	spawn "$server" socat UDP4-LISTEN:5001,fork EXEC:cat
	wait_until 60 listening "$server" 80
	wait_until 60 listening "$server" 5201
	wait_until 60 listening "$server" 5001
}

fetched()
{
	in_ns "$client" curl -sS --max-time 60 "http://$server_ip/file" | cmp - "$tmp/web/file"
}

iperf()		# OPTION...
{
	in_ns "$client" timeout 120 iperf3 -c $server_ip -P 4 -n 1M "$@" >"$tmp/iperf3" 2>&1 ||
		{ cat "$tmp/iperf3"; return 1; }
}

udp_echo()
{
	[ "$(echo hello | in_ns "$client" timeout 30 socat -t 10 - UDP4:$server_ip:5001,shut-null)" = hello ]
}

# A datagram to a port that nobody has: the error says so.
refused_outside()
{
	in_ns "$client" python3 - $server_ip <<-'END'
		import socket, sys
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.settimeout(20)
		sock.connect((sys.argv[1], 9999))
		sock.send(b"anybody?")
		try:
		    sock.recv(100)
		    sys.exit(1)
		except ConnectionRefusedError:
		    pass
	END
}

# The server answers when the client's socket has gone, or too weakly to get there: the error finds
# the server, be it the client's or the router's.
refused_inside()	# TTL ERROR
{
	local pid
	cat >"$tmp/answer.py" <<-'END'
		import errno, socket, sys
		IP_RECVERR = 11
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.settimeout(20)
		sock.bind(("0.0.0.0", 5002))
		_, address = sock.recvfrom(100)
		sock.connect(address)
		sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
		sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[1]))
		sock.send(b"still there?")
		try:
		    sock.recv(100)
		    sys.exit(1)
		except OSError as error:
		    sys.exit(error.errno != getattr(errno, sys.argv[2]))
	END
	spawn "$server" python3 "$tmp/answer.py" "$@"
	pid=$SPAWNED
	wait_until 60 listening "$server" 5002 || return 1
	in_ns "$client" bash -c "echo hello >/dev/udp/$server_ip/5002" && wait "$pid"
}

mapped()	# N KIND
{
	local n
	n=$(grep -c "^$2 $client_ip:[0-9]* is $router_server_ip:[0-9]*$" "$tmp/divert-nat")
	[ "$n" = "$1" ] || { echo "$n of $1:"; cat "$tmp/divert-nat"; return 1; }
}

translates()	# MODE
{
	check "nat $1: pings are answered" pings 5 "$client" $server_ip
	check "nat $1: they share one mapping" mapped 1 echo
	check "nat $1: a file comes by TCP" fetched
	check "nat $1: for one connection there is one mapping" mapped 1 tcp
	check "nat $1: four connections at once, up" iperf
	check "nat $1: four connections at once, down" iperf -R
	check "nat $1: each has its mapping" mapped 11 tcp
	check "nat $1: UDP comes back" udp_echo
	check "nat $1: an error from outside finds the client" refused_outside
	check "nat $1: an error from inside finds the server" refused_inside 64 ECONNREFUSED
	check "nat $1: an error of the router's finds the server" refused_inside 1 EHOSTUNREACH
	check "nat $1: the router's own pings are answered" pings 3 "$router" $server_ip
	check "nat $1: the router answers pings" pings 3 "$server" $router_server_ip
	check "nat $1: the server has not seen the client's address" has_watched 0 "$server" inside
}

few_ports()	# MODE
{
	check "nat $1: two ports are enough for two" pings 2 "$client" $server_ip
	check "nat $1: for the second one" pings 2 "$client" $server_ip
	check "nat $1: not for a third one" ping_lost "$client" $server_ip
	check "nat $1: each kind has its own ports" udp_echo
}

went()		# hold|plain READ HELD: what was counted before; that is how packets have gone on since
{
	local read held
	read=$(($(divert_counter read "$router") - $2))
	held=$(($(divert_counter held "$router") - $3))
	echo "read $read, held $held"
	[ "$read" -gt 100 ] && [ "$held" = "$([ "$1" = hold ] && echo "$read" || echo 0)" ]
}

in_mode()	# hold|plain [OPTION...]: of the daemon
{
	local mode=$1 read held nat
	read=$(divert_counter read "$router") held=$(divert_counter held "$router")
	example_start "$router" 8668 divert-nat "${@:2}" 8668 $router_server_ip
	nat=$SPAWNED
	translates "$mode"
	check "nat $mode: the packets have gone that way" went "$mode" "$read" "$held"
	stop "$nat"
	example_start "$router" 8668 divert-nat "${@:2}" 8668 $router_server_ip 50000-50001
	nat=$SPAWNED
	few_ports "$mode"
	stop "$nat"
}

setup_routed
ip -n "$server" route del default
servers
check "nat: without it, no answer finds back" ping_lost "$client" $server_ip

divert_rule "$router" postrouting 8668 100 oifname r1 ip saddr 10.0.1.0/24
divert_rule "$router" prerouting 8668 200 iifname r1 ip daddr $router_server_ip
divert_rule "$router" output 8668 300 oifname r1 ip saddr $router_server_ip icmp type '{ 3, 11, 12 }'
watch "$server" inside prerouting -300 ip saddr 10.0.1.0/24
watch "$server" router prerouting -300 ip saddr $router_server_ip
in_mode plain -m plain
check "nat plain: but packets" [ "$(watched "$server" router)" -gt 100 ]
in_mode hold
