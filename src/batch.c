// SPDX-License-Identifier: GPL-2.0
/*
 * Packets of one sendmmsg(2), or of one write of records, go on together: the
 * stack's price for being entered is paid once.
 *
 * They wait in sk->sk_write_queue, whose lock protects it and
 * divert_sock.batch_go. sendmmsg() sets MSG_BATCH for all messages but the
 * last; should that one fail before it reaches us, a timer ends the batch.
 */

#include "divert.h"

#define DIVERT_BATCH_MAX	64

static divert_go_t *divert_batch_take(struct sock *sk,
				      struct sk_buff_head *list)
{
	skb_queue_splice_tail_init(&sk->sk_write_queue, list);
	return divert_sk(sk)->batch_go;
}

/**
 * divert_batch_end() - what waits goes on
 * @dn: namespace
 * @sk: socket
 */
void divert_batch_end(struct divert_net *dn, struct sock *sk)
{
	struct sk_buff_head list;
	divert_go_t *go;

	if (skb_queue_empty_lockless(&sk->sk_write_queue))
		return;

	__skb_queue_head_init(&list);
	spin_lock(&sk->sk_write_queue.lock);
	go = divert_batch_take(sk, &list);
	spin_unlock(&sk->sk_write_queue.lock);
	if (!skb_queue_empty(&list))
		go(dn, sk, &list);
}

static void divert_batch_alone(struct divert_net *dn, struct sock *sk,
			       struct sk_buff *skb, divert_go_t *go)
{
	struct sk_buff_head list;

	__skb_queue_head_init(&list);
	__skb_queue_tail(&list, skb);
	go(dn, sk, &list);
}

/**
 * divert_batch_add() - let a packet go on, alone or with others
 * @dn: namespace
 * @sk: socket it was written to
 * @skb: packet, consumed
 * @go: how it goes on
 * @more: others follow at once
 */
void divert_batch_add(struct divert_net *dn, struct sock *sk,
		      struct sk_buff *skb, divert_go_t *go, bool more)
{
	struct sk_buff_head *batch = &sk->sk_write_queue;
	struct divert_sock *ds = divert_sk(sk);
	u32 n;

	if (!more && skb_queue_empty_lockless(batch)) {
		divert_batch_alone(dn, sk, skb, go);
		return;
	}

	spin_lock(&batch->lock);
	/* One batch goes one way: another's is over. Not again from the start:
	 * other writers may have filled it once more.
	 */
	if (unlikely(ds->batch_go != go && !skb_queue_empty(batch))) {
		spin_unlock(&batch->lock);
		divert_batch_end(dn, sk);
		divert_batch_alone(dn, sk, skb, go);
		return;
	}
	ds->batch_go = go;
	__skb_queue_tail(batch, skb);
	n = skb_queue_len(batch);
	if (n == 1 && !delayed_work_pending(&ds->batch_work))
		schedule_delayed_work(&ds->batch_work, 1);
	spin_unlock(&batch->lock);

	if (!more || n >= DIVERT_BATCH_MAX)
		divert_batch_end(dn, sk);
}

void divert_batch_late(struct work_struct *work)
{
	struct divert_sock *ds = container_of(to_delayed_work(work),
					      struct divert_sock, batch_work);
	struct sock *sk = &ds->inet.sk;

	divert_batch_end(ds->dn, sk);
}

void divert_batch_close(struct divert_net *dn, struct sock *sk)
{
	cancel_delayed_work_sync(&divert_sk(sk)->batch_work);
	divert_batch_end(dn, sk);
}
