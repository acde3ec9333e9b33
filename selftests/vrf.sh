#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A VRF passes its packets through PRE_ROUTING twice, as the enslaved device's and as its own:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                   └── vrf0 ──┘
#
# Proves that each packet is still diverted once, whichever pass a rule means, and goes on inside
# the VRF, to the router itself and through it; over IPv4 and IPv6. The main table leads nowhere.
# TIMEOUT=450
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

in_both_passes()
{
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000

	check "D2 VRF: pings of the router are answered" pings 3 "$client" "$router_client_at"
	check "D2 VRF: each is read once, as the enslaved device's" has_seen 3 d '^in if=r0 '
	check "D2 VRF: forwarded pings are answered" pings 3 "$client" "$server_at"
	check "D2 VRF: each is read once, as the enslaved device's, forwarded" \
		has_seen 3 d "^in if=r0 .*dst=$server_at"
	check "D2 VRF: nothing else is read" has_seen 6 d
}

in_second_pass()
{
	divert_always "$router" prerouting 7000 100 iifname vrf0 "$icmp" type echo-request
	divertd_start d "$router" 7000

	check "D11 VRF, rule for its own device: pings of the router" pings 3 "$client" "$router_client_at"
	check "D11 VRF, rule for its own device: each is read once" has_seen 3 d '^in if=vrf0 '
	check "D11 VRF, rule for its own device: forwarded pings" pings 3 "$client" "$server_at"
	check "D11 VRF, rule for its own device: each is read once, forwarded" \
		has_seen 3 d "^in if=vrf0 .*dst=$server_at"
	check "D11 VRF, rule for its own device: nothing else is read" has_seen 6 d
}

chained()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" prerouting 7001 200 "$icmp" type echo-request
	divertd_start a "$router" 7000 -t 50
	divertd_start b "$router" 7001

	check "C2 VRF: two daemons in a chain: pings are answered" pings 3 "$client" "$router_client_at"
	check "C2 VRF: the first reads each once" has_seen 3 a 'ttl=64'
	check "C2 VRF: the second reads each once" has_seen 3 b 'ttl=50'
	check "C2 VRF: the first reads nothing else" has_seen 3 a
	check "C2 VRF: the second reads nothing else" has_seen 3 b
}

# The sender's VRF is part of where an outgoing packet goes.
out()
{
	divert_always "$router" output 7000 100 "$any_ping"
	divert_always "$router" postrouting 7001 100 "$any_ping"
	divertd_start local "$router" 7000
	divertd_start forwarded "$router" 7001

	check "W9 VRF: pings of the router are answered" pings 3 "$client" "$router_client_at"
	check "W9 VRF: replies are read once" has_seen 3 local "^out .* sport=$icmp_reply "
	check "W9 VRF: pings from inside are answered" pings 3 "$router" "$server_at" -I vrf0
	check "W9 VRF: requests from inside are read once" has_seen 3 local "^out .* sport=$icmp_request "
	check "W9 VRF: forwarded pings are answered" pings 3 "$client" "$server_at"
	check "W9 VRF: forwarded packets are read once" has_seen 6 forwarded '^out .* ttl=63 '
	check "W9 VRF: nothing else is read" has_seen 6 local
}

# Bound to the VRF, a socket reads what its members receive.
bound()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -b vrf0

	check "S6 VRF: pings by a daemon bound to it are answered" pings 3 "$client" "$router_client_at"
	check "S6 VRF: a daemon bound to it reads each once" has_seen 3 d '^in if=r0 '
}

modprobe -q vrf || skip_all "no VRF devices"
setup_routed
ip -n "$router" link add vrf0 type vrf table 10
ip -n "$router" link set vrf0 up
ip -n "$router" route add blackhole default
ip -n "$router" -6 route add blackhole default
# A device loses its IPv6 addresses as it joins.
in_ns "$router" sysctl -qw net.ipv6.conf.{r0,r1}.keep_addr_on_down=1
ip -n "$router" link set r0 master vrf0
ip -n "$router" link set r1 master vrf0

for family in $families; do
	use_family "$family"
	# Devices go down and up as they join: the kernel takes up to a second to use them again.
	answering "$server_at"
	run in_both_passes
	run in_second_pass
	run chained
	run bound
	run out
done
