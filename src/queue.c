// SPDX-License-Identifier: GPL-2.0
/*
 * A socket's queue: how much it holds, for how long, and what becomes of
 * packets when the socket closes.
 *
 * The queue is sk->sk_receive_queue; its lock protects it, divert_sock.packets,
 * bytes and closing, the packets that have been read and are kept
 * (divert_sock.kept), and what all of them hold (struct divert_extra).
 *
 * Nobody shares a queued packet: who peeks at one gets a clone.
 */

#include <linux/jiffies.h>

#include "divert.h"
#include "trace.h"

static void divert_queue_account(struct divert_sock *ds,
				 const struct sk_buff *skb)
{
	atomic_add(skb->truesize, &ds->inet.sk.sk_rmem_alloc);
	WRITE_ONCE(ds->packets, ds->packets + 1);
	WRITE_ONCE(ds->bytes, ds->bytes + skb->len);
}

/* But for its memory */
static void divert_queue_unaccount(struct divert_sock *ds,
				   const struct sk_buff *skb)
{
	WRITE_ONCE(ds->packets, ds->packets - 1);
	WRITE_ONCE(ds->bytes, ds->bytes - skb->len);
}

/* The memory of a packet that is queued, or being read: a reader may take as
 * long as it likes over the bytes.
 */
static void divert_queue_uncharge(struct sock *sk, const struct sk_buff *skb)
{
	atomic_sub(skb->truesize, &sk->sk_rmem_alloc);
}

/* The policy that the packet was queued under. */
static u8 divert_queue_policy(const struct divert_extra *extra,
			      enum divert_stat lost)
{
	if (!extra || extra->keep == DIVERT_KEEP_COPY)
		return DIVERT_POLICY_DROP;
	return lost == DIVERT_STAT_UNREAD ? extra->close : extra->old;
}

/**
 * divert_queue_discard() - the end of a packet that was queued
 * @dn: namespace
 * @sk: socket
 * @skb: packet, off the queue
 * @reason: counter
 */
void divert_queue_discard(struct divert_net *dn, struct sock *sk,
			  struct sk_buff *skb, enum divert_stat reason)
{
	divert_count(dn, sk, reason);
	trace_divert_drop(dn->net, skb, reason);
	divert_extra_free(skb);
	kfree_skb_reason(skb, divert_stat_drop_reason(reason));
}

/* The end of one that had no answer: as its policy says. */
static void divert_queue_dispose(struct divert_net *dn, struct sock *sk,
				 struct sk_buff *skb, enum divert_stat why)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	bool pass = divert_queue_policy(extra, why) == DIVERT_POLICY_PASS &&
		    extra->held;
	bool read = extra && extra->id;

	if (pass) {
		divert_count(dn, sk, read ? DIVERT_STAT_HELD_RELEASED :
					    DIVERT_STAT_RELEASED);
		divert_release(dn, sk, skb);
		return;
	}
	divert_queue_discard(dn, sk, skb, read ? DIVERT_STAT_HELD_LOST : why);
}

/**
 * divert_queue_dispose_list() - the end of packets that had no answer
 * @dn: namespace
 * @sk: socket
 * @list: packets, off the queue; the list's lock is not used
 * @why: DIVERT_STAT_UNREAD: the socket is closed, DIVERT_STAT_EXPIRED: too old
 */
void divert_queue_dispose_list(struct divert_net *dn, struct sock *sk,
			       struct sk_buff_head *list, enum divert_stat why)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(list))) {
		divert_queue_dispose(dn, sk, skb, why);
		cond_resched();
	}
}

/* Still charged */
static struct sk_buff *divert_queue_remove(struct divert_sock *ds)
{
	struct sk_buff *skb;

	skb = __skb_dequeue(&ds->inet.sk.sk_receive_queue);
	if (skb)
		divert_queue_unaccount(ds, skb);
	return skb;
}

static struct sk_buff *divert_queue_dequeue(struct divert_sock *ds)
{
	struct sk_buff *skb = divert_queue_remove(ds);

	if (skb)
		divert_queue_uncharge(&ds->inet.sk, skb);
	return skb;
}

static unsigned long divert_queue_age_of(const struct divert_sock *ds)
{
	return msecs_to_jiffies(READ_ONCE(ds->limits.age));
}

/**
 * divert_queue_age_start() - see to it that old packets go
 * @ds: socket that has got one; under the queue's lock
 */
void divert_queue_age_start(struct divert_sock *ds)
{
	if (READ_ONCE(ds->limits.age) && !delayed_work_pending(&ds->age_work))
		schedule_delayed_work(&ds->age_work, divert_queue_age_of(ds));
}

static void divert_queue_count(struct divert_net *dn, struct sock *sk,
			       const struct sk_buff *skb, bool copy)
{
	trace_divert_queue(dn->net, skb, DIVERT_CB(skb)->port,
			   DIVERT_CB(skb)->cookie);
	divert_count(dn, sk, DIVERT_STAT_DIVERTED);
	divert_count_add(dn, sk, DIVERT_STAT_BYTES, skb->len);
	if (copy)
		divert_count(dn, sk, DIVERT_STAT_TEED);
}

