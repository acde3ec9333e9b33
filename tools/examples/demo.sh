#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# usage: demo.sh [divert-print]
# Show a small daemon on a router change a web page on its way from server to client. As root, in
# the VM ("make demo") or on a machine that may load the module. Fails if the change did not arrive.
# Given a divert-print that is installed, it needs nothing of the tree, but the module loaded.
set -euo pipefail

print=${1-build/examples/divert-print}
[ $# -gt 0 ] || cd "$(dirname "$(readlink -f "$0")")/../.."
client=client-$$ router=router-$$ server=server-$$
tmp=$(mktemp -d)
loaded=
pids=()

cleanup()
{
	if [ ${#pids[@]} -gt 0 ]; then
		kill "${pids[@]}" 2>/dev/null || :
		wait "${pids[@]}" 2>/dev/null || :
	fi
	for ns in $client $router $server; do
		ip netns del "$ns" 2>/dev/null || :
	done
	[ -z "$loaded" ] || rmmod divert
	rm -r "$tmp"
}
trap cleanup EXIT

die()
{
	echo "demo: $*" >&2
	exit 1
}

say()
{
	printf '\n%s\n' "$*"
}

indent()
{
	sed 's/^/    /'
}

# What a person would type; then do it.
show()
{
	echo "    $1"
	shift
	"$@" 2>&1 | indent
}

on()
{
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# Wait until a command succeeds.
until_ok()
{
	local deadline=$((SECONDS + 30))
	until "$@"; do
		[ $SECONDS -lt $deadline ] || die "gave up waiting for: $*"
		sleep 0.1
	done
}

load_module()
{
	if [ ! -e /proc/net/divert ]; then
		selftests/insmod
		loaded=1
	fi
}

network()
{
	for ns in $client $router $server; do
		ip netns add "$ns"
		ip -n "$ns" link set lo up
	done
	ip link add lan netns $router type veth peer name eth0 netns $client
	ip link add wan netns $router type veth peer name eth0 netns $server
	ip -n $router addr add 10.0.1.1/24 dev lan
	ip -n $router addr add 10.0.2.1/24 dev wan
	ip -n $client addr add 10.0.1.2/24 dev eth0
	ip -n $server addr add 10.0.2.2/24 dev eth0
	for link in "$router lan" "$router wan" "$client eth0" "$server eth0"; do
		ip -n "${link% *}" link set "${link#* }" up
	done
	ip -n $client route add default via 10.0.1.1
	ip -n $server route add default via 10.0.2.1
	on $router sysctl -qw net.ipv4.ip_forward=1
}

listening()
{
	on $server ss -Hltn 'sport = :80' | grep -q .
}

web_server()
{
	echo 'The cat is black.' >"$tmp/index.html"
	ip netns exec $server python3 -m http.server --directory "$tmp" 80 >/dev/null 2>&1 &
	pids+=($!)
	until_ok listening
}

fetch()
{
	on $client curl -sS --max-time 30 http://10.0.2.2/
}

bound()
{
	on $router grep -q '^ *8668:' /proc/net/divert
}

daemon()
{
	ip netns exec $router "$print" --port 8668 --rewrite black=white \
		>"$tmp/seen" 2>&1 &
	pids+=($!)
	until_ok bound
}

rules()
{
	cat <<'END'
table ip demo {
    chain divert {
        type filter hook prerouting priority mangle
        iifname "wan" tcp sport 80 meta mark set 0x21dc0064
    }
}
END
}

# Counters that are not zero, summed over the CPUs; the file has them in hexadecimal.
counters()
{
	local -a names values sums
	local i
	on $router cat /proc/net/stat/divert >"$tmp/counters"
	{
		read -ra names
		while read -ra values; do
			for i in "${!values[@]}"; do
				sums[i]=$((${sums[i]-0} + 16#${values[i]}))
			done
		done
	} <"$tmp/counters"
	for i in "${!names[@]}"; do
		[ "${sums[i]}" = 0 ] || printf '%-10s %s\n' "${names[i]}" "${sums[i]}"
	done
}

if [ $# = 0 ]; then
	make -s -C tools/examples
	load_module
fi
network
web_server

cat <<'END'
A program on the router changes a web page on its way to the client.

    client                  router                  server
    10.0.1.2 ---------- lan        wan ---------- 10.0.2.2
END

say "Before: the router forwards, the client reads what the server says."
show "client# curl http://10.0.2.2/" fetch

say "Now one firewall rule on the router. It marks what comes from the web server
for divert port 8668 (0x21dc) and calls itself rule 100 (0x0064)."
rules >"$tmp/demo.nft"
show "router# cat demo.nft; nft -f demo.nft" cat "$tmp/demo.nft"
on $router nft -f "$tmp/demo.nft"

say "A program has port 8668. It reads packets, changes a word, writes them back."
echo "    router# divert-print --port 8668 --rewrite black=white"
daemon

say "After: the same page."
show "client# curl http://10.0.2.2/" fetch | tee "$tmp/after"

say "What the program saw:"
indent <"$tmp/seen"

say "Its socket, and the counters of the router:"
show "router# cat /proc/net/divert" on $router cut -c 1-58 /proc/net/divert
show "router# /proc/net/stat/divert, without zeros" counters

grep -q 'The cat is white.' "$tmp/after" || die "the changed page did not arrive"
say "The server said black, the client read white, and neither knows."
