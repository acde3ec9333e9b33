// SPDX-License-Identifier: GPL-2.0
/*
 * What a write is: a verdict on a packet that is kept, the copy of one that
 * comes back, or a packet of its own.
 */

#include <linux/uio.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "divert.h"

/* So much of what is written is looked at before it is put anywhere: headers,
 * and what else is likely to come along.
 */
#define DIVERT_HEAD		128

static bool divert_more(const struct msghdr *msg)
{
	return msg->msg_flags & MSG_BATCH;
}

/* Takes the packet on its way, at the rules or behind our hook. */
static void divert_let_go(struct divert_net *dn, struct sock *sk,
			  struct sk_buff *skb, bool rules, bool more)
{
	divert_count(dn, sk, DIVERT_STAT_HELD_PASSED);
	divert_batch_add(dn, sk, skb,
			 rules ? divert_go_rules : divert_go_behind, more);
}

/* A packet has had no verdict and is kept on, if it still can be. */
static void divert_keep_on(struct divert_net *dn, struct sock *sk,
			   struct sk_buff *skb)
{
	if (!divert_kept_return(sk, skb))
		divert_queue_discard(dn, sk, skb, DIVERT_STAT_HELD_LOST);
}

/* Marks of others, as the control message has them. */
static void divert_verdict_mark(const struct divert_net *dn,
				struct sk_buff *skb,
				const struct divert_dest *to)
{
	u32 ours = divert_mark_ours(&dn->conf);

	if (to->marked)
		skb->mark = (skb->mark & ours) | (to->context.mark & ~ours);
}

static bool divert_verdict_rules(const struct sock *sk,
				 const struct divert_dest *to)
{
	return to->verdict & DIVERT_VERDICT_RULES ||
	       READ_ONCE(divert_sk(sk)->hold.flags) & DIVERT_HOLD_RULES;
}

static int divert_verdict_upto(struct divert_net *dn, struct sock *sk,
			       const struct divert_dest *to, bool more)
{
	struct sk_buff_head list;
	struct sk_buff *skb;
	int err;

	__skb_queue_head_init(&list);
	err = divert_kept_take_upto(sk, to, &list);
	while ((skb = __skb_dequeue(&list))) {
		if (to->verdict & DIVERT_VERDICT_DROP)
			divert_queue_discard(dn, sk, skb,
					     DIVERT_STAT_HELD_DROPPED);
		else
			divert_let_go(dn, sk, skb,
				      divert_verdict_rules(sk, to),
				      more || !skb_queue_empty(&list));
	}
	return err;
}

static int divert_verdict_pass(struct divert_net *dn, struct sock *sk,
			       struct sk_buff *skb,
			       const struct divert_bytes *from, size_t len,
			       const struct divert_dest *to, bool more)
{
	u32 mark = skb->mark;
	int err = 0;

	divert_verdict_mark(dn, skb, to);
	if (len || skb->mark != mark)
		err = divert_patch(dn, skb, from, len, to->offset,
				   skb->mark != mark);
	if (err == -EINVAL) {
		skb->mark = mark;
		divert_keep_on(dn, sk, skb);
		return err;
	}
	if (err) {
		divert_queue_discard(dn, sk, skb, DIVERT_STAT_HELD_DROPPED);
		return err;
	}

	if (to->cookie)
		DIVERT_CB(skb)->cookie = to->cookie;
	divert_let_go(dn, sk, skb, divert_verdict_rules(sk, to), more);
	return 0;
}

/**
 * divert_verdict() - one packet's verdict, or that of all up to one
 * @dn: namespace
 * @sk: socket that keeps it
 * @from: what replaces a part of the packet
 * @len: its length, 0 = nothing
 * @to: which packet, and the verdict
 * @more: others follow at once
 *
 * Return: 0 or an error of divert(7)'s list.
 */
int divert_verdict(struct divert_net *dn, struct sock *sk,
		   const struct divert_bytes *from, size_t len,
		   const struct divert_dest *to, bool more)
{
	struct sk_buff *skb;

	if (len && to->verdict & (DIVERT_VERDICT_DROP | DIVERT_VERDICT_UPTO))
		return -EINVAL;
	if (to->verdict & DIVERT_VERDICT_UPTO)
		return to->verdict & DIVERT_VERDICT_RULES ? -EINVAL :
		       divert_verdict_upto(dn, sk, to, more);

	skb = divert_kept_take(sk, to);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	if (to->verdict & DIVERT_VERDICT_DROP) {
		divert_queue_discard(dn, sk, skb, DIVERT_STAT_HELD_DROPPED);
		return 0;
	}
	return divert_verdict_pass(dn, sk, skb, from, len, to, more);
}

/* In place */

/* Was the packet given this very address? The cookie may be another. */
static bool divert_same_address(const struct sk_buff *skb, u16 family,
				const struct msghdr *msg)
{
	struct sockaddr_storage name;
	int len;

	len = divert_address_read(skb, family, &name);
	divert_address_ticket(skb, family, &name);
	return msg->msg_namelen >= len &&
	       !memcmp(&name, msg->msg_name, sizeof(sa_family_t)) &&
	       !memcmp((u8 *)&name + offsetof(struct sockaddr_in, sin_addr),
		       msg->msg_name + offsetof(struct sockaddr_in, sin_addr),
		       len - offsetof(struct sockaddr_in, sin_addr));
}

