// SPDX-License-Identifier: GPL-2.0
/*
 * Which way an IPv4 packet goes.
 *
 * A round trip through user space must not change that: what routing knew of
 * the packet when it was taken comes back with its address.
 */

#include <linux/hash.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/inet_dscp.h>
#include <net/ip.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>

#include "divert.h"

/* The writer's own choice, if it made one, else what came with the packet. */
static int divert_oif(const struct sock *sk, const struct divert_dest *to,
		      __be32 daddr)
{
	int oif = divert_dest_oif(to, sk);

	if (!oif && ipv4_is_multicast(daddr))
		oif = READ_ONCE(inet_sk(sk)->mc_index);
	return oif;
}

static void divert_flow_ports(const struct sk_buff *skb, __be16 *sport,
			      __be16 *dport)
{
	const struct iphdr *iph = ip_hdr(skb);
	__be16 ports[2];

	if (iph->protocol != IPPROTO_TCP && iph->protocol != IPPROTO_UDP &&
	    iph->protocol != IPPROTO_SCTP)
		return;
	if (iph->frag_off & htons(IP_OFFSET) ||
	    skb_copy_bits(skb, iph->ihl * 4, ports, sizeof(ports)))
		return;

	*sport = ports[0];
	*dport = ports[1];
}

/* The source address, where routing has a use for it; the packet keeps its own.
 * What is for many goes out by the interface that has the source address, says
 * routing, and by none if it is another host's.
 */
static __be32 divert_flow_source(struct net *net, const struct iphdr *iph)
{
	__be32 saddr = iph->saddr;
	bool ours = true;

	if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) ||
	    ipv4_is_zeronet(saddr))
		return 0;

	if (ipv4_is_multicast(iph->daddr) || ipv4_is_lbcast(iph->daddr)) {
		rcu_read_lock();
		ours = __ip_dev_find(net, saddr, false);
		rcu_read_unlock();
	}
	return ours ? saddr : 0;
}

/* What was found */

void divert_routes_exit(struct divert_sock *ds)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ds->routes); i++)
		dst_release(ds->routes[i].dst);
}

static struct divert_route *divert_route_place(struct divert_sock *ds,
					       const struct flowi4 *fl4)
{
	u32 hash = (__force u32)fl4->daddr ^ (__force u16)fl4->fl4_sport ^
		   (__force u16)fl4->fl4_dport;

	return &ds->routes[hash_32(hash, DIVERT_ROUTES_BITS)];
}

/* As good as a connected socket's: until anything changes in routing. */
static struct dst_entry *divert_route_recall(struct divert_sock *ds,
					     const struct flowi4 *fl4)
{
	struct divert_route *route = divert_route_place(ds, fl4);
	struct dst_entry *dst = NULL;

	spin_lock(&ds->routes_lock);
	if (route->dst && !memcmp(&route->flow, fl4, sizeof(*fl4)))
		dst = dst_check(route->dst, 0);
	if (dst)
		dst_hold(dst);
	spin_unlock(&ds->routes_lock);
	return dst;
}

static void divert_route_remember(struct divert_sock *ds,
				  const struct flowi4 *fl4,
				  struct dst_entry *dst)
{
	struct divert_route *route = divert_route_place(ds, fl4);

	dst_hold(dst);
	spin_lock(&ds->routes_lock);
	route->flow = *fl4;
	swap(route->dst, dst);
	spin_unlock(&ds->routes_lock);
	dst_release(dst);
}

static struct dst_entry *divert_route_find(struct net *net, struct sock *sk,
					   const struct flowi4 *asked)
{
	struct flowi4 fl4 = *asked;
	struct rtable *rt;

	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(net, &fl4, sk);
	if (IS_ERR(rt))
		return ERR_CAST(rt);

	divert_route_remember(divert_sk(sk), asked, &rt->dst);
	return &rt->dst;
}

static void divert_flow(struct net *net, struct sock *sk,
			const struct sk_buff *skb, const struct divert_dest *to,
			struct flowi4 *fl4)
{
	const struct iphdr *iph = ip_hdr(skb);
	__be16 sport = 0, dport = 0;

