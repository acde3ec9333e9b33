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
#include <linux/unaligned.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/lwtunnel.h>

#include "divert.h"

/* The header, options included but not extension headers */
union divert_header {
	struct iphdr	v4;
	struct ipv6hdr	v6;
	u8		bytes[DIVERT_HEADER_MAX];
};

/* What a write changes, for routing and for flows. */
#define DIVERT_CHANGE_SADDR	0x01
#define DIVERT_CHANGE_DADDR	0x02
#define DIVERT_CHANGE_TOS	0x04
#define DIVERT_CHANGE_MARK	0x08

/* The byte of TCP's header that says how long it is, and the bits that do */
#define DIVERT_TCP_DOFF		12
#define DIVERT_TCP_DOFF_MASK	0xf0

/* On the way out, IP has parsed the options, and trusts the offsets it found. */
static bool divert_options_valid(const struct sk_buff *skb,
				 const union divert_header *old,
				 const union divert_header *new)
{
	unsigned int len = old->v4.ihl * 4 - sizeof(old->v4);

	return DIVERT_CB(skb)->extra->state.hook == NF_INET_PRE_ROUTING ||
	       !memcmp(&old->v4 + 1, &new->v4 + 1, len);
}

static bool divert_header_valid(const struct sk_buff *skb,
				const union divert_header *old,
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
	       old->v4.protocol == new->v4.protocol &&
	       divert_options_valid(skb, old, new);
}

