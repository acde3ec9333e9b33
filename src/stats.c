// SPDX-License-Identifier: GPL-2.0
/* The counters: names, and what they stand for elsewhere. */

#include <linux/errno.h>
#include <linux/export.h>

#include "divert.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

const char * const divert_stat_names[DIVERT_STAT_MAX] = {
	[DIVERT_STAT_DIVERTED]		= "diverted",
	[DIVERT_STAT_BYTES]		= "bytes",
	[DIVERT_STAT_TEED]		= "teed",
	[DIVERT_STAT_READ]		= "read",
	[DIVERT_STAT_UNREAD]		= "unread",
	[DIVERT_STAT_EXPIRED]		= "expired",
	[DIVERT_STAT_RELEASED]		= "released",
	[DIVERT_STAT_PASSED]		= "passed",
	[DIVERT_STAT_FULL]		= "full",
	[DIVERT_STAT_NOMEM]		= "nomem",
	[DIVERT_STAT_INJECT_IN]		= "inject_in",
	[DIVERT_STAT_INJECT_OUT]	= "inject_out",
	[DIVERT_STAT_CONGESTED]		= "congested",
	[DIVERT_STAT_EINVAL]		= "einval",
	[DIVERT_STAT_EAFNOSUPPORT]	= "eafnosupport",
	[DIVERT_STAT_EADDRNOTAVAIL]	= "eaddrnotavail",
	[DIVERT_STAT_EMSGSIZE]		= "emsgsize",
	[DIVERT_STAT_EACCES]		= "eacces",
	[DIVERT_STAT_ENETDOWN]		= "enetdown",
	[DIVERT_STAT_EUNREACH]		= "eunreach",
	[DIVERT_STAT_ENOBUFS]		= "enobufs",
	[DIVERT_STAT_EOTHER]		= "eother",
	[DIVERT_STAT_HELD]		= "held",
	[DIVERT_STAT_HELD_PASSED]	= "held_passed",
	[DIVERT_STAT_HELD_DROPPED]	= "held_dropped",
	[DIVERT_STAT_HELD_LOST]		= "held_lost",
	[DIVERT_STAT_HELD_RELEASED]	= "held_released",
	[DIVERT_STAT_ESTALE]		= "estale",
	[DIVERT_STAT_NOPORT]		= "noport",
	[DIVERT_STAT_RESUMED]		= "resumed",
};

enum divert_stat divert_stat_errno(int err)
{
	switch (err) {
	case -EINVAL:
		return DIVERT_STAT_EINVAL;
	case -EAFNOSUPPORT:
		return DIVERT_STAT_EAFNOSUPPORT;
	case -EADDRNOTAVAIL:
		return DIVERT_STAT_EADDRNOTAVAIL;
	case -EMSGSIZE:
		return DIVERT_STAT_EMSGSIZE;
	case -EACCES:
		return DIVERT_STAT_EACCES;
	case -ENETDOWN:
		return DIVERT_STAT_ENETDOWN;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return DIVERT_STAT_EUNREACH;
	case -ENOBUFS:
		return DIVERT_STAT_ENOBUFS;
	case -ESTALE:
	case -ENOENT:
		return DIVERT_STAT_ESTALE;
	default:
		return DIVERT_STAT_EOTHER;
	}
}

enum skb_drop_reason divert_stat_drop_reason(enum divert_stat i)
{
	switch (i) {
	case DIVERT_STAT_NOPORT:
		return SKB_DROP_REASON_NO_SOCKET;
	case DIVERT_STAT_FULL:
		return SKB_DROP_REASON_SOCKET_RCVBUFF;
	case DIVERT_STAT_NOMEM:
		return SKB_DROP_REASON_NOMEM;
	default:
		return SKB_DROP_REASON_NOT_SPECIFIED;
	}
}

/**
 * divert_stats_fill() - a socket's counters as user space sees them
 * @ds: socket
 * @stats: filled in
 */
void divert_stats_fill(const struct divert_sock *ds, struct divert_stats *stats)
{
	u64 *counter = &stats->diverted;
	int i;

	stats->size = sizeof(*stats);
	stats->reserved = 0;
	for (i = 0; i < DIVERT_STAT_SOCKET_MAX; i++)
		counter[i] = atomic_long_read(&ds->counters[i]);
}
EXPORT_SYMBOL_GPL(divert_stats_fill);