	divert_flow_ports(skb, &sport, &dport);
	memset(fl4, 0, sizeof(*fl4));
	flowi4_init_output(fl4, divert_oif(sk, to, iph->daddr),
			   divert_dest_mark(to, sk),
			   iph->tos, ip_sock_rt_scope(sk), iph->protocol,
			   FLOWI_FLAG_ANYSRC, iph->daddr,
			   divert_flow_source(net, iph), dport, sport,
			   sock_net_uid(net, sk));
}

/* Routes the packet as it stands, whoever's source address it bears. */
static int divert_route_plain(struct net *net, struct sock *sk,
			      struct sk_buff *skb,
			      const struct divert_dest *to)
{
	struct dst_entry *dst;
	struct flowi4 fl4;

	divert_flow(net, sk, skb, to, &fl4);

	dst = divert_route_recall(divert_sk(sk), &fl4) ?:
	      divert_route_find(net, sk, &fl4);
	if (IS_ERR(dst))
		return PTR_ERR(dst);

	skb_dst_set(skb, dst);
	return 0;
}

/* A host on @dev's link, or 0: routing accepts it as a source there whatever
 * rp_filter says.
 */
static __be32 divert_neighbour(const struct net_device *dev)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;
	__be32 addr;

	ifa = in_dev ? rcu_dereference(in_dev->ifa_list) : NULL;
	if (!ifa || ifa->ifa_prefixlen > 30)
		return 0;

	addr = (ifa->ifa_local & ifa->ifa_mask) | htonl(1);
	return addr == ifa->ifa_local ? addr ^ htonl(3) : addr;
}

static int divert_route_input(struct sk_buff *skb, __be32 saddr,
			      struct net_device *dev)
{
	const struct iphdr *iph = ip_hdr(skb);
	u8 type;

	if (ip_route_input_noref(skb, iph->daddr, saddr,
				 inet_dsfield_to_dscp(iph->tos), dev))
		return -EHOSTUNREACH;

	type = skb_rtable(skb)->rt_type;
	if (type == RTN_UNICAST && skb_dst_force(skb))
		return 0;

	skb_dst_drop(skb);
	return type == RTN_UNREACHABLE ? -EHOSTUNREACH : -EINVAL;
}

/* What must be encrypted is: input routing leaves that to forwarding, which does
 * not see this packet.
 */
static int divert_route_policy(struct net *net, struct sock *sk,
			       struct sk_buff *skb,
			       const struct divert_dest *to)
{
	struct dst_entry *dst = dst_clone(skb_dst(skb));
	struct flowi4 fl4;

	skb_dst_drop(skb);
	divert_flow(net, sk, skb, to, &fl4);
	fl4.flowi4_oif = dst->dev->ifindex;
	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));
	dst = xfrm_lookup_route(net, dst, flowi4_to_flowi(&fl4), sk, 0);
	if (IS_ERR(dst))
		return PTR_ERR(dst) == -EINVAL ? -EHOSTUNREACH : PTR_ERR(dst);

	skb_dst_set(skb, dst);
	return 0;
}

/* Only policy rules make a packet's way depend on where it came from. */
static bool divert_has_rules(const struct net *net)
{
#ifdef CONFIG_IP_MULTIPLE_TABLES
	return net->ipv4.fib_has_custom_rules;
#else
	return false;
#endif
}

/* Route a forwarded packet as one that was received on @dev. A daemon may have
 * given it a source that input routing does not believe, its own host's most
 * of all: what then counts is the link it came from. -EINVAL: it is not to be
 * forwarded, so it is an ordinary outgoing packet.
 */
static int divert_route_forward(struct net *net, struct sk_buff *skb,
				struct net_device *dev, u32 fwmark)
{
	const struct iphdr *iph = ip_hdr(skb);
	u32 mark = skb->mark;
	int err = -EHOSTUNREACH;

	/* Input routing goes by the packet's mark, where ours is no fwmark. */
	skb->mark = fwmark;
	if (inet_addr_type_dev_table(net, dev, iph->saddr) != RTN_LOCAL)
		err = divert_route_input(skb, iph->saddr, dev);
	if (err == -EHOSTUNREACH)
		err = divert_route_input(skb, divert_neighbour(dev) ?:
					 iph->daddr, dev);
	skb->mark = mark;
	return err;
}