static u8 divert_header_changes(const union divert_header *old,
				const union divert_header *new)
{
	u8 changes = 0;

	if (old->v4.version == 4) {
		if (old->v4.saddr != new->v4.saddr)
			changes |= DIVERT_CHANGE_SADDR;
		if (old->v4.daddr != new->v4.daddr)
			changes |= DIVERT_CHANGE_DADDR;
		if (old->v4.tos != new->v4.tos)
			changes |= DIVERT_CHANGE_TOS;
		return changes;
	}

	if (!ipv6_addr_equal(&old->v6.saddr, &new->v6.saddr))
		changes |= DIVERT_CHANGE_SADDR;
	if (!ipv6_addr_equal(&old->v6.daddr, &new->v6.daddr))
		changes |= DIVERT_CHANGE_DADDR;
	if (ip6_flowinfo(&old->v6) != ip6_flowinfo(&new->v6))
		changes |= DIVERT_CHANGE_TOS;
	return changes;
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

/* It waits before it goes on, so its route is its own. */
static int divert_reroute_in(struct divert_net *dn, struct sk_buff *skb,
			     struct nf_hook_state *state)
{
	divert_route_in(dn, skb, state);
	return skb_dst(skb) && !skb_dst_force(skb) ? -EHOSTUNREACH : 0;
}

/* IPsec's policies may say another thing of another source. */
static bool divert_has_policies(const struct net *net)
{
#ifdef CONFIG_XFRM
	return READ_ONCE(net->xfrm.policy_count[XFRM_POLICY_OUT]);
#else
	return false;
#endif
}

/* Under RCU, with softirqs off */
static int divert_reroute_locked(struct divert_net *dn, struct sk_buff *skb,
				 struct nf_hook_state *state, u8 changes)
{
	switch (state->hook) {
	case NF_INET_LOCAL_OUT:
		return divert_reroute_out(dn, skb, state);
	case NF_INET_POST_ROUTING:
		if (changes & DIVERT_CHANGE_DADDR ||
		    (changes & DIVERT_CHANGE_SADDR &&
		     divert_has_policies(dn->net)))
			return divert_reroute_post(dn, skb, state);
		return 0;
	default:
		/* Only what came from this host has a route here. */
		if (changes & (DIVERT_CHANGE_SADDR | DIVERT_CHANGE_DADDR) &&
		    skb_valid_dst(skb))
			return divert_reroute_in(dn, skb, state);
		return 0;
	}
}

/* Segment routing has chosen its route, and goes by it behind these hooks. */
static bool divert_route_stays(const struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	const struct dst_entry *dst = skb_dst(skb);

	return state->hook != NF_INET_LOCAL_OUT && dst && dst->lwtstate &&
	       (dst->lwtstate->type == LWTUNNEL_ENCAP_SEG6 ||
		dst->lwtstate->type == LWTUNNEL_ENCAP_SEG6_LOCAL);
}

/* The stack reads in skb->cb what it has put there. */
static int divert_reroute(struct divert_net *dn, struct sk_buff *skb,
			  u8 changes)
{
	struct divert_cb ours = *DIVERT_CB(skb);
	struct divert_extra *extra = ours.extra;
	int err;

	if (divert_route_stays(skb, &extra->state))
		return 0;

	memcpy(skb->cb, extra->cb, sizeof(extra->cb));
	rcu_read_lock();
	local_bh_disable();
	err = divert_reroute_locked(dn, skb, &extra->state, changes);
	local_bh_enable();
	rcu_read_unlock();
	memcpy(extra->cb, skb->cb, sizeof(extra->cb));
	*DIVERT_CB(skb) = ours;
	return err;
}

/* Bytes */

/* The header as it would be. Only if it is written in part, it is put together
 * in @buffer.
 */
static const union divert_header *
divert_header_new(const union divert_header *old, unsigned int hlen,
		  const struct divert_bytes *from, size_t len, u32 offset,
		  union divert_header *buffer)
{
	if (offset >= hlen)
		return old;
	if (!offset && len >= hlen)
		return (const union divert_header *)from->head;

	memcpy(buffer, old, hlen);
	memcpy(buffer->bytes + offset, from->head,
	       min_t(size_t, len, hlen - offset));
	return buffer;
}

static bool divert_writable(struct sk_buff *skb, size_t len)
{
	if (likely(len <= skb_headlen(skb) && !skb_cloned(skb)))
		return true;
	return !skb_ensure_writable(skb, len);
}

/* Return: 0, or an error that leaves the packet unfit to go on. */
static int divert_store(struct sk_buff *skb, const struct divert_bytes *from,
			size_t len, u32 offset)
{
	size_t have = min(len, from->have);
	u8 *to = skb->data + offset;

	memcpy(to, from->head, have);
	if (len > have &&
	    !copy_from_iter_full(to + have, len - have, from->rest))
		return -EFAULT;
	return 0;
}

/* What follows the IP header: ports, or something else that tells flows. */
static u32 divert_ports(const struct sk_buff *skb, unsigned int hlen)
{
	if (skb_headlen(skb) < hlen + sizeof(u32))
		return 0;
	return get_unaligned((u32 *)(skb->data + hlen));
}

/* Bits of the byte @at, counted from the transport header on, that say where
 * headers begin and end. What comes before it does: tunnels' inner headers.
 */
static u8 divert_fixed_bits(bool tcp, int at)
{
	if (at < 0)
		return 0xff;
	if (tcp)
		return at == DIVERT_TCP_DOFF ? DIVERT_TCP_DOFF_MASK : 0;
	return at / 2 == offsetof(struct udphdr, len) / 2 ? 0xff : 0;
}

/* What drivers take a packet apart by must stay. */
static bool divert_segments_stay(const struct sk_buff *skb,
				 const struct divert_bytes *from, size_t len,
				 u32 offset, unsigned int hlen)
{
	unsigned int start = skb_checksum_start_offset(skb);
	bool tcp = skb->csum_offset == offsetof(struct tcphdr, check);
	unsigned int end = start + (tcp ? DIVERT_TCP_DOFF + 1 :
					  sizeof(struct udphdr));
	unsigned int at;

	for (at = max(hlen, offset); at < min_t(size_t, end, offset + len);
	     at++) {
		u8 old, new;

		if (at - offset >= from->have ||
		    skb_copy_bits(skb, at, &old, 1))
			return false;
		new = from->head[at - offset];
		if ((old ^ new) & divert_fixed_bits(tcp, at - start))
			return false;
	}
	return true;
}

static int divert_patch_bytes(struct sk_buff *skb,
			      const struct divert_bytes *from, size_t len,
			      u32 offset, u8 *changes)
{
	const union divert_header *old, *new;
	union divert_header buffer;
	unsigned int hlen;
	u32 ports;
	int err;

	old = (const union divert_header *)skb_network_header(skb);
	hlen = old->v4.version == 6 ? sizeof(struct ipv6hdr) :
				      old->v4.ihl * 4;
	new = divert_header_new(old, hlen, from, len, offset, &buffer);
	if (!divert_header_valid(skb, old, new))
		return -EINVAL;
	if (skb_is_gso(skb) &&
	    !divert_segments_stay(skb, from, len, offset, hlen))
		return -EINVAL;
	*changes |= divert_header_changes(old, new);

	if (!divert_writable(skb, max_t(size_t, offset + len, hlen)))
		return -ENOBUFS;
	ports = divert_ports(skb, hlen);
	err = divert_store(skb, from, len, offset) ?:
	      divert_checksums(skb, hlen);
	if (err)
		return err;

	if (*changes & (DIVERT_CHANGE_SADDR | DIVERT_CHANGE_DADDR) ||
	    divert_ports(skb, hlen) != ports)
		skb_clear_hash(skb);
	return 0;
}

/**
 * divert_patch() - write bytes into a kept packet
 * @dn: namespace
 * @skb: packet, off its place
 * @from: the bytes
 * @len: their number
 * @offset: where in the packet they go
 * @mark: the packet's mark has been changed
 *
 * The IP header checksum is made right; the transport checksum only where it is
 * still to be completed. A packet whose addresses change is routed again on its
 * way out.
 *
 * Return: 0; -EINVAL if they do not fit the packet, which is then as it was; or
 * -EFAULT, -ENOBUFS, -EHOSTUNREACH: it cannot go on.
 */
int divert_patch(struct divert_net *dn, struct sk_buff *skb,
		 const struct divert_bytes *from, size_t len, u32 offset,
		 bool mark)
{
	u8 changes = mark ? DIVERT_CHANGE_MARK : 0;
	int err = 0;

	if (offset > skb->len || len > skb->len - offset)
		return -EINVAL;
	if (len)
		err = divert_patch_bytes(skb, from, len, offset, &changes);
	if (err || likely(!changes))
		return err;
	return divert_reroute(dn, skb, changes);
}
