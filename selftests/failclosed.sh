#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What must not pass does not, when something is missing:
#
#	source c0 ─────── r0 diverter
#
# Proves that the recipes of docs/security.md do what it says, as they stand there; over IPv4 and
# IPv6. Without the recipe for it, packets pass: that shows that the path works.
# TIMEOUT=240
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

pass()		# DESCRIPTION
{
	check "$1: marked packets pass" pings 3 "$source" "$diverter_at"
}

lost()		# DESCRIPTION
{
	check "$1: marked packets are dropped" ping_lost "$source" "$diverter_at"
	check "$1: others pass" pings 3 "$diverter" "$source_at"
}

guard()
{
	recipe security.md "Module absent" nft >"$tmp/guard"
	in_ns "$diverter" nft -f "$tmp/guard"
}

apply()		# HEADING
{
	recipe security.md "$1" sh >"$tmp/recipe"
	in_ns "$diverter" sh -e "$tmp/recipe" >"$tmp/applied"
}

unload()
{
	wait_until 20 rmmod divert
}

module_absent()
{
	check "D12 the module goes" unload
	pass "D12 module absent, no guard"
	check "D12 the guard can be loaded" guard
	lost "D12 module absent, guard"
	"$here/insmod"
	lost "D12 module there, its hooks not yet, guard"
}

daemon_absent()
{
	check "D7 the recipe for an absent daemon can be applied" apply "Daemon absent"
	lost "D7 no daemon yet"
	check "D7 no daemon yet: drops are counted" counted noport
}

daemon_dead()
{
	divertd_start d "$diverter" 7000
	pass "D7 daemon there, guard"
	check "D7 the recipe for a dead daemon can be applied" apply "Daemon dead"
	pass "D7 daemon there, recipe for its death"
	divertd_signal d KILL
	divertd_stop
	lost "D7 daemon dead"
}

counted()	# NAME
{
	[ "$(divert_counter "$1" "$diverter")" -gt 0 ]
}

for family in $families; do
	setup_link
	use_family "$family"
	divert_always "$diverter" prerouting 7000 100 "$icmp" type echo-request
	module_absent
	daemon_absent
	daemon_dead
	cleanup_ns
done
