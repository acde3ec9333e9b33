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
	bool				informs;
	bool				copy;	/* the packet itself goes on */
	bool				holds;	/* it may have to go on */
	u8				keep;	/* enum divert_keep */
	/* For the packet, not its copy; enum divert_policy */
	u8				full;
	u8				old;
	u8				close;
	struct divert_info		info;	/* if it informs */
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
 * divert_filter_wants() - does the socket's filter want this packet?
 * @sk: socket
 * @skb: packet, data at its IP header, whole and unchanged
 *
 * Unlike other sockets' filters, a non-zero result never shortens the packet:
 * it will be written back.
 */
bool divert_filter_wants(const struct sock *sk, struct sk_buff *skb)
{
	const struct sk_filter *filter = rcu_dereference(sk->sk_filter);

	return !filter || bpf_prog_run_save_cb(filter->prog, skb);
}

/* Each packet of a segmented one has its own, as each may go its own way. */
static struct divert_extra *divert_extra_make(const struct divert_delivery *d)
{
	struct divert_extra *extra;

	extra = divert_extra_alloc();
	if (!extra)
		return NULL;

	if (d->informs)
		extra->info = d->info;
	extra->keep = d->keep;
	extra->copy = d->copy;
	extra->old = d->old;
	extra->close = d->close;
	return extra;
}

/* When it was taken, if somebody asks; a held packet keeps the time that the
 * stack has given it.
 */
static void divert_stamp(const struct divert_delivery *d, struct sk_buff *skb,
			 struct divert_extra *extra)
{
	ktime_t now = d->sk->sk_flags & SK_FLAGS_TIMESTAMP ?
		      ktime_get_real() : 0;

	if (extra && extra->held)
		extra->tstamp = now;
	else
		skb->tstamp = now;
}

/* Turns a packet of the stack's into one of the socket's. */
static bool divert_adopt(const struct divert_delivery *d, struct sk_buff *skb)
{
	struct divert_extra *extra = NULL;

	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return false;

	if (d->informs || d->holds || d->keep || d->copy) {
		extra = divert_extra_make(d);
		if (!extra)
			return false;
	}

	if (d->holds) {
		divert_hold(extra, skb, d->state);
		/* Its headers alone would be of no use. */
		if (!extra->held)
			extra->keep = DIVERT_KEEP_NOT;
	}
	if (!extra || !extra->held) {
		divert_detach(skb);
		skb_orphan(skb);
	}
	divert_stamp(d, skb, extra);
	*DIVERT_CB(skb) = d->cb;
	DIVERT_CB(skb)->extra = extra;
	return true;
}

/* There was no room, or only for a part of what has been segmented. */
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

/* The same when the packet is ours already: others were quicker. */
static void divert_queue_late(const struct divert_delivery *d,
			      struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (d->full == DIVERT_POLICY_PASS && extra && extra->held) {
		divert_count(d->dn, d->sk, DIVERT_STAT_PASSED);
		divert_release(d->dn, d->sk, skb);
		return;
	}
	divert_extra_free(skb);
	divert_drop(d->dn, d->sk, skb, DIVERT_STAT_FULL);
}

static void divert_queue(const struct divert_delivery *d, struct sk_buff *skb)
{
	if (!divert_queue_room(d->sk, skb)) {
		divert_queue_full(d, skb);
		return;
	}
	if (!divert_adopt(d, skb)) {
		divert_drop(d->dn, d->sk, skb, DIVERT_STAT_NOMEM);
		return;
	}
	if (!divert_queue_append(d->dn, d->sk, skb, d->copy))
		divert_queue_late(d, skb);
}

/* Packets as they would be on the wire, in a list; checksums may be left to do.
 * NULL if that cannot be had, @skb is then still the caller's.
 */
static struct sk_buff *divert_segment(struct sk_buff *skb)
{
	struct sk_buff *segs;

	if (!skb_is_gso(skb))
		return skb;

	segs = skb_gso_segment(skb, 0);
	if (IS_ERR_OR_NULL(segs))
		return NULL;

	consume_skb(skb);
	return segs;
}

/* False if there is no memory for that. */
static bool divert_sum(struct sk_buff *skb)
{
	return skb->ip_summed != CHECKSUM_PARTIAL ||
	       !skb_csum_hwoffload_help(skb, 0);
}

