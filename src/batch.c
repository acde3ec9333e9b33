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
	spin_lock_bh(&sk->sk_write_queue.lock);
	go = divert_batch_take(sk, &list);
	spin_unlock_bh(&sk->sk_write_queue.lock);
	if (!skb_queue_empty(&list))
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
	struct divert_sock *ds = divert_sk(sk);
	struct sk_buff_head before, now;
	divert_go_t *before_go = NULL;

	__skb_queue_head_init(&before);
	__skb_queue_head_init(&now);

	if (!more && skb_queue_empty_lockless(&sk->sk_write_queue)) {
		__skb_queue_tail(&now, skb);
		go(dn, sk, &now);
		return;
	}

	spin_lock_bh(&sk->sk_write_queue.lock);
	/* One batch goes one way: another's is over. */
	if (ds->batch_go != go)
		before_go = divert_batch_take(sk, &before);
	ds->batch_go = go;
	__skb_queue_tail(&sk->sk_write_queue, skb);
	if (!more || skb_queue_len(&sk->sk_write_queue) >= DIVERT_BATCH_MAX)
		divert_batch_take(sk, &now);
	else if (!delayed_work_pending(&ds->batch_work))
		schedule_delayed_work(&ds->batch_work, 1);
	spin_unlock_bh(&sk->sk_write_queue.lock);

	if (!skb_queue_empty(&before))
		before_go(dn, sk, &before);
	if (!skb_queue_empty(&now))
		go(dn, sk, &now);
}

void divert_batch_late(struct work_struct *work)
{
	struct divert_sock *ds = container_of(to_delayed_work(work),
					      struct divert_sock, batch_work);
	struct sock *sk = &ds->inet.sk;

	divert_batch_end(divert_pernet(sock_net(sk)), sk);
}

void divert_batch_close(struct divert_net *dn, struct sock *sk)
{
	cancel_delayed_work_sync(&divert_sk(sk)->batch_work);
	divert_batch_end(dn, sk);
}
