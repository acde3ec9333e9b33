#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Devices of many kinds between the client and a diverting router:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	              daemon, on input and output
#
# Proves that packets pass a daemon in both directions whatever device they come by, that the
# address it reads leads back there, and that frames which are not this host's IP packets are left
# alone; over IPv4 and IPv6. VLAN, bridge and lo with TCP: scenarios/tcp.sh. VRF: vrf.sh.
# TIMEOUT=800
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

# Pings to the router and through it; each packet once in and, forwarded or sent, once out.
passes()	# DESCRIPTION NAME ROUTER-ADDRESS [SERVER-ADDRESS]
{
	local what=$1 name=$2 address=$3 through=${4-$server_at} hook
	for hook in prerouting output postrouting; do
		divert_always "$router" $hook 7000 100 "$any_ping"
	done
	divertd_start d "$router" 7000

	check "$what: pings of the router are answered" pings 3 "$client" "$address"
	check "$what: requests are read once" has_seen 3 d "^in if=$name .*dst=$address .*sport=$icmp_request"
	check "$what: replies are read once" has_seen 3 d "^out if=- .*src=$address .*sport=$icmp_reply"
	check "$what: forwarded pings are answered" pings 3 "$client" "$through"
	check "$what: forwarded requests are read once on input" \
		has_seen 3 d "^in if=$name .*dst=$through .*sport=$icmp_request"
	check "$what: forwarded requests are read once on output" \
		has_seen 3 d "^out if=$name .*dst=$through .*sport=$icmp_request"
	check "$what: nothing else is read" has_seen 18 d
	divertd_stop d
	check "$what: no write failed" has_total d errors=0
}

# NS DEVICE NETWORK HOST: 10.0.NETWORK.HOST or fd00:NETWORK::HOST
on_link()
{
	ip -n "$1" addr add "$net$3$host$4/$bits" dev "$2"
}

rename_r0()	# NAME
{
	local old=$r0
	ip -n "$router" link set "$old" down
	ip -n "$router" link set "$old" name "$1"
	ip -n "$router" link set "$1" up
	r0=$1
	answering "$router_client_at"
}

index_of()	# NS DEVICE
{
	ip -n "$1" -o link show "$2" | cut -d: -f1
}

r0=r0

names()
{
	rename_r0 seven77
	passes "R3 a name of 7 characters" seven77 "$router_client_at"
}

long_names()
{
	rename_r0 link-to-clients
	passes "R3 a name of 15 characters" "/$(index_of "$router" link-to-clients)" "$router_client_at"
}

no_address()
{
	ip -n "$router" addr flush dev r0 scope global
	ip -n "$router" addr add "$router_client_ip/32" dev lo
	ip -n "$router" addr add "$router_client_ip6/128" dev lo
	ip -n "$router" route add 10.0.1.0/24 dev r0
	ip -n "$router" route add fd00:1::/64 dev r0
	# Unlike ARP, neighbour discovery does not answer for other devices' addresses.
	ip -n "$client" neigh replace "$router_client_ip6" dev c0 \
		lladdr "$(ip -n "$router" -o link show r0 | sed 's/.*ether \([^ ]*\).*/\1/')"
	answering "$router_client_at"
	passes "R2 a device without an address" r0 "$router_client_at"
}

# Without its name too, the address alone must not turn packets round.
no_address_no_name()
{
	divert_always "$router" prerouting 7000 100 "$any_ping"
	divertd_start d "$router" 7000 -z
	check "R2 a device without an address, by index: pings are answered" \
		pings 3 "$client" "$router_client_at"
	check "R2 a device without an address, by index: each is read once" \
		has_seen 3 d '^in if=r0 '
	ip -n "$router" route del 10.0.1.0/24 dev r0
	ip -n "$router" route del fd00:1::/64 dev r0
	move_addresses lo r0
}

bonded()
{
	if ! modprobe -q bonding max_bonds=0; then
		skip "D11 bond" "no bonding"
		return
	fi
	ip -n "$router" link add bond0 type bond mode active-backup
	ip -n "$router" link set bond0 up
	move_addresses r0 bond0
	ip -n "$router" link set r0 down
	ip -n "$router" link set r0 master bond0
	answering "$router_client_at"
	passes "D11 bond" bond0 "$router_client_at"
}

no_device()	# NAME
{
	_fails ip -n "$router" link show "$1" >/dev/null 2>&1
}

no_bond()
{
	no_device bond0 && return
	ip -n "$router" link set r0 nomaster
	ip -n "$router" link set r0 up
	move_addresses bond0 r0
	ip -n "$router" link del bond0
	answering "$router_client_at"
}

bridged()
{
	ip -n "$router" link add br0 type bridge
	ip -n "$router" link set r0 master br0
	ip -n "$router" link set br0 up
	move_addresses r0 br0
	answering "$router_client_at"
	passes "D11 bridge" br0 "$router_client_at"
}

