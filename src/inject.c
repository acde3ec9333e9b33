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
#include <linux/netdevice.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "divert.h"
#include "trace.h"

/* Building */

/* Longer ones come in several pieces. */
#define DIVERT_SHORT	(SKB_WITH_OVERHEAD(PAGE_SIZE) - MAX_HEADER)

/* What is received in the same call, or in the same batch, is nobody's memory;
 * what is sent is the writer's until the device has it.
 */
static struct sk_buff *divert_alloc_short(struct sock *sk, size_t len,
					  bool incoming)
{
	struct sk_buff *skb = divert_frag_skb(MAX_HEADER + len);

	/* This may wait. */
	if (!skb)
		skb = alloc_skb(MAX_HEADER + len, GFP_KERNEL);
	if (!skb)
		return ERR_PTR(-ENOBUFS);
	if (!incoming)
		skb_set_owner_w(skb, sk);
	return skb;
}

static struct sk_buff *divert_alloc(struct sock *sk, struct msghdr *msg,
				    size_t len, bool incoming)
{
	/* Up to a page in one piece, so that small packets are linear. */
	size_t linear = min_t(size_t, len, DIVERT_SHORT);
	struct sk_buff *skb;
	int err;

	if (len == linear && (incoming || sk_wmem_alloc_get(sk) <
					  READ_ONCE(sk->sk_sndbuf)))
		return divert_alloc_short(sk, len, incoming);

	skb = sock_alloc_send_pskb(sk, MAX_HEADER + linear, len - linear,
				   msg->msg_flags & MSG_DONTWAIT, &err,
				   PAGE_ALLOC_COSTLY_ORDER);
	return skb ?: ERR_PTR(err);
}

static int divert_fill(struct sk_buff *skb, struct msghdr *msg, size_t len)
{
	size_t linear = min_t(size_t, len, DIVERT_SHORT);

	skb_reserve(skb, MAX_HEADER);
	skb_reset_network_header(skb);
	skb_put(skb, linear);
	if (len == linear)
		return copy_from_iter_full(skb->data, len, &msg->msg_iter) ?
		       0 : -EFAULT;

	skb->data_len = len - linear;
	skb->len = len;
	return skb_copy_datagram_from_iter(skb, 0, &msg->msg_iter, len);
}

/* Length of the packet as its header has it, or an error. */
static int divert_check4(struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);
	unsigned int hlen = iph->ihl * 4;
	unsigned int len = ntohs(iph->tot_len);

	if (hlen < sizeof(*iph) || hlen > len)
		return -EINVAL;

	skb->protocol = htons(ETH_P_IP);
	skb_set_transport_header(skb, hlen);
	return len;
}

static int divert_check6(struct sk_buff *skb)
{
	const struct ipv6hdr *iph = ipv6_hdr(skb);

	if (!ipv6_mod_enabled())
		return -EAFNOSUPPORT;
	if (skb->len < sizeof(*iph))
		return -EINVAL;
	/* A jumbogram, which has its length elsewhere */
	if (!iph->payload_len && iph->nexthdr == NEXTHDR_HOP)
		return -EINVAL;

	skb->protocol = htons(ETH_P_IPV6);
	skb_set_transport_header(skb, sizeof(*iph));
	return sizeof(*iph) + ntohs(iph->payload_len);
}

/* Leaves the packet with a header that is whole, and as long as that says. */
static int divert_check(struct sk_buff *skb)
{
	u8 version = ip_hdr(skb)->version;
	int len;

	if (skb->len > DIVERT_MAX_PACKET && version != 6)
		return -EMSGSIZE;

	switch (version) {
	case 4:
		len = divert_check4(skb);
		break;
	case 6:
		len = divert_check6(skb);
		break;
	default:
		return -EAFNOSUPPORT;
	}

	if (len < 0)
		return len;
	if (len > skb->len)
		return -EINVAL;
	return pskb_trim(skb, len) ? -ENOBUFS : 0;
}

