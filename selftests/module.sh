#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Loading and unloading: what the module brings is there exactly while it is, and it stays while
# somebody holds a socket.
. "$(dirname "$(readlink -f "$0")")/lib.sh"

traces()	# what only the module can have put there
{
	ls -d /proc/sys/net/divert /proc/net/divert /proc/net/stat/divert 2>/dev/null
}

all_traces()
{
	[ "$(traces | wc -l)" = 3 ]
}

no_traces()
{
	! traces
}

settings_readable()
{
	[ -n "$(sysctl -n net.divert.port_mask)" ]
}

# Hold a divert socket until killed; say so when it is open.
exec_holder()
{
	exec python3 -c '
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 258)
print("open", flush=True)
signal.pause()'
}

unload_fails_busy()
{
	! LC_ALL=C rmmod divert 2>"$tmp/rmmod" && grep 'in use' "$tmp/rmmod" && [ -e /sys/module/divert ]
}

[ -e /sys/module/divert ] || "$here/insmod"

check "S8 net.divert and /proc/net/divert are there with the module" all_traces
check "S8 net.divert can be read" settings_readable
check "S8 rmmod removes the module" rmmod divert
check "S8 net.divert and /proc/net/divert go with the module" no_traces
check "S8 the module loads again" "$here/insmod"
check "S8 net.divert and /proc/net/divert are back" all_traces

coproc HOLDER { exec_holder; }
holder=$HOLDER_PID
read -r line <&"${HOLDER[0]}"
check "S10 a socket opens" [ "$line" = open ]
check "S10 rmmod fails while a socket is open" unload_fails_busy
stop "$holder"
check "S10 rmmod works once the socket is closed" wait_until 10 rmmod divert
"$here/insmod"
