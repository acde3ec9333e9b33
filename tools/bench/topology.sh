# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables of "measure"
# The namespaces of a scenario; drawn in "measure".

client_ip=10.0.1.1 router_ip=10.0.1.2 server_ip=10.0.2.1
client='' router='' server=''
_topologies=0

# A device at the end of a link, with nothing to resolve: NAMESPACE DEVICE ADDRESS PEER, both
# addresses' MACs are made of their last bytes.
_device()
{
	local a=${3##*.} net=${3%.*} peer=${4##*.}
	net=${net##*.}
	ip -n "$1" -batch - <<-EOT
		link set $2 address 02:00:00:00:0$net:0$a up
		address add $3/24 dev $2
		neighbour replace $4 lladdr 02:00:00:00:0$net:0$peer dev $2 nud permanent
	EOT
}

# Two ends of a link; physical devices are moved in and get the names of virtual ones.
_link()		# NAMESPACE DEVICE NAMESPACE DEVICE INDEX
{
	if [ ${#devices[@]} = 0 ]; then
		ip -n "$1" link add "$2" type veth peer name "$4" netns "$3"
		return
	fi
	ip link set "${devices[$5]}" down netns "$1" name "$2"
	ip link set "${devices[$5 + 1]}" down netns "$3" name "$4"
}

topology_make()
{
	local ns
	_topologies=$((_topologies + 1))
	client=bench-c$$-$_topologies router=bench-r$$-$_topologies server=bench-s$$-$_topologies
	for ns in $client $router $server; do
		ip netns add "$ns"
		ip netns exec "$ns" sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1 \
			net.ipv4.conf.{all,default}.rp_filter=0 net.ipv4.ip_forward=1
		ip -n "$ns" link set lo up
	done
	# Its end here goes when the router has gone.
	ip link add bench$$ type veth peer name gone netns "$router"
	_link "$client" c0 "$router" r0 0
	_link "$router" r1 "$server" s0 2
	_device "$client" c0 10.0.1.1 10.0.1.2
	_device "$router" r0 10.0.1.2 10.0.1.1
	_device "$router" r1 10.0.2.2 10.0.2.1
	_device "$server" s0 10.0.2.1 10.0.2.2
	ip -n "$client" route add default via 10.0.1.2
	ip -n "$server" route add default via 10.0.2.2
}

_gone()
{
	! ip link show dev bench$$ >/dev/null 2>&1
}

# Until it has gone: what hooks a namespace has, others pay for, a little.
topology_remove()
{
	local ns
	[ -n "$router" ] || return 0
	_devices_back
	for ns in $client $router $server; do
		ip netns del "$ns"
	done
	client='' router='' server=''
	wait_for 60 "the end of namespaces" _gone
}

# Physical devices get their names back; the kernel moves them home when their namespace goes.
_devices_back()
{
	[ ${#devices[@]} -gt 0 ] || return 0
	ip -n "$client" link set c0 down name "${devices[0]}" netns 1
	ip -n "$router" link set r0 down name "${devices[1]}" netns 1
	ip -n "$router" link set r1 down name "${devices[2]}" netns 1
	ip -n "$server" link set s0 down name "${devices[3]}" netns 1
}
