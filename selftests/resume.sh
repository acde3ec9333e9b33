#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a packet that comes from a daemon carries: the cookie it resumes after.
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	  │                    │
#	daemon              daemons, on input and output
#
# Proves that no rule gets a packet twice, that rules follow each other in order whatever lies
# between write and hook, that the firewall is shown where a packet stands, and that nobody but a
# divert socket can say so; over IPv4 and IPv6.
# TIMEOUT=900
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

# Rules that would take a packet again whenever they see it, on every hook of the router.
always_everywhere()
{
	local hook
	for hook in prerouting output postrouting; do
		divert_always "$router" $hook 7000 100 "${*-}"
	done
}

unconditional()
{
	always_everywhere "$any_ping"
	divertd_start d "$router" 7000

	check "C1 an unconditional rule does not loop: pings of the host" pings 3 "$client" "$router_client_at"
	check "C1 an unconditional rule does not loop on input" has_seen 3 d "^in .*sport=$icmp_request"
	check "C1 an unconditional rule does not loop on output" has_seen 3 d "^out .*sport=$icmp_reply"
	check "C1 an unconditional rule does not loop: nothing else is read" has_seen 6 d
	check "C1 an unconditional rule does not loop: forwarded pings" pings 3 "$client" "$server_at"
	check "C1 forwarded packets are read once on input and, by the same rule, once on output" \
		has_seen 6 d "^in .* dst=($server_at|$client_at) .* ttl=64"
	check "C1 forwarded packets are read once on output" has_seen 6 d '^out .* ttl=63'
	check "C1 nothing else is read" has_seen 18 d
}

# Rules may even destroy the mark: the cookie is bound to the packet.
overwritten()
{
	always_everywhere "$any_ping"
	add_rule "$router" overwrite in prerouting -160 meta mark set 0
	add_rule "$router" overwrite out output -160 meta mark set 0
	add_rule "$router" overwrite post postrouting -160 meta mark set 0
	divertd_start d "$router" 7000

	check "C1 a packet whose mark was overwritten does not loop" pings 3 "$client" "$server_at"
	check "C1 a packet whose mark was overwritten is read once a stage" has_seen 12 d
}

# The first daemon changes the TTL, so that what the second reads says who was first.
chained()
{
	local hook=$1 to=$2 direction=$3 packets=$4 type=$5

	divert_rule "$router" "$hook" 7000 100 "$icmp" type "$type"
	divert_rule "$router" "$hook" 7001 200 "$icmp" type "$type"
	divertd_start a "$router" 7000 -t 50
	divertd_start b "$router" 7001

	check "C2 two daemons in a chain, $hook: pings are answered" pings "$packets" "$client" "$to"
	check "C2 two daemons in a chain, $hook: the first reads each once, first" \
		has_seen "$packets" a "^$direction .* cookie=100 .* ttl=6[34]"
	check "C2 two daemons in a chain, $hook: the second reads each once, second" \
		has_seen "$packets" b "^$direction .* cookie=200 .* ttl=50"
	check "C2 two daemons in a chain, $hook: the first reads nothing else" has_seen "$packets" a
	check "C2 two daemons in a chain, $hook: the second reads nothing else" \
		has_seen "$packets" b
}

jump_forward()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" prerouting 7001 200 "$icmp" type echo-request
	divert_rule "$router" prerouting 7002 300 "$icmp" type echo-request
	divertd_start a "$router" 7000 -c 250
	divertd_start b "$router" 7001
	divertd_start c "$router" 7002

	check "C1 a higher cookie jumps: pings are answered" pings 3 "$client" "$router_client_at"
	check "C1 a higher cookie jumps: the rule before reads each" has_seen 3 a
	check "C1 a higher cookie jumps: the rule between reads none" has_seen 0 b
	check "C1 a higher cookie jumps: the rule beyond reads each" has_seen 3 c
}

jump_back()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request
	divert_rule "$router" prerouting 7001 200 "$icmp" type echo-request "$ttl 64"
	divertd_start a "$router" 7000
	divertd_start b "$router" 7001 -t 50 -c 99

	check "C1 a lower cookie goes back: pings are answered" pings 3 "$client" "$router_client_at"
	check "C1 a lower cookie goes back: the rule read it before" has_seen 3 a 'ttl=64'
	check "C1 a lower cookie goes back: the rule beyond it reads it again" has_seen 3 a 'ttl=50'
	check "C1 a lower cookie goes back: the rule that sent it back reads it once" has_seen 3 b
}

