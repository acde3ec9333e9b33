/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NET_NET_NAMESPACE_H
#define _DIVERT_COMPAT_NET_NET_NAMESPACE_H

#include <linux/version.h>
#include_next <net/net_namespace.h>

/* v6.6 takes the number of entries; before, an empty entry ends the table. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define register_net_sysctl_sz(net, path, table, size)	\
	register_net_sysctl(net, path, table)
#endif

#endif
