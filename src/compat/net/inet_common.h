/* SPDX-License-Identifier: GPL-2.0 */
/* Older ones leave it to others to include what it needs. */
#ifndef _DIVERT_COMPAT_NET_INET_COMMON_H
#define _DIVERT_COMPAT_NET_INET_COMMON_H

#include <linux/netdevice.h>
#include <net/sock.h>
#include_next <net/inet_common.h>

#endif