/**
 * divert_route() - route a written IPv4 packet
 * @net: namespace
 * @sk: socket it was written to
 * @skb: packet, gets a dst
 * @to: address it was written with
 *
 * Return: 0 or what routing says.
 */
int divert_route(struct net *net, struct sock *sk, struct sk_buff *skb,
		 const struct divert_dest *to)
{
	struct net_device *dev;
	int err = -EINVAL;

	rcu_read_lock();
	dev = divert_dev_named(net, to);
	if (dev) {
		/* For another divert rule on the way out, and for the path
		 * MTU, it is still a forwarded packet.
		 */
		IPCB(skb)->flags |= IPSKB_FORWARDED;
		skb->skb_iif = dev->ifindex;
		if (divert_has_rules(net) && !divert_dest_oif(to, sk) &&
		    !sock_flag(sk, SOCK_LOCALROUTE))
			err = divert_route_forward(net, skb, dev,
						   divert_dest_mark(to, sk)) ?:
			      divert_route_policy(net, sk, skb, to);
	}
	rcu_read_unlock();

	return err == -EINVAL ? divert_route_plain(net, sk, skb, to) : err;
}

/* What was found last of an address: routing tables are slow to say no. */
struct divert_source {
	u32	secret;	/* of the namespace, which nobody else has */
	int	genid;	/* of its routes and addresses */
	int	ifindex;
	__be32	addr;
	bool	own;
};

#define DIVERT_SOURCES_BITS	4

static DEFINE_PER_CPU(struct divert_source,
		      divert_sources[1 << DIVERT_SOURCES_BITS]);

/**
 * divert_route_is_own() - is a received packet's source an address of this host?
 * @dn: namespace
 * @in: receiving device
 * @addr: the source
 *
 * Called under RCU, with softirqs off.
 */
bool divert_route_is_own(const struct divert_net *dn, struct net_device *in,
			 __be32 addr)
{
	struct divert_source *source;
	int genid = rt_genid_ipv4(dn->net);

	source = this_cpu_ptr(divert_sources) +
		 hash_32((__force u32)addr, DIVERT_SOURCES_BITS);
	if (source->secret == dn->secret && source->genid == genid &&
	    source->ifindex == in->ifindex && source->addr == addr)
		return source->own;

	*source = (struct divert_source){
		.secret		= dn->secret,
		.genid		= genid,
		.ifindex	= in->ifindex,
		.addr		= addr,
		.own		= inet_addr_type_dev_table(dn->net, in, addr) ==
				  RTN_LOCAL,
	};
	return source->own;
}

/**
 * divert_route_own() - route a received packet whose source is this host's
 * @net: namespace
 * @skb: packet at PRE_ROUTING without a dst
 * @in: receiving device
 *
 * Input routing takes such a source for a forgery, and loopback traffic never
 * meets it. So route the packet as the host would send it or, where that leads
 * away from the host, as if it came from the destination. Called under RCU.
 */
void divert_route_own(struct net *net, struct sk_buff *skb,
		      struct net_device *in)
{
	const struct iphdr *iph = ip_hdr(skb);
	struct flowi4 fl4;
	struct rtable *rt;

	flowi4_init_output(&fl4, l3mdev_master_ifindex_rcu(in), 0, iph->tos, RT_SCOPE_UNIVERSE,
			   iph->protocol, FLOWI_FLAG_ANYSRC, iph->daddr,
			   iph->saddr, 0, 0, GLOBAL_ROOT_UID);
	rt = ip_route_output_key(net, &fl4);
	if (IS_ERR(rt))
		return;

	if (rt->rt_flags & RTCF_LOCAL) {
		skb_dst_set(skb, &rt->dst);
		return;
	}

	ip_rt_put(rt);
	if (ip_route_input_noref(skb, iph->daddr, iph->daddr,
				 inet_dsfield_to_dscp(iph->tos), in))
		skb_dst_drop(skb);
}
