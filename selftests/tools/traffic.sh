# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# For tests that lead packets through daemons: rules, counters, daemons, pings. After lib.sh.

# --- families --------------------------------------------------------------------------------

# The same tests go over IPv4, unless a script says otherwise, and IPv6. What differs between the
# families is in these variables; the topology must be there. Rules for IPv6 always name what they
# divert: neighbours must still find each other.
# shellcheck disable=SC2034 # for the tests
use_family()	# ip|ip6
{
	family=$1
	if [ "$family" = ip6 ]; then
		prefix='6.2 '			# the contract's name for "the same for IPv6"
		version=6
		icmp=icmpv6			# in rules and in what a daemon writes
		icmp_request=128 icmp_reply=129
		any_ping='icmpv6 type { echo-request, echo-reply }'
		ttl='ip6 hoplimit'		# in rules
		is_fragment='exthdr frag exists'
		header=40			# its length
		loopback_at=::1
		client_at=${client_ip6-}
		router_client_at=${router_client_ip6-} router_server_at=${router_server_ip6-}
		server_at=${server_ip6-}
		source_at=${source_ip6-} diverter_at=${diverter_ip6-}
	else
		prefix=
		version=4
		icmp=icmp
		icmp_request=8 icmp_reply=0
		any_ping='icmp type { echo-request, echo-reply }'
		ttl='ip ttl'
		is_fragment='ip frag-off & 0x3fff != 0'
		header=20
		loopback_at=127.0.0.1
		client_at=${client_ip-}
		router_client_at=${router_client_ip-} router_server_at=${router_server_ip-}
		server_at=${server_ip-}
		source_at=${source_ip-} diverter_at=${diverter_ip-}
	fi
}

family=ip
# shellcheck disable=SC2034 # for the tests (FAMILIES=ip6: just that one)
families=${FAMILIES-ip ip6}

# The router's addresses towards the client, of both families.
move_addresses()	# FROM TO
{
	ip -n "$router" addr flush dev "$1" scope global
	ip -n "$router" addr add "$router_client_ip/24" dev "$2"
	ip -n "$router" addr add "$router_client_ip6/64" dev "$2" nodad
}

# --- rules -----------------------------------------------------------------------------------

add_rule()	# NS TABLE CHAIN HOOK PRIORITY RULE...: in a base chain that is made if need be
{
	local ns=$1 table=$2 chain=$3 hook=$4 priority=$5
	shift 5
	in_ns "$ns" nft -f - <<-RULES
		add table $family $table
		add chain $family $table $chain { type filter hook $hook priority $priority; }
		add rule $family $table $chain $*
	RULES
}

divert_mark()	# PORT COOKIE
{
	printf '0x%04x%04x\n' "$1" "$2"
}

divert_always()	# NS prerouting|output|postrouting PORT COOKIE [MATCH...]: whatever was before
{
	local ns=$1 hook=$2 mark
	mark=$(divert_mark "$3" "$4")
	shift 4
	add_rule "$ns" divert "$hook" "$hook" mangle "$*" meta mark set "$mark" accept
}

divert_rule()	# the same, in the idiom that lets rules follow each other
{
	local ns=$1 hook=$2 port=$3 cookie=$4
	shift 4
	divert_always "$ns" "$hook" "$port" "$cookie" "$* meta mark & 0xffff < $cookie"
}

watch()		# NS NAME HOOK PRIORITY [MATCH...]: count what passes there
{
	local ns=$1 name=$2 hook=$3 priority=$4
	shift 4
	in_ns "$ns" nft "add table $family watch; add counter $family watch $name"
	add_rule "$ns" watch "$name" "$hook" "$priority" "$* counter name $name"
}

watched()	# NS NAME [packets|bytes]
{
	in_ns "$1" nft list counter "$family" watch "$2" |
		sed -n "s/.*\<${3-packets} \([0-9]*\).*/\1/p"
}

has_watched()	# N NS NAME
{
	local n
	n=$(watched "$2" "$3")
	[ "$n" = "$1" ] || { echo "$3: $n packets, expected $1"; return 1; }
}

has_counted()	# N COUNTER NS: the module's
{
	local n
	n=$(divert_counter "$2" "$3")
	[ "$n" = "$1" ] || { echo "$2: $n packets, expected $1"; return 1; }
}

# --- daemons ---------------------------------------------------------------------------------

declare -A _divertd=()

divertd_start()	# NAME NS PORT [OPTION...]
{
	local name=$1 ns=$2 port=$3
	shift 3
	spawn "$ns" "$tools/divertd" "$@" "$port" >"$tmp/$name" 2>&1
	_divertd[$name]=$SPAWNED
	wait_until 10 grep -qx ready "$tmp/$name" || { cat "$tmp/$name"; return 1; }
}

