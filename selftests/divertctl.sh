#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# divertctl's rules, and what it shows of sockets:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	             rules by divertctl, daemons
#
# Proves that rules in ipfw's grammar lead the packets they name through daemons, in the order of
# their numbers, on the hooks they say, over IPv4 and IPv6, and that what nft lists of them is what
# "list --nft" prints.
# TIMEOUT=600
# shellcheck disable=SC2016 # for eval
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

divertctl=$here/../build/divertctl/divertctl

as_user=()
ctl()		# ARGUMENT...: on the router
{
	in_ns "$router" "${as_user[@]}" "$divertctl" "$@"
}

says()		# STATUS REGEX ARGUMENT...: what divertctl says when it fails
{
	local expected=$1 regex=$2 status=0
	shift 2
	ctl "$@" >"$tmp/said" 2>&1 || status=$?
	cat "$tmp/said"
	[ $status = "$expected" ] && grep -qE -- "$regex" "$tmp/said"
}

lists()		# LINE...: these rules and no others
{
	diff <(ctl list) <([ $# = 0 ] || printf '%s\n' "$@")
}

# The words that differ between the families
ctl_family()
{
	if [ "$family" = ip6 ]; then
		ip=ip6 ping=icmp6 types=icmp6types any_type=128,129
	else
		ip=ip4 ping=icmp types=icmptypes any_type=0,8
	fi
}

# --- rules -----------------------------------------------------------------------------------

directions()
{
	ctl add 100 divert 7000 "$ping" from any to any "$types" "$any_type"
	divertd_start d "$router" 7000
	check "divertctl: a rule for all: forwarded pings pass" pings 3 "$client" "$server_at"
	check "divertctl: a rule for all takes them in and out" has_seen 12 d
	check "divertctl: a rule for all takes them as they come" has_seen 6 d '^in .* ttl=64'
	check "divertctl: a rule for all takes them as they go" has_seen 6 d '^out .* ttl=63'
	check "divertctl: a rule for all: pings of the host pass" pings 3 "$client" "$router_client_at"
	check "divertctl: a rule for all takes what the host is told" has_seen 9 d '^in '
	check "divertctl: a rule for all takes what the host says" has_seen 3 d '^out if=- '
	check "divertctl: a rule for all takes nothing else" has_seen 18 d
}

only()		# WORDS N REGEX: pings through the router and to it; those seen, and all those
{
	local words=$1 n=$2 regex=$3
	# shellcheck disable=SC2086 # words
	ctl add -r 100 divert 7000 "$ping" from any to any "$types" "$any_type" $words
	divertd_start d "$router" 7000
	check "divertctl: \"$words\": forwarded pings pass" pings 3 "$client" "$server_at"
	check "divertctl: \"$words\": pings of the host pass" pings 2 "$client" "$router_client_at"
	check "divertctl: \"$words\" takes what it says" has_seen "$n" d "$regex"
	check "divertctl: \"$words\" takes nothing else" has_seen "$n" d
	divertd_stop d
}

interfaces()
{
	# Forwarded 3 requests and 3 answers, for the host 2 and 2.
	only in 8 '^in '
	only out 8 '^out '
	only "in recv r0" 5 "^in if=r0 .* sport=$icmp_request "
	only "in via r1" 3 "^in if=r1 .* sport=$icmp_reply "
	only "out xmit r1" 3 "^out if=r0 .* sport=$icmp_request "
	only "out via r0" 5 "^out .* sport=$icmp_reply "
	only "via r1" 6 "^(in if=r1 .* sport=$icmp_reply|out if=r0 .* sport=$icmp_request) "
	only "recv r0 xmit r1" 3 "^out if=r0 .* sport=$icmp_request "
	only "out recv r1" 3 "^out if=r1 .* sport=$icmp_reply "
	only "in not recv r1" 5 "^in if=r0 "
	only "out xmit r*" 8 "^out "
}

# Daemons in order, on every hook; the number says who is first, not the time.
chained()
{
	ctl add 200 divert 7001 "$ping" from any to any "$types" "$any_type" >/dev/null
	ctl add 100 divert 7000 "$ping" from any to any "$types" "$any_type" >/dev/null
	divertd_start a "$router" 7000 -t 50
	divertd_start b "$router" 7001
	check "divertctl: chained rules: pings pass" pings 3 "$client" "$server_at"
	check "divertctl: chained rules: the lesser number is first on input" \
		has_seen 6 a '^in .* cookie=100 .* ttl=64'
	check "divertctl: chained rules: the greater one follows on input" \
		has_seen 6 b '^in .* cookie=200 .* ttl=50'
	check "divertctl: chained rules: the lesser number is first on output" \
		has_seen 6 a '^out .* cookie=100 .* ttl=49'
	check "divertctl: chained rules: the greater one follows on output" \
		has_seen 6 b '^out .* cookie=200 .* ttl=50'
	check "divertctl: chained rules: each sees each once" has_seen 12 a
	check "divertctl: chained rules: and no more" has_seen 12 b
}

# A daemon's fresh packets meet all rules but those that leave out what was diverted.
not_diverted()
{
	ctl add 100 divert 7000 "$ping" from any to any in "$types" "$any_type" not diverted >/dev/null
	divertd_start d "$router" 7000 -c 0
	check "divertctl: \"not diverted\": pings pass" pings 3 "$client" "$router_client_at"
	check "divertctl: \"not diverted\": packets are read once" has_seen 3 d
}

teed()
{
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x00007fff
	in_ns "$router" sysctl -qw net.divert.tee_mask=0x00008000
	ctl add 100 tee 7000 "$ping" from any to any in "$types" "$any_type" >/dev/null
	ctl add 200 divert 7001 "$ping" from any to any in "$types" "$any_type" >/dev/null
	divertd_start w "$router" 7000 -T
	divertd_start d "$router" 7001
	check "divertctl: tee: pings pass" pings 3 "$client" "$server_at"
	check "divertctl: tee: a copy of each is read" has_seen 6 w '^in .* cookie=100 '
	check "divertctl: tee: the next rule has the packet" has_seen 6 d '^in .* cookie=200 '
	check "divertctl: tee: no more copies" has_seen 6 w
	in_ns "$router" sysctl -qw net.divert.tee_mask=0
	check "divertctl: rules of other masks are told" \
		eval 'ctl list 2>&1 | grep "net.divert.tee_mask is 0"'
	ctl flush
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x0000ffff
}

# One UDP packet to each of these ports of the server.
send_udp()	# PORT...
{
	in_ns "$client" python3 - "$server_at" "$@" <<-'EOF'
		import socket, sys
		family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
		s = socket.socket(family, socket.SOCK_DGRAM)
		for port in sys.argv[2:]:
		    s.sendto(b"x", (sys.argv[1], int(port)))
	EOF
}

seen_ports()	# NAME PORT...: the daemon's packets, in order
{
	diff <(sed -n 's/^in .* dport=\([0-9]*\) .*/\1/p' "$tmp/$1") <(printf '%s\n' "${@:2}")
}

ports()		# WORDS PORT...: sent are 79 80 443 444 8000 8005 8010 8011; these are seen
{
	local words=$1
	shift
	# shellcheck disable=SC2086 # words
	ctl add -r 100 divert 7000 $words in recv r0 >/dev/null
	ctl add -r 900 divert 7000 udp from any to any 1 in recv r0 >/dev/null
	divertd_start d "$router" 7000
	check "divertctl: \"$words\": packets are sent" send_udp 79 80 443 444 8000 8005 8010 8011 1
	# The last one shows that all have come.
	check "divertctl: \"$words\" takes these ports" \
		wait_until 10 seen_ports d "$@" 1
	divertd_stop d
}

sets()
{
	local client_net=10.0.1.0/24 other=10.9.0.0/16,192.0.2.1
	[ "$family" = ip ] || client_net=fd00:1::/64 other=fd01::/16,2001:db8::1

	ports "udp from any to any 80,443,8000-8010" 80 443 8000 8005 8010
	ports "udp from any to any not 80,443,8000-8010,1" 79 444 8011
	ports "udp from any to any 8000-8010" 8000 8005 8010
	ports "{ tcp or udp } from $client_at to any dst-port 444" 444
	ports "udp from $client_net,$other to $server_at 80,8011" 80 8011
	ports "udp from $other to any 79-8011"
	ports "udp from not $other to any 79,443" 79 443
	ports "udp from not $client_net to any 79-8011"
	ports "udp from any to me 79-8011"
	ports "udp from any to not me 79" 79
	# The last one by both rules
	ports "$ip from $client_net to $server_at // all" 79 80 443 444 8000 8005 8010 8011 1
}

both_families()
{
	prefix=
	ctl add 100 divert 7000 '{ icmp or icmp6 }' from 10.0.1.1,fd00:1::1 to any in >/dev/null
	divertd_start d "$router" 7000
	check "divertctl: a list of both families: IPv4 passes" pings 2 "$client" 10.0.2.1
	check "divertctl: a list of both families: IPv6 passes" pings 2 "$client" fd00:2::1
	check "divertctl: a list of both families takes IPv4" has_seen 2 d '^in .* src=10.0.1.1 '
	# Neighbours are discovered by ICMPv6, too.
	check "divertctl: a list of both families takes IPv6" has_seen 2 d '^in .* src=fd00:1::1 .* sport=128 '
	ctl flush
	divertd_stop d
}

# --- the table -------------------------------------------------------------------------------

managed()
{
	local rule="divert 7000 icmp from any to any in"

	check "divertctl: no rules are listed" lists
	# shellcheck disable=SC2086 # words
	check "divertctl: a rule without a number is the first" eval '[ "$(ctl add $rule)" = 00100 ]'
	check "divertctl: the next comes 100 behind" eval '[ "$(ctl add $rule)" = 00200 ]'
	check "divertctl: one between" ctl add 150 "$rule"
	check "divertctl: all are listed, in order" lists "00100 $rule" "00150 $rule" "00200 $rule"
	check "divertctl: the same rule again is no error" ctl add 150 "$rule"
	check "divertctl: another rule of the number is one" \
		says 1 'rule 150 is there: "divert 7000 icmp from any to any in"' add 150 "$rule" recv r0
	check "divertctl: it can be replaced" ctl add -r 150 "$rule" recv r0
	check "divertctl: and is" lists "00100 $rule" "00150 $rule recv r0" "00200 $rule"
	check "divertctl: deleting what is not there fails" says 1 'rule 300: there is none' delete 100 300
	check "divertctl: and deletes nothing" lists "00100 $rule" "00150 $rule recv r0" "00200 $rule"
	check "divertctl: rules are deleted" ctl delete 200 100
	check "divertctl: those rules only" lists "00150 $rule recv r0"

	divertd_start d "$router" 7000
	check "divertctl: a rule counts: pings pass" pings 3 "$client" 10.0.2.1
	ctl add 300 "$rule" via lo >/dev/null
	check "divertctl: counters stay when rules change" \
		eval 'ctl list -a | grep -E "^00150 +3 +252 divert"'
	check "divertctl: flush" ctl flush
	check "divertctl: flush leaves nothing" lists
	check "divertctl: flush leaves no table" eval '[ -z "$(in_ns "$router" nft list ruleset)" ]'
	check "divertctl: after flush pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: after flush nothing is diverted" has_seen 3 d
}

same_as_nft()
{
	in_ns "$router" nft -s list ruleset >"$tmp/by-divertctl"
	ctl list --nft >"$tmp/text" && in_ns "$client" nft -f "$tmp/text" || return
	in_ns "$client" nft -s list ruleset >"$tmp/by-nft"
	diff "$tmp/by-divertctl" "$tmp/by-nft"
}

restored()
{
	local before
	before=$(ctl list)
	in_ns "$router" nft flush ruleset && in_ns "$router" nft -f "$tmp/by-divertctl" &&
		[ -n "$before" ] && [ "$(ctl list)" = "$before" ]
}

as_nft()
{
	ctl add divert 7000 ip from any to any >/dev/null
	ctl add divert 7000 ip from 10.0.0.0/8,192.0.2.1,fd00::/8,fd01::1,me to not me via 'r*' >/dev/null
	ctl add divert 7000 '{ tcp or udp }' from any 1-5,9 to me6 80,443,8000-65535 >/dev/null
	ctl add divert 7000 tcp from 10.0.0.1,10.0.0.2 to any setup out recv r0 xmit r1 >/dev/null
	ctl add divert 7000 tcp from any to any established not tcpflags 'syn,!ack' ipttl 3-5 >/dev/null
	ctl add divert 7000 icmp from any to any icmptypes 0,8,11-12 not ipttl 64 >/dev/null
	ctl add divert 7000 icmp6 from any to any icmp6types 128-129 diverted >/dev/null
	ctl add divert 7000 47 from any to any out uid 0 not gid 5 not diverted >/dev/null
	ctl add 5000 divert 7000 udp from 10.10.10.1,10.10.10.2,10.10.10.3,10.10.10.4,10.10.10.5 to 10.20.20.1,10.20.20.2,10.20.20.3,10.20.20.4 53 >/dev/null
	check "divertctl: a rule that is too long for nft is not listed so" \
		says 1 'rule 5000 is too long for nft' list --nft
	check "divertctl: but is by divertctl" eval 'ctl list | grep -c "^05000 .* 53$" >/dev/null'
	ctl delete 5000
	check "divertctl: eight rules are there" eval '[ "$(ctl list | wc -l)" = 8 ]'
	check "divertctl: what nft lists is what list --nft prints" same_as_nft
	check "divertctl: what nft has saved and restored is known again" restored
	in_ns "$client" nft flush ruleset
}

other_masks()
{
	in_ns "$router" sysctl -qw net.divert.port_mask=0xff000000
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x00ff0000
	in_ns "$router" sysctl -qw net.divert.port_base=7000
	ctl add 100 divert 7001 icmp from any to any in >/dev/null
	ctl add 200 divert 7002 icmp from any to any in >/dev/null
	check "divertctl: other masks: what nft lists is what list --nft prints" same_as_nft
	in_ns "$client" nft flush ruleset
	add_rule "$router" other before prerouting -160 icmp type echo-request \
		meta mark set meta mark or 0x77
	watch "$router" kept prerouting -90 meta mark 0x77
	divertd_start a "$router" 7001 -m 119
	divertd_start b "$router" 7002 -m 119
	check "divertctl: other masks: pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: other masks: the first sees each" has_seen 6 a 'cookie=100 '
	check "divertctl: other masks: the second sees each" has_seen 6 b 'cookie=200 '
	check "divertctl: other masks: bits of others stay" eval '[ "$(watched "$router" kept)" -ge 3 ]'
	check "divertctl: other masks: ports out of reach are told" \
		says 1 'port 8000: .* allow 7001 to 7254' add divert 8000 ip from any to any
	in_ns "$router" sysctl -qw net.divert.port_base=0 net.divert.cookie_mask=0x0000ffff
	in_ns "$router" sysctl -qw net.divert.port_mask=0xffff0000
}

# Rules written by hand are neither touched nor in the way.
beside_nft()
{
	divert_rule "$router" prerouting 7001 150 icmp type echo-reply
	ctl add 100 divert 7000 icmp from any to any icmptypes 8 in >/dev/null
	divertd_start a "$router" 7000
	divertd_start b "$router" 7001
	check "divertctl: beside nft: pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: beside nft: divertctl's rule works" has_seen 3 a 'cookie=100 .* sport=8 '
	check "divertctl: beside nft: nft's rule works" has_seen 3 b 'cookie=150 .* sport=0 '
	ctl flush
	check "divertctl: flush leaves nft's rules" pings 3 "$client" 10.0.2.1
	check "divertctl: flush leaves nft's rules working" has_seen 6 b

	ctl add 100 divert 7000 icmp from any to any icmptypes 8 in >/dev/null
	in_ns "$router" nft add rule inet divertctl in counter
	check "divertctl: a rule by hand in its own table is told" \
		says 1 'has a rule that divertctl did not make' add 200 divert 7000 ip from any to any
	check "divertctl: and not lost" \
		eval 'in_ns "$router" nft list table inet divertctl | grep "^[[:space:]]*counter packets"'
}

add_many()	# N at a time
{
	local i pids=()
	for ((i = 1; i <= $1; i++)); do
		ctl add "$i" divert 7000 icmp from any to any via "if$i" >/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(ctl list | wc -l)" = "$1" ]
}

errors()
{
	check "divertctl: an unknown command is told" says 2 'lsit: not a command' lsit
	check "divertctl: an unknown option is told, and what is right" \
		says 2 'usage: divertctl show \[--json\]' show --jsn
	check "divertctl: a wrong word is told" says 1 'keep-state: not possible here; use nft' \
		add divert 7000 tcp from any to any keep-state
	check "divertctl: a missing bit for tee is told" says 1 'tee: net.divert.tee_mask is 0' \
		add tee 7000 ip from any to any
	as_user=(setpriv --reuid 65534 --clear-groups)
	check "divertctl: no privileges are told" says 1 'needs CAP_NET_ADMIN' \
		add divert 7000 ip from any to any
	as_user=()
	check "divertctl: a dry run shows the rules" eval \
		'ctl add -n divert 7000 ip from any to any in | grep "meta mark set 0x1b580064 accept"'
	check "divertctl: a dry run changes nothing" lists
}

# --- what is shown ---------------------------------------------------------------------------

json()		# EXPRESSION: true of j, what is read
{
	python3 -c "import json, sys; j = json.load(sys.stdin); sys.exit(not ($1))"
}

shown()
{
	local pid
	ctl add 100 divert 7000 icmp from any to any in >/dev/null
	divertd_start d "$router" 7000
	divertd_start e "$router" 7001 -6
	pid=${_divertd[d]}
	check "divertctl: show: pings pass" pings 5 "$client" 10.0.2.1

	check "divertctl: show without sock_diag lists the sockets" \
		eval 'ctl show --json | json "[s[\"port\"] for s in j[\"sockets\"]] == [7000, 7001]"'
	modprobe -q inet_diag
	insmod "$here/../build/$(uname -r)/divert_diag.ko"
	check "divertctl: show --json is JSON" eval 'ctl show --json | python3 -m json.tool'
	check "divertctl: show --json has ports and families" eval \
		'ctl show --json | json "[(s[\"port\"], s[\"family\"]) for s in j[\"sockets\"]] == [(7000, \"inet\"), (7001, \"inet6\")]"'
	check "divertctl: show --json has the owner" eval \
		"ctl show --json | json '$pid in [o[\"pid\"] for o in j[\"sockets\"][0][\"owners\"]]'"
	check "divertctl: show --json has what was read" eval \
		'ctl show --json | json "j[\"sockets\"][0][\"stats\"][\"read\"] == 10"'
	check "divertctl: show has a line with port and owner" eval \
		"ctl | grep -E '^ 7000  inet .* 10 +0  .*$pid divertd \(root\)'"
	check "divertctl: show does not show other namespaces" eval \
		'in_ns "$client" "$divertctl" show --json | json "j[\"sockets\"] == []"'
	rmmod divert_diag

	check "divertctl: stats adds up all CPUs" eval \
		'[ "$(ctl stats | awk "\$1 == \"read\" { print \$2 }")" = "$(divert_counter read "$router")" ]'
	check "divertctl: stats --json is JSON" eval 'ctl stats --json | python3 -m json.tool'
	check "divertctl: stats --json counts" eval 'ctl stats --json | json "j[\"sockets\"] == 2 and j[\"read\"] == $(divert_counter read "$router")"'
	check "divertctl: stats --prometheus counts" eval \
		'ctl stats --prometheus | grep -x "divert_read_total $(divert_counter read "$router")"'
	check "divertctl: stats --prometheus is in form" eval \
		'! ctl stats --prometheus | grep -vE "^(# (HELP|TYPE) divert_[a-z_]+ .+|divert_[a-z_]+(\{[^}]*\})? [0-9]+)$"'
}

marks()
{
	check "divertctl: mark" eval '[ "$(ctl mark 8668 100)" = 0x21dc0064 ]'
	check "divertctl: mark tells what cannot be" says 1 'port 65535: .* allow 1 to 65534' mark 65535 1
	check "divertctl: mark --define of what is malformed prints nothing" \
		eval '[ "$(ctl mark --define web=7000:100 web=x 2>/dev/null || echo failed)" = failed ]'
	ctl mark --define web=7000:100 >"$tmp/define.nft"
	cat >>"$tmp/define.nft" <<-'EOF'
		table ip t {
		    chain c {
		        type filter hook prerouting priority mangle
		        icmp type echo-request meta mark < $web_before meta mark set $web accept
		    }
		}
	EOF
	check "divertctl: mark --define is what nft reads" in_ns "$router" nft -f "$tmp/define.nft"
	divertd_start d "$router" 7000
	check "divertctl: mark --define: pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: mark --define leads to the port" has_seen 3 d 'cookie=100 '
}

setup_routed
for family in $families; do
	use_family "$family"
	ctl_family
	run directions
	run interfaces
	run chained
	run not_diverted
	run teed
	run sets
done
use_family ip
run both_families
run managed
run as_nft
run other_masks
run beside_nft
for round in 1 2 3 4 5; do
	ctl flush
	check "divertctl: rules added at the same time are all there, $round" add_many 8
done
ctl flush
run errors
run shown
run marks