/**
 * divert_queue_append() - queue a packet
 * @dn: namespace
 * @sk: socket
 * @skb: packet
 * @copy: it is a copy
 *
 * With softirqs off. Of packets that come at the same time, as many as there is
 * room for get it.
 *
 * Return: false if there is no room; else it is consumed, by the socket's policy
 * if that is being closed.
 */
bool divert_queue_append(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, bool copy)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct divert_sock *ds = divert_sk(sk);

	spin_lock(&queue->lock);
	if (!divert_queue_room(sk, skb)) {
		spin_unlock(&queue->lock);
		return false;
	}

	divert_queue_count(dn, sk, skb, copy);
	if (ds->closing) {
		spin_unlock(&queue->lock);
		divert_queue_dispose(dn, sk, skb, DIVERT_STAT_UNREAD);
		return true;
	}

	divert_queue_account(ds, skb);
	DIVERT_CB(skb)->queued = jiffies;
	sock_skb_set_dropcount(sk, skb);
	__skb_queue_tail(queue, skb);
	divert_queue_age_start(ds);
	spin_unlock(&queue->lock);

	if (!sock_flag(sk, SOCK_DEAD))
		sk->sk_data_ready(sk);
	return true;
}

/* A clone to look at, with what is told of the packet. */
static struct sk_buff *divert_queue_peek(const struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;
	struct sk_buff *clone;

	clone = skb_clone((struct sk_buff *)skb, GFP_ATOMIC);
	if (!clone)
		return NULL;

	if (extra) {
		extra = divert_extra_dup(extra);
		if (!extra) {
			kfree_skb(clone);
			return NULL;
		}
		/* A clone holds nothing: its time is the one that is read. */
		if (DIVERT_CB(skb)->extra->held)
			clone->tstamp = extra->tstamp;
	}
	DIVERT_CB(clone)->extra = extra;
	return clone;
}

/* What is there and fits, without waiting. */
static int divert_queue_take(struct sock *sk, int flags,
			     struct divert_read *read)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct divert_sock *ds = divert_sk(sk);
	int n = 0, err = -EAGAIN;
	struct sk_buff *skb;

	read->headers = READ_ONCE(ds->hold.headers);
	spin_lock_bh(&queue->lock);
	while (n < read->max && (skb = skb_peek(queue))) {
		size_t len = divert_record_size(divert_read_len(read, skb));

		if ((n || !read->first) && len > read->room)
			break;
		if (flags & MSG_PEEK) {
			read->max = 1;
			read->peek = true;
			skb = divert_queue_peek(skb);
			if (!skb) {
				err = -ENOMEM;
				break;
			}
		} else {
			divert_queue_remove(ds);
			divert_kept_number(ds, skb, &read->evicted);
		}
		__skb_queue_tail(&read->list, skb);
		read->room -= min(len, read->room);
		n++;
	}
	spin_unlock_bh(&queue->lock);

	divert_queue_dispose_list(ds->dn, sk, &read->evicted,
				  DIVERT_STAT_EXPIRED);
	return n ?: err;
}

/**
 * divert_queue_read() - take packets off the queue, wait for the first
 * @sk: socket
 * @flags: of recvmsg(2)
 * @read: how many; gets them; those that were kept and have to go for them, go
 *
 * Return: the number of packets, 0 at the end, or an error of recvmsg(2).
 */
int divert_queue_read(struct sock *sk, int flags, struct divert_read *read)
{
	struct sk_buff *last = (struct sk_buff *)&sk->sk_receive_queue;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	int n, err = 0;

	do {
		n = divert_queue_take(sk, flags, read);
		if (n != -EAGAIN)
			return n;
		/* For those who do not wait, too: poll() tells them to read,
		 * EAGAIN would have them spin.
		 */
		if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
			return 0;
	} while (timeo &&
		 !__skb_wait_for_more_packets(sk, &sk->sk_receive_queue, &err,
					      &timeo, last));
	return timeo ? err : -EAGAIN;
}

static void divert_read_free(struct sock *sk, struct sk_buff *skb)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (extra && extra->id)
		divert_kept_forget(sk, extra->id);
	divert_extra_free(skb);
	consume_skb(skb);
}

/**
 * divert_read_done() - a packet has been copied to its reader
 * @sk: socket
 * @read: the read it is part of
 * @skb: packet, off the read's list
 * @keep: it is to be kept
 */
void divert_read_done(struct sock *sk, struct divert_read *read,
		      struct sk_buff *skb, bool keep)
{
	if (keep && DIVERT_CB(skb)->extra->id) {
		__skb_queue_tail(&read->done, skb);
		return;
	}
	if (!read->peek)
		divert_queue_uncharge(sk, skb);
	divert_read_free(sk, skb);
}

