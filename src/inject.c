// SPDX-License-Identifier: GPL-2.0
/*
 * From user space to the stack: check a written packet, build it, send it or
 * have it received.
 *
 * A packet is built and checked whole before anything of the stack is touched:
 * one that is refused leaves no trace but its counter.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netdevice.h>
#include <net/inet_dscp.h>
#include <net/ip.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>

#include "divert.h"

/* Building */

static struct sk_buff *divert_alloc(struct sock *sk, struct msghdr *msg,
				    size_t len)
{
	/* Up to a page in one piece, so that small packets are linear. */
	size_t linear = min_t(size_t, len, SKB_MAX_HEAD(MAX_HEADER));
	struct sk_buff *skb;
	int err;

	skb = sock_alloc_send_pskb(sk, MAX_HEADER + linear, len - linear,
				   msg->msg_flags & MSG_DONTWAIT, &err,
				   PAGE_ALLOC_COSTLY_ORDER);
	if (!skb)
		return ERR_PTR(err);

	skb_reserve(skb, MAX_HEADER);
	skb_reset_network_header(skb);
	skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len = len;

	err = skb_copy_datagram_from_iter(skb, 0, &msg->msg_iter, len);
	if (err) {
		kfree_skb(skb);
		return ERR_PTR(err);
	}
	return skb;
}

/* Leaves the packet with a header that is whole, and as long as that says. */
static int divert_check(struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);
	unsigned int hlen, len;

	if (skb->len < sizeof(*iph))
		return -EINVAL;
	if (iph->version != 4)
		return -EAFNOSUPPORT;

	hlen = iph->ihl * 4;
	len = ntohs(iph->tot_len);
	if (hlen < sizeof(*iph) || hlen > len || len > skb->len)
		return -EINVAL;
	if (pskb_trim(skb, len))
		return -ENOBUFS;

	skb->protocol = htons(ETH_P_IP);
	skb_set_transport_header(skb, hlen);
	return 0;
}

static struct sk_buff *divert_build(struct sock *sk, struct msghdr *msg,
				    size_t len)
{
	struct sk_buff *skb;
	int err;

	if (len > DIVERT_MAX_PACKET)
		return ERR_PTR(-EMSGSIZE);
	if (len < sizeof(struct iphdr))
		return ERR_PTR(-EINVAL);

	skb = divert_alloc(sk, msg, len);
	if (IS_ERR(skb))
		return skb;

	err = divert_check(skb);
	if (err) {
		kfree_skb(skb);
		return ERR_PTR(err);
	}

	skb->priority = READ_ONCE(sk->sk_priority);
	memset(skb->cb, 0, sizeof(skb->cb));
	return skb;
}

/* The mark a written packet starts with: it shows the firewall where it
 * resumes; the bits that are not ours are the writer's or, where that has not
 * set any, those that the packet came with.
 */
static u32 divert_mark(const struct divert_net *dn, const struct sock *sk,
		       const struct divert_dest *to)
{
	const struct divert_conf *conf = &dn->conf;
	u32 ours = READ_ONCE(conf->port_mask) | READ_ONCE(conf->cookie_mask) |
		   READ_ONCE(conf->tee_mask);
	u32 mark = READ_ONCE(sk->sk_mark) ?: to->context.mark;

	return divert_mark_resumed(conf, to->cookie) | (mark & ~ours);
}

/* Interfaces */

static struct net_device *divert_dev_by_name(struct net *net, const char *name)
{
	int ifindex;

	if (name[0] != '/')
		return name[0] ? dev_get_by_name_rcu(net, name) : NULL;
	if (kstrtoint(name + 1, 10, &ifindex))
		return NULL;
	return dev_get_by_index_rcu(net, ifindex);
}

static struct net_device *divert_dev_by_addr(struct net *net, __be32 addr)
{
	if (ipv4_is_zeronet(addr))
		return dev_get_by_index_rcu(net, ntohl(addr) & 0xffffff);
	return __ip_dev_find(net, addr, false);
}

/* A bridge's port, a bond's slave and their like give all they receive to the
 * device above them: IP packets are never theirs. Those of a VRF are.
 */
static bool divert_dev_enslaved(struct net_device *dev)
{
	return netdev_master_upper_dev_get_rcu(dev) && !netif_is_l3_slave(dev);
}

static struct net_device *divert_dev_in(struct net *net,
					const struct divert_dest *to)
{
	struct net_device *dev = divert_dev_by_name(net, to->name);

	if (!dev)
		dev = divert_dev_by_addr(net, to->addr);
	if (!dev || divert_dev_enslaved(dev))
		return ERR_PTR(-EADDRNOTAVAIL);
	if (!(dev->flags & IFF_UP))
		return ERR_PTR(-ENETDOWN);
	return dev;
}

/* Incoming */

/* As the device's driver would have left the packet: link header before it,
 * taken off. Made for this host's own address, so that what hangs below IP
 * (macvlan) lets it through.
 */
