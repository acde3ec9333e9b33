/* SPDX-License-Identifier: GPL-2.0 */
/* v5.18 brought dscp_t. */
#ifndef _DIVERT_COMPAT_NET_INET_DSCP_H
#define _DIVERT_COMPAT_NET_INET_DSCP_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#include_next <net/inet_dscp.h>
#else
#include <linux/types.h>

#define dscp_t __u8

static inline dscp_t divert_dsfield_to_dscp(__u8 dsfield)
{
	return dsfield & 0xfc;
}

static inline __u8 divert_dscp_to_dsfield(dscp_t dscp)
{
	return dscp;
}

#define inet_dsfield_to_dscp	divert_dsfield_to_dscp
#define inet_dscp_to_dsfield	divert_dscp_to_dsfield
#endif

#endif
