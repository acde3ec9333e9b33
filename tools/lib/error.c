// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Errors in words.
 */

#include <errno.h>
#include <string.h>

#include "internal.h"

static const struct {
	int error;
	const char *text;
} texts[] = {
	{ EPROTONOSUPPORT,
	  "the divert module is not loaded: run 'modprobe divert'" },
	{ EPERM,
	  "no permission: run as root, or with CAP_NET_RAW and CAP_NET_ADMIN" },
	{ EADDRINUSE,
	  "another socket has this port: see /proc/net/divert" },
	{ EADDRNOTAVAIL,
	  "no such interface, or a port that no mark can name: see 'sysctl net.divert'" },
	{ EACCES,
	  "the firewall dropped the packet" },
	{ ENETDOWN,
	  "the packet's interface is down" },
	{ ESTALE,
	  "the packet is kept no more: it has had its verdict, or was given up" },
	{ ENOPROTOOPT,
	  "the divert module that is loaded is too old for this" },
	{ EMSGSIZE,
	  "the packet is too long for its way out, and must not be fragmented" },
	{ }
};

const char *divert_strerror(int error)
{
	size_t i;

	for (i = 0; texts[i].text; i++) {
		if (texts[i].error == error)
			return texts[i].text;
	}
	return strerror(error);
}
