#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A router spreads flows over three diverters:
#
#	client c0 ─── lan router wan ─── s0 server
#	             div1 div2 div3
#	               │    │    │
#	             eth0 eth0 eth0
#	                diverters
#
# Proves that the recipes of docs/scale.md do what it says, as they stand there: a flow has one
# diverter, for both directions; when a diverter dies its flows go on through the others, and no flow
# of the others moves or loses anything; one that comes back takes nothing from them.
# TIMEOUT=400
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

client_ip=10.0.1.1 server_ip=10.0.2.1
udp_flows=36 tcp_flows=12 all_flows=48
share=10		# buckets of 32, at least, for each of three

# --- topology --------------------------------------------------------------------------------

setup_scale()
{
	local n
	setup_ns NS_C
	setup_ns NS_R
	setup_ns NS_S
	client=$NS_C router=$NS_R server=$NS_S
	join_ns "$client" c0 $client_ip fd00:1::1 "$router" lan 10.0.1.2 fd00:1::2
	join_ns "$server" s0 $server_ip fd00:2::1 "$router" wan 10.0.2.2 fd00:2::2
	ip -n "$client" route add default via 10.0.1.2
	ip -n "$server" route add default via 10.0.2.2
	for n in 1 2 3; do
		setup_ns "NS_D$n"
		join_ns "$(diverter $n)" eth0 10.0.1$n.1 fd00:1$n::1 "$router" div$n 10.0.1$n.2 fd00:1$n::2
	done
}

diverter()	# N: its namespace
{
	local name=NS_D$1
	echo "${!name}"
}

has_resilient_groups()
{
	in_ns "$client" ip nexthop add id 1 blackhole &&
		in_ns "$client" ip nexthop add id 2 group 1 type resilient buckets 8 &&
		[ -e /proc/sys/net/ipv4/fib_multipath_hash_fields ]
}

apply()		# NS HEADING
{
	recipe scale.md "$2" sh >"$tmp/recipe" && in_ns "$1" sh -e "$tmp/recipe"
}

set_up_diverter()	# N
{
	recipe scale.md "A diverter" sh | sed "s/^n=1\>/n=$1/" >"$tmp/recipe" &&
		in_ns "$(diverter "$1")" sh -e "$tmp/recipe" &&
		recipe scale.md "A diverter" nft >"$tmp/rules" &&
		in_ns "$(diverter "$1")" nft -f "$tmp/rules"
}

# --- traffic ---------------------------------------------------------------------------------

serve()
{
	spawn "$server" python3 "$here/tools/flows.py" serve $server_ip >"$tmp/server"
	wait_until 60 grep -qx ready "$tmp/server"
}

send()
{
	spawn "$client" python3 "$here/tools/flows.py" send $server_ip $udp_flows $tcp_flows >"$tmp/sender"
	sender=$SPAWNED
	wait_until 60 all_seen
}

# "udp 40000", sorted, of the client's packets to the server or of those that come back.
up()		# DAEMON...
{
	sed -n "s/.* src=$client_ip .*proto=\(udp\|tcp\) sport=\([0-9]*\) .*/\1 \2/p" "${@/#/$tmp/}" | sort -u
}

down()		# DAEMON...
{
	sed -n "s/.* dst=$client_ip .*proto=\(udp\|tcp\) .* dport=\([0-9]*\) .*/\1 \2/p" "${@/#/$tmp/}" |
		sort -u
}

each_of()	# up|down DAEMON...: a flow as often as daemons have seen it
{
	local name
	for name in "${@:2}"; do
		"$1" "$name"
	done | sort
}

all_seen()	# in both directions
{
	[ "$(up d1 d2 d3 | wc -l)" = $all_flows ] && [ "$(down d1 d2 d3 | wc -l)" = $all_flows ]
}

# --- what holds ------------------------------------------------------------------------------

one_diverter()	# up|down DAEMON...: each flow has only one of these
{
	local twice
	twice=$(each_of "$@" | uniq -d)
	[ -z "$twice" ] || { echo "several diverters see: $twice"; return 1; }
}

both_directions()
{
	local n
	for n in 1 2 3; do
		diff <(up d$n) <(down d$n) || return
	done
}

all_used()
{
	local n
	for n in 1 2 3; do
		[ "$(up d$n | wc -l)" -ge 4 ] || { echo "diverter $n: $(up d$n)"; return 1; }
	done
}

remember()	# whose is which flow
{
	local n
	for n in 1 2 3; do
		up d$n >"$tmp/before$n"
	done
}

# The dead one's flows are seen by others, in both directions.
taken_over()
{
	[ -z "$(comm -13 <(up d1 d3) "$tmp/before2")" ] &&
		[ -z "$(comm -13 <(down d1 d3) "$tmp/before2")" ]
}

stayed()	# N: it has its flows, and else only such as the dead one had
{
	local other=$((4 - $1))
	diff <(up d"$1" | comm -23 - "$tmp/before2") "$tmp/before$1" &&
		[ -z "$(up d"$1" | comm -12 - "$tmp/before$other")" ]
}