static int divert_link_header(struct sk_buff *skb, struct net_device *dev)
{
	struct ethhdr *eth;
	int len;

	if (skb_cow_head(skb, LL_RESERVED_SPACE(dev)))
		return -ENOBUFS;

	if (dev->type == ARPHRD_ETHER || dev->type == ARPHRD_LOOPBACK) {
		eth = skb_push(skb, ETH_HLEN);
		ether_addr_copy(eth->h_dest, dev->dev_addr);
		ether_addr_copy(eth->h_source, dev->dev_addr);
		eth->h_proto = skb->protocol;
		len = ETH_HLEN;
	} else {
		len = dev_hard_header(skb, dev, ntohs(skb->protocol),
				      dev->dev_addr, dev->dev_addr, skb->len);
		if (len < 0)
			return -ENOBUFS;
	}

	skb_reset_mac_header(skb);
	__skb_pull(skb, len);
	skb_reset_network_header(skb);
	return 0;
}

/* Link addresses are lost on the way through user space; the destination says
 * what they were.
 */
static u8 divert_pkt_type(struct net *net, const struct net_device *dev,
			  __be32 daddr)
{
	if (ipv4_is_multicast(daddr))
		return PACKET_MULTICAST;
	if (ipv4_is_lbcast(daddr) ||
	    inet_dev_addr_type(net, dev, daddr) == RTN_BROADCAST)
		return PACKET_BROADCAST;
	return PACKET_HOST;
}

static int divert_receive(struct divert_net *dn, struct sk_buff *skb,
			  const struct divert_dest *to)
{
	struct net_device *dev;
	int err = 0;

	rcu_read_lock();
	dev = divert_dev_in(dn->net, to);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto out;
	}

	err = divert_link_header(skb, dev);
	if (err)
		goto out;

	skb->dev = dev;
	skb->pkt_type = divert_pkt_type(dn->net, dev, ip_hdr(skb)->daddr);
	skb_orphan(skb);

	/* Not by way of the backlog: a writer that moves to another CPU must
	 * not overtake itself.
	 */
	local_bh_disable();
	netif_receive_skb(skb);
	local_bh_enable();
	divert_stat_inc(dn, DIVERT_STAT_INJECT_IN);
out:
	rcu_read_unlock();
	return err;
}

static int divert_inject_in(struct divert_net *dn, struct sk_buff *skb,
			    const struct divert_dest *to)
{
	int err = divert_tag_in(dn, skb, to->cookie);

	return err ?: divert_receive(dn, skb, to);
}

/* Outgoing */

/* The writer's own choice, if it made one, else what came with the packet. */
static int divert_oif(const struct sock *sk, const struct divert_dest *to,
		      __be32 daddr)
{
	int oif = READ_ONCE(sk->sk_bound_dev_if) ?: to->context.oif;

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

/* Routes the packet as it stands, whoever's source address it bears. */
static int divert_route(struct net *net, struct sock *sk, struct sk_buff *skb,
			const struct divert_dest *to)
{
	const struct iphdr *iph = ip_hdr(skb);
	__be16 sport = 0, dport = 0;
	__be32 saddr = iph->saddr;
	struct flowi4 fl4;
	struct rtable *rt;

	/* Sent as they are, but routing has no use for them. */
	if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) ||
	    ipv4_is_zeronet(saddr))
		saddr = 0;

	divert_flow_ports(skb, &sport, &dport);
	flowi4_init_output(&fl4, divert_oif(sk, to, iph->daddr),
			   READ_ONCE(sk->sk_mark) ?: to->context.mark,
			   iph->tos, ip_sock_rt_scope(sk), iph->protocol,
			   FLOWI_FLAG_ANYSRC, iph->daddr, saddr, dport, sport,
			   sock_net_uid(net, sk));
	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));

	rt = ip_route_output_flow(net, &fl4, sk);
	if (IS_ERR(rt))
		return PTR_ERR(rt);

	skb_dst_set(skb, &rt->dst);
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
	struct rtable *rt;

	if (ip_route_input_noref(skb, iph->daddr, saddr,
				 inet_dsfield_to_dscp(iph->tos), dev))
		return -EHOSTUNREACH;

	rt = skb_rtable(skb);
	if (rt->rt_type == RTN_UNICAST && skb_dst_force(skb))
		return 0;

	skb_dst_drop(skb);
	return rt->rt_type == RTN_UNREACHABLE ? -EHOSTUNREACH : -EINVAL;
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
				struct net_device *dev)
{
	const struct iphdr *iph = ip_hdr(skb);
	int err;

	if (inet_addr_type_dev_table(net, dev, iph->saddr) != RTN_LOCAL) {
		err = divert_route_input(skb, iph->saddr, dev);
		if (err != -EHOSTUNREACH)
			return err;
	}
	return divert_route_input(skb, divert_neighbour(dev) ?: iph->daddr,
				  dev);
}

