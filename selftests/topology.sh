#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ways a packet can be led through a daemon, on one link and across a router:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	          daemons, on input and output
#
# Proves for each way that packets arrive, that a daemon reads each packet once and no other, and
# that the address it reads says direction and interface; over IPv4 and IPv6, with addresses
# of both families of sockets.
# TIMEOUT=480
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

in_dropped()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -d

	check "D4 in→divert: a packet that is not written back is gone" ping_lost "$client" "$router_client_at"
	check "R2 in→divert: the daemon reads it once" \
		has_seen 1 d "^in if=r0 cookie=100 src=$client_at dst=$router_client_at proto=$icmp "
	in_ns "$router" nft flush ruleset
	check "D4 in→divert: without the rule it arrives" pings 1 "$client" "$router_client_at"
	check "D4 in→divert: and is not read" has_seen 1 d
}

out_dropped()
{
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -d

	check "D4 out→divert: a packet that is not written back is gone" ping_lost "$router" "$client_at"
	check "R2 out→divert: the daemon reads it once" \
		has_seen 1 d "^out if=- cookie=100 src=$router_client_at dst=$client_at proto=$icmp "
	in_ns "$router" nft flush ruleset
	check "D4 out→divert: without the rule it arrives" pings 1 "$router" "$client_at"
	check "D4 out→divert: and is not read" has_seen 1 d
}

in_passed()
{
	divert_rule "$router" prerouting 7000 100 "$any_ping"
	divertd_start d "$router" 7000

	check "R4 in→divert→in: pings are answered" pings 5 "$client" "$router_client_at"
	check "R4 in→divert→in: each is read once" has_seen 5 d "^in if=r0 .* sport=$icmp_request "
	check "R4 in→divert→in: nothing else is read" has_seen 5 d
}

out_passed()
{
	divert_rule "$router" output 7000 100 "$any_ping"
	divertd_start d "$router" 7000

	check "R4 out→divert→out: pings are answered" pings 5 "$client" "$router_client_at"
	check "R4 out→divert→out: each reply is read once" has_seen 5 d "^out if=- .* sport=$icmp_reply "
	check "R4 out→divert→out: nothing else is read" has_seen 5 d
}

# The network side ends at the daemon: the host's own stack never sees the requests.
in_answered()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	watch "$router" delivered input 0 "$icmp" type echo-request
	divertd_start d "$router" 7000 -r -o

	check "W2 in→divert→out: the daemon answers" pings 5 "$client" "$router_client_at"
	check "W2 in→divert→out: each is read once" has_seen 5 d '^in '
	check "W2 in→divert→out: the host saw none" has_watched 0 "$router" delivered
}

# The host side ends at the daemon: nothing leaves.
out_answered()
{
	divert_rule "$router" output 7000 100 "$icmp" type echo-request
	watch "$router" left postrouting 0 "$icmp" type echo-request
	divertd_start d "$router" 7000 -r -i r0

	check "W3 out→divert→in: the daemon answers" pings 5 "$router" "$client_at"
	check "W3 out→divert→in: each is read once" has_seen 5 d '^out '
	check "W3 out→divert→in: none left the host" has_watched 0 "$router" left
}

# Both packets of a ping pass PRE_ROUTING and POST_ROUTING of the router.
forwarded()
{
	divert_rule "$router" prerouting 7000 100 "$any_ping"
	divert_rule "$router" postrouting 7001 100 "$any_ping"
	divertd_start in "$router" 7000
	divertd_start out "$router" 7001

	check "D2 in→divert→in→forward→out→divert→out: pings are answered" \
		pings 5 "$client" "$server_at"
	check "D2 in→divert→in: requests are read once" \
		has_seen 5 in "^in if=r0 cookie=100 .* sport=$icmp_request .* ttl=64 "
	check "D2 in→divert→in: replies are read once" \
		has_seen 5 in "^in if=r1 cookie=100 .* sport=$icmp_reply .* ttl=64 "
	check "R3 out→divert→out: requests are read once, with their interface" \
		has_seen 5 out "^out if=r0 cookie=100 .* sport=$icmp_request .* ttl=63 "
	check "R3 out→divert→out: replies are read once, with their interface" \
		has_seen 5 out "^out if=r1 cookie=100 .* sport=$icmp_reply .* ttl=63 "
	check "D2 nothing else is read on input" has_seen 10 in
	check "D2 nothing else is read on output" has_seen 10 out
}