# What nft sees of reinjected packets on each hook, and when the stage is over.
shown()
{
	local hook

	for hook in prerouting output postrouting; do
		divert_rule "$router" $hook 7000 100 "$any_ping"
		watch "$router" "shown_$hook" $hook -149 meta mark 0xffff0064
	done
	watch "$router" after_in prerouting -100 "$any_ping" meta mark 0
	watch "$router" left_in prerouting -100 meta mark != 0
	watch "$router" after_out postrouting 100 "$any_ping" meta mark 0
	watch "$router" left_out postrouting 100 meta mark != 0
	divertd_start d "$router" 7000

	check "C2 the mark shows the cookie: pings are answered" pings 3 "$client" "$server_at"
	check "C2 the mark shows the cookie at PRE_ROUTING" has_watched 6 "$router" shown_prerouting
	check "C2 the mark shows the cookie at LOCAL_OUT" has_watched 6 "$router" shown_output
	check "C2 the mark shows the cookie at POST_ROUTING" has_watched 6 "$router" shown_postrouting
	check "D3 the mark is cleared when the input stage ends" has_watched 6 "$router" after_in
	check "D3 no mark is left after the input stage" has_watched 0 "$router" left_in
	check "D3 the mark is cleared when the output stage ends" has_watched 6 "$router" after_out
	check "D3 no mark is left after the output stage" has_watched 0 "$router" left_out
}

# Cookie 0: the rule has to exclude what was diverted, and can.
diverted_is_shown()
{
	local how=$1
	shift

	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request \
		'meta mark & 0xffff0000 != 0xffff0000'
	watch "$router" shown prerouting -149 'meta mark & 0xffff0000 == 0xffff0000'
	divertd_start d "$router" 7000 "$@"

	check "C2 a rule can exclude packets written $how" pings 3 "$client" "$router_client_at"
	check "C2 packets written $how are read once" has_seen 3 d
	check "C2 packets written $how show that they were diverted" has_watched 3 "$router" shown
}

fresh_packet()
{
	divert_rule "$router" prerouting 7000 100 "$icmp" type echo-request "$ttl 64"
	divert_rule "$router" prerouting 7001 50 "$icmp" type echo-request "$ttl 50"
	divertd_start a "$router" 7000 -t 50 -c 0
	divertd_start b "$router" 7001

	check "C3 a packet written with cookie 0 passes" pings 3 "$client" "$router_client_at"
	check "C3 a packet written with cookie 0 was read" has_seen 3 a
	check "C3 a packet written with cookie 0 meets every rule" has_seen 3 b
}

# Both ends of the veth divert with the same rule: the router's word counts for the router only.
next_host()
{
	divert_always "$router" output 7000 100 "$icmp" type echo-reply
	divert_always "$client" prerouting 7000 100 "$icmp" type echo-reply
	divertd_start r "$router" 7000
	divertd_start c "$client" 7000

	check "C4 resumed packets reach the next host" pings 3 "$client" "$router_client_at"
	check "C4 a resumed packet was read here" has_seen 3 r
	check "C4 a resumed packet is fresh on the next host" has_seen 3 c
}

# Reassembly comes before our hook: the cookie of the pieces must get through it.
reassembled()
{
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request
	divertd_start d "$router" 7000 -f 1000

	check "C4 pings written as received in fragments are answered" \
		pings 3 "$client" "$router_client_at" -s 3000
	check "C4 a resume point survives reassembly" has_seen 3 d "len=$((3008 + header)) .*frag=whole"
	check "C4 nothing else is read" has_seen 3 d
}

fragments_sent()
{
	divert_always "$router" output 7000 100 "$icmp" type echo-reply
	watch "$client" pieces prerouting -450 "$is_fragment"
	divertd_start d "$router" 7000 -f 1000

	check "C3 pings sent in fragments are answered" pings 3 "$client" "$router_client_at" -s 3000
	check "C3 written fragments are sent as they were written" has_watched 12 "$client" pieces
	check "C3 packets written in fragments are read once" has_seen 3 d
}