static struct sk_buff *divert_build(struct sock *sk, struct msghdr *msg,
				    size_t len, const struct divert_dest *to)
{
	struct sk_buff *skb;
	int err;

	if (len > DIVERT_MAX_PACKET6)
		return ERR_PTR(-EMSGSIZE);
	if (len < sizeof(struct iphdr))
		return ERR_PTR(-EINVAL);

	skb = divert_alloc(sk, msg, len, to->incoming);
	if (IS_ERR(skb))
		return skb;

	err = divert_fill(skb, msg, len) ?: divert_check(skb) ?:
	      divert_offload_apply(skb, &to->offload);
	if (err) {
		kfree_skb(skb);
		return ERR_PTR(err);
	}

	skb->priority = READ_ONCE(sk->sk_priority);
	return skb;
}

/* The mark a written packet starts with: it shows the firewall where it
 * resumes; the bits that are not ours are the writer's or, where that has not
 * set any, those that the packet came with.
 */
static u32 divert_mark(const struct divert_net *dn, const struct sock *sk,
		       const struct divert_dest *to)
{
	return divert_mark_resumed(&dn->conf, to->cookie) |
	       (divert_dest_mark(to, sk) & ~divert_mark_ours(&dn->conf));
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

/* Without a look at routes: all that the device's own addresses say. */
static bool divert_is_broadcast(const struct net_device *dev, __be32 addr)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;

	if (ipv4_is_lbcast(addr))
		return true;
	if (!in_dev)
		return false;

	in_dev_for_each_ifa_rcu(ifa, in_dev) {
		if (addr == ifa->ifa_broadcast)
			return true;
		if (ifa->ifa_prefixlen < 31 &&
		    addr == (ifa->ifa_address | ~ifa->ifa_mask))
			return true;
	}
	return false;
}

/* Link addresses are lost on the way through user space; the destination says
 * what they were.
 */
static u8 divert_pkt_type(const struct sk_buff *skb,
			  const struct net_device *dev)
{
	__be32 daddr = ip_hdr(skb)->daddr;

	if (skb->protocol == htons(ETH_P_IPV6))
		return ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr) ?
		       PACKET_MULTICAST : PACKET_HOST;
	if (ipv4_is_multicast(daddr))
		return PACKET_MULTICAST;
	return divert_is_broadcast(dev, daddr) ? PACKET_BROADCAST :
						 PACKET_HOST;
}

/* Not by way of the backlog: a writer that moves to another CPU must not
 * overtake itself.
 */
static void divert_receive_list(struct list_head *list)
{
	struct sk_buff *skb;

	if (!list_is_singular(list)) {
		netif_receive_skb_list(list);
		return;
	}
	skb = list_first_entry(list, struct sk_buff, list);
	skb_list_del_init(skb);
	netif_receive_skb(skb);
}

/* divert_go_t: packets that are received. A device that went down while they
 * waited for each other gets none; one that is still there stays until they are
 * through, by RCU.
 */
static void divert_go_in(struct divert_net *dn, struct sock *sk,
			 struct sk_buff_head *list)
{
	struct sk_buff *skb;
	LIST_HEAD(alive);

	rcu_read_lock();
	while ((skb = __skb_dequeue(list))) {
		struct net_device *dev = skb->dev;

		if (likely(divert_dev_alive(dev, dn->net))) {
			list_add_tail(&skb->list, &alive);
		} else {
			divert_count(dn, sk, DIVERT_STAT_CONGESTED);
			kfree_skb(skb);
		}
		dev_put(dev);
	}
	if (!list_empty(&alive)) {
		local_bh_disable();
		divert_receive_list(&alive);
		local_bh_enable();
	}
	rcu_read_unlock();
}

static int divert_receive(struct divert_net *dn, struct sock *sk,
			  struct sk_buff *skb, const struct divert_dest *to,
			  bool more)
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

	dev_hold(dev);
	skb->dev = dev;
	if (skb->protocol == htons(ETH_P_IPV6))
		skb->ignore_df = divert_reassembled6(skb, dev);
	skb->pkt_type = divert_pkt_type(skb, dev);
	skb_orphan(skb);
	trace_divert_reinject(dn->net, skb, true, to->cookie);
	divert_count(dn, sk, DIVERT_STAT_INJECT_IN);
