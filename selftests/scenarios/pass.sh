#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# All of a router's traffic goes through the example divert-pass:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                  divert-pass
#
# Proves that pings and files come through whole, over IPv4 and IPv6, and that each packet that was
# read has been written back.
# TIMEOUT=300
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

all_written()
{
	local read
	read=$(divert_counter read "$router")
	echo "read $read"
	[ "$read" -gt 100 ] && [ "$(($(divert_counter inject_in "$router") +
		$(divert_counter inject_out "$router")))" = "$read" ]
}

setup_routed
make_file 4
example_start "$router" 7000 divert-pass 7000
for f in $families; do
	use_family "$f"
	for hook in prerouting postrouting; do
		divert_rule "$router" $hook 7000 100 meta l4proto tcp
		divert_rule "$router" $hook 7000 101 "$any_ping"
	done
	check "pass: pings are answered" pings 5 "$client" "$server_at"
	check "pass: a file goes up" upload "$client" "$server" "$server_at"
	check "pass: a file comes down" download "$client" "$server" "$server_at"
done
prefix=
check "L3 pass: what was read has been written" wait_until 10 all_written
