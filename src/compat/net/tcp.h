/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NET_TCP_H
#define _DIVERT_COMPAT_NET_TCP_H

#include_next <net/tcp.h>

/* v6.13, and later releases of older ones */
#ifndef TCP_MIN_GSO_SIZE
#define TCP_MIN_GSO_SIZE	(TCP_MIN_SND_MSS - MAX_TCP_OPTION_SPACE)
#endif

#endif
