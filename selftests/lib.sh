# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For tests written as scripts: TAP output, network namespaces, waiting. A test looks like
#
#	#!/bin/bash
#	# What it proves.
#	# TIMEOUT=120				(seconds; only if 60 are too few)
#	# BOOT=ipv6.disable=1			(kernel parameters, if it needs a VM of its own)
#	. "$(dirname "$(readlink -f "$0")")/lib.sh"
#	setup_routed
#	check "D1 a marked packet is diverted" some_command_or_function
#
# and ends by itself: when the script does, it prints the plan, kills what runs in its namespaces,
# removes them and exits 0 (all passed), 1 (something failed) or 4 (everything was skipped).

set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")	# selftests/
# shellcheck disable=SC2034 # for the tests
tools=$here/../build/selftests/tools			# programs made from selftests/tools/
tmp=$(mktemp -d)					# the test's own folder, removed at its end

# --- results ---------------------------------------------------------------------------------

_count=0 _failed=0 _skipped=0 _all_skipped=
prefix=		# of all descriptions that follow

ok()		# DESCRIPTION
{
	echo "ok $((++_count)) $prefix$*"
}

not_ok()	# DESCRIPTION
{
	_failed=$((_failed + 1))
	echo "not ok $((++_count)) $prefix$*"
}

skip()		# DESCRIPTION REASON: this one cannot be tested here
{
	_skipped=$((_skipped + 1))
	echo "ok $((++_count)) $prefix$1 # SKIP $2"
}

skip_all()	# REASON: nothing of this test can be tested here
{
	_all_skipped=1
	echo "1..0 # SKIP $*"
	exit 4
}

bail()		# REASON: going on makes no sense
{
	not_ok "$*"
	exit 1
}

finish()	# end here; so does the end of the script
{
	exit 0
}

check()		# DESCRIPTION COMMAND...: the command succeeds; its output is shown if it does not
{
	local description=$1 status=0
	shift
	# In a condition, so "set -e" is off inside: a function must chain its steps with &&.
	if "$@" >"$tmp/.check" 2>&1; then
		ok "$description"
	else
		status=$?
		not_ok "$description"
		echo "# status $status of: $*"
		sed 's/^/#   /' "$tmp/.check"
	fi
}

check_fails()	# DESCRIPTION COMMAND...: the command fails
{
	local description=$1
	shift
	check "$description" _fails "$@"
}

_fails()
{
	! "$@"
}

# --- processes and waiting -------------------------------------------------------------------

# "ip netns exec" takes twice as long: it also mounts another /sys, which nobody here looks at.
in_ns()		# NAMESPACE COMMAND...
{
	nsenter --net="/run/netns/$1" "${@:2}"
}

_spawned=()

spawn()		# NAMESPACE COMMAND...: in the background, at most until the test ends; its pid: SPAWNED
{
	nsenter --net="/run/netns/$1" "${@:2}" &
	SPAWNED=$!
	_spawned+=("$SPAWNED")
}

