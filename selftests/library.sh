#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Proves that libdivert does with live sockets what libdivert(3) says, and that it does not take a
# plain raw socket for one of ours.
# TIMEOUT=120
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

live()		# NAME
{
	local status=0
	in_ns "$HOST" "$tools/library" "$1" >"$tmp/live" 2>&1 || status=$?
	if [ $status = 4 ]; then
		skip "library: $1" "the module has no such option"
	else
		check "library: $1" _ended $status "$tmp/live"
	fi
}

_ended()	# STATUS OUTPUT
{
	cat "$2"
	return "$1"
}

no_permission()
{
	local said
	said=$(in_ns "$HOST" setpriv --bounding-set -net_admin --inh-caps -net_admin \
		"$tools/library" round_trip 2>&1) && return 1
	[[ $said = *"no permission"*CAP_NET_ADMIN* ]] || { echo "said: $said"; return 1; }
}

not_loaded()
{
	local said status=0
	rmmod divert
	said=$(in_ns "$HOST" "$tools/library" round_trip 2>&1) || status=$?
	"$here/insmod"
	echo "status $status, said: $said"
	[ $status = 1 ] && [[ $said = *"not loaded"*"modprobe divert"* ]]
}

setup_ns HOST
in_ns "$HOST" nft -f - <<-RULES
	table ip library {
		chain out {
			type filter hook output priority mangle
			udp dport 5000 meta mark set 0x1b580064
		}
	}
RULES
for name in $("$tools/library"); do
	live "$name"
done
check "S3 library: without permission, that is said" no_permission
check "S8 library: without the module, that is said" not_loaded
check "S8 library: with the module again, all is well" in_ns "$HOST" "$tools/library" round_trip
