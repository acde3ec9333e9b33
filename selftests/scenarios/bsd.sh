#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Programs for BSD, in bsd/, compiled as they are with what "pkg-config --cflags libdivert-bsd" says,
# on a router under traffic:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	      natd, tcpcrypt, dvtws, daq or suricata
#
# Proves that the calls they make and the errors they count on are there.
# TIMEOUT=300
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

# rule of ipfw's "not diverted"
not_diverted='meta mark & 0xffff0000 != 0xffff0000'

start()		# PROGRAM ARG...: which binds port 7000; output in $tmp/PROGRAM
{
	spawn "$router" "$tools/../bsd/$1" "${@:2}" >"$tmp/$1" 2>&1
	daemon=$SPAWNED
	wait_until 60 has_port "$router" 7000
}

alive()
{
	kill -0 "$daemon" || { cat "$tmp/$1"; return 1; }
}

web_server()
{
	mkdir "$tmp/web"
	head -c 300k /dev/urandom >"$tmp/web/file"
	spawn "$server" python3 -m http.server --bind :: --directory "$tmp/web" 80 >/dev/null 2>&1
	spawn "$server" python3 -m http.server --bind :: --directory "$tmp/web" 81 >/dev/null 2>&1
	wait_until 60 listening 80
	wait_until 60 listening 81
}

listening()	# PORT
{
	in_ns "$server" ss -Htln "sport = :$1" | grep -q .
}

fetched()	# [PORT]
{
	local host=$server_at
	[ "$family" = ip ] || host="[$server_at]"
	in_ns "$client" curl -gsS --max-time 60 "http://$host:${1-80}/file" | cmp - "$tmp/web/file"
}

# Told at once, not by waiting.
refused()	# PORT
{
	local status=0
	in_ns "$client" curl -sS --max-time 60 "http://$server_ip:$1/file" || status=$?
	echo "status $status"
	[ $status = 7 ]
}

said()		# PROGRAM REGEX
{
	wait_until 10 grep -qE "$2" "$tmp/$1"
}

lines()		# PROGRAM REGEX
{
	grep -cE "$2" "$tmp/$1" || true
}

need_frag()
{
	! in_ns "$client" ping -n -M "do" -c 1 -W 5 -s 1472 $server_ip >"$tmp/ping" 2>&1 || return 1
	grep -q 'Frag needed.*mtu *= *1400' "$tmp/ping" || { cat "$tmp/ping"; return 1; }
}

natd()
{
	ip -n "$server" route del default
	divert_rule "$router" postrouting 7000 100 oifname r1 ip saddr $client_ip
	divert_rule "$router" prerouting 7000 200 iifname r1 ip daddr $router_server_ip
	watch "$server" inside prerouting -300 ip saddr $client_ip
	start natd 7000 $client_ip $router_server_ip
	check "B3 R2 natd: pings are answered" pings 5 "$client" $server_ip
	check "R4 natd: a file comes whole" fetched
	check "W2 natd: the server has not seen the client's address" has_watched 0 "$server" inside

	add_rule "$router" firewall out output 0 icmp type echo-request drop
	check "natd: what the firewall drops is lost" ping_lost "$client" $server_ip
	check "W5 natd: it is told EACCES" said natd "failed to write packet back: Permission denied"
	in_ns "$router" nft delete table ip firewall
	stop "$daemon"

	start natd 7000 $client_ip $router_server_ip 4
	check "W1 natd: packets may have grown" pings 3 "$client" $server_ip
	check "W5 natd: one too long gives EMSGSIZE, for natd to tell" need_frag
	check "natd: it told" said natd "need frag"
	stop "$daemon"
	ip -n "$server" route add default via $router_server_ip
}

tcpcrypt()
{
	local hook
	for hook in prerouting postrouting; do
		divert_rule "$router" $hook 7000 100 tcp dport 5000
		divert_rule "$router" $hook 7000 100 tcp sport 5000
	done
	make_file 2
	start tcpcrypt 7000
	check "D5 tcpcrypt: a file goes up" upload "$client" "$server" $server_ip
	check "D5 tcpcrypt: a file comes down" download "$client" "$server" $server_ip
	check "S3 W5 tcpcrypt: without privileges, no read or write has failed" alive tcpcrypt
	check "R2 tcpcrypt: packets went both ways" said tcpcrypt "in [1-9].* out [1-9]"
	stop "$daemon"
}

dvtws()
{
	local n version
	for family in ip ip6; do
		use_family $family
		divert_always "$router" postrouting 7000 100 oifname r1 tcp dport 80 "$not_diverted"
		watch "$server" fakes prerouting -300 "$ttl" 33
	done
	start dvtws 7000
	for family in ip ip6; do
		use_family $family
		check "R4 dvtws: a page comes, whatever was sent before" fetched
		[ "$family" = ip ] && version=4 || version=6
		n=$(lines dvtws "fake $version")
		check "B2 W2 dvtws: the socket that is not bound has sent fakes" [ "$n" -gt 0 ]
		check "B2 W2 dvtws: they left as they were" has_watched "$n" "$server" fakes
	done
	use_family ip
	check "C2 dvtws: none came again" [ "$(lines dvtws again)" = 0 ]
	check "S3 dvtws: it runs as another user" alive dvtws
	stop "$daemon"
}

daq()
{
	divert_rule "$router" prerouting 7000 100 iifname r0 tcp dport '{ 80, 81 }'
	watch "$server" blocked prerouting -300 tcp dport 81 tcp flags syn
	mkfifo "$tmp/engine"
	exec 3<>"$tmp/engine"
	# What runs in the background reads nothing, unless it says so itself.
	spawn "$router" bash -c "exec '$tools/../bsd/daq' 7000 81 <'$tmp/engine'" >"$tmp/daq" 2>&1
	daemon=$SPAWNED
	wait_until 10 grep -q initialized "$tmp/daq"
	check "B2 daq: a socket that is not bound has no port" _fails has_port "$router" 7000
	echo >&3
	wait_until 60 has_port "$router" 7000
	check "R4 daq: a file comes whole" fetched
	check "R4 W2 W3 daq: a blocked connection is reset by what it forges" refused 81
	check "daq: it was blocked on its first packet" has_watched 0 "$server" blocked
	check "W1 daq: no write has failed" alive daq
	stop "$daemon"
	exec 3>&-
}

suricata()
{
	divert_rule "$router" prerouting 7000 100 iifname r0
	make_file 2
	start suricata 7000
	check "S9 suricata: POLLRDNORM wakes it: pings are answered" pings 20 "$client" $server_ip
	check "R4 suricata: by another packet's address: a file goes up" \
		upload "$client" "$server" $server_ip
	check "R4 suricata: a file comes down" download "$client" "$server" $server_ip
	check "S9 W5 suricata: no call has failed" alive suricata
	stop "$daemon"
}

setup_routed
use_family ip
web_server
for f in natd tcpcrypt dvtws daq suricata; do
	run $f
done
