// SPDX-License-Identifier: GPL-2.0
/*
 * From the stack to a socket: make a packet fit for reading, remember its
 * address, queue it.
 */

#include <linux/filter.h>
#include <linux/inetdevice.h>
#include <linux/netfilter.h>
#include <net/gso.h>
#include <net/ip.h>
#include <net/l3mdev.h>

#include "divert.h"

/**
 * divert_drop() - the only way a diverted packet is lost before it is queued
 * @dn: namespace
 * @skb: packet, freed
 * @reason: counter
 */
void divert_drop(struct divert_net *dn, struct sk_buff *skb,
		 enum divert_stat reason)
{
	divert_stat_inc(dn, reason);
	kfree_skb(skb);
}

/**
 * divert_wanted() - does the socket's filter want this packet?
 * @sk: socket
 * @skb: packet, data at its IP header, whole and unchanged
 *
 * Unlike other sockets' filters, a non-zero result never shortens the packet:
 * it will be written back.
 */
bool divert_wanted(const struct sock *sk, struct sk_buff *skb)
{
	const struct sk_filter *filter = rcu_dereference(sk->sk_filter);

	return !filter || bpf_prog_run_save_cb(filter->prog, skb);
}

/* Addresses */

/* Name, or "/ifindex" where it does not fit; empty where that does not. */
static void divert_name_set(u8 zero[DIVERT_NAME_LEN],
			    const struct net_device *dev)
{
	char name[IFNAMSIZ];

	if (strscpy(name, dev->name, DIVERT_NAME_LEN) < 0 &&
	    snprintf(name, sizeof(name), "/%d", dev->ifindex) >=
	    DIVERT_NAME_LEN)
		return;
	strscpy((char *)zero, name, DIVERT_NAME_LEN);
}

static __be32 divert_first_address(const struct net_device *dev)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;

	ifa = in_dev ? rcu_dereference(in_dev->ifa_list) : NULL;
	/* Never 0, that would turn the packet round. */
	return ifa ? ifa->ifa_local : htonl(dev->ifindex & 0xffffff);
}

/* The bytes 1 to 7 of sin_zero for a locally made packet: the interface in
 * three, the mark in four, both in network order.
 */
static void divert_context_set(u8 zero[DIVERT_NAME_LEN],
			       const struct divert_context *context)
{
	if (context->oif > 0xffffff)
		return;
	put_unaligned_be24(context->oif, zero + 1);
	put_unaligned_be32(context->mark, zero + 4);
}

static void divert_context_get(const u8 zero[DIVERT_NAME_LEN],
			       struct divert_context *context)
{
	context->oif = get_unaligned_be24(zero + 1);
	context->mark = get_unaligned_be32(zero + 4);
}

/* The interface that a locally made packet must not leave by another one of:
 * what its sender is bound to, its VRF, and where the destination says nothing,
 * the one it is about to leave by.
 */
static int divert_context_oif(const struct sk_buff *skb, const struct sock *sk,
			      const struct net_device *out)
{
	__be32 daddr = ip_hdr(skb)->daddr;

	if (sk && sk->sk_bound_dev_if)
		return sk->sk_bound_dev_if;
	if (ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr))
		return out->ifindex;
	return l3mdev_master_ifindex_rcu(out);
}

/* The rule that named us has overwritten our bits of the mark; there, the
 * sender's socket still has what the packet was routed with.
 */
static void divert_context_make(struct divert_context *context,
				const struct divert_conf *conf,
				const struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	u32 ours = READ_ONCE(conf->port_mask) | READ_ONCE(conf->cookie_mask) |
		   READ_ONCE(conf->tee_mask);
	const struct sock *sk = skb_to_full_sk(skb);

	if (sk && !sk_fullsock(sk))
		sk = NULL;

	context->oif = divert_context_oif(skb, sk, state->out);
	context->mark = (skb->mark & ~ours) |
			(sk ? READ_ONCE(sk->sk_mark) & ours : 0);
}

/* The device a packet on its way out was received on, if any. */
static struct net_device *divert_forwarded_from(const struct sk_buff *skb,
						struct net *net)
{
	if (!(IPCB(skb)->flags & IPSKB_FORWARDED))
		return NULL;
	return dev_get_by_index_rcu(net, skb->skb_iif);
}

static void divert_address_make(struct divert_cb *cb,
				const struct divert_conf *conf,
				const struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	struct divert_context context;
	struct net_device *dev;

	if (state->hook == NF_INET_PRE_ROUTING) {
		cb->addr = divert_first_address(state->in);
		divert_name_set(cb->zero, state->in);
		return;
	}

	dev = divert_forwarded_from(skb, state->net);
	if (dev) {
		divert_name_set(cb->zero, dev);
		return;
	}

	divert_context_make(&context, conf, skb, state);
	divert_context_set(cb->zero, &context);
}

