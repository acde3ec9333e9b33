// SPDX-License-Identifier: GPL-2.0
/*
 * From the stack to a socket: make a packet fit for reading and queue it.
 */

#include <linux/filter.h>
#include <linux/netfilter.h>
#include <net/gso.h>
#include <net/ip.h>

#include "divert.h"
#include "trace.h"

/* A packet's way to a socket. */
struct divert_delivery {
	struct divert_net		*dn;
	struct sock			*sk;
	const struct nf_hook_state	*state;
	struct divert_cb		cb;
	struct divert_info		info;	/* if it informs */
	bool				informs;
	bool				copy;	/* the packet itself goes on */
	/* For the packet, not its copy; enum divert_policy */
	u8				full;
	u8				old;
	u8				close;
};

/**
 * divert_drop() - the only way a diverted packet is lost before it is queued
 * @dn: namespace
 * @sk: socket it was for, or NULL
 * @skb: packet, freed
 * @reason: counter
 */
void divert_drop(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		 enum divert_stat reason)
{
	divert_count(dn, sk, reason);
	if (sk)
		sk_drops_inc(sk);
	trace_divert_drop(dn->net, skb, reason);
	kfree_skb_reason(skb, divert_stat_drop_reason(reason));
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

/* Goes with the packet: the socket's part of it is done. */
static void divert_skb_destruct(struct sk_buff *skb)
{
	kfree(DIVERT_CB(skb)->extra);
	sock_rfree(skb);
}

/* May the packet have to go on later? */
static bool divert_holds(const struct divert_delivery *d)
{
	return d->old == DIVERT_POLICY_PASS || d->close == DIVERT_POLICY_PASS;
}

/* Each packet of a segmented one has its own, as each may go its own way. */
static struct divert_extra *divert_extra_make(const struct divert_delivery *d)
{
	struct divert_extra *extra;

	if (!d->informs && !divert_holds(d))
		return NULL;

	extra = kzalloc(sizeof(*extra), GFP_ATOMIC);
	if (!extra)
		return ERR_PTR(-ENOMEM);
	if (d->informs)
		extra->info = d->info;
	extra->old = d->old;
	extra->close = d->close;
	return extra;
}

/* Turns a packet of the stack's into one of the socket's. */
static bool divert_adopt(const struct divert_delivery *d, struct sk_buff *skb)
{
	struct divert_extra *extra;

	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return false;

	extra = divert_extra_make(d);
	if (IS_ERR(extra))
		return false;

	if (divert_holds(d))
		divert_hold(extra, skb, d->state);
	if (!extra || !extra->held)
		divert_detach(skb);
	skb_orphan(skb);

	*DIVERT_CB(skb) = d->cb;
	DIVERT_CB(skb)->extra = extra;
	__net_timestamp(skb);

	skb->sk = d->sk;
	skb->destructor = divert_skb_destruct;
	atomic_add(skb->truesize, &d->sk->sk_rmem_alloc);
	return true;
}

/* There was room for a part of what has been segmented. */
static void divert_queue_full(const struct divert_delivery *d,
			      struct sk_buff *skb)
{
	if (d->full == DIVERT_POLICY_PASS) {
		divert_count(d->dn, d->sk, DIVERT_STAT_PASSED);
		divert_pass_behind(d->dn, skb, d->state);
	} else {
		divert_drop(d->dn, d->sk, skb, DIVERT_STAT_FULL);
	}
}

static void divert_queue(const struct divert_delivery *d, struct sk_buff *skb)
{
	unsigned int len = skb->len;

	if (!divert_queue_reserve(d->sk, skb)) {
		divert_queue_full(d, skb);
		return;
	}
	if (!divert_adopt(d, skb)) {
		divert_queue_unreserve(d->sk, skb);
		divert_drop(d->dn, d->sk, skb, DIVERT_STAT_NOMEM);
		return;
	}

	trace_divert_queue(d->dn->net, skb, d->cb.port, d->cb.cookie);
	divert_count(d->dn, d->sk, DIVERT_STAT_DIVERTED);
	divert_count_add(d->dn, d->sk, DIVERT_STAT_BYTES, len);
	if (d->copy)
		divert_count(d->dn, d->sk, DIVERT_STAT_TEED);

	if (divert_queue_append(d->dn, d->sk, skb) &&
	    !sock_flag(d->sk, SOCK_DEAD))
		d->sk->sk_data_ready(d->sk);
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

/* All that is to be known of the packet, while it is still the stack's. */
static struct divert_delivery
divert_delivery_make(struct divert_net *dn, struct sock *sk,
		     const struct sk_buff *skb,
		     const struct nf_hook_state *state,
		     const struct divert_target *to, bool copy)
{
	const struct divert_limits *limits = &divert_sk(sk)->limits;
	struct divert_delivery d = {
		.dn		= dn,
		.sk		= sk,
		.state		= state,
		.cb		= { .cookie = to->cookie, .port = to->port },
		.copy		= copy,
		.informs	= READ_ONCE(divert_sk(sk)->info),
	};

	if (!copy) {
		d.full = READ_ONCE(limits->full);
		d.old = READ_ONCE(limits->old);
		d.close = READ_ONCE(limits->close);
	}

	divert_address_make(&d.cb, &dn->conf, skb, state, sk->sk_family);
	if (d.informs)
		divert_info_make(&d.info, dn, skb, state, to, copy);
	return d;
}

static void divert_deliver_skb(const struct divert_delivery *d,
			       struct sk_buff *skb)
{
	struct sk_buff *segs, *next;

	segs = divert_segment(skb);
	if (!segs) {
		divert_drop(d->dn, d->sk, skb, DIVERT_STAT_NOMEM);
		return;
	}

	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		divert_queue(d, skb);
	}
}

/**
 * divert_deliver() - queue a packet to a socket
 * @dn: namespace
 * @sk: socket, found under RCU
 * @skb: packet at a hook
 * @state: the hook
 * @to: what its mark says
 *
 * Return: false if the socket has no room and wants the packet left in the
 * stack; else it is consumed.
 */
bool divert_deliver(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		    const struct nf_hook_state *state,
		    const struct divert_target *to)
{
	struct divert_delivery d;

	if (READ_ONCE(divert_sk(sk)->limits.full) == DIVERT_POLICY_PASS &&
	    !divert_queue_room(sk, skb))
		return false;

	d = divert_delivery_make(dn, sk, skb, state, to, false);
	divert_deliver_skb(&d, skb);
	return true;
}

/**
 * divert_deliver_copy() - queue a copy of a packet to a socket
 * @dn: namespace
 * @sk: socket, found under RCU
 * @skb: packet at a hook, left as it is
 * @state: the hook
 * @to: what its mark says
 */
void divert_deliver_copy(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, const struct nf_hook_state *state,
			 const struct divert_target *to)
{
	struct divert_delivery d;
	struct sk_buff *copy;

	/* The original knows its sender, a clone does not. */
	d = divert_delivery_make(dn, sk, skb, state, to, true);
	copy = skb_clone(skb, GFP_ATOMIC);
	if (!copy) {
		sk_drops_inc(sk);
		divert_count(dn, sk, DIVERT_STAT_NOMEM);
		return;
	}

	divert_deliver_skb(&d, copy);
}