# Still the bridge: its port gives all it receives to the bridge.
bridge_port()
{
	divert_always "$router" prerouting 7000 100 "$any_ping"
	divertd_start d "$router" 7000 -i r0
	check "D11 bridge: nothing is received through its port" ping_lost "$client" "$router_client_at"
	check "D11 bridge: the packet was read" has_seen 1 d
	check "D11 bridge: writing to its port is refused" grep -qx 'error EADDRNOTAVAIL' "$tmp/d"
}

# Still the bridge, now with the server's link in it: what is bridged is not routed.
bridge_netfilter()
{
	if ! modprobe -q br_netfilter; then
		skip "D11 frames that are bridged are left alone" "no br_netfilter"
		return
	fi
	in_ns "$router" sysctl -qw net.bridge.bridge-nf-call-ip{,6}tables=1
	ip -n "$router" link set r1 master br0
	on_link "$client" c0 8 1
	on_link "$server" s0 8 2
	answering "${net}8${host}2"
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_always "$router" postrouting 7000 100 "$icmp" type echo-request
	watch "$router" bridged prerouting -300 "$icmp" type echo-request
	divertd_start d "$router" 7000
	check "D11 frames that are bridged pass" pings 3 "$client" "${net}8${host}2"
	check "D11 frames that are bridged do meet the rules" has_watched 3 "$router" bridged
	check "D11 frames that are bridged are left alone" has_seen 0 d
	ip -n "$client" addr del "${net}8${host}1/$bits" dev c0
	ip -n "$server" addr del "${net}8${host}2/$bits" dev s0
	ip -n "$router" link set r1 nomaster
	rmmod br_netfilter
}

no_bridge()
{
	move_addresses br0 r0
	ip -n "$router" link del br0
	answering "$router_client_at"
}

# How to make it on a host: NS OWN-ADDRESS OTHER-ADDRESS DEVICE. Tunnels go over the family that is
# tested, in it.
make_vlan()
{
	ip -n "$1" link add link "$4" name x0 type vlan id 5
}

make_macvlan()
{
	# Else the device below answers for its address.
	in_ns "$1" sysctl -qw "net.ipv4.conf.$4.arp_ignore=1"
	ip -n "$1" link add link "$4" name x0 type macvlan mode bridge
}

make_ipip()
{
	ip -n "$1" link add x0 type "$iptunnel" local "$2" remote "$3"
}

make_gre()
{
	ip -n "$1" link add x0 type "${tunnel}gre" local "$2" remote "$3"
}

make_gretap()
{
	ip -n "$1" link add x0 type "${tunnel}gretap" local "$2" remote "$3"
}

make_vxlan()
{
	ip -n "$1" link add x0 type vxlan id 7 local "$2" remote "$3" dstport 4789
}

stacked()	# KIND
{
	if ! "make_$1" "$router" "$router_client_at" "$client_at" r0; then
		skip "D11 $1" "cannot make one"
		return
	fi
	"make_$1" "$client" "$client_at" "$router_client_at" c0
	ip -n "$router" link set x0 up
	ip -n "$client" link set x0 up
	on_link "$router" x0 7 2
	on_link "$client" x0 7 1
	ip -n "$client" route add "$server_at" via "${net}7${host}2"
	answering "${net}7${host}2"
	passes "D11 $1" x0 "${net}7${host}2"
	ip -n "$router" link del x0
	ip -n "$client" link del x0
}

options()
{
	divert_always "$router" prerouting 7000 100 ip protocol icmp
	divert_always "$router" postrouting 7000 100 ip protocol icmp
	divertd_start d "$router" 7000 -C
	check "D4 packets with IP options pass" pings 3 "$client" 10.0.2.1 -R
	check "D4 routers on the way write into the options" grep -q '10\.0\.2\.2' "$tmp/ping"
	check "D4 packets with IP options are read once" has_seen 12 d
	divertd_stop d
	check "D4 packets with IP options are valid" has_total d badip=0 badl4=0 errors=0
}

all()
{
	local kind

	run names
	run long_names
	run rename_r0 r0
	run no_address
	run no_address_no_name
	run bonded
	run no_bond
	run bridged
	run bridge_port
	run bridge_netfilter
	run no_bridge
	for kind in vlan macvlan ipip gre gretap vxlan; do
		run stacked $kind
	done
	# IPv6 has extension headers instead: inet6.c.
	[ "$family" != ip ] || run options
}

setup_routed
# Links that go down and come back keep their addresses.
in_ns "$router" sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1
for family in $families; do
	use_family "$family"
	case $family in
	ip) net=10.0. host=. bits=24 iptunnel=ipip tunnel='' ;;
	ip6) net=fd00: host=:: bits=64 iptunnel=ip6tnl tunnel=ip6 ;;
	esac
	all
done