/**
 * divert_read_undo() - packets have not come to their reader after all
 * @sk: socket
 * @read: the read they are part of
 * @n: so many of those that were to be kept, from the last one on
 */
void divert_read_undo(struct sock *sk, struct divert_read *read, unsigned int n)
{
	struct sk_buff *skb;

	while (n--) {
		skb = __skb_dequeue_tail(&read->done);
		divert_queue_uncharge(sk, skb);
		divert_read_free(sk, skb);
	}
}

/* Publishes what is to be kept, as much of it as can be. */
static u32 divert_read_publish(struct sock *sk, struct divert_read *read)
{
	struct sk_buff *skb;
	u32 n = 0;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	while ((skb = __skb_dequeue(&read->done))) {
		n++;
		divert_queue_uncharge(sk, skb);
		if (!divert_kept_publish(divert_sk(sk), skb, &read->evicted))
			__skb_queue_tail(&read->evicted, skb);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return n;
}

/**
 * divert_read_end() - a read is over
 * @dn: namespace
 * @sk: socket
 * @read: the read, its list empty
 */
void divert_read_end(struct divert_net *dn, struct sock *sk,
		     struct divert_read *read)
{
	if (!skb_queue_empty(&read->done))
		divert_count_add(dn, sk, DIVERT_STAT_HELD,
				 divert_read_publish(sk, read));
	divert_queue_dispose_list(dn, sk, &read->evicted, DIVERT_STAT_EXPIRED);
}

/* Less than what a CPU's backlog holds. */
#define DIVERT_CLOSE_BATCH	256

/**
 * divert_queue_close() - empty the queue for good
 * @dn: namespace
 * @sk: socket, no longer open; its port may still find it
 *
 * Packets that are passed keep their order: those that were read and have no
 * answer go first, and those that come meanwhile are queued behind them, up to
 * as many as there were, before new ones go their own way. Softirqs wait for a
 * batch: they would bring TCP's next segments for each one that is passed, and
 * the queue would never be empty.
 */
void divert_queue_close(struct divert_net *dn, struct sock *sk)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	u32 n = 2 * skb_queue_len_lockless(queue);
	struct divert_sock *ds = divert_sk(sk);
	struct sk_buff *skb;
	int batch;

	do {
		local_bh_disable();
		for (batch = 0; batch < DIVERT_CLOSE_BATCH; batch++) {
			spin_lock(&queue->lock);
			skb = divert_kept_oldest(ds);
			if (!skb) {
				skb = divert_queue_dequeue(ds);
				if (!skb || !n--)
					ds->closing = true;
			}
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

/* The oldest packet, kept or queued, if it is past its age, off its place. Sees
 * to it that somebody looks again when it will be.
 */
static struct sk_buff *divert_queue_expired(struct divert_sock *ds)
{
	u32 age = divert_queue_age_of(ds);
	struct sk_buff *kept, *skb;
	u32 old;

	kept = divert_kept_peek(ds);
	skb = kept ?: skb_peek(&ds->inet.sk.sk_receive_queue);
	if (!skb || !READ_ONCE(ds->limits.age))
		return NULL;

	old = (u32)jiffies - DIVERT_CB(skb)->queued;
	if (old < age) {
		if (!ds->closing)
			schedule_delayed_work(&ds->age_work, age - old);
		return NULL;
	}
	return kept ? divert_kept_oldest(ds) : divert_queue_dequeue(ds);
}

void divert_queue_age(struct work_struct *work)
{
	struct divert_sock *ds = container_of(to_delayed_work(work),
					      struct divert_sock, age_work);
	struct sock *sk = &ds->inet.sk;
	struct divert_net *dn = ds->dn;
	struct sk_buff_head expired;
	struct sk_buff *skb;

	__skb_queue_head_init(&expired);
	spin_lock_bh(&sk->sk_receive_queue.lock);
	while ((skb = divert_queue_expired(ds)))
		__skb_queue_tail(&expired, skb);
	spin_unlock_bh(&sk->sk_receive_queue.lock);

	divert_queue_dispose_list(dn, sk, &expired, DIVERT_STAT_EXPIRED);
}

/**
 * divert_queue_forget_dev() - a device goes: let go of it
 * @dn: namespace
 * @sk: socket
 * @dev: device
 *
 * What is queued stays readable, it cannot be passed any more. What was read
 * and is kept has lost its way.
 */
void divert_queue_forget_dev(struct divert_net *dn, struct sock *sk,
			     const struct net_device *dev)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct sk_buff_head lost;
	struct sk_buff *skb;

	__skb_queue_head_init(&lost);
	spin_lock_bh(&queue->lock);
	skb_queue_walk(queue, skb)
		if (divert_hold_uses(skb, dev))
			divert_unhold(skb);
	divert_kept_forget_dev(divert_sk(sk), dev, &lost);
	spin_unlock_bh(&queue->lock);

	while ((skb = __skb_dequeue(&lost)))
		divert_queue_discard(dn, sk, skb, DIVERT_STAT_HELD_LOST);
}