out:
	rcu_read_unlock();
	if (!err)
		divert_batch_add(dn, sk, skb, divert_go_in, more);
	return err;
}

static int divert_inject_in(struct divert_net *dn, struct sock *sk,
			    struct sk_buff *skb, const struct divert_dest *to,
			    bool more)
{
	int err = divert_tag_in(dn, sk, skb, to->cookie);

	return err ?: divert_receive(dn, sk, skb, to, more);
}

/* Outgoing */

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

/* What the stack says, in the words of divert(4). */
static int divert_errno(int err)
{
	switch (err) {
	case -EPERM:
	case -ECONNREFUSED:	/* of a security module */
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

/* A queue is full, or the table of neighbours: ENOBUFS, or EINVAL of IPv6. */
static bool divert_congested(int err)
{
	return err > 0 ? net_xmit_errno(err) :
			 err == -ENOBUFS || err == -EINVAL;
}

/* Congestion is no error: an inline daemon must not stop over it. */
static int divert_sent(struct divert_net *dn, struct sock *sk, int err)
{
	bool congested = divert_congested(err);

	if (congested)
		divert_count(dn, sk, DIVERT_STAT_CONGESTED);
	if (congested || err > 0)
		err = 0;
	if (!err)
		divert_count(dn, sk, DIVERT_STAT_INJECT_OUT);
	return divert_errno(err);
}

/* A written fragment is sent as a fragment: reassembly, which comes first at
 * LOCAL_OUT, leaves alone what is not tracked.
 */
static bool divert_is_fragment(const struct sk_buff *skb)
{
	unsigned int offset = 0;

	if (skb->protocol == htons(ETH_P_IP))
		return ip_is_fragment(ip_hdr(skb));
	return ipv6_ext_hdr(ipv6_hdr(skb)->nexthdr) &&
	       ipv6_find_hdr(skb, &offset, NEXTHDR_FRAGMENT, NULL, NULL) >= 0;
}

static int divert_prepare4(struct divert_net *dn, struct sock *sk,
			   struct sk_buff *skb, const struct divert_dest *to)
{
	int err = divert_socket_options(sk, skb);

	return err ?: divert_errno(divert_route(dn->net, sk, skb, to));
}

static int divert_prepare6(struct divert_net *dn, struct sock *sk,
			   struct sk_buff *skb, const struct divert_dest *to)
{
	struct ipv6hdr *iph = ipv6_hdr(skb);
	int hops = READ_ONCE(divert_sk(sk)->mc_hops);

	if (hops >= 0 && ipv6_addr_is_multicast(&iph->daddr))
		iph->hop_limit = hops;

	return divert_errno(divert_route6(dn->net, sk, skb, to));
}

static int divert_inject_out(struct divert_net *dn, struct sock *sk,
			     struct sk_buff *skb, const struct divert_dest *to)
{
	bool ipv6 = skb->protocol == htons(ETH_P_IPV6);
	int err;

	/* It must not overtake what was written before it. */
	divert_batch_end(dn, sk);

	err = ipv6 ? divert_prepare6(dn, sk, skb, to) :
		     divert_prepare4(dn, sk, skb, to);
	if (err) {
		kfree_skb(skb);
		return err;
	}

	if (divert_is_fragment(skb))
		skb_set_nfct(skb, IP_CT_UNTRACKED);

	divert_tag_out(dn, skb, to->cookie);
	trace_divert_reinject(dn->net, skb, false, to->cookie);
	err = ipv6 ? ip6_local_out(dn->net, sk, skb) :
		     ip_local_out(dn->net, sk, skb);
	return divert_sent(dn, sk, err);
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

	skb = divert_build(sk, msg, len, to);
	if (IS_ERR(skb))
		return PTR_ERR(skb);

	skb->mark = divert_mark(dn, sk, to);
	if (!to->incoming)
		return divert_inject_out(dn, sk, skb, to);

	err = divert_inject_in(dn, sk, skb, to, msg->msg_flags & MSG_BATCH);
	if (err)
		kfree_skb(skb);
	return err;
}
