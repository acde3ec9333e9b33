// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that have been read, in whole or in part, and stay here until a
 * write says what becomes of them, or until others need their room.
 *
 * All of this under the queue's lock, but where it says otherwise. A packet has
 * a number from the moment it is taken off the queue, and is here from when it
 * has been read: a verdict cannot come before that.
 */

#include <linux/mm.h>
#include <linux/netdevice.h>

#include "divert.h"

#define DIVERT_KEPT_DEFAULT	4096

/**
 * divert_kept_alloc() - have a place for kept packets
 * @ds: socket, locked, without one
 *
 * Return: 0 or -ENOMEM.
 */
int divert_kept_alloc(struct divert_sock *ds)
{
	spinlock_t *lock = &ds->inet.sk.sk_receive_queue.lock;
	u32 size = ds->hold.packets ?: DIVERT_KEPT_DEFAULT;
	struct divert_kept *kept;

	size = roundup_pow_of_two(size);
	kept = kvzalloc(struct_size(kept, slots, size), GFP_KERNEL_ACCOUNT);
	if (!kept)
		return -ENOMEM;

	kept->size = size;
	kept->first = 1;
	kept->next = 1;
	spin_lock_bh(lock);
	ds->kept = kept;
	spin_unlock_bh(lock);
	return 0;
}

/* In the slot of a packet that is being read. */
#define DIVERT_KEPT_READING	((struct sk_buff *)ZERO_SIZE_PTR)

static struct sk_buff **divert_kept_slot(struct divert_kept *kept, u64 id)
{
	return &kept->slots[id & (kept->size - 1)];
}

/* Off its slot; NULL if it has gone or has not come. */
static struct sk_buff *divert_kept_remove(struct divert_kept *kept, u64 id)
{
	struct sk_buff **slot = divert_kept_slot(kept, id);
	struct sk_buff *skb = *slot;

	if (!skb || skb == DIVERT_KEPT_READING)
		return NULL;
	*slot = NULL;
	kept->bytes -= skb->truesize;
	return skb;
}

/**
 * divert_kept_peek() - the packet that was read first of those that are here
 * @ds: socket
 *
 * Return: the packet, or NULL if there is none or it is being read.
 */
struct sk_buff *divert_kept_peek(struct divert_sock *ds)
{
	struct divert_kept *kept = ds->kept;
	struct sk_buff *skb = NULL;

	if (!kept)
		return NULL;
	while (kept->first < kept->next) {
		skb = *divert_kept_slot(kept, kept->first);
		if (skb)
			break;
		kept->first++;
	}
	return skb == DIVERT_KEPT_READING ? NULL : skb;
}

/**
 * divert_kept_oldest() - the same, taken away
 * @ds: socket
 */
struct sk_buff *divert_kept_oldest(struct divert_sock *ds)
{
	struct sk_buff *skb = divert_kept_peek(ds);

	return skb ? divert_kept_remove(ds->kept, ds->kept->first++) : NULL;
}

static void divert_kept_evict(struct divert_kept *kept,
			      struct sk_buff_head *evicted)
{
	struct sk_buff *skb = divert_kept_remove(kept, kept->first);

	/* Whoever reads it now will find that its place has gone. */
	*divert_kept_slot(kept, kept->first++) = NULL;
	if (skb)
		__skb_queue_tail(evicted, skb);
}

static bool divert_kept_large(const struct divert_sock *ds, u32 truesize)
{
	u64 bytes = READ_ONCE(ds->hold.bytes) ?:
		    READ_ONCE(ds->inet.sk.sk_rcvbuf);

	return ds->kept->bytes + truesize > bytes;
}

static bool divert_kept_full(const struct divert_sock *ds, u32 truesize)
{
	const struct divert_kept *kept = ds->kept;

	return kept->next - kept->first >= kept->size ||
	       (kept->first < kept->next && divert_kept_large(ds, truesize));
}

/* Can all of it be written over? For that it must be in one piece. Several
 * segments in one are the writer's to arrange anew.
 */
static bool divert_kept_whole(const struct sk_buff *skb)
{
	return !skb_is_gso(skb) &&
	       (!skb_is_nonlinear(skb) ||
		skb->len <= SKB_MAX_ORDER(0, PAGE_ALLOC_COSTLY_ORDER));
}

/**
 * divert_kept_number() - number a packet that is about to be read
 * @ds: socket
 * @skb: packet, just off the queue; it has a number if it is to be kept
 * @evicted: gets packets that have to go for it
 */
void divert_kept_number(struct divert_sock *ds, struct sk_buff *skb,
			struct sk_buff_head *evicted)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;
	struct divert_kept *kept = ds->kept;

	if (!extra || !extra->held || !extra->keep || !kept)
		return;
	if (extra->keep == DIVERT_KEEP_COPY && !divert_kept_whole(skb))
		return;

	while (divert_kept_full(ds, skb->truesize))
		divert_kept_evict(kept, evicted);
	extra->id = kept->next++;
	*divert_kept_slot(kept, extra->id) = DIVERT_KEPT_READING;
}

