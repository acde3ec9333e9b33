#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A router answers DNS queries for some names itself, by the Python example divert-dns.py:
#
#	client c0 ─────── r0 router r1 ─────── s0 DNS server
#	                       │
#	                 divert-dns.py
#
# Proves that a daemon without any library can pass packets on, turn them round and forge them, over
# IPv4 and IPv6, for forwarded packets and for those of the host itself.
# TIMEOUT=180
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

# It knows one address for all names, and ends with the test.
dns_server()
{
	cat >"$tmp/server.py" <<-'END'
		import socket, struct
		sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		sock.bind(("::", 53))
		print("ready", flush=True)
		while True:
		    query, client = sock.recvfrom(512)
		    end = query.index(b"\0", 12) + 5
		    answer = struct.pack("!HHHLH4s", 0xc00c, 1, 1, 60, 4, bytes([192, 0, 2, 1]))
		    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
		    sock.sendto(header + query[12:end] + answer, client)
	END
	spawn "$server" python3 "$tmp/server.py" >"$tmp/server"
	wait_until 60 grep -q ready "$tmp/server"
}

# What dig says of a name: its address, or a status.
asked()		# NS NAME EXPECTED
{
	local said
	in_ns "$1" dig +tries=2 +time=10 "@$server_at" "$2" A >"$tmp/dig" 2>&1
	said=$(awk '/status: [A-Z]*/ { sub(/,/, "", $6); status = $6 }
		$4 == "A" { address = $5 }
		END { print status, address }' "$tmp/dig")
	[ "$said" = "$3" ] || { echo "said '$said'"; cat "$tmp/dig"; return 1; }
}

setup_routed
dns_server
in_ns "$router" sysctl -qw net.divert.no_listener=drop
for f in $families; do
	use_family "$f"
	watch "$server" queries prerouting -300 udp dport 53
	divert_rule "$router" prerouting 7000 100 udp dport 53
	divert_rule "$router" output 7000 100 udp dport 53
done
example_start "$router" 7000 divert-dns.py 7000 ads.example Tracker.Example
for f in $families; do
	use_family "$f"
	check "dns: other names are answered by the server" \
		asked "$client" www.example "NOERROR 192.0.2.1"
	check "dns: so are those that end alike" asked "$client" bads.example "NOERROR 192.0.2.1"
	check "dns: a name of the list does not exist" asked "$client" ads.example "NXDOMAIN "
	check "dns: nor one below it" asked "$client" a.b.ads.example "NXDOMAIN "
	check "dns: upper and lower case are the same" asked "$client" tRACKER.example "NXDOMAIN "
	check "W9 dns: a query of the router's own goes out" \
		asked "$router" www.example "NOERROR 192.0.2.1"
	check "dns: the server saw the allowed ones only" has_watched 3 "$server" queries
done
