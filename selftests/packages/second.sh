#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The second boot: what should have come up by itself has; then purge, and nothing is left.
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/packages/files.sh
. "$here/packages/files.sh"

loaded_at_boot()
{
	[ "$(systemctl show -P LoadState modprobe@divert.service)" = masked ] &&
		[ -e /sys/module/divert ] && [ ! -e /sys/module/divert_diag ]
}

main_pid()
{
	systemctl show -P MainPID divert@test
}

# The inode of the socket on our port, which belongs to one socket as long as that lives.
socket_inode()
{
	awk '$1 == "8668:" { print $10 }' /proc/net/divert
}

daemon_runs()
{
	wait_until 60 systemctl -q is-active divert@test && wait_until 60 socket_bound
}

socket_bound()
{
	[ -n "$(socket_inode)" ]
}

# Neither root nor able to become it, without a capability.
unprivileged()
{
	local status
	status=/proc/$(main_pid)/status
	[ "$(awk '$1 == "Uid:" { print $2 }' "$status")" != 0 ] &&
		grep -q '^NoNewPrivs:.1$' "$status" &&
		[ "$(sed -n 's/^Cap\(Prm\|Eff\|Inh\|Amb\):\t//p' "$status" | sort -u)" = 0000000000000000 ]
}

# A datagram over the loopback interface comes through the daemon.
datagram()
{
	python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 7777))
s.settimeout(30)
s.sendto(b"hello", s.getsockname())
assert s.recv(100) == b"hello"'
}

diverts()
{
	local count
	divertctl add 100 divert 8668 udp from any to any 7777 in &&
		count=$(divert_counter diverted) && datagram &&
		[ "$(divert_counter diverted)" -gt "$count" ]
}

# The packet that comes while the daemon is down waits for the next one.
restarts()
{
	local inode pid
	inode=$(socket_inode) pid=$(main_pid)
	[ -n "$inode" ] && kill -STOP "$pid" && { datagram & } && wait_until 30 packet_waits &&
		kill -KILL "$pid" && wait $! && wait_until 60 restarted "$pid" &&
		[ "$(socket_inode)" = "$inode" ]
}

packet_waits()
{
	divertctl show --json | grep '"waiting": *[1-9]'
}

restarted()	# OLD-PID
{
	systemctl -q is-active divert@test && [ "$(main_pid)" != "$1" ]
}

purge()
{
	local names
	names=$(dpkg-query -W -f '${binary:Package}\n' 'divert-*' 'libdivert*')
	# shellcheck disable=SC2086 # names are words
	divertctl flush && systemctl unmask modprobe@divert.service && systemctl disable --now divert@test && rm /etc/divert/test.conf &&
		dpkg --purge $names
}

nothing_left()
{
	list_files | diff "$before" - && [ ! -e /sys/module/divert ] &&
		[ -z "$(dkms status -m divert)" ] && ! lsmod | grep divert
}

check "packages: the module was loaded at boot by modules-load.d" loaded_at_boot
check "packages: the daemon was started at boot" daemon_runs
check "packages: the daemon has no privileges" unprivileged
check "packages: the daemon passes packets on" diverts
check "packages: no packet is lost while the daemon restarts" restarts
check "packages: they can be purged" purge
check "packages: purge leaves nothing" nothing_left