/* False if its place, or its device, has gone in the meantime. */
static bool divert_kept_put(struct divert_sock *ds, struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;
	struct divert_kept *kept = ds->kept;
	struct sk_buff **slot = divert_kept_slot(kept, extra->id);

	if (extra->id < kept->first || *slot != DIVERT_KEPT_READING)
		return false;
	if (divert_hold_gone(skb)) {
		*slot = NULL;
		return false;
	}

	*slot = skb;
	kept->bytes += skb->truesize;
	divert_queue_age_start(ds);
	return true;
}

/**
 * divert_kept_publish() - a packet has been read and can have its verdict
 * @ds: socket
 * @skb: packet with a number
 * @evicted: gets packets that have to go for it; others may have been read at
 *	the same time, so there may be less room now
 *
 * Return: false if its place, or its device, has gone in the meantime.
 */
bool divert_kept_publish(struct divert_sock *ds, struct sk_buff *skb,
			 struct sk_buff_head *evicted)
{
	while (ds->kept->first < DIVERT_CB(skb)->extra->id &&
	       divert_kept_large(ds, skb->truesize))
		divert_kept_evict(ds->kept, evicted);
	return divert_kept_put(ds, skb);
}

/**
 * divert_kept_forget() - a packet that was to be kept is not
 * @sk: socket
 * @id: its number
 *
 * Takes the lock.
 */
void divert_kept_forget(struct sock *sk, u64 id)
{
	struct divert_kept *kept = divert_sk(sk)->kept;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	if (id >= kept->first &&
	    *divert_kept_slot(kept, id) == DIVERT_KEPT_READING)
		*divert_kept_slot(kept, id) = NULL;
	spin_unlock_bh(&sk->sk_receive_queue.lock);
}

/* The number that a ticket stands for: the last one given out that ends so. */
static u64 divert_kept_named(const struct divert_kept *kept, u32 ticket)
{
	u64 last = kept->next - 1;

	return last - ((last - ticket) & DIVERT_TICKET_MASK);
}

/**
 * divert_kept_take() - take a packet that a write is about
 * @sk: socket
 * @to: names it by id or ticket
 *
 * Takes the lock.
 *
 * Return: the packet; -ESTALE if it has gone, -ENOENT if there never was one.
 */
struct sk_buff *divert_kept_take(struct sock *sk, const struct divert_dest *to)
{
	struct divert_kept *kept = divert_sk(sk)->kept;
	struct sk_buff *skb = ERR_PTR(-ENOENT);
	u64 id;

	if (!kept)
		return skb;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	id = to->ticket ? divert_kept_named(kept, to->ticket) : to->id;
	if (id && id < kept->next) {
		skb = id < kept->first ? NULL : divert_kept_remove(kept, id);
		skb = skb ?: ERR_PTR(-ESTALE);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return skb;
}

/**
 * divert_kept_return() - a packet that was taken had no verdict after all
 * @sk: socket
 * @skb: packet
 *
 * Takes the lock.
 *
 * Return: false if its place or its device has gone.
 */
bool divert_kept_return(struct sock *sk, struct sk_buff *skb)
{
	struct divert_sock *ds = divert_sk(sk);
	bool kept = false;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	if (DIVERT_CB(skb)->extra->id >= ds->kept->first) {
		*divert_kept_slot(ds->kept, DIVERT_CB(skb)->extra->id) =
			DIVERT_KEPT_READING;
		kept = divert_kept_put(ds, skb);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return kept;
}

/**
 * divert_kept_take_upto() - take all packets up to one
 * @sk: socket
 * @to: names the last by its id
 * @list: gets them, in the order of their numbers
 *
 * Takes the lock.
 *
 * Return: 0 or -ENOENT.
 */
int divert_kept_take_upto(struct sock *sk, const struct divert_dest *to,
			  struct sk_buff_head *list)
{
	struct divert_kept *kept = divert_sk(sk)->kept;
	struct sk_buff *skb;
	u64 id;

	if (!kept || !to->id)
		return -ENOENT;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	if (to->id >= kept->next) {
		spin_unlock_bh(&sk->sk_receive_queue.lock);
		return -ENOENT;
	}
	divert_kept_peek(divert_sk(sk));
	for (id = kept->first; id <= to->id; id++) {
		skb = divert_kept_remove(kept, id);
		if (skb)
			__skb_queue_tail(list, skb);
	}
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return 0;
}

/**
 * divert_kept_forget_dev() - a device goes
 * @ds: socket
 * @dev: device
 * @lost: gets the packets that hold it
 */
void divert_kept_forget_dev(struct divert_sock *ds,
			    const struct net_device *dev,
			    struct sk_buff_head *lost)
{
	struct divert_kept *kept = ds->kept;
	u64 id;

	for (id = kept ? kept->first : 1; kept && id < kept->next; id++) {
		struct sk_buff *skb = *divert_kept_slot(kept, id);

		if (skb && skb != DIVERT_KEPT_READING &&
		    divert_hold_uses(skb, dev))
			__skb_queue_tail(lost, divert_kept_remove(kept, id));
	}
}
