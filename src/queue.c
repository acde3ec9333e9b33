// SPDX-License-Identifier: GPL-2.0
/*
 * A socket's queue: how much it holds, for how long, and what becomes of
 * packets when the socket closes.
 *
 * The queue is sk->sk_receive_queue; its lock protects it, divert_sock.packets,
 * bytes and closing, and what queued packets hold (struct divert_extra).
 */

#include <linux/jiffies.h>

#include "divert.h"
#include "trace.h"

/**
 * divert_queue_room() - may this packet be queued?
 * @sk: socket
 * @skb: packet, or several in one
 *
 * Without the lock this is a guess: see divert_queue_reserve().
 */
bool divert_queue_room(const struct sock *sk, const struct sk_buff *skb)
{
	const struct divert_sock *ds = divert_sk(sk);
	u32 packets = READ_ONCE(ds->limits.packets);
	u64 bytes = READ_ONCE(ds->limits.bytes);

	if (atomic_read(&sk->sk_rmem_alloc) >= READ_ONCE(sk->sk_rcvbuf))
		return false;
	if (packets && READ_ONCE(ds->packets) >= packets)
		return false;
	return !bytes || READ_ONCE(ds->bytes) + skb->len <= bytes;
}

static void divert_queue_account(struct divert_sock *ds,
				 const struct sk_buff *skb)
{
	WRITE_ONCE(ds->packets, ds->packets + 1);
	WRITE_ONCE(ds->bytes, ds->bytes + skb->len);
}

static void divert_queue_unaccount(struct divert_sock *ds,
				   const struct sk_buff *skb)
{
	WRITE_ONCE(ds->packets, ds->packets - 1);
	WRITE_ONCE(ds->bytes, ds->bytes - skb->len);
}

/**
 * divert_queue_reserve() - have room for a packet
 * @sk: socket
 * @skb: packet
 *
 * Of packets that come at the same time, as many as there is room for get it.
 *
 * Return: whether there is room; until divert_queue_append() or
 * divert_queue_unreserve() it counts as taken.
 */
bool divert_queue_reserve(struct sock *sk, const struct sk_buff *skb)
{
	bool room;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	room = divert_queue_room(sk, skb);
	if (room)
		divert_queue_account(divert_sk(sk), skb);
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return room;
}

void divert_queue_unreserve(struct sock *sk, const struct sk_buff *skb)
{
	spin_lock_bh(&sk->sk_receive_queue.lock);
	divert_queue_unaccount(divert_sk(sk), skb);
	spin_unlock_bh(&sk->sk_receive_queue.lock);
}

/* The policy that the packet was queued under. */
static u8 divert_queue_policy(const struct sk_buff *skb, enum divert_stat lost)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!extra)
		return DIVERT_POLICY_DROP;
	return lost == DIVERT_STAT_EXPIRED ? extra->old : extra->close;
}

/* The end of a packet that was queued and not read. */
static void divert_queue_dispose(struct divert_net *dn, struct sock *sk,
				 struct sk_buff *skb, enum divert_stat lost)
{
	if (divert_queue_policy(skb, lost) == DIVERT_POLICY_PASS &&
	    divert_release(dn, skb)) {
		divert_count(dn, sk, DIVERT_STAT_RELEASED);
		return;
	}

	divert_count(dn, sk, lost);
	trace_divert_drop(dn->net, skb, lost);
	divert_unhold(skb);
	kfree_skb_reason(skb, divert_stat_drop_reason(lost));
}

static struct sk_buff *divert_queue_dequeue(struct divert_sock *ds)
{
	struct sk_buff *skb;

	skb = __skb_dequeue(&ds->inet.sk.sk_receive_queue);
	if (skb)
		divert_queue_unaccount(ds, skb);
	return skb;
}

static unsigned long divert_queue_age_of(const struct divert_sock *ds)
{
	return msecs_to_jiffies(READ_ONCE(ds->limits.age));
}

/**
 * divert_queue_append() - queue a packet
 * @dn: namespace
 * @sk: socket
 * @skb: packet with room reserved, consumed
 *
 * Return: whether it was queued; else the socket is being closed, and its
 * policy was applied.
 */
