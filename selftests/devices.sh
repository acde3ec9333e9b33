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
# alone. VLAN, bridge and lo with TCP: scenarios/tcp.sh. VRF: vrf.sh.
# TIMEOUT=400
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

# Pings to the router and through it; each packet once in and, forwarded or sent, once out.
passes()	# DESCRIPTION NAME ROUTER-ADDRESS [SERVER-ADDRESS]
{
	local what=$1 name=$2 address=$3 through=${4-10.0.2.1} hook
	for hook in prerouting output postrouting; do
		divert_always "$router" $hook 7000 100 ip protocol icmp
	done
	divertd_start d "$router" 7000

	check "$what: pings of the router are answered" pings 3 "$client" "$address"
	check "$what: requests are read once" has_seen 3 d "^in if=$name .*dst=$address .*sport=8"
	check "$what: replies are read once" has_seen 3 d "^out if=- .*src=$address .*sport=0"
	check "$what: forwarded pings are answered" pings 3 "$client" "$through"
	check "$what: forwarded requests are read once on input" \
		has_seen 3 d "^in if=$name .*dst=$through .*sport=8"
	check "$what: forwarded requests are read once on output" \
		has_seen 3 d "^out if=$name .*dst=$through .*sport=8"
	check "$what: nothing else is read" has_seen 18 d
	divertd_stop d
	check "$what: no write failed" has_total d errors=0
}

answering()	# ADDRESS: until the link works; before there are rules
{
	wait_until 20 in_ns "$client" ping -c 1 -W 1 "$1"
}

rename_r0()	# NAME
{
	local old=$r0
	ip -n "$router" link set "$old" down
	ip -n "$router" link set "$old" name "$1"
	ip -n "$router" link set "$1" up
	r0=$1
	answering 10.0.1.2
}

index_of()	# NS DEVICE
{
	in_ns "$1" cat "/sys/class/net/$2/ifindex"
}

r0=r0

names()
{
	rename_r0 seven77
	passes "R3 a name of 7 characters" seven77 10.0.1.2
}

long_names()
{
	rename_r0 link-to-clients
	passes "R3 a name of 15 characters" "/$(index_of "$router" link-to-clients)" 10.0.1.2
}

no_address()
{
	ip -n "$router" addr flush dev r0 scope global
	ip -n "$router" addr add 10.0.1.2/32 dev lo
	ip -n "$router" route add 10.0.1.0/24 dev r0
	answering 10.0.1.2
	passes "R2 a device without an address" r0 10.0.1.2
}

# Without its name too, the address alone must not turn packets round.
no_address_no_name()
{
	divert_always "$router" prerouting 7000 100 ip protocol icmp
	divertd_start d "$router" 7000 -z
	check "R2 a device without an address, by index: pings are answered" \
		pings 3 "$client" 10.0.1.2
	check "R2 a device without an address, by index: each is read once" \
		has_seen 3 d '^in if=r0 '
	ip -n "$router" addr del 10.0.1.2/32 dev lo
	ip -n "$router" route del 10.0.1.0/24 dev r0
	ip -n "$router" addr add 10.0.1.2/24 dev r0
}

bonded()
{
	if ! modprobe -q bonding max_bonds=0; then
		skip "D11 bond" "no bonding"
		return
	fi
	ip -n "$router" link add bond0 type bond mode active-backup
	ip -n "$router" addr flush dev r0 scope global
	ip -n "$router" link set r0 down
	ip -n "$router" link set r0 master bond0
	ip -n "$router" link set bond0 up
	ip -n "$router" addr add 10.0.1.2/24 dev bond0
	answering 10.0.1.2
	passes "D11 bond" bond0 10.0.1.2
}

no_bond()
{
	ip -n "$router" link del bond0 2>/dev/null || return 0
	ip -n "$router" link set r0 up
	ip -n "$router" addr add 10.0.1.2/24 dev r0
	answering 10.0.1.2
}

bridged()
{
	ip -n "$router" link add br0 type bridge
	ip -n "$router" addr flush dev r0 scope global
	ip -n "$router" link set r0 master br0
	ip -n "$router" link set br0 up
	ip -n "$router" addr add 10.0.1.2/24 dev br0
	answering 10.0.1.2
	passes "D11 bridge" br0 10.0.1.2
}

# Still the bridge: its port gives all it receives to the bridge.
bridge_port()
{
	divert_always "$router" prerouting 7000 100 ip protocol icmp
	divertd_start d "$router" 7000 -i r0
	check "D11 bridge: nothing is received through its port" ping_lost "$client" 10.0.1.2
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
	in_ns "$router" sysctl -qw net.bridge.bridge-nf-call-iptables=1
	ip -n "$router" link set r1 master br0
	ip -n "$client" addr add 10.0.8.1/24 dev c0
	ip -n "$server" addr add 10.0.8.2/24 dev s0
	wait_until 20 in_ns "$client" ping -c 1 -W 1 10.0.8.2
	divert_always "$router" prerouting 7000 100 ip daddr 10.0.8.2
	divert_always "$router" postrouting 7000 100 ip daddr 10.0.8.2
	watch "$router" bridged prerouting -300 ip daddr 10.0.8.2
	divertd_start d "$router" 7000
	check "D11 frames that are bridged pass" pings 3 "$client" 10.0.8.2
	check "D11 frames that are bridged do meet the rules" has_watched 3 "$router" bridged
	check "D11 frames that are bridged are left alone" has_seen 0 d
	ip -n "$client" addr del 10.0.8.1/24 dev c0
	ip -n "$server" addr del 10.0.8.2/24 dev s0
	rmmod br_netfilter
}

no_bridge()
{
	ip -n "$router" link del br0
	ip -n "$router" addr add 10.0.1.2/24 dev r0
	answering 10.0.1.2
}

# NAME, and how to make it on a host: NS OWN-ADDRESS OTHER-ADDRESS. IP on it is 10.0.7.0/24.
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
	ip -n "$1" link add x0 type ipip local "$2" remote "$3"
}

make_gre()
{
	ip -n "$1" link add x0 type gre local "$2" remote "$3"
}

make_gretap()
{
	ip -n "$1" link add x0 type gretap local "$2" remote "$3"
}

make_vxlan()
{
	ip -n "$1" link add x0 type vxlan id 7 local "$2" remote "$3" dstport 4789
}

stacked()	# KIND
{
	if ! "make_$1" "$router" 10.0.1.2 10.0.1.1 r0; then
		skip "D11 $1" "cannot make one"
		return
	fi
	"make_$1" "$client" 10.0.1.1 10.0.1.2 c0
	ip -n "$router" addr add 10.0.7.2/24 dev x0
	ip -n "$client" addr add 10.0.7.1/24 dev x0
	ip -n "$router" link set x0 up
	ip -n "$client" link set x0 up
	ip -n "$client" route add 10.0.2.0/24 via 10.0.7.2
	answering 10.0.7.2
	passes "D11 $1" x0 10.0.7.2
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

setup_routed
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
run options
