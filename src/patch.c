// SPDX-License-Identifier: GPL-2.0
/*
 * Written bytes go into a kept packet. Its length stays, and so does all by
 * which the stack has already judged it.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter_ipv4.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/uio.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "divert.h"

/* The header, options included but not extension headers */
union divert_header {
	struct iphdr	v4;
	struct ipv6hdr	v6;
	u8		bytes[DIVERT_HEADER_MAX];
};

/* What a write changes, for routing and for flows. */
struct divert_change {
	bool	saddr;
	bool	daddr;
	bool	tos;
	bool	mark;
};

static bool divert_header_valid(const union divert_header *old,
				const union divert_header *new)
{
	if (old->v4.version != new->v4.version)
		return false;
	if (old->v4.version == 6)
		return old->v6.payload_len == new->v6.payload_len &&
		       old->v6.nexthdr == new->v6.nexthdr;

	return old->v4.ihl == new->v4.ihl &&
	       old->v4.tot_len == new->v4.tot_len &&
	       old->v4.frag_off == new->v4.frag_off &&
	       old->v4.protocol == new->v4.protocol;
}

static void divert_header_compare(const union divert_header *old,
				  const union divert_header *new,
				  struct divert_change *change)
{
	if (old->v4.version == 6) {
		change->saddr = !ipv6_addr_equal(&old->v6.saddr,
						 &new->v6.saddr);
		change->daddr = !ipv6_addr_equal(&old->v6.daddr,
						 &new->v6.daddr);
		change->tos = ip6_flowinfo(&old->v6) != ip6_flowinfo(&new->v6);
		return;
	}
	change->saddr = old->v4.saddr != new->v4.saddr;
	change->daddr = old->v4.daddr != new->v4.daddr;
	change->tos = old->v4.tos != new->v4.tos;
}

/* Checksums */

/* The sum that the device, or the kernel, starts from when it completes the
 * transport checksum. What is inside a tunnel has not been changed.
 */
static int divert_pseudo_sum(struct sk_buff *skb, unsigned int hlen)
{
	unsigned int start = skb_checksum_start_offset(skb);
	unsigned int len = skb->len - start;
	const struct ipv6hdr *iph6;
	const struct iphdr *iph;
	__sum16 *check;
	u8 protocol;

	if (skb->encapsulation || start < hlen)
		return 0;
	if (skb->csum_offset == offsetof(struct tcphdr, check))
		protocol = IPPROTO_TCP;
	else if (skb->csum_offset == offsetof(struct udphdr, check))
		protocol = IPPROTO_UDP;
	else
		return 0;

	if (skb_ensure_writable(skb, start + skb->csum_offset + sizeof(*check)))
		return -ENOBUFS;

	check = (__sum16 *)(skb->data + start + skb->csum_offset);
	iph6 = ipv6_hdr(skb);
	iph = ip_hdr(skb);
	if (iph->version == 6)
		*check = ~csum_ipv6_magic(&iph6->saddr, &iph6->daddr, len,
					  protocol, 0);
	else if (start == hlen && iph->protocol == protocol)
		*check = ~csum_tcpudp_magic(iph->saddr, iph->daddr, len,
					    protocol, 0);
	return 0;
}

