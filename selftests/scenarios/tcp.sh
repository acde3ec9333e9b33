#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Files go through daemons by TCP, with segmentation offload on:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	              daemons, on all hooks
#
# Proves, for many ways a router may be set up, that every byte arrives, and that all a daemon
# reads is as on the wire: no packet larger than the MTU, none with a wrong checksum; over IPv4
# and IPv6.
# TIMEOUT=1800
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

# Both directions of the connection, but no other.
tcp_rules()	# HOOK...
{
	local hook
	for hook; do
		divert_rule "$router" "$hook" 7000 100 tcp dport 5000
		divert_rule "$router" "$hook" 7000 100 tcp sport 5000
	done
	divertd_start d "$router" 7000 -q -C -l "${longest-1500}"
}

all_valid()	# DESCRIPTION
{
	divertd_stop d
	check "D4 $1: all checksums are valid" has_total d badip=0 badl4=0
	check "D5 $1: no packet is larger than the MTU" has_total d long=0
	check "W2 $1: every packet is written back" has_total d errors=0
	check "D5 $1: many packets were read" [ "$(total d read)" -gt 200 ]
}

# Large, and through two stages each way.
plain()
{
	make_file 32
	watch "$router" stack prerouting -149 tcp dport 5000 meta mark 0
	tcp_rules prerouting postrouting

	check "D5 forwarded: 32 MiB up" upload "$client" "$server" "$server_at" 120
	check "D5 forwarded: 32 MiB down" download "$client" "$server" "$server_at" 120
	all_valid forwarded
	check "D5 forwarded: the stack's packets were larger than those read" \
		[ "$(($(watched "$router" stack) * 4))" -lt "$(total d read)" ]
}

transfers()	# DESCRIPTION ADDRESS [SERVER]
{
	check "D4 $1: 4 MiB up" upload "$client" "${3-$server}" "$2"
	check "D4 $1: 4 MiB down" download "$client" "${3-$server}" "$2"
	all_valid "$1"
}

local_ends()
{
	tcp_rules prerouting output
	transfers "to the router itself" "$router_client_at" "$router"
}

masqueraded()
{
	in_ns "$router" nft -f - <<-RULES
		table $family nat {
			chain out {
				type nat hook postrouting priority srcnat
				oifname r1 masquerade
			}
		}
	RULES
	watch "$router" invalid forward 0 ct state invalid
	watch "$server" masqueraded input 0 "$family" saddr "$router_server_at" tcp dport 5000
	# Not replies at POST_ROUTING: there NAT has been undone, and lets go of what is written.
	divert_rule "$router" postrouting 7000 100 oifname r1 tcp dport 5000
	tcp_rules prerouting

	transfers "masqueraded" "$server_at"
	check "D4 masqueraded: packets did come from the router" \
		[ "$(watched "$server" masqueraded)" -gt 0 ]
	check "D4 masqueraded: connection tracking finds none invalid" \
		has_watched 0 "$router" invalid
}

destination_nat()
{
	in_ns "$router" nft -f - <<-RULES
		table $family nat {
			chain in {
				type nat hook prerouting priority dstnat
				$family daddr $router_client_at tcp dport 5000 dnat to $server_at
			}
		}
	RULES
	watch "$router" invalid forward 0 ct state invalid
	tcp_rules prerouting

	transfers "destination NAT" "$router_client_at"
	check "D4 destination NAT: connection tracking finds none invalid" \
		has_watched 0 "$router" invalid
}

strict_rp_filter()
{
	in_ns "$router" sysctl -qw net.ipv4.conf.{all,default,r0,r1}.rp_filter=1
	tcp_rules prerouting postrouting
	transfers "rp_filter=1" "$server_at"
	in_ns "$router" sysctl -qw net.ipv4.conf.{all,default,r0,r1}.rp_filter=0
}

# Marked packets have a table of their own; the main one leads nowhere.
policy_routed()
{
	ip -n "$router" "-$version" rule add fwmark 0x1/0x1 table 100
	ip -n "$router" route add "$server_at" via "$server_at" dev r1 onlink table 100
	ip -n "$router" route add blackhole "$server_at"
	add_rule "$router" steer in prerouting -90 "$family" daddr "$server_at" meta mark set 0x1
	tcp_rules prerouting

	transfers "policy route by fwmark" "$server_at"
	ip -n "$router" route del blackhole "$server_at"
	ip -n "$router" "-$version" route flush table 100
	ip -n "$router" "-$version" rule del fwmark 0x1/0x1 table 100
}

loopback()
{
	local longest=65536 client=$router	# the device's MTU
	tcp_rules prerouting output
	transfers "over lo" "$loopback_at" "$router"
}

# IP on the bridge, whose port is the link to the client.
bridged()
{
	ip -n "$router" link add br0 type bridge
	move_addresses r0 br0
	ip -n "$router" link set r0 master br0
	ip -n "$router" link set br0 up
	ping_until_answered
	tcp_rules prerouting postrouting output

	transfers "over a bridge" "$server_at"
	move_addresses br0 r0
	ip -n "$router" link del br0
	ping_until_answered
}

ping_until_answered()
{
	wait_until 20 in_ns "$client" ping -c 1 -W 1 "$router_client_at"
}

vlan()
{
	local ns dev number
	for ns in client:c0:1 router:r0:2; do
		IFS=: read -r ns dev number <<<"$ns"
		ip -n "${!ns}" link add link "$dev" name v5 type vlan id 5
		ip -n "${!ns}" addr add "10.0.5.$number/24" dev v5
		ip -n "${!ns}" addr add "fd00:5::$number/64" dev v5 nodad
		ip -n "${!ns}" link set v5 up
	done
	case $family in
	ip) ip -n "$client" route add "$server_at" via 10.0.5.2 ;;
	ip6) ip -n "$client" route add "$server_at" via fd00:5::2 ;;
	esac
	tcp_rules prerouting postrouting

	transfers "over a VLAN" "$server_at"
	ip -n "$client" link del v5
	ip -n "$router" link del v5
}

all()
{
	run plain
	make_file 4
	run local_ends
	run masqueraded
	run destination_nat
	# IPv6 has no such setting.
	[ "$family" != ip ] || run strict_rp_filter
	run policy_routed
	run loopback
	run bridged
	run vlan
}

setup_routed
for family in $families; do
	use_family "$family"
	all
done