static int divert_route_out(struct net *net, struct sock *sk,
			    struct sk_buff *skb, const struct divert_dest *to)
{
	struct net_device *dev;
	int err = -EINVAL;

	rcu_read_lock();
	dev = divert_dev_by_name(net, to->name);
	if (dev) {
		/* For another divert rule on the way out, and for the path
		 * MTU, it is still a forwarded packet.
		 */
		IPCB(skb)->flags |= IPSKB_FORWARDED;
		skb->skb_iif = dev->ifindex;
		if (divert_has_rules(net) && !sk->sk_bound_dev_if &&
		    !sock_flag(sk, SOCK_LOCALROUTE))
			err = divert_route_forward(net, skb, dev);
	}
	rcu_read_unlock();

	return err == -EINVAL ? divert_route(net, sk, skb, to) : err;
}

/* Puts the socket's IP options behind a header that has none. */
static int divert_options(struct sk_buff *skb, const struct ip_options *opt)
{
	unsigned int hlen = sizeof(struct iphdr);
	struct iphdr *iph;

	if (ip_hdr(skb)->ihl != 5)
		return -EINVAL;
	if (skb->len + opt->optlen > DIVERT_MAX_PACKET)
		return -EMSGSIZE;
	if (skb_cow_head(skb, opt->optlen))
		return -ENOBUFS;

	skb_push(skb, opt->optlen);
	memmove(skb->data, skb->data + opt->optlen, hlen);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, hlen + opt->optlen);

	iph = ip_hdr(skb);
	memcpy(iph + 1, opt->__data, opt->optlen);
	iph->ihl += opt->optlen / 4;
	if (opt->srr) {
		unsigned char *srr = (unsigned char *)iph + opt->srr;

		/* The last hop is the destination, the first one ours. */
		memcpy(srr + srr[1] - 4, &iph->daddr, 4);
		iph->daddr = opt->faddr;
	}
	return 0;
}

static int divert_socket_options(struct sock *sk, struct sk_buff *skb)
{
	const struct ip_options_rcu *opt;
	int ttl = READ_ONCE(divert_sk(sk)->mc_ttl);
	int err = 0;

	rcu_read_lock();
	opt = rcu_dereference(inet_sk(sk)->inet_opt);
	if (opt)
		err = divert_options(skb, &opt->opt);
	rcu_read_unlock();

	if (ttl >= 0 && ipv4_is_multicast(ip_hdr(skb)->daddr))
		ip_hdr(skb)->ttl = ttl;
	return err;
}

/* What the stack says of a packet it did not send, in the words of divert(4).
 * Congestion is no error: an inline daemon must not stop over it.
 */
static int divert_sent(struct divert_net *dn, int err)
{
	if (err > 0) {
		if (net_xmit_errno(err))
			divert_stat_inc(dn, DIVERT_STAT_CONGESTED);
		err = 0;
	}
	if (!err)
		divert_stat_inc(dn, DIVERT_STAT_INJECT_OUT);

	switch (err) {
	case -EPERM:
		return -EACCES;
	case -ENOMEM:
		return -ENOBUFS;
	case -EINVAL:	/* says that the packet was malformed: it was not */
	case -ENODEV:
		return -EHOSTUNREACH;
	default:
		return err;
	}
}

static int divert_inject_out(struct divert_net *dn, struct sock *sk,
			     struct sk_buff *skb, const struct divert_dest *to)
{
	int err;

	err = divert_socket_options(sk, skb);
	if (err)
		goto err_free;

	err = divert_route_out(dn->net, sk, skb, to);
	if (err) {
		kfree_skb(skb);
		return divert_sent(dn, err);
	}

	/* A written fragment is sent as a fragment: reassembly, which comes
	 * first at LOCAL_OUT, leaves alone what is not tracked.
	 */
	if (ip_is_fragment(ip_hdr(skb)))
		skb_set_nfct(skb, IP_CT_UNTRACKED);

	divert_tag_out(skb, to->cookie);
	return divert_sent(dn, ip_local_out(dn->net, sk, skb));

err_free:
	kfree_skb(skb);
	return err;
}

/**
 * divert_inject() - give a written packet to the stack
 * @dn: namespace
 * @sk: socket it was written to
 * @msg: the packet
 * @len: its length
 * @to: where it goes
 *
 * May sleep for write memory, unless MSG_DONTWAIT is set.
 *
 * Return: 0 or an error of divert(7)'s list; the packet is gone either way.
 */
int divert_inject(struct divert_net *dn, struct sock *sk, struct msghdr *msg,
		  size_t len, const struct divert_dest *to)
{
	struct sk_buff *skb;
	int err;

	skb = divert_build(sk, msg, len);
	if (IS_ERR(skb))
		return PTR_ERR(skb);

	skb->mark = divert_mark(dn, sk, to);
	if (!to->addr)
		return divert_inject_out(dn, sk, skb, to);

	err = divert_inject_in(dn, skb, to);
	if (err)
		kfree_skb(skb);
	return err;
}
