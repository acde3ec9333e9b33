# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # variables of "measure"
# How often one CPU waits for a lock of divert.ko that another one has: each spinlock that is not
# free is taken by one function of the kernel, so a probe there, with the stack, tells who wanted it.

_slow=native_queued_spin_lock_slowpath

contention_start()
{
	mkdir -p "$tmp/tracing" &&
		mount -t tracefs tracefs "$tmp/tracing" &&
		echo "p:bench/contended $_slow" >"$tmp/tracing/kprobe_events" &&
		echo "hist:keys=stacktrace:size=16384" >"$tmp/tracing/events/bench/contended/trigger"
}

contention_stop()
{
	mountpoint -q "$tmp/tracing" 2>/dev/null || return 0
	echo "!hist:keys=stacktrace:size=16384" >"$tmp/tracing/events/bench/contended/trigger"
	echo "-:bench/contended" >>"$tmp/tracing/kprobe_events"
	umount "$tmp/tracing"
}

# How often so far, as members for JSON: all, those of divert.ko, and these by who wanted the lock.
# A stack is: the probe's own frames, the slow path, functions of the lock, who called them.
contention()
{
	awk -v slow="$_slow" '
	/stacktrace:/		{ asked = after = 0 }
	index($1, slow)		{ after = 1; next }
	after && !asked && !/raw_spin|queued_spin|do_raw/ {
		asked = 1
		ours = $2 == "[divert]"
		who = $1
	}
	/hitcount:/ && asked {
		all += $NF
		if (ours) {
			divert += $NF
			sub(/\+.*/, "", who)
			by[who] += $NF
		}
		asked = 0
	}
	/Dropped:/		{ dropped = $2 }
	END {
		if (dropped)
			exit 1
		printf "\"all\": %d, \"divert\": %d", all, divert
		for (who in by)
			printf ", \"%s\": %d", who, by[who]
	}' "$tmp/tracing/events/bench/contended/hist"
}
