// SPDX-License-Identifier: GPL-2.0
/* Which way an IPv6 packet goes: route.c's twin. */

#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>

#include <linux/netfilter_ipv6.h>

#include "divert.h"

static int divert_oif6(const struct sock *sk, const struct divert_dest *to,
		       const struct in6_addr *daddr)
{
	int oif = divert_dest_oif(to, sk);

	if (!oif && sk->sk_family == AF_INET6 && ipv6_addr_is_multicast(daddr))
		oif = READ_ONCE(inet6_sk(sk)->mcast_oif);
	return oif;
}

static void divert_flow6_ports(const struct sk_buff *skb, struct flowi6 *fl6)
{
	__be16 frag_off, ports[2];
	int offset;

	fl6->flowi6_proto = ipv6_hdr(skb)->nexthdr;
	offset = ipv6_skip_exthdr(skb, sizeof(struct ipv6hdr),
				  &fl6->flowi6_proto, &frag_off);
	if (offset < 0 || frag_off & htons(IP6_OFFSET))
		return;
	if (fl6->flowi6_proto != IPPROTO_TCP &&
	    fl6->flowi6_proto != IPPROTO_UDP &&
	    fl6->flowi6_proto != IPPROTO_SCTP)
		return;
	if (skb_copy_bits(skb, offset, ports, sizeof(ports)))
		return;

	fl6->fl6_sport = ports[0];
	fl6->fl6_dport = ports[1];
}

static struct flowi6 divert_flow6(struct net *net, struct sock *sk,
				  const struct sk_buff *skb,
				  const struct divert_dest *to)
{
	const struct ipv6hdr *iph = ipv6_hdr(skb);
	struct flowi6 fl6 = {
		.daddr		= iph->daddr,
		.saddr		= iph->saddr,
		.flowlabel	= ip6_flowinfo(iph),
		.flowi6_mark	= divert_dest_mark(to, sk),
		.flowi6_uid	= sock_net_uid(net, sk),
		.flowi6_flags	= FLOWI_FLAG_ANYSRC,
	};

	divert_flow6_ports(skb, &fl6);
	security_sk_classify_flow(sk, flowi6_to_flowi_common(&fl6));
	return fl6;
}

static int divert_dst6_set(struct sk_buff *skb, struct dst_entry *dst)
{
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	if (dst->error) {
		int err = dst->error;

		dst_release(dst);
		return err;
	}

	skb_dst_set(skb, dst);
	return 0;
}

static int divert_route6_plain(struct net *net, struct sock *sk,
			       struct sk_buff *skb,
			       const struct divert_dest *to)
{
	struct flowi6 fl6 = divert_flow6(net, sk, skb, to);
	struct dst_entry *dst;

	/* The lookup is not given the socket: it would take an AF_INET one for
	 * its own. An interface that was asked for is binding all the same.
	 */
	fl6.flowi6_oif = divert_oif6(sk, to, &fl6.daddr);
	dst = ip6_route_output_flags(net, NULL, &fl6, fl6.flowi6_oif ?
				     RT6_LOOKUP_F_IFACE : 0);
	if (!dst->error)
		dst = xfrm_lookup_route(net, dst, flowi6_to_flowi(&fl6), sk, 0);

	return divert_dst6_set(skb, dst);
}

/* Only policy rules make a packet's way depend on where it came from. */
static bool divert_has_rules6(const struct net *net)
{
#ifdef CONFIG_IPV6_MULTIPLE_TABLES
	return net->ipv6.fib6_has_custom_rules;
#else
	return false;
#endif
}

/* Not to be forwarded: no error of routing's, whose blackholes have -EINVAL. */
#define DIVERT_ROUTE_LOCAL	1

/* Route a forwarded packet as one that was received on @dev, DIVERT_ROUTE_LOCAL
 * if it is not to be forwarded, so it is an ordinary outgoing packet.
 */
static int divert_route6_forward(struct net *net, struct sock *sk,
				 struct sk_buff *skb, struct net_device *dev,
				 const struct divert_dest *to)
{
	struct flowi6 fl6 = divert_flow6(net, sk, skb, to);
	struct dst_entry *dst;

	fl6.flowi6_iif = dev->ifindex;
	dst = ip6_route_input_lookup(net, dev, &fl6, skb,
				     RT6_LOOKUP_F_HAS_SADDR);
	if (!dst->error && ((struct rt6_info *)dst)->rt6i_flags & RTF_LOCAL) {
		dst_release(dst);
		return DIVERT_ROUTE_LOCAL;
	}
	fl6.flowi6_oif = dst->dev->ifindex;
	if (!dst->error)
		dst = xfrm_lookup_route(net, dst, flowi6_to_flowi(&fl6), sk, 0);

	return divert_dst6_set(skb, dst);
}

/**
 * divert_route6() - route a written IPv6 packet
 * @net: namespace
 * @sk: socket it was written to
 * @skb: packet, gets a dst
 * @to: address it was written with
 *
 * Return: 0 or what routing says.
 */
int divert_route6(struct net *net, struct sock *sk, struct sk_buff *skb,
		  const struct divert_dest *to)
{
	struct net_device *dev;
	int err = DIVERT_ROUTE_LOCAL;

	/* Local senders have IPv6 fragment what they send, but not TCP. */
	skb->ignore_df = ipv6_hdr(skb)->nexthdr != IPPROTO_TCP &&
			 !skb_is_gso(skb);

	rcu_read_lock();
	dev = divert_dev_named(net, to);
	if (dev) {
		IP6CB(skb)->flags |= IP6SKB_FORWARDED;
		IP6CB(skb)->iif = dev->ifindex;
		skb->skb_iif = dev->ifindex;
		skb->ignore_df = divert_reassembled6(skb, dev);
		if (divert_has_rules6(net) && !divert_dest_oif(to, sk))
			err = divert_route6_forward(net, sk, skb, dev, to);
	}
	rcu_read_unlock();

	return err == DIVERT_ROUTE_LOCAL ?
	       divert_route6_plain(net, sk, skb, to) : err;
}

/* As ip_route_me_harder(): by the packet's mark, as it stands. */
int divert_reroute6(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	return ip6_route_me_harder(net, sk, skb);
}