static int divert_checksums(struct sk_buff *skb, unsigned int hlen)
{
	if (ip_hdr(skb)->version == 4)
		ip_send_check(ip_hdr(skb));

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		return divert_pseudo_sum(skb, hlen);

	/* What the device said holds no more. */
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

/* Routes */

/* Our bits of the mark are no fwmark: routing sees what it saw before. */
static int divert_reroute_out(struct divert_net *dn, struct sk_buff *skb,
			      struct nf_hook_state *state)
{
	u32 mark = skb->mark;
	int err;

	skb->mark = divert_context_make(&dn->conf, skb, state).mark;
	err = state->pf == NFPROTO_IPV6 ?
	      divert_reroute6(dn->net, state->sk, skb) :
	      ip_route_me_harder(dn->net, state->sk, skb, RTN_UNSPEC);
	skb->mark = mark;
	return err ? -EHOSTUNREACH : 0;
}

static int divert_reroute_post(struct divert_net *dn, struct sk_buff *skb,
			       struct nf_hook_state *state)
{
	int err = divert_reroute_out(dn, skb, state);
	struct net_device *out;

	if (err)
		return err;

	out = skb_dst(skb)->dev;
	dev_hold(out);
	dev_put(state->out);
	state->out = out;
	skb->dev = out;
	return 0;
}

static int divert_reroute(struct divert_net *dn, struct sk_buff *skb,
			  const struct divert_change *change)
{
	struct nf_hook_state *state = &DIVERT_CB(skb)->extra->state;

	switch (state->hook) {
	case NF_INET_LOCAL_OUT:
		if (!change->saddr && !change->daddr && !change->tos &&
		    !change->mark)
			return 0;
		return divert_reroute_out(dn, skb, state);
	case NF_INET_POST_ROUTING:
		if (!change->daddr)
			return 0;
		return divert_reroute_post(dn, skb, state);
	default:
		/* Only what came from this host has a route here. */
		if ((change->saddr || change->daddr) && skb_valid_dst(skb)) {
			rcu_read_lock();
			divert_route_in(dn, skb, state);
			rcu_read_unlock();
		}
		return 0;
	}
}

/* Bytes */

/* Behind an IP header without extensions, else something that may change. */
static __be32 divert_ports(const struct sk_buff *skb, unsigned int hlen)
{
	__be32 ports;

	return skb_copy_bits(skb, hlen, &ports, sizeof(ports)) ? 0 : ports;
}

/* The header as it would be: a part of it may be written. */
static int divert_header_new(union divert_header *header, unsigned int hlen,
			     struct iov_iter *from, size_t len, u32 offset)
{
	size_t n;

	if (offset >= hlen)
		return 0;
	n = min_t(size_t, len, hlen - offset);
	return copy_from_iter_full(header->bytes + offset, n, from) ? n :
								      -EFAULT;
}

/* Return: 0, or an error that leaves the packet unfit to go on. */
static int divert_store(struct sk_buff *skb, const union divert_header *new,
			unsigned int hlen, struct iov_iter *from, size_t len,
			u32 offset, size_t done)
{
	if (skb_ensure_writable(skb, max_t(size_t, offset + len, hlen)))
		return -ENOBUFS;

	memcpy(skb_network_header(skb), new, hlen);
	if (len > done &&
	    !copy_from_iter_full(skb->data + offset + done, len - done, from))
		return -EFAULT;
	return divert_checksums(skb, hlen);
}

static int divert_patch_bytes(struct sk_buff *skb, struct iov_iter *from,
			      size_t len, u32 offset,
			      struct divert_change *change)
{
	union divert_header old, new;
	unsigned int hlen;
	__be32 ports;
	int done, err;

	hlen = ip_hdr(skb)->version == 6 ? sizeof(struct ipv6hdr) :
					   ip_hdr(skb)->ihl * 4;
	memcpy(&old, skb_network_header(skb), hlen);
	memcpy(&new, &old, hlen);
	done = divert_header_new(&new, hlen, from, len, offset);
	if (done < 0)
		return done;
	if (!divert_header_valid(&old, &new))
		return -EINVAL;

	divert_header_compare(&old, &new, change);
	ports = divert_ports(skb, hlen);
	err = divert_store(skb, &new, hlen, from, len, offset, done);
	if (err)
		return err;

	if (change->saddr || change->daddr ||
	    divert_ports(skb, hlen) != ports)
		skb_clear_hash(skb);
	return 0;
}

/**
 * divert_patch() - write bytes into a kept packet
 * @dn: namespace
 * @skb: packet, off its place
 * @from: the bytes
 * @len: their number; 0 if only the packet's mark has been changed
 * @offset: where in the packet they go
 *
 * The IP header checksum is made right; the transport checksum only where it is
 * still to be completed. A packet whose addresses change is routed again on its
 * way out.
 *
 * Return: 0; -EINVAL if they do not fit the packet, which is then as it was; or
 * -EFAULT, -ENOBUFS, -EHOSTUNREACH: it cannot go on.
 */
int divert_patch(struct divert_net *dn, struct sk_buff *skb,
		 struct iov_iter *from, size_t len, u32 offset)
{
	struct divert_change change = { .mark = !len };
	int err = 0;

	if (offset > skb->len || len > skb->len - offset)
		return -EINVAL;
	if (len)
		err = divert_patch_bytes(skb, from, len, offset, &change);
	return err ?: divert_reroute(dn, skb, &change);
}
