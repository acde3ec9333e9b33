#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Datagrams that the receiving device has chained to one packet, each with headers of its own
# (rx-gro-list):
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#
# Proves that a daemon reads them one by one with valid checksums, however it reads, even headers
# only or whole packets, and so does a watcher; and that each goes on, once and in order.
# TIMEOUT=480
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

datagrams=20

# One call to send them, but the client's device takes none but single packets.
chain_devices()
{
	in_ns "$client" ethtool -K c0 tx-udp-segmentation off >/dev/null
	in_ns "$router" ethtool -K r0 gro on rx-gro-list on rx-udp-gro-forwarding off >/dev/null
}

transfer()
{
	local status=0
	spawn "$server" "$here/tools/datagrams.py" serve "$server_at" $datagrams >"$tmp/serve" 2>&1
	wait_until 10 grep -q ready "$tmp/serve" &&
		in_ns "$client" "$here/tools/datagrams.py" send "$server_at" $datagrams
	wait "$SPAWNED" || status=$?
	[ $status = 0 ] || cat "$tmp/serve"
	return $status
}

few_came()
{
	local n
	n=$(watched "$router" chained)
	[ "$n" -gt 0 ] && [ "$n" -lt $((datagrams / 2)) ] && return
	echo "$n packets"
	return 1
}

# Otherwise all below would show nothing.
chained()
{
	watch "$router" chained prerouting raw udp dport 5000
	check "O3 without a daemon: all arrive" transfer
	check "O3 the device chains them" few_came
}

diverted()	# DESCRIPTION IN-PLACE [OPTION...]
{
	local description=$1
	in_ns "$router" sysctl -qw net.divert.in_place="$2"
	shift 2
	divert_rule "$router" prerouting 7000 100 udp dport 5000
	divertd_start d "$router" 7000 -q -C "$@"
	check "O3 $description: all arrive" transfer
	divertd_stop d
	check "O3 $description: each is read by itself, with valid checksums" \
		has_total d read=$datagrams badip=0 badl4=0 errors=0
	in_ns "$router" sysctl -qw net.divert.in_place=0
}

# The copies are of the same chain.
teed()
{
	divert_rule "$router" prerouting 7000 100 udp dport 5000
	divertd_start owner "$router" 7000 -q -C
	divertd_start watcher "$router" 7000 -q -C -T
	check "B5 watched: all arrive" transfer
	divertd_stop owner watcher
	check "B5 watched: the owner reads each, with valid checksums" \
		has_total owner read=$datagrams badip=0 badl4=0 errors=0
	check "B5 watched: so does the watcher" \
		has_total watcher read=$datagrams badip=0 badl4=0 errors=0
}

held()		# DESCRIPTION [OPTION...]
{
	local description=$1
	shift
	divert_rule "$router" prerouting 7000 100 udp dport 5000
	holdd_start "$router" "$@"
	check "O7 $description: all arrive" transfer
	holdd_stop
	check "O7 $description: each has its own verdict" has_total h read=$datagrams errors=0
}

setup_routed
chain_devices || skip_all "the device does not chain packets"
for f in $families; do
	use_family "$f"
	run chained
	run diverted plain 0
	run diverted "whole packets" 0 -g
	run diverted "in place, at the rules" 1
	run diverted "in place, behind the hook" 2
	run teed
	run held "headers only"
	run held "headers only, in records" -r
done
