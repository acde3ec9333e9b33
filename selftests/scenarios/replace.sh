#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A web page is changed on its way by the example divert-replace:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                 divert-replace
#
# Proves that every place is changed, over IPv4 and IPv6, and that nothing else is; the checksums
# must be right, or the client would not take the segments.
# TIMEOUT=180
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

web_server()
{
	mkdir "$tmp/web"
	printf 'A cat, a dog, two cats.\n' >"$tmp/web/page"
	# Of odd length, and nothing in it to change.
	head -c 1000001 /dev/zero | tr '\0' 'x' >"$tmp/web/large"
	spawn "$server" python3 -m http.server --bind :: --directory "$tmp/web" 80 >/dev/null 2>&1
	wait_until 60 listening
}

listening()
{
	in_ns "$server" ss -Htln sport = :80 | grep -q .
}

fetch()		# PAGE
{
	local host=$server_at
	[ "$family" = ip ] || host="[$server_at]"
	in_ns "$client" curl -gsS --max-time 60 "http://$host/$1"
}

says()		# TEXT
{
	local said
	said=$(fetch page)
	[ "$said" = "$1" ] || { echo "said: $said"; return 1; }
}

large_is_whole()
{
	fetch large | cmp - "$tmp/web/large"
}

refused()	# REGEX ARG...: with a sentence, before anything is done
{
	local said status=0
	said=$("$here/../build/examples/divert-replace" "${@:2}" 2>&1) || status=$?
	echo "status $status, said: $said"
	[ $status = 2 ] && [[ $said =~ $1 ]]
}

setup_routed
web_server
for f in $families; do
	use_family "$f"
	check "replace: the page as it is" says "A cat, a dog, two cats."
	divert_rule "$router" prerouting 7000 100 tcp sport 80
done

example_start "$router" 7000 divert-replace 7000 cat fox
daemon=$SPAWNED
for f in $families; do
	use_family "$f"
	check "replace: the page is changed in all places" says "A fox, a dog, two foxs."
	check "replace: a large file is not changed" large_is_whole
done
stop "$daemon"
prefix=
check "replace: texts of different length are refused" \
	refused "differ in length" 7000 cat mouse
check "replace: so is a port that cannot be" refused "usage: .*1-65534" 65535 cat fox
