/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NF_DEFRAG_IPV4_H
#define _DIVERT_COMPAT_NF_DEFRAG_IPV4_H

#include <linux/version.h>
#include_next <net/netfilter/ipv4/nf_defrag_ipv4.h>

/* Up to v5.12 it stays on where it once was. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 13, 0)
#define nf_defrag_ipv4_disable(net)	((void)(net))
#endif

#endif