# A packet waits for another program on each side of our hooks.
queued()
{
	always_everywhere "$any_ping"
	add_rule "$router" waiting in_before prerouting -300 "$any_ping" queue num 0
	add_rule "$router" waiting in_after prerouting -50 "$any_ping" queue num 0
	add_rule "$router" waiting out_before output -300 "$any_ping" queue num 0
	add_rule "$router" waiting out_after output -50 "$any_ping" queue num 0
	add_rule "$router" waiting post_before postrouting -200 "$any_ping" queue num 0
	add_rule "$router" waiting post_after postrouting 150 "$any_ping" queue num 0
	divertd_start d "$router" 7000
	nfqd_start "$router" 0

	check "C4 packets that waited in NFQUEUE pass" pings 3 "$client" "$server_at"
	check "C4 packets that waited in NFQUEUE are read once on input" has_seen 6 d '^in '
	check "C4 packets that waited in NFQUEUE are read once on output" has_seen 6 d '^out '
	nfqd_stop
	# In: 2 before our hook, 1 after. Out: 1 until taken, then LOCAL_OUT 2, POST_ROUTING 2.
	check "C4 they did wait" grep -qx 'total accepted=48' "$tmp/nfqd"
}

# What a tunnel wraps around a resumed packet is another packet.
tunnelled()
{
	local module=ipip type=ipip protocol=4 near=10.0.9.2 far=10.0.9.1 length=24
	if [ "$family" = ip6 ]; then
		module=ip6_tunnel type='ip6tnl mode ip6ip6 encaplimit none' protocol=41
		near=fd00:9::2 far=fd00:9::1 length=64
	fi
	if ! modprobe -q $module; then
		skip "C4 a tunnel's packet is not the one it carries" "no $module"
		return
	fi
	# shellcheck disable=SC2086 # words
	ip -n "$router" link add tunnel type $type local "$router_client_at" remote "$client_at"
	# shellcheck disable=SC2086 # words
	ip -n "$client" link add tunnel type $type local "$client_at" remote "$router_client_at"
	ip -n "$router" addr add $near/$length dev tunnel
	ip -n "$client" addr add $far/$length dev tunnel
	ip -n "$router" link set tunnel up
	ip -n "$client" link set tunnel up

	divert_always "$router" output 7000 100 "$icmp" type echo-reply
	divert_always "$router" output 7001 100 meta l4proto $protocol
	divertd_start inner "$router" 7000
	divertd_start outer "$router" 7001

	check "C4 pings through a tunnel are answered" pings 3 "$client" $near
	check "C4 a tunnelled packet is read once" has_seen 3 inner "src=$near "
	check "C4 the packet around it is read too, once" has_seen 3 outer "src=$router_client_at "
	ip -n "$router" link del tunnel
	ip -n "$client" link del tunnel
}

forged_outside()
{
	add_rule "$router" forge in prerouting -160 "$icmp" type echo-request meta mark set 0xffff0064
	watch "$router" left prerouting -100 "$icmp" type echo-request meta mark 0xffff0064
	divertd_start d "$router" 7000

	check "C5 a packet that nft marks as resumed passes" pings 3 "$client" "$router_client_at"
	check "C5 a packet that nft marks as resumed is left alone" has_watched 3 "$router" left
	divert_always "$router" prerouting 7000 100 "$icmp" type echo-request
	check "C5 a packet that nft marks as resumed, and a rule diverts, passes" \
		pings 3 "$client" "$router_client_at"
	check "C5 a packet that nft marks as resumed is not resumed" has_seen 3 d
}

forged_inside()
{
	local forged=$((0xffff0064))

	watch "$router" left postrouting 150 "$icmp" type echo-request meta mark 0xffff0064
	divertd_start d "$router" 7000

	check "C5 a packet that SO_MARK marks as resumed passes" \
		pings 3 "$router" "$client_at" -m $forged
	check "C5 a packet that SO_MARK marks as resumed is left alone" has_watched 3 "$router" left
	divert_always "$router" output 7000 100 "$icmp" type echo-request
	check "C5 a packet that SO_MARK marks as resumed, and a rule diverts, passes" \
		pings 3 "$router" "$client_at" -m $forged
	check "C5 a packet that SO_MARK marks as resumed is not resumed" has_seen 3 d
}

all()
{
	run unconditional
	run overwritten
	run chained prerouting "$router_client_at" in 3 echo-request
	run chained output "$router_client_at" out 3 echo-reply
	run chained postrouting "$server_at" out 3 echo-request
	run jump_forward
	run jump_back
	run shown
	run diverted_is_shown "with cookie 0" -c 0
	run diverted_is_shown "by an unbound socket with cookie 0" -u -c 0
	run fresh_packet
	run next_host
	run reassembled
	run fragments_sent
	run queued
	run tunnelled
	run forged_outside
	run forged_inside
}

setup_routed
for family in $families; do
	use_family "$family"
	all
done
