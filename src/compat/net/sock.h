/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NET_SOCK_H
#define _DIVERT_COMPAT_NET_SOCK_H

#include <linux/version.h>
#include_next <net/sock.h>

/* v5.19 renamed it. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#define sock_recv_cmsgs	sock_recv_ts_and_drops
#endif

/* v6.17 renamed it; a macro with an argument, as a member has the new name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define sk_uid(sk)	sock_i_uid(sk)
#endif

/* v6.18 hides how drops are counted. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
static inline void divert_sk_drops_inc(struct sock *sk)
{
	atomic_inc(&sk->sk_drops);
}

static inline int divert_sk_drops_read(const struct sock *sk)
{
	return atomic_read(&sk->sk_drops);
}

#define sk_drops_inc	divert_sk_drops_inc
#define sk_drops_read	divert_sk_drops_read
#endif

/* v6.5 asks where a protocol keeps its IPv6 part; before, it was the last. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define PROTO_IPV6_PINFO(type, member)	\
	.ipv6_pinfo_offset = offsetof(type, member),
#else
#define PROTO_IPV6_PINFO(type, member)
#endif

#endif
