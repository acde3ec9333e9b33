#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A kernel whose security module labels packets:
#
#	source c0 ─────── r0 diverter
#	                     daemon, answers pings
#
# Proves that a packet which a daemon sends is its own to the security module, which looks at the
# label of the writing socket; over IPv4 and IPv6.
# TIMEOUT=180
# BOOT=security=selinux
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

selinux=/sys/fs/selinux

# As little of a policy as there can be: a domain for all but one writer, which alone may not send
# packets labelled secret. Whatever it does not name is allowed.
policy()
{
	cat <<-POLICY
		(handleunknown allow)
		(classorder (process packet))
		(class process (transition dyntransition))
		(class packet (send))
		(sidorder (kernel security unlabeled))
		(sid kernel) (sid security) (sid unlabeled)
		(user u) (role r)
		(userrole u r)
		(type base) (type writer) (type secret)
		(roletype r base) (roletype r writer)
		(sensitivity s0) (sensitivityorder (s0))
		(userlevel u (s0)) (userrange u ((s0) (s0)))
		(sidcontext kernel (u r base ((s0) (s0))))
		(sidcontext security (u r base ((s0) (s0))))
		(sidcontext unlabeled (u r base ((s0) (s0))))
		(allow base base (process (transition dyntransition)))
		(allow base writer (process (transition dyntransition)))
		(allow base base (packet (send)))
		(allow base secret (packet (send)))
		(allow writer base (packet (send)))
	POLICY
}

load_policy()
{
	policy >"$tmp/policy.cil" &&
		secilc -M false -c 31 -o "$tmp/policy" -f /dev/null "$tmp/policy.cil" &&
		cat "$tmp/policy" >$selinux/load && echo 1 >$selinux/enforce
}

# Turns pings round, so that what it writes is sent: see divertd_start.
writer_start()	# NAME TYPE
{
	# shellcheck disable=SC2016 # expanded there
	spawn "$diverter" bash -c 'printf %s "u:r:$0" >/proc/self/attr/current && exec "$@"' \
		"$2" "$tools/divertd" -r -o 7000 >"$tmp/$1" 2>&1
	_divertd[$1]=$SPAWNED
	wait_until 10 grep -qx ready "$tmp/$1" || { cat "$tmp/$1"; return 1; }
}

label_answers()
{
	in_ns "$diverter" nft -f - <<-RULES
		table $family label {
			secmark secret { "u:object_r:secret" }
			chain out {
				type filter hook output priority 0
				$icmp type echo-reply meta secmark set "secret"
			}
		}
	RULES
}

refused()	# N: writes of the daemon
{
	[ "$(grep -cx 'error EACCES' "$tmp/d")" = "$1" ]
}

may_send()
{
	divert_rule "$diverter" prerouting 7000 100 "$icmp" type echo-request
	label_answers
	writer_start d base
	check "W7 a writer that may send such packets" pings 3 "$source" "$diverter_at"
	check "W7 they were its own" has_seen 3 d
}

may_not_send()
{
	divert_rule "$diverter" prerouting 7000 100 "$icmp" type echo-request
	writer_start d writer
	check "W7 a writer that may not send such packets: others pass" \
		pings 3 "$source" "$diverter_at"
	label_answers
	check "W7 a writer that may not send such packets: none leaves" \
		ping_lost "$source" "$diverter_at"
	check "W7 W5 a writer that may not send such packets: EACCES" refused 1
	check "W5 the refusal is counted" has_counted 1 eacces "$diverter"
}

[ -d $selinux ] || skip_all "no security module that labels packets"
mountpoint -q $selinux || mount -t selinuxfs selinuxfs $selinux
check "W7 a policy is loaded" load_policy

for family in $families; do
	setup_link
	use_family "$family"
	run may_send
	run may_not_send
	cleanup_ns
done
