#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ways a packet can be led through a daemon, on one link and across a router:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	          daemons, on input and output
#
# Proves for each way that packets arrive, that a daemon reads each packet once and no other, and
# that the address it reads says direction and interface.
# TIMEOUT=240
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

in_dropped()
{
	divert_rule "$router" prerouting 7000 100 icmp type echo-request
	divertd_start d "$router" 7000 -d

	check "D4 in→divert: a packet that is not written back is gone" ping_lost "$client" 10.0.1.2
	check "R2 in→divert: the daemon reads it once" \
		has_seen 1 d '^in if=r0 cookie=100 src=10.0.1.1 dst=10.0.1.2 proto=icmp'
	in_ns "$router" nft flush ruleset
	check "D4 in→divert: without the rule it arrives" pings 1 "$client" 10.0.1.2
	check "D4 in→divert: and is not read" has_seen 1 d
}

out_dropped()
{
	divert_rule "$router" output 7000 100 icmp type echo-request
	divertd_start d "$router" 7000 -d

	check "D4 out→divert: a packet that is not written back is gone" ping_lost "$router" 10.0.1.1
	check "R2 out→divert: the daemon reads it once" \
		has_seen 1 d '^out if=- cookie=100 src=10.0.1.2 dst=10.0.1.1 proto=icmp'
	in_ns "$router" nft flush ruleset
	check "D4 out→divert: without the rule it arrives" pings 1 "$router" 10.0.1.1
	check "D4 out→divert: and is not read" has_seen 1 d
}

in_passed()
{
	divert_rule "$router" prerouting 7000 100 ip protocol icmp
	divertd_start d "$router" 7000

	check "R4 in→divert→in: pings are answered" pings 5 "$client" 10.0.1.2
	check "R4 in→divert→in: each is read once" has_seen 5 d '^in if=r0 .* sport=8 '
	check "R4 in→divert→in: nothing else is read" has_seen 5 d
}

out_passed()
{
	divert_rule "$router" output 7000 100 ip protocol icmp
	divertd_start d "$router" 7000

	check "R4 out→divert→out: pings are answered" pings 5 "$client" 10.0.1.2
	check "R4 out→divert→out: each reply is read once" has_seen 5 d '^out if=- .* sport=0 '
	check "R4 out→divert→out: nothing else is read" has_seen 5 d
}

# The network side ends at the daemon: the host's own stack never sees the requests.
in_answered()
{
	divert_rule "$router" prerouting 7000 100 icmp type echo-request
	watch "$router" delivered input 0 icmp type echo-request
	divertd_start d "$router" 7000 -r -o

	check "W2 in→divert→out: the daemon answers" pings 5 "$client" 10.0.1.2
	check "W2 in→divert→out: each is read once" has_seen 5 d '^in '
	check "W2 in→divert→out: the host saw none" has_watched 0 "$router" delivered
}

# The host side ends at the daemon: nothing leaves.
out_answered()
{
	divert_rule "$router" output 7000 100 icmp type echo-request
	watch "$router" left postrouting 0 icmp type echo-request
	divertd_start d "$router" 7000 -r -i r0

	check "W3 out→divert→in: the daemon answers" pings 5 "$router" 10.0.1.1
	check "W3 out→divert→in: each is read once" has_seen 5 d '^out '
	check "W3 out→divert→in: none left the host" has_watched 0 "$router" left
}

# Both packets of a ping pass PRE_ROUTING and POST_ROUTING of the router.
forwarded()
{
	divert_rule "$router" prerouting 7000 100 ip protocol icmp
	divert_rule "$router" postrouting 7001 100 ip protocol icmp
	divertd_start in "$router" 7000
	divertd_start out "$router" 7001

	check "D2 in→divert→in→forward→out→divert→out: pings are answered" \
		pings 5 "$client" 10.0.2.1
	check "D2 in→divert→in: requests are read once" \
		has_seen 5 in '^in if=r0 cookie=100 .* sport=8 .* ttl=64 '
	check "D2 in→divert→in: replies are read once" \
		has_seen 5 in '^in if=r1 cookie=100 .* sport=0 .* ttl=64 '
	check "R3 out→divert→out: requests are read once, with their interface" \
		has_seen 5 out '^out if=r0 cookie=100 .* sport=8 .* ttl=63 '
	check "R3 out→divert→out: replies are read once, with their interface" \
		has_seen 5 out '^out if=r1 cookie=100 .* sport=0 .* ttl=63 '
	check "D2 nothing else is read on input" has_seen 10 in
	check "D2 nothing else is read on output" has_seen 10 out
}

# The address may come back without what it says beyond direction and cookie.
forgotten()
{
	divert_rule "$router" prerouting 7000 100 ip protocol icmp
	divert_rule "$router" postrouting 7001 100 ip protocol icmp
	divertd_start in "$router" 7000 -z
	divertd_start out "$router" 7001 -z

	check "W3 in→divert→in by address, W2 out→divert→out: pings are answered" \
		pings 3 "$client" 10.0.2.1
	check "W3 in→divert→in by address: each is read once" has_seen 6 in
	check "W2 out→divert→out without a name: each is read once" has_seen 6 out
}

setup_routed
run in_dropped
run out_dropped
run in_passed
run out_passed
run in_answered
run out_answered
run forwarded
run forgotten