bool divert_queue_append(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct divert_sock *ds = divert_sk(sk);

	spin_lock_bh(&queue->lock);
	if (ds->closing) {
		divert_queue_unaccount(ds, skb);
		spin_unlock_bh(&queue->lock);
		divert_queue_dispose(dn, sk, skb, DIVERT_STAT_UNREAD);
		return false;
	}

	DIVERT_CB(skb)->queued = jiffies;
	sock_skb_set_dropcount(sk, skb);
	__skb_queue_tail(queue, skb);
	if (READ_ONCE(ds->limits.age) && !delayed_work_pending(&ds->age_work))
		schedule_delayed_work(&ds->age_work, divert_queue_age_of(ds));
	spin_unlock_bh(&queue->lock);
	return true;
}

/**
 * divert_queue_taken() - a packet was read
 * @sk: socket
 * @skb: packet, off the queue
 */
void divert_queue_taken(struct sock *sk, struct sk_buff *skb)
{
	spin_lock_bh(&sk->sk_receive_queue.lock);
	divert_queue_unaccount(divert_sk(sk), skb);
	divert_unhold(skb);
	spin_unlock_bh(&sk->sk_receive_queue.lock);
}

/* Less than what a CPU's backlog holds. */
#define DIVERT_CLOSE_BATCH	256

/**
 * divert_queue_close() - empty the queue for good
 * @dn: namespace
 * @sk: socket, no longer open; its port may still find it
 *
 * Packets that are passed keep their order: those that come meanwhile are
 * queued behind them, up to as many as there were, before new ones go their
 * own way. Softirqs wait for a batch: they would bring TCP's next segments for
 * each one that is passed, and the queue would never be empty.
 */
void divert_queue_close(struct divert_net *dn, struct sock *sk)
{
	u32 n = 2 * skb_queue_len_lockless(&sk->sk_receive_queue);
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct divert_sock *ds = divert_sk(sk);
	struct sk_buff *skb;
	int batch;

	do {
		local_bh_disable();
		for (batch = 0; batch < DIVERT_CLOSE_BATCH; batch++) {
			spin_lock(&queue->lock);
			skb = divert_queue_dequeue(ds);
			if (!skb || !n--)
				ds->closing = true;
			spin_unlock(&queue->lock);
			if (!skb)
				break;
			divert_queue_dispose(dn, sk, skb, DIVERT_STAT_UNREAD);
		}
		local_bh_enable();
		cond_resched();
	} while (skb);

	cancel_delayed_work_sync(&ds->age_work);
}

/* The packets past their age, off the queue; goes on looking for as long as
 * there are others.
 */
static void divert_queue_expire(struct divert_sock *ds,
				struct sk_buff_head *expired)
{
	struct sk_buff_head *queue = &ds->inet.sk.sk_receive_queue;
	u32 age = divert_queue_age_of(ds);
	struct sk_buff *skb;

	spin_lock_bh(&queue->lock);
	while ((skb = skb_peek(queue))) {
		u32 old = (u32)jiffies - DIVERT_CB(skb)->queued;

		if (!READ_ONCE(ds->limits.age))
			break;
		if (old < age) {
			if (!ds->closing)
				schedule_delayed_work(&ds->age_work, age - old);
			break;
		}
		__skb_queue_tail(expired, divert_queue_dequeue(ds));
	}
	spin_unlock_bh(&queue->lock);
}

void divert_queue_age(struct work_struct *work)
{
	struct divert_sock *ds = container_of(to_delayed_work(work),
					      struct divert_sock, age_work);
	struct sock *sk = &ds->inet.sk;
	struct divert_net *dn = divert_pernet(sock_net(sk));
	struct sk_buff_head expired;
	struct sk_buff *skb;

	__skb_queue_head_init(&expired);
	divert_queue_expire(ds, &expired);
	while ((skb = __skb_dequeue(&expired)))
		divert_queue_dispose(dn, sk, skb, DIVERT_STAT_EXPIRED);
}

/**
 * divert_queue_forget_dev() - a device goes: let go of it
 * @sk: socket
 * @dev: device
 *
 * Its packets stay readable; they cannot be passed any more.
 */
void divert_queue_forget_dev(struct sock *sk, const struct net_device *dev)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct sk_buff *skb;

	spin_lock_bh(&queue->lock);
	skb_queue_walk(queue, skb)
		if (divert_hold_uses(skb, dev))
			divert_unhold(skb);
	spin_unlock_bh(&queue->lock);
}