static void divert_delivery_policy(struct divert_delivery *d,
				   const struct divert_limits *limits)
{
	d->full = READ_ONCE(limits->full);
	d->old = READ_ONCE(limits->old);
	d->close = READ_ONCE(limits->close);
	d->holds = true;
}

/* What becomes of a packet, unlike its copy, which has no way to go on. */
static void divert_delivery_keep(struct divert_delivery *d,
				 const struct divert_sock *ds,
				 const struct sk_buff *skb)
{
	if (unlikely(!divert_hold_possible(d->state) ||
		     divert_hold_shares(skb))) {
		d->keep = DIVERT_KEEP_NOT;
		return;
	}

	if (!d->keep && READ_ONCE(ds->in_place))
		d->keep = DIVERT_KEEP_COPY;
	d->holds = d->keep;
	if (unlikely(READ_ONCE(ds->passes)))
		divert_delivery_policy(d, &ds->limits);
}

/* All that is to be known of the packet, while it is still the stack's. */
static void divert_delivery_init(struct divert_delivery *d,
				 struct divert_net *dn, struct sock *sk,
				 const struct sk_buff *skb,
				 const struct nf_hook_state *state,
				 const struct divert_target *to, bool copy)
{
	const struct divert_sock *ds = divert_sk(sk);

	d->dn = dn;
	d->sk = sk;
	d->state = state;
	/* Readers get all of its address. */
	memset(&d->cb, 0, sizeof(d->cb));
	d->cb.cookie = to->cookie;
	d->cb.port = to->port;
	d->informs = READ_ONCE(ds->info);
	d->copy = copy;
	d->keep = READ_ONCE(ds->hold.headers) ? DIVERT_KEEP_HEADERS :
						DIVERT_KEEP_NOT;
	d->holds = false;
	d->full = DIVERT_POLICY_DROP;
	d->old = DIVERT_POLICY_DROP;
	d->close = DIVERT_POLICY_DROP;
	if (!copy)
		divert_delivery_keep(d, ds, skb);

	divert_address_make(&d->cb, &dn->conf, skb, state, sk->sk_family);
	if (d->informs)
		divert_info_make(&d->info, dn, skb, state, to);
}

/* Each segment with headers of its own, or cut where its buffer ends (SCTP): they
 * cannot be changed all at once.
 */
static bool divert_is_chain(const struct sk_buff *skb)
{
	return skb_is_gso(skb) &&
	       (skb_shinfo(skb)->gso_type & SKB_GSO_FRAGLIST ||
		skb_shinfo(skb)->gso_size == GSO_BY_FRAGS);
}

static void divert_deliver_skb(const struct divert_delivery *d,
			       struct sk_buff *skb)
{
	struct sk_buff *segs, *next;

	if ((d->keep == DIVERT_KEEP_HEADERS && !divert_is_chain(skb)) ||
	    divert_offload_whole(d->sk, skb)) {
		divert_queue(d, skb);
		return;
	}

	segs = divert_segment(skb);
	if (!segs) {
		divert_drop(d->dn, d->sk, skb, DIVERT_STAT_NOMEM);
		return;
	}

	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		if (divert_sum(skb))
			divert_queue(d, skb);
		else
			divert_drop(d->dn, d->sk, skb, DIVERT_STAT_NOMEM);
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

	if (unlikely(READ_ONCE(divert_sk(sk)->passes)) &&
	    READ_ONCE(divert_sk(sk)->limits.full) == DIVERT_POLICY_PASS &&
	    !divert_queue_room(sk, skb))
		return false;

	local_bh_disable();
	divert_delivery_init(&d, dn, sk, skb, state, to, false);
	divert_deliver_skb(&d, skb);
	local_bh_enable();
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

	/* Before the work for it */
	if (!divert_queue_open(sk)) {
		sk_drops_inc(sk);
		divert_count(dn, sk, DIVERT_STAT_FULL);
		trace_divert_drop(dn->net, skb, DIVERT_STAT_FULL);
		return;
	}

	/* The original knows its sender, a clone does not. */
	divert_delivery_init(&d, dn, sk, skb, state, to, true);
	copy = skb_clone(skb, GFP_ATOMIC);
	if (!copy) {
		sk_drops_inc(sk);
		divert_count(dn, sk, DIVERT_STAT_NOMEM);
		return;
	}

	local_bh_disable();
	divert_deliver_skb(&d, copy);
	local_bh_enable();
}
