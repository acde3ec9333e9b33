// SPDX-License-Identifier: GPL-2.0
/*
 * From the stack to a socket: make a packet fit for reading and queue it.
 */

#include <linux/filter.h>
#include <linux/netfilter.h>
#include <net/gso.h>
#include <net/ip.h>

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

	divert_address_make(&cb, &dn->conf, skb, state, sk->sk_family);

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

/**
 * divert_deliver_copy() - queue a copy of a packet to a socket
 * @dn: namespace
 * @sk: socket, found under RCU
 * @skb: packet at a hook, left as it is
 * @state: the hook
 * @cookie: the rule, 1-65535
 *
 * Return: whether there was memory for it.
 */
bool divert_deliver_copy(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, const struct nf_hook_state *state,
			 u16 cookie)
{
	struct sk_buff *copy = skb_clone(skb, GFP_ATOMIC);

	if (!copy) {
		sk_drops_inc(sk);
		divert_stat_inc(dn, DIVERT_STAT_DROP_NOMEM);
		return false;
	}

	divert_stat_inc(dn, DIVERT_STAT_TEED);
	divert_deliver(dn, sk, copy, state, cookie);
	return true;
}