# The address may come back without what it says beyond direction and cookie.
forgotten()
{
	divert_rule "$router" prerouting 7000 100 "$any_ping"
	divert_rule "$router" postrouting 7001 100 "$any_ping"
	divertd_start in "$router" 7000 -z
	divertd_start out "$router" 7001 -z

	check "W3 in→divert→in by address, W2 out→divert→out: pings are answered" \
		pings 3 "$client" "$server_at"
	check "W3 in→divert→in by address: each is read once" has_seen 6 in
	check "W2 out→divert→out without a name: each is read once" has_seen 6 out
}

# An AF_INET6 socket has the other addresses, for packets of both families.
other_socket()
{
	divert_rule "$router" prerouting 7000 100 "$any_ping"
	divert_rule "$router" output 7000 100 "$any_ping"
	divert_rule "$router" postrouting 7001 100 "$any_ping"
	divertd_start in "$router" 7000 -6
	divertd_start out "$router" 7001 -6

	check "S2 AF_INET6 socket: pings of the host are answered" pings 3 "$client" "$router_client_at"
	check "S2 AF_INET6 socket: requests are read once, with their interface" \
		has_seen 3 in "^in if=r0 cookie=100 .* dst=$router_client_at .* sport=$icmp_request "
	check "S2 AF_INET6 socket: replies are read once" \
		has_seen 3 in "^out if=- cookie=100 .* sport=$icmp_reply "
	check "S2 AF_INET6 socket: forwarded pings are answered" pings 3 "$client" "$server_at"
	check "S2 AF_INET6 socket: forwarded packets are read once on input" \
		has_seen 6 in "^in if=r[01] cookie=100 .*=$server_at "
	check "S2 AF_INET6 socket: forwarded requests are read once on output" \
		has_seen 3 out "^out if=r0 cookie=100 .* sport=$icmp_request .* ttl=63 "
	check "S2 AF_INET6 socket: nothing else is read on input" has_seen 12 in
	check "S2 AF_INET6 socket: no write fails" stop_without_errors
}

stop_without_errors()
{
	divertd_stop in out && has_total in errors=0 && has_total out errors=0
}

other_socket_turns()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" output 7001 100 "$icmp" type echo-request
	divertd_start in "$router" 7000 -6 -r -o
	divertd_start out "$router" 7001 -6 -r -i r0

	check "S2 AF_INET6 socket, in→divert→out: the daemon answers" \
		pings 3 "$client" "$router_client_at"
	check "S2 AF_INET6 socket, out→divert→in: the daemon answers" \
		pings 3 "$router" "$client_at"
	check "S2 AF_INET6 socket: requests are read once on input" has_seen 3 in '^in '
	check "S2 AF_INET6 socket: requests are read once on output" has_seen 3 out '^out '
}

# What IPv6 alone has: packets of the other family for an AF_INET socket, neighbours.
neighbours()
{
	divert_rule "$router" prerouting 7000 100 "$any_ping"
	divert_rule "$router" postrouting 7000 100 "$any_ping"
	divertd_start d "$router" 7000 -C

	ip -n "$router" neigh flush all
	ip -n "$client" neigh flush all
	ip -n "$server" neigh flush all
	check "6.1 IPv6 packets reach an AF_INET owner and come back" pings 2 "$client" "$server_at"
	check "6.2 R2 each is read once, with its interface, on input" \
		has_seen 2 d '^in if=r0 .* src=fd00:1::1 dst=fd00:2::1 proto=icmpv6 sport=128 '
	divertd_stop d
	check "6.2 D4 all checksums are valid" has_total d badip=0 badl4=0 errors=0
}

all()
{
	run in_dropped
	run out_dropped
	run in_passed
	run out_passed
	run in_answered
	run out_answered
	run forwarded
	run forgotten
	run other_socket
	run other_socket_turns
}

setup_routed
for family in $families; do
	use_family "$family"
	all
done
prefix=
[[ $families != *ip6* ]] || run neighbours