/* Is it the same packet, says its header, whatever else has been changed? */
static bool divert_same_header(const void *old, const void *new)
{
	const struct ipv6hdr *old6 = old, *new6 = new;
	const struct iphdr *old4 = old, *new4 = new;

	if (old4->version != new4->version)
		return false;
	if (old4->version == 6)
		return old6->payload_len == new6->payload_len &&
		       old6->nexthdr == new6->nexthdr &&
		       ipv6_addr_equal(&old6->saddr, &new6->saddr) &&
		       ipv6_addr_equal(&old6->daddr, &new6->daddr);

	return old4->ihl == new4->ihl && old4->tot_len == new4->tot_len &&
	       old4->id == new4->id && old4->frag_off == new4->frag_off &&
	       old4->protocol == new4->protocol &&
	       old4->saddr == new4->saddr && old4->daddr == new4->daddr &&
	       !memcmp(old4 + 1, new4 + 1, old4->ihl * 4 - sizeof(*old4));
}

/* What comes in with a wrong checksum is for the IP layer to find; that has seen
 * the packet already.
 */
static bool divert_sum_right(const struct sk_buff *skb, const void *header)
{
	const struct iphdr *iph = header;

	return DIVERT_CB(skb)->extra->state.hook != NF_INET_PRE_ROUTING ||
	       iph->version != 4 || !ip_fast_csum(iph, iph->ihl);
}

/* Options of the socket say how packets are written: not as they came. */
static bool divert_writes_otherwise(const struct sock *sk,
				    const struct divert_dest *to)
{
	const struct divert_sock *ds = divert_sk(sk);

	if (READ_ONCE(sk->sk_mark) || READ_ONCE(sk->sk_priority))
		return true;
	return !to->incoming &&
	       (READ_ONCE(sk->sk_bound_dev_if) ||
		sock_flag(sk, SOCK_LOCALROUTE) ||
		rcu_access_pointer(inet_sk(sk)->inet_opt) ||
		READ_ONCE(ds->mc_ttl) >= 0 || READ_ONCE(ds->mc_hops) >= 0);
}

static bool divert_is_copy_of(const struct sk_buff *skb, struct sock *sk,
			      const struct msghdr *msg,
			      const struct divert_bytes *from, size_t len)
{
	return DIVERT_CB(skb)->extra->keep == DIVERT_KEEP_COPY &&
	       skb->len == len && divert_same_address(skb, sk->sk_family, msg) &&
	       divert_same_header(skb_network_header(skb), from->head) &&
	       divert_sum_right(skb, from->head);
}

/* The copy of a kept packet comes back: to its old place. False if it is none:
 * it is to take the ordinary way.
 */
static bool divert_in_place(struct divert_net *dn, struct sock *sk,
			    const struct msghdr *msg,
			    const struct divert_bytes *from, size_t len,
			    const struct divert_dest *to, int *err)
{
	struct sk_buff *skb;
	bool rules;

	if (divert_writes_otherwise(sk, to))
		return false;
	skb = divert_kept_take(sk, to);
	if (IS_ERR(skb))
		return false;
	if (!divert_is_copy_of(skb, sk, msg, from, len)) {
		divert_keep_on(dn, sk, skb);
		return false;
	}

	*err = divert_patch(dn, skb, from, len, 0, false);
	if (*err) {
		divert_queue_discard(dn, sk, skb, DIVERT_STAT_HELD_DROPPED);
		return true;
	}

	/* A cookie that was changed says where to go on: only rules know. */
	rules = READ_ONCE(divert_sk(sk)->in_place) != DIVERT_INPLACE_BEHIND ||
		to->cookie != DIVERT_CB(skb)->cookie;
	DIVERT_CB(skb)->cookie = to->cookie;
	divert_let_go(dn, sk, skb, rules, divert_more(msg));
	return true;
}

/* What is said of a kept packet. False: nothing, it is one of its own. */
static bool divert_write_kept(struct divert_net *dn, struct sock *sk,
			      struct msghdr *msg, size_t len,
			      const struct divert_dest *to, int *err)
{
	bool verdict = to->verdict || READ_ONCE(divert_sk(sk)->hold.headers);
	u8 head[DIVERT_HEAD] __aligned(8);
	struct divert_bytes from = {
		.head	= head,
		.have	= min(len, sizeof(head)),
		.rest	= &msg->msg_iter,
	};

	if (!copy_from_iter_full(head, from.have, &msg->msg_iter)) {
		*err = -EFAULT;
		return true;
	}
	if (verdict) {
		*err = divert_verdict(dn, sk, &from, len, to, divert_more(msg));
		return true;
	}
	if (divert_in_place(dn, sk, msg, &from, len, to, err))
		return true;
	iov_iter_revert(&msg->msg_iter, from.have);
	return false;
}

/**
 * divert_write() - do what one written message asks for
 * @dn: namespace
 * @sk: socket it was written to
 * @msg: the message
 * @len: its length
 * @to: what its address and control messages say
 *
 * Return: 0 or an error of divert(7)'s list.
 */
int divert_write(struct divert_net *dn, struct sock *sk, struct msghdr *msg,
		 size_t len, const struct divert_dest *to)
{
	const struct divert_sock *ds = divert_sk(sk);
	int err;

	if (to->verdict ||
	    (to->ticket && (READ_ONCE(ds->hold.headers) ||
			    (READ_ONCE(ds->in_place) && !to->marked))))
		if (divert_write_kept(dn, sk, msg, len, to, &err))
			return err;
	return divert_inject(dn, sk, msg, len, to);
}
