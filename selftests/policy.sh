#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A daemon on a router that encrypts what it forwards, and routes by rules:
#
#	client c0 ─────── r0 router r1 ═══ESP═══ s0 server
#	                       │
#	                    daemon
#
# Proves that packets which IPsec's policies want encrypted are so after a round trip through a
# daemon, whether there are policy rules or not, and that one which rules throw away when it is
# written does not take another way; over IPv4 and IPv6.
# TIMEOUT=300
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

xfrm()		# COMMAND...
{
	ip -n "$router" xfrm "$@"
}

encrypt()	# SOURCE: what it sends to the server
{
	xfrm state add src "$router_server_at" dst "$server_at" proto esp spi 0x100 reqid 1 mode tunnel \
		auth 'hmac(sha1)' 0x0102030405060708090a0b0c0d0e0f1011121314 \
		enc 'cipher_null' '' &&
		xfrm policy add src "$1" dst "$server_at" dir out \
			tmpl src "$router_server_at" dst "$server_at" proto esp reqid 1 mode tunnel
}

sent()		# N: echo requests, to which no answer comes; the daemon has read them
{
	in_ns "$client" ping -n -q -l "$1" -c "$1" -W 1 "$server_at" >/dev/null || true
	wait_until 10 has_seen "$1" d '^out '
}

# A round trip of three, and what is on the wire then.
encrypted()	# DESCRIPTION
{
	divert_rule "$router" postrouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000
	watch "$server" secret prerouting -300 meta l4proto esp
	watch "$server" clear prerouting -300 "$icmp" type echo-request
	check "W9 $1: the daemon reads them in clear" sent 3
	check "W9 $1: they are sent encrypted" wait_until 10 has_watched 3 "$server" secret
	check "W9 $1: none is sent in clear" has_watched 0 "$server" clear
	divertd_stop d
	check "W9 $1: no write failed" has_total d errors=0
	in_ns "$router" nft flush ruleset
	in_ns "$server" nft flush ruleset
}

ipsec()
{
	if ! encrypt "$client_at"; then
		skip "W9 IPsec, IPv$version" "this kernel has no ESP"
		return
	fi
	encrypted "IPsec"
	ip -n "$router" "-$version" rule add pref 220 lookup 220
	encrypted "IPsec and policy rules"
	ip -n "$router" "-$version" rule del pref 220
	xfrm policy flush
	xfrm state flush
}

# A kept packet gets a new source, which policies are for. The name of its device has the bits in
# it by which IPv4 would take it for encrypted already, were it asked with ours.
readdressed()
{
	if ! encrypt "$router_server_at"; then
		skip "O7 IPsec for a new source" "this kernel has no ESP"
		return
	fi
	ip -n "$router" link set r0 down
	ip -n "$router" link set r0 name tun0
	ip -n "$router" link set tun0 up
	divert_rule "$router" postrouting 8668 100 oifname r1 ip saddr "$client_at"
	example_start "$router" 8668 divert-nat 8668 "$router_server_at"
	watch "$server" secret prerouting -300 meta l4proto esp
	watch "$server" clear prerouting -300 "$icmp" type echo-request
	in_ns "$client" ping -n -q -l 3 -c 3 -W 1 "$server_at" >/dev/null || true
	check "O7 IPsec for a new source: packets are sent encrypted" \
		wait_until 10 has_watched 3 "$server" secret
	check "O7 IPsec for a new source: none is sent in clear" has_watched 0 "$server" clear
	stop "$SPAWNED"
	xfrm policy flush
	xfrm state flush
}

# The way that a packet came by was closed while it was being read.
blackhole()
{
	local before
	before=$(divert_counter diverted "$router")
	divert_rule "$router" postrouting 7000 100 "$icmp" type echo-request
	watch "$server" pings prerouting -300 "$icmp" type echo-request
	divertd_start d "$router" 7000
	divertd_signal d STOP
	in_ns "$client" ping -n -q -c 1 -W 1 "$server_at" >/dev/null || true
	check "W9 blackhole: a packet waits" wait_until 10 has_counted $((before + 1)) diverted "$router"
	ip -n "$router" "-$version" route add blackhole default table 100
	ip -n "$router" "-$version" rule add iif r0 lookup 100
	divertd_signal d CONT
	check "W9 blackhole: it is read" wait_until 10 has_seen 1 d '^out '
	divertd_stop d
	check "W9 blackhole: and refused" has_total d errors=1
	check "W9 blackhole: it does not go another way" has_watched 0 "$server" pings
	ip -n "$router" "-$version" rule del iif r0 lookup 100
	ip -n "$router" "-$version" route flush table 100
	in_ns "$server" nft flush ruleset
}

setup_routed
for family in $families; do
	use_family "$family"
	answering "$server_at"
	run ipsec
	run blackhole
done
use_family ip
run readdressed
