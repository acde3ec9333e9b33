// SPDX-License-Identifier: GPL-2.0
/* Names of the counters, and which one a refused write belongs to. */

#include <linux/errno.h>

#include "divert.h"

const char * const divert_stat_names[DIVERT_STAT_MAX] = {
	[DIVERT_STAT_DIVERTED]		= "diverted",
	[DIVERT_STAT_BYTES]		= "bytes",
	[DIVERT_STAT_TEED]		= "teed",
	[DIVERT_STAT_READ]		= "read",
	[DIVERT_STAT_UNREAD]		= "unread",
	[DIVERT_STAT_PASSED]		= "passed",
	[DIVERT_STAT_RESUMED]		= "resumed",
	[DIVERT_STAT_DROP_NOPORT]	= "noport",
	[DIVERT_STAT_DROP_FULL]		= "full",
	[DIVERT_STAT_DROP_NOMEM]	= "nomem",
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
	default:
		return DIVERT_STAT_EOTHER;
	}
}