divertd_stop()	# [NAME...]: these or all; then has_total can be asked
{
	local name
	[ $# != 0 ] || set -- "${!_divertd[@]}"
	for name; do
		stop "${_divertd[$name]}"
		unset "_divertd[$name]"
	done
}

divertd_signal()	# NAME SIGNAL
{
	kill "-$2" "${_divertd[$1]}"
}

# holdd keeps packets of port 7000 in the kernel; what it writes is in h.
holdd_start()	# NS [OPTION...]
{
	local ns=$1
	shift
	[ "$family" = ip ] || set -- -6 "$@"
	spawn "$ns" "$tools/holdd" "$@" 7000 >"$tmp/h" 2>&1
	_holdd=$SPAWNED
	wait_until 10 grep -qx ready "$tmp/h" || { cat "$tmp/h"; return 1; }
}

holdd_stop()	# then has_total can be asked
{
	stop "$_holdd"
}

seen()		# NAME [REGEX]: packets of which the daemon wrote a line that matches
{
	grep -E '^(in|out) ' "$tmp/$1" | grep -cE -- "${2-}" || true
}

has_seen()	# N NAME [REGEX]: exactly so many
{
	local n
	n=$(seen "$2" "${3-}")
	[ "$n" = "$1" ] || {
		echo "$2 saw $n of '${3-}', expected $1"
		tail -n 30 "$tmp/$2"
		return 1
	}
}

total()		# NAME FIELD
{
	sed -n "s/^total .*\<$2=\([0-9]*\).*/\1/p" "$tmp/$1"
}

has_total()	# NAME FIELD=N...: of a daemon that has ended
{
	local name=$1 field
	shift
	for field; do
		grep -q "^total .*\<$field\>" "$tmp/$name" || {
			echo "$name: not $field"
			grep -E '^(total|error)' "$tmp/$name" | sort | uniq -c
			return 1
		}
	done
}

# --- examples --------------------------------------------------------------------------------

example_start()	# NS PORT PROGRAM [ARG...]: from tools/examples; output in $tmp/PROGRAM, pid: SPAWNED
{
	local ns=$1 port=$2 program=$3
	local path=$here/../build/examples/$program
	shift 3
	[ -x "$path" ] || path=$here/../tools/examples/$program
	spawn "$ns" "$path" "$@" >"$tmp/$program" 2>&1
	wait_until 10 has_port "$ns" "$port" || { cat "$tmp/$program"; return 1; }
}

has_port()	# NS PORT
{
	in_ns "$1" grep -q "^ *$2:" /proc/net/divert
}

# --- one of a script's tests -----------------------------------------------------------------

run()		# FUNCTION [ARG...]: then no daemons and no rules are left (ONLY=regex: just those)
{
	local ns
	local start=$SECONDS
	[[ $* =~ ${ONLY-} ]] || return 0
	"$@"
	echo "# $*: $((SECONDS - start)) s"
	divertd_stop
	for ns in "${_namespaces[@]}"; do
		in_ns "$ns" nft flush ruleset
	done
}

# --- traffic ---------------------------------------------------------------------------------

# Once there was an answer, ping waits for others no longer than the interval: it is long, and all are
# sent at once.
pings()		# N NS ADDRESS [OPTION...]: all are answered
{
	local n=$1 ns=$2 to=$3
	shift 3
	in_ns "$ns" ping -n -l "$n" -i 5 -W 5 -c "$n" "$@" "$to" >"$tmp/ping" 2>&1 || true
	grep -q " $n received" "$tmp/ping" || { cat "$tmp/ping"; return 1; }
}

answering()	# ADDRESS: until the client's way there works; before there are rules
{
	wait_until 20 in_ns "$client" ping -c 1 -W 1 "$1"
}

ping_lost()	# NS ADDRESS [OPTION...]: one, and nothing comes back
{
	local ns=$1 to=$2
	shift 2
	_fails in_ns "$ns" ping -n -c 1 -W 1 "$@" "$to"
}

# --- NFQUEUE ---------------------------------------------------------------------------------

nfqd_start()	# NS QUEUE: accepts everything; output in $tmp/nfqd
{
	modprobe -q nfnetlink_queue || true
	spawn "$1" "$tools/nfqd" "$2" >"$tmp/nfqd" 2>&1
	_nfqd=$SPAWNED
	wait_until 10 grep -qx ready "$tmp/nfqd" || { cat "$tmp/nfqd"; return 1; }
}

nfqd_signal()	# SIGNAL
{
	kill "-$1" "$_nfqd"
}

nfqd_stop()
{
	stop "$_nfqd"
}

# --- TCP -------------------------------------------------------------------------------------

# An address as socat has it: TCP4, TCP6 and so on, and the host with its port.
_socat()	# PROTOCOL
{
	case $family in
	ip) echo "${1}4" ;;
	ip6) echo "${1}6" ;;
	esac
}

_socat_to()	# PROTOCOL ADDRESS
{
	case $family in
	ip) echo "${1}4:$2:5000" ;;
	ip6) echo "${1}6:[$2]:5000" ;;
	esac
}

make_file()	# MEBIBYTES: what is transferred
{
	head -c "$1M" /dev/urandom >"$tmp/sent"
}

_listening()	# NS
{
	in_ns "$1" ss -Htln sport = :5000 | grep -q .
}

_received()	# PID: the receiver has ended, with the same bytes
{
	wait "$1" && cmp "$tmp/sent" "$tmp/received"
}

upload()	# FROM TO ADDRESS [SECONDS]: to port 5000 there
{
	local receiver
	rm -f "$tmp/received"
	spawn "$2" timeout "${4-60}" socat -u "$(_socat TCP)-LISTEN:5000,reuseaddr" "CREATE:$tmp/received"
	receiver=$SPAWNED
	wait_until 10 _listening "$2" &&
		in_ns "$1" timeout "${4-60}" socat -u "OPEN:$tmp/sent,rdonly" "$(_socat_to TCP "$3")" &&
		_received "$receiver" && return
	stop "$receiver"
	return 1
}

download()	# TO FROM ADDRESS [SECONDS]: the receiver connects
{
	local sender
	rm -f "$tmp/received"
	spawn "$2" timeout "${4-60}" socat -u "OPEN:$tmp/sent,rdonly" "$(_socat TCP)-LISTEN:5000,reuseaddr"
	sender=$SPAWNED
	wait_until 10 _listening "$2" &&
		in_ns "$1" timeout "${4-60}" socat -u "$(_socat_to TCP "$3")" "CREATE:$tmp/received" &&
		_received "$sender" && return
	stop "$sender"
	return 1
}
