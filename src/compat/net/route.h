/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NET_ROUTE_H
#define _DIVERT_COMPAT_NET_ROUTE_H

#include <linux/version.h>
#include <net/flow.h>
#include <net/inet_dscp.h>
#include_next <net/route.h>

/* v6.10 brought ip_sock_rt_scope(). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline __u8 divert_ip_sock_rt_scope(const struct sock *sk)
{
	return sock_flag(sk, SOCK_LOCALROUTE) ? RT_SCOPE_LINK :
						RT_SCOPE_UNIVERSE;
}

#define ip_sock_rt_scope	divert_ip_sock_rt_scope
#endif

/* v6.13: input routing takes a dscp_t; before, the TOS byte. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline int divert_ip_route_input_noref(struct sk_buff *skb,
					      __be32 daddr, __be32 saddr,
					      dscp_t dscp,
					      struct net_device *dev)
{
	return ip_route_input_noref(skb, daddr, saddr,
				    inet_dscp_to_dsfield(dscp), dev);
}

#define ip_route_input_noref	divert_ip_route_input_noref
#endif

/* Up to v6.10 a link scope had to be asked for by a bit of the TOS. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline void divert_flowi4_init_output(struct flowi4 *fl4, int oif,
					     __u32 mark, __u8 tos, __u8 scope,
					     __u8 proto, __u8 flags,
					     __be32 daddr, __be32 saddr,
					     __be16 dport, __be16 sport,
					     kuid_t uid)
{
	tos &= IPTOS_RT_MASK;
	if (scope == RT_SCOPE_LINK)
		tos |= RTO_ONLINK;
	flowi4_init_output(fl4, oif, mark, tos, scope, proto, flags, daddr,
			   saddr, dport, sport, uid);
}

#define flowi4_init_output	divert_flowi4_init_output
#endif

#endif
