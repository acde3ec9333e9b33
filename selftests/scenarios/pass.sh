#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# All of a router's traffic goes through the example divert-pass:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	                  divert-pass
#
# Proves that pings and files come through whole, over IPv4 and IPv6, and that of each packet that was
# read it has been said that it goes on; in both modes, and in that which an older module knows.
# TIMEOUT=600
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/tools/traffic.sh
. "$here/tools/traffic.sh"

moved()		# COUNTER...: what the router has counted since the daemon was started
{
	local name sum=0
	for name; do
		sum=$((sum + $(divert_counter "$name" "$router") - ${before[$name]}))
	done
	echo $sum
}

start()		# [OPTION...]: the daemon
{
	local name
	declare -gA before=()
	for name in read held held_passed inject_in inject_out; do
		before[$name]=$(divert_counter "$name" "$router")
	done
	example_start "$router" 7000 divert-pass "$@" 7000
	pass=$SPAWNED
}

# What was kept goes on, what was not is written.
all_gone_on()	# hold|plain
{
	local read held
	read=$(moved read) held=$(moved held)
	echo "read $read, held $held"
	[ "$read" -gt 100 ] && [ "$held" = "$(moved held_passed)" ] &&
		[ "$(moved inject_in inject_out)" = $((read - held)) ] &&
		[ $((read - held)) = "$([ "$1" = hold ] && echo 0 || echo "$read")" ]
}

traffic()	# OPTIONS
{
	check "pass $1: pings are answered" pings 5 "$client" "$server_at"
	check "pass $1: a file goes up" upload "$client" "$server" "$server_at"
	check "pass $1: a file comes down" download "$client" "$server" "$server_at"
}

in_mode()	# hold|plain [OPTION...]
{
	local f
	start "${@:2}"
	for f in $families; do
		use_family "$f"
		traffic "${*:2}"
	done
	prefix=
	check "L3 pass: all that was read has gone on, as it should: ${*:2} $1" \
		wait_until 10 all_gone_on "$1"
	stop "$pass"
}

# What a module says that does not know how to keep packets, in the way of the daemon's call.
old_module()
{
	cat >"$tmp/old.c" <<-'END'
		#include <errno.h>
		#include <linux/divert.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		int setsockopt(int fd, int level, int name, const void *value, unsigned int len)
		{
			if (level != SOL_DIVERT || name < DIVERT_HOLD)
				return syscall(SYS_setsockopt, fd, level, name, value, len);
			errno = ENOPROTOOPT;
			return -1;
		}
	END
	cc -Wall -Werror -I"$here/../include/uapi" -shared -fPIC -o "$tmp/old.so" "$tmp/old.c"
}

refused()
{
	in_ns "$router" timeout 10 "$here/../build/examples/divert-pass" -m hold 7000 >"$tmp/refused" 2>&1 &&
		return 1
	grep -q 'mode hold: .*too old' "$tmp/refused" || { cat "$tmp/refused"; return 1; }
}

setup_routed
make_file 4
start
for f in $families; do
	use_family "$f"
	for hook in prerouting postrouting; do
		divert_rule "$router" $hook 7000 100 meta l4proto tcp
		divert_rule "$router" $hook 7000 101 "$any_ping"
	done
done
stop "$pass"
in_mode hold
in_mode hold -m hold
in_mode plain -m plain

check "pass: an old module can be played" old_module
export LD_PRELOAD=$tmp/old.so
in_mode plain
check "pass: an old module cannot hold, and that is said" refused
unset LD_PRELOAD
