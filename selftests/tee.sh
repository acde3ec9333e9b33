#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packets that are watched on their way:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	             watchers and daemons
#
# Proves that copies are taken once a rule and stage and stop nothing: forwarded packets, large
# ones, those that wait in NFQUEUE in between; over IPv4 and IPv6.
# TIMEOUT=360
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

forwarded()
{
	local before
	before=$(divert_counter teed "$router")
	divert_always "$router" prerouting 7000 100 "$any_ping"
	divert_always "$router" postrouting 7000 100 "$any_ping"
	divertd_start w "$router" 7000 -T
	divertd_start v "$router" 7000 -T

	check "T1 forwarded packets are watched: pings are answered" pings 5 "$client" "$server_at"
	check "T1 forwarded packets are copied once on input" has_seen 10 w '^in .* ttl=64'
	check "T1 forwarded packets are copied once on output" has_seen 10 w '^out .* ttl=63'
	check "T1 forwarded packets are copied for each watcher" has_seen 20 v
	check "T1 nothing else is copied" has_seen 20 w
	check "L3 copies are counted" has_counted $((before + 40)) teed "$router"
}

# All of a host's own chains have the rule.
own()
{
	divert_always "$router" output 7000 100 "$icmp" type echo-reply
	divert_always "$router" postrouting 7000 100 "$icmp" type echo-reply
	divertd_start w "$router" 7000 -T

	check "T1 a host's own packets are watched: pings are answered" \
		pings 5 "$client" "$router_client_at"
	check "T1 a host's own packets are copied once" has_seen 5 w '^out '
}

# Watched by one rule, diverted by the next, on input and on output.
then_diverted()
{
	local hook
	for hook in prerouting postrouting; do
		divert_rule "$router" $hook 7000 100 "$any_ping"
		divert_rule "$router" $hook 7001 200 "$any_ping"
	done
	divertd_start w "$router" 7000 -T
	divertd_start d "$router" 7001

	check "T1 watched, then diverted: pings are answered" pings 5 "$client" "$server_at"
	check "T1 watched, then diverted: copied on input" has_seen 10 w '^in .* cookie=100 '
	check "T1 watched, then diverted: copied on output" has_seen 10 w '^out .* cookie=100 '
	check "T1 watched, then diverted: read on input" has_seen 10 d '^in .* cookie=200 '
	check "T1 watched, then diverted: read on output" has_seen 10 d '^out .* cookie=200 '
	check "T1 watched, then diverted: copied no more" has_seen 20 w
}

# What is left of so many bytes without the headers; TCP's has 32 bytes, but for a few at the start.
payload()	# PACKETS BYTES
{
	echo $(($2 - $1 * (header + 32)))
}

# The copies' payload is that of the packets that left, in as many pieces as it may be.
copied_once()	# NAME: its copies
{
	local copied left
	# shellcheck disable=SC2046 # two words each
	copied=$(payload $(sed -n 's/^out .* len=\([0-9]*\) .*/\1/p' "$tmp/$1" |
		awk '{ bytes += $1 } END { print NR, bytes + 0 }')) &&
	left=$(payload $(watched "$client" left) $(watched "$client" left bytes)) &&
	echo "copied $copied, left $left" &&
	[ "$copied" -gt $((1024 * 1024)) ] && [ "$copied" = "$left" ]
}

# What TCP sends in one piece is taken apart for the copy, and by NFQUEUE between the hooks.
large()
{
	divert_always "$client" output 7000 100 tcp dport 5000
	divert_always "$client" postrouting 7000 100 tcp dport 5000
	watch "$client" left postrouting 200 tcp dport 5000
	divertd_start w "$client" 7000 -T -C -l 1500

	check "T1 a transfer is watched" upload "$client" "$server" "$server_at"
	check "T1 its packets are copied once each" wait_until 10 copied_once w

	add_rule "$client" wait out output -50 tcp dport 5000 queue num 0
	nfqd_start "$client" 0
	check "T1 a transfer is watched and waits in NFQUEUE" upload "$client" "$server" "$server_at"
	check "T1 its packets are copied once each, taken apart or not" wait_until 10 copied_once w
	nfqd_stop
	divertd_stop w
	check "D5 copies are as on the wire" has_total w badip=0 badl4=0 long=0
}

# A rule that queues sees the packet once more after a copy: it has to go on from there.
queued_again()
{
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request meta mark 0
	add_rule "$router" wait in prerouting -140 \
		"$icmp" type echo-request meta mark 0xffff0064 queue num 0
	divertd_start w "$router" 7000 -T
	nfqd_start "$router" 0

	check "T1 packets that wait behind their copy pass" pings 5 "$client" "$router_client_at"
	check "T1 packets that wait behind their copy were copied once" has_seen 5 w
	nfqd_stop
	check "T1 they did wait" grep -qx 'total accepted=5' "$tmp/nfqd"
}

make_file 1
setup_routed
for family in $families; do
	use_family "$family"
	run forwarded
	run own
	run then_diverted
	run large
	run queued_again
done
