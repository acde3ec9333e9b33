/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_NET_H
#define _DIVERT_COMPAT_LINUX_NET_H

#include <linux/version.h>
#include_next <linux/net.h>

/* v6.19: bind() and connect() take addresses of no fixed size. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define sockaddr_unsized sockaddr
#endif

#endif