# Sent and answered, from the sender's lines of all flows that this one had.
flows_of()	# N
{
	grep -wf "$tmp/before$1" "$tmp/sender"
}

lost_nothing()	# N
{
	flows_of "$1" | awk '{ n++; sub(/sent=/, "", $3); sub(/answered=/, "", $4); sub(/last=/, "", $5) }
		$3 != $4 || $3 != $5	{ print "lost:", $0; bad = 1 }
		END			{ exit bad || !n }'
}

went_on()	# N: the last is answered; by TCP, all
{
	flows_of "$1" | awk '{ n++; sub(/sent=/, "", $3); sub(/answered=/, "", $4); sub(/last=/, "", $5) }
		$3 != $5 || $1 == "tcp" && $3 != $4	{ print "lost:", $0; bad = 1 }
		END					{ exit bad || !n }'
}

stop_sender()	# and wait for its last answers
{
	kill "$sender"
	wait "$sender"
}

buckets()	# N: of this diverter
{
	ip -n "$router" nexthop bucket show id 10 nhid "$1" | wc -l
}

no_buckets()
{
	[ "$(buckets 2)" = 0 ]
}

nexthop_gone()
{
	_fails ip -n "$router" nexthop get id 2
}

has_share()
{
	local n
	for n in 1 2 3; do
		[ "$(buckets $n)" -ge $share ] || return
	done
}

probe()		# N
{
	in_ns "$router" ping -c 1 -W 1 -m "$1" $server_ip
}

# --- tests -----------------------------------------------------------------------------------

start_diverters()
{
	local n
	for n in 1 2 3; do
		divertd_start d$n "$(diverter $n)" 8668
	done
}

spread()
{
	check "scale: $1: all flows are diverted" send
	check "scale: $1: each flow has one diverter" one_diverter up d1 d2 d3
	check "scale: $1: both directions have the same" both_directions
	check "scale: $1: all diverters have flows" all_used
	remember
}

link_dies()
{
	divertd_signal d2 KILL
	ip -n "$(diverter 2)" link set eth0 down
	check "scale: link dies: the router knows" wait_until 20 nexthop_gone
}

daemon_dies()
{
	check "scale: daemon dies: before, it can be probed" probe 2
	divertd_signal d2 KILL
	check_fails "scale: daemon dies: then not" probe 2
	check "scale: daemon dies: others can" probe 3
	check "scale: daemon dies: it can be taken out" apply "$router" "Taking it out"
}

others_go_on()	# WHAT
{
	check "scale: $1: nothing is sent there" no_buckets
	check "scale: $1: others take its flows" wait_until 30 taken_over
	check "scale: $1: each flow is taken by one" one_diverter up d1 d3
	check "scale: $1: in both directions" one_diverter down d1 d3
	check "scale: $1: flows of the first stay" stayed 1
	check "scale: $1: flows of the third stay" stayed 3
}

comes_back()	# WHAT
{
	local before
	ip -n "$(diverter 2)" link set eth0 up
	ip -n "$(diverter 2)" route replace default via 10.0.12.2
	wait_until 10 _device_ready "$router" div2
	divertd_start back "$(diverter 2)" 8668
	check "scale: $1: it can be brought back" apply "$router" "Bringing it back"
	before=$(seen d1)
	check "scale: $1: traffic goes on" wait_until 30 more_seen $((before + 300))
	check "scale: $1: what comes back takes no busy flow" has_seen 0 back 'proto=(udp|tcp)'
	check "scale: $1: none has moved" one_diverter up d1 d3
}

more_seen()	# N
{
	[ "$(seen d1)" -ge "$1" ]
}

all_arrived()	# WHAT
{
	check "scale: $1: the sender ends" stop_sender
	check "scale: $1: flows of the first lost nothing" lost_nothing 1
	check "scale: $1: flows of the third lost nothing" lost_nothing 3
	check "scale: $1: flows of the dead one went on" went_on 2
}

# A second is enough when nothing is sent.
rest()		# WHAT
{
	ip -n "$router" nexthop replace id 10 group 1/2/3 type resilient buckets 32 \
		idle_timer 1 unbalanced_timer 0
	check "scale: $1: it has its share when flows rest" wait_until 20 has_share
	apply "$router" "Bringing it back"
	divertd_stop
}

setup_scale
has_resilient_groups 2>/dev/null || skip_all "no resilient nexthop groups, or no fields for their hash"
check "scale: a router can be set up" apply "$router" "The router"
check "scale: and a probe" apply "$router" "When a diverter dies"
for n in 1 2 3; do
	check "scale: diverter $n can be set up" set_up_diverter $n
done
serve

for death in link daemon; do
	start_diverters
	spread "$death dies"
	"${death}_dies"
	others_go_on "$death dies"
	comes_back "$death dies"
	all_arrived "$death dies"
	rest "$death dies"
done