void divert_address_read(const struct sk_buff *skb, struct sockaddr_in *sin)
{
	const struct divert_cb *cb = DIVERT_CB(skb);

	sin->sin_family = AF_INET;
	/* Host order, as everywhere: see the uapi header. */
	sin->sin_port = (__force __be16)cb->cookie;
	sin->sin_addr.s_addr = cb->addr;
	memcpy(sin->sin_zero, cb->zero, sizeof(cb->zero));
}

/**
 * divert_address_parse() - read an address that a packet is written to
 * @sin: address from user space, all of it copied in
 * @to: filled in
 *
 * Return: 0 or -EAFNOSUPPORT. AF_UNSPEC is let pass, as raw sockets do: BSD
 * daemons write to an address that is all zero.
 */
int divert_address_parse(const struct sockaddr_in *sin, struct divert_dest *to)
{
	const u8 *zero = (const u8 *)sin->sin_zero;

	if (sin->sin_family != AF_INET && sin->sin_family != AF_UNSPEC)
		return -EAFNOSUPPORT;

	to->addr = sin->sin_addr.s_addr;
	to->cookie = (__force u16)sin->sin_port;

	/* A name that fills all eight bytes is no name: it may be cut short. */
	if (zero[0] && memchr(zero, 0, DIVERT_NAME_LEN))
		memcpy(to->name, zero, DIVERT_NAME_LEN);
	if (!zero[0] && !to->addr)
		divert_context_get(zero, &to->context);
	return 0;
}

/* Queueing */

/* Let go of all that belongs to the packet's way through the stack: it may be
 * read long after its device, its route or its namespace's rules have gone.
 */
static bool divert_detach(struct sk_buff *skb)
{
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return false;

	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_ext_reset(skb);
	skb->dev = NULL;
	return true;
}

static bool divert_append(struct sock *sk, struct sk_buff *skb)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;

	if (atomic_read(&sk->sk_rmem_alloc) >= READ_ONCE(sk->sk_rcvbuf))
		return false;

	skb_set_owner_r(skb, sk);
	spin_lock_bh(&queue->lock);
	sock_skb_set_dropcount(sk, skb);
	__skb_queue_tail(queue, skb);
	spin_unlock_bh(&queue->lock);

	if (!sock_flag(sk, SOCK_DEAD))
		sk->sk_data_ready(sk);
	return true;
}

static void divert_queue(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, const struct divert_cb *cb)
{
	unsigned int len = skb->len;

	if (!divert_detach(skb)) {
		sk_drops_inc(sk);
		divert_drop(dn, skb, DIVERT_STAT_DROP_NOMEM);
		return;
	}

	*DIVERT_CB(skb) = *cb;
	__net_timestamp(skb);
	if (!divert_append(sk, skb)) {
		sk_drops_inc(sk);
		divert_drop(dn, skb, DIVERT_STAT_DROP_FULL);
		return;
	}

	divert_stat_inc(dn, DIVERT_STAT_DIVERTED);
	divert_stat_add(dn, DIVERT_STAT_BYTES, len);
}

/* Packets as they would be on the wire, in a list; all checksums complete.
 * NULL if that cannot be had, @skb is then still the caller's.
 */
static struct sk_buff *divert_segment(struct sk_buff *skb)
{
	struct sk_buff *segs;

	if (!skb_is_gso(skb)) {
		if (skb->ip_summed == CHECKSUM_PARTIAL &&
		    skb_csum_hwoffload_help(skb, 0))
			return NULL;
		return skb;
	}

	segs = skb_gso_segment(skb, 0);
	if (IS_ERR_OR_NULL(segs))
		return NULL;

	consume_skb(skb);
	return segs;
}

/**
 * divert_deliver() - queue a packet to a socket
 * @dn: namespace
 * @sk: socket, found under RCU
 * @skb: packet at a hook, consumed in every case
 * @state: the hook
 * @cookie: the rule, 1-65535
 */
void divert_deliver(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		    const struct nf_hook_state *state, u16 cookie)
{
	struct divert_cb cb = { .cookie = cookie };
	struct sk_buff *segs, *next;

	divert_address_make(&cb, &dn->conf, skb, state);

	segs = divert_segment(skb);
	if (!segs) {
		sk_drops_inc(sk);
		divert_drop(dn, skb, DIVERT_STAT_DROP_NOMEM);
		return;
	}

	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		divert_queue(dn, sk, skb, &cb);
	}
}
