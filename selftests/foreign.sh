#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Other users of the mark, beside a daemon at work:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                    daemon
#
# Proves that marks without a port of ours stay, that bits outside the masks stay also on packets
# that are diverted, and that policy routing by them goes on working; and what becomes of marked
# packets when the module is not there; over IPv4 and IPv6.
# TIMEOUT=480
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

small_marks()
{
	divertd_start d "$router" 7000
	add_rule "$router" steer in prerouting -160 "$icmp" type echo-request meta mark set 0x64
	watch "$router" kept_in forward 0 "$icmp" type echo-request meta mark 0x64
	watch "$router" kept_out postrouting 150 "$icmp" type echo-request meta mark 0x64

	check "D3 a mark without a port: packets pass" pings 3 "$client" "$server_at"
	check "D3 a mark without a port stays, on input" has_watched 3 "$router" kept_in
	check "D3 a mark without a port stays, on output" has_watched 3 "$router" kept_out
	check "D1 a mark without a port diverts nothing" has_seen 0 d
}

# Port 7000 is field 1 of four bits; the rest of the mark belongs to others.
narrow_masks()
{
	in_ns "$router" sysctl -qw net.divert.port_base=6999
	in_ns "$router" sysctl -qw net.divert.port_mask=0x000f0000
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x0000ff00
	ip -n "$router" "-$version" rule add fwmark 0x42/0xff table 100
	ip -n "$router" route add "$server_at" via "$server_at" dev r1 onlink table 100
	ip -n "$router" route add blackhole "$server_at"

	add_rule "$router" steer in prerouting -80 "$icmp" type echo-request \
		'meta mark set meta mark | 0x70000042'
	add_rule "$router" divert in prerouting mangle "$icmp" type echo-request \
		meta mark set 0x00016400
	add_rule "$router" divert out postrouting mangle "$icmp" type echo-request \
		'meta mark set meta mark | 0x00016400'
	watch "$router" shown postrouting -140 "$icmp" type echo-request meta mark 0x700f6442
	watch "$router" kept postrouting 150 "$icmp" type echo-request meta mark 0x70000042
	divertd_start d "$router" 7000 -m $((0x70000042))

	check "D1 narrow masks: packets pass, routed by other bits" pings 3 "$client" "$server_at"
	check "D1 narrow masks: packets are diverted" has_seen 3 d '^in .*cookie=100 '
	check "D1 narrow masks: and on output" has_seen 3 d '^out .*cookie=100 '
	check "C2 narrow masks: the mark shows the cookie" has_watched 3 "$router" shown
	check "W7 narrow masks: nobody else's bits are touched" has_watched 3 "$router" kept

	ip -n "$router" route del blackhole "$server_at"
	ip -n "$router" "-$version" route flush table 100
	ip -n "$router" "-$version" rule del fwmark 0x42/0xff table 100
	in_ns "$router" sysctl -qw net.divert.port_mask=0xffff0000
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x0000ffff
	in_ns "$router" sysctl -qw net.divert.port_base=0
}

field_zero_cookie()
{
	add_rule "$router" divert in prerouting mangle "$icmp" type echo-request \
		meta mark set 0x1b580000
	divertd_start d "$router" 7000

	check "D9 port without cookie: packets pass, and do not loop" pings 3 "$client" "$server_at"
	check "D9 port without cookie is read with cookie 65535" has_seen 3 d 'cookie=65535 '
}

# As README and divert(7) show: what still names a port behind our hooks was not diverted.
guard()
{
	add_rule "$router" guard in prerouting -99 'meta mark & 0xffff0000 != 0 drop'
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
}

absent()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	check "D12 the module goes while rules are there" wait_until 10 rmmod divert
	check "D12 without the module marked packets pass" pings 3 "$client" "$server_at"
	in_ns "$router" nft flush ruleset
	guard
	check "D12 without the module the guard rule drops them" ping_lost "$client" "$server_at"
	check "D12 without the module unmarked packets pass the guard" pings 1 "$router" "$server_at"
	"$here/insmod"
	check "D12 with the module, not used, the guard rule drops them" \
		ping_lost "$client" "$server_at"
	divertd_start d "$router" 7000
	check "D12 with a daemon they pass the guard" pings 3 "$client" "$server_at"
	check "D12 with a daemon they are read" has_seen 3 d
}

setup_routed
for family in $families; do
	use_family "$family"
	run small_marks
	run narrow_masks
	run field_zero_cookie
	run absent
done