stop()		# PID: end a spawned process and wait until it has gone
{
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

busywait()	# MILLISECONDS COMMAND...: until the command succeeds; fails when that never happens
{
	local deadline=$(($(_now) + $1 * ${SLOWNESS:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(_now)" -ge $deadline ]; then
			echo "# waited in vain for: $*"
			return 1
		fi
		sleep 0.05
	done
}

_now()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

wait_until()	# SECONDS COMMAND...
{
	busywait $(($1 * 1000)) "${@:2}"
}

# --- topologies ------------------------------------------------------------------------------

_namespaces=()

have_ipv6()	# in this kernel
{
	[ -e /proc/sys/net/ipv6 ]
}

# Make a namespace with a name nobody else uses, and put the name in variable $1.
setup_ns()
{
	local name
	name=$(mktemp -u "divert-${1,,}-XXXXXX")
	ip netns add "$name"
	_namespaces+=("$name")
	printf -v "$1" %s "$name"
	# Duplicate address detection would keep IPv6 addresses from use for a second.
	! have_ipv6 || in_ns "$name" sysctl -qw net.ipv6.conf.{all,default}.accept_dad=0
	ip -n "$name" link set lo up
}

# Join two namespaces: NS DEVICE IPV4 IPV6, twice. Lengths of prefixes are 24 and 64.
join_ns()
{
	ip -n "$1" link add "$2" type veth peer name "$6" netns "$5"
	_setup_device "$1" "$2" "$3" "$4"
	_setup_device "$5" "$6" "$7" "$8"
	wait_until 10 _device_ready "$1" "$2"
	wait_until 10 _device_ready "$5" "$6"
}

_setup_device()
{
	ip -n "$1" -batch - <<-BATCH
		addr add $3/24 dev $2
		$(! have_ipv6 || echo "addr add $4/64 dev $2 nodad")
		link set $2 up
	BATCH
}

_device_ready()
{
	ip -n "$1" link show "$2" | grep -q 'state UP' &&
		[ -z "$(ip -n "$1" -6 addr show dev "$2" tentative)" ]
}

# Each topology sets, for each namespace in it, its name ($client, or $NS_C), its addresses
# ($client_ip, $client_ip6) and its device ($client_dev); the router's say towards whom.
# shellcheck disable=SC2034 # for the tests

#	$source                $diverter
#	(NS_C) c0 ────────── r0 (NS_R)
#	10.0.1.1               10.0.1.2
#	fd00:1::1              fd00:1::2
setup_link()
{
	setup_ns NS_C
	setup_ns NS_R
	source=$NS_C source_ip=10.0.1.1 source_ip6=fd00:1::1 source_dev=c0
	diverter=$NS_R diverter_ip=10.0.1.2 diverter_ip6=fd00:1::2 diverter_dev=r0
	join_ns "$source" $source_dev $source_ip $source_ip6 \
		"$diverter" $diverter_dev $diverter_ip $diverter_ip6
}

#	$client                $router                 $server
#	(NS_C) c0 ────────── r0 (NS_R) r1 ────────── s0 (NS_S)
#	10.0.1.1        10.0.1.2   10.0.2.2          10.0.2.1
#	fd00:1::1      fd00:1::2   fd00:2::2        fd00:2::1
setup_routed()
{
	setup_ns NS_C
	setup_ns NS_R
	setup_ns NS_S
	client=$NS_C client_ip=10.0.1.1 client_ip6=fd00:1::1 client_dev=c0
	router=$NS_R
	router_client_ip=10.0.1.2 router_client_ip6=fd00:1::2 router_client_dev=r0
	router_server_ip=10.0.2.2 router_server_ip6=fd00:2::2 router_server_dev=r1
	server=$NS_S server_ip=10.0.2.1 server_ip6=fd00:2::1 server_dev=s0

	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1
	join_ns "$client" $client_dev $client_ip $client_ip6 \
		"$router" $router_client_dev $router_client_ip $router_client_ip6
	join_ns "$server" $server_dev $server_ip $server_ip6 \
		"$router" $router_server_dev $router_server_ip $router_server_ip6
	ip -n "$client" route add default via $router_client_ip
	ip -n "$server" route add default via $router_server_ip
	have_ipv6 || return 0
	in_ns "$router" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "$client" route add default via $router_client_ip6
	ip -n "$server" route add default via $router_server_ip6
}

cleanup_ns()	# remove all namespaces and what runs in them
{
	local name
	for name in "${_namespaces[@]}"; do
		ip netns pids "$name" | xargs -r kill -KILL
		ip netns del "$name"
	done
	_namespaces=()
}

# --- divert ----------------------------------------------------------------------------------

divert_counter()	# NAME [NAMESPACE]: its value, from /proc/net/stat/divert
{
	local names values i sum=0 run=()
	[ $# -lt 2 ] || run=(in_ns "$2")
	{
		read -ra names
		# One line a CPU, in hexadecimal.
		while read -ra values; do
			for i in "${!names[@]}"; do
				[ "${names[i]}" != "$1" ] || sum=$((sum + 16#${values[i]}))
			done
		done
	} < <("${run[@]}" cat /proc/net/stat/divert)
	[[ " ${names[*]} " = *" $1 "* ]] || { echo "# no counter named $1" >&2; return 1; }
	echo "$sum"
}

# --- documents -------------------------------------------------------------------------------

recipe()	# DOCUMENT HEADING LANGUAGE: the first such block below the heading
{
	awk -v heading="$2" -v fence='```'"$3" '
	$0 ~ /^##/ && substr($0, index($0, " ") + 1) == heading	{ here = 1 }
	$0 == "```"					{ inside = 0; if (done) exit }
	inside						{ print; done = 1 }
	here && $1 == fence				{ inside = 1 }
	END						{ exit !done }' "$here/../docs/$1"
}

# --- the end ---------------------------------------------------------------------------------

_end()
{
	local status=$? pid
	trap - EXIT
	set +e

	if [ $status != 0 ] && [ $_failed = 0 ] && [ -z "$_all_skipped" ]; then
		not_ok "the script itself: status $status, line ${_line:-unknown}"
	fi
	for pid in "${_spawned[@]}"; do
		kill "$pid" 2>/dev/null
	done
	cleanup_ns
	wait
	rm -rf "$tmp"

	[ -z "$_all_skipped" ] || exit 4
	echo "1..$_count"
	[ $_failed = 0 ] || exit 1
	[ $_count = 0 ] || [ $_skipped != $_count ] || exit 4
	exit 0
}

set -E
trap '_line=$LINENO' ERR
trap _end EXIT
