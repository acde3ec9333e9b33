// SPDX-License-Identifier: GPL-2.0
/* Many packets in one read and in one write, each in a struct divert_record. */

#include <linux/uio.h>

#include "divert.h"

/* Packets that are taken off the queue, and published, at once */
#define DIVERT_RECORD_BATCH	64
/* What is copied to the reader in one piece: a record and some headers */
#define DIVERT_RECORD_PIECE	320

static size_t divert_record_size(size_t captured)
{
	return ALIGN(sizeof(struct divert_record) + captured,
		     DIVERT_RECORD_ALIGN);
}

/**
 * divert_record_len() - length of a packet's record
 * @sk: socket
 * @skb: packet
 */
size_t divert_record_len(const struct sock *sk, const struct sk_buff *skb)
{
	return divert_record_size(divert_read_len(sk, skb));
}

/* Reading */

static void divert_record_fill(struct divert_record *record,
			       const struct sock *sk,
			       const struct sk_buff *skb, size_t captured)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	u32 flags = divert_info_flags(skb);

	memset(record, 0, sizeof(*record));
	record->size = sizeof(*record);
	record->len = divert_record_size(captured);
	record->packet = skb->len;
	record->captured = captured;
	record->flags = flags;
	if (flags & DIVERT_INFO_HELD)
		record->id = extra->id;
	divert_address_read(skb, sk->sk_family, record->addr);
}

/* A record with headers is one piece; what is longer comes behind it. */
static int divert_record_copy(const struct divert_record *record,
			      const struct sk_buff *skb, struct iov_iter *to)
{
	u8 piece[DIVERT_RECORD_PIECE] __aligned(8);
	size_t captured = record->captured;

	memcpy(piece, record, sizeof(*record));
	if (record->len <= sizeof(piece)) {
		memset(piece + record->len - DIVERT_RECORD_ALIGN, 0,
		       captured ? DIVERT_RECORD_ALIGN : 0);
		if (skb_copy_bits(skb, 0, piece + sizeof(*record), captured))
			return -EFAULT;
		return copy_to_iter(piece, record->len, to) == record->len ?
		       0 : -EFAULT;
	}

	if (copy_to_iter(piece, sizeof(*record), to) != sizeof(*record) ||
	    skb_copy_datagram_iter(skb, 0, to, captured))
		return -EFAULT;
	captured = record->len - sizeof(*record) - captured;
	return iov_iter_zero(captured, to) == captured ? 0 : -EFAULT;
}

/* The ticket of a packet that comes back whole goes into its address. */
static bool divert_record_keep(struct sock *sk, struct sk_buff *skb,
			       struct divert_record *record)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!extra || !extra->id)
		return false;
	return record->flags & DIVERT_INFO_HELD ||
	       divert_address_ticket(skb, sk->sk_family, record->addr);
}

static int divert_record_read_one(struct sock *sk, struct divert_read *read,
				  struct sk_buff *skb, struct msghdr *msg)
{
	size_t room = msg_data_left(msg) & ~(DIVERT_RECORD_ALIGN - 1);
	size_t captured = divert_read_len(sk, skb);
	struct divert_record record;
	bool keep;
	int err;

	/* Only the first can be too long for its reader. */
	if (divert_record_size(captured) > room) {
		captured = room - sizeof(record);
		msg->msg_flags |= MSG_TRUNC;
	}

	divert_record_fill(&record, sk, skb, captured);
	keep = divert_record_keep(sk, skb, &record);
	err = divert_record_copy(&record, skb, &msg->msg_iter);
	divert_read_done(sk, read, skb, keep && !err);
	return err ?: (int)record.len;
}

/* Return: bytes copied, or an error if not even the first record was. */
static int divert_record_read_batch(struct divert_net *dn, struct sock *sk,
				    struct divert_read *read,
				    struct msghdr *msg)
{
	struct sk_buff *skb;
	int done = 0, ret = 0;

	while (ret >= 0 && (skb = __skb_dequeue(&read->list))) {
		ret = divert_record_read_one(sk, read, skb, msg);
		done += max(ret, 0);
	}
	/* Bad memory costs what was to go there, as with any datagram. */
	while ((skb = __skb_dequeue(&read->list)))
		divert_read_done(sk, read, skb, false);
	divert_read_end(dn, sk, read);
	return done ?: ret;
}

/**
 * divert_record_read() - recvmsg(2) with DIVERT_RECORDS
 * @dn: namespace
 * @sk: socket
 * @msg: of the read
 * @len: room for records
 * @flags: of the read
 *
 * Waits for the first packet only.
 *
 * Return: bytes of records, 0 at the end, -EINVAL if not even an empty record
 * has room, or an error of recvmsg(2).
 */
int divert_record_read(struct divert_net *dn, struct sock *sk,
		       struct msghdr *msg, size_t len, int flags)
{
	struct divert_read read;
	int n, ret, done = 0;

	if (len < sizeof(struct divert_record))
		return -EINVAL;

	msg->msg_namelen = 0;
	do {
		divert_read_init(&read, DIVERT_RECORD_BATCH,
				 min_t(size_t, msg_data_left(msg), INT_MAX));
		/* What follows must fit whole. */
		read.first = !done;
		n = divert_queue_read(sk, flags, &read);
		if (n <= 0)
			return done ?: n;
		if (!(flags & MSG_PEEK))
			divert_count_add(dn, sk, DIVERT_STAT_READ, n);

		ret = divert_record_read_batch(dn, sk, &read, msg);
		if (ret < 0)
			return done ?: ret;
		done += ret;
		flags |= MSG_DONTWAIT;
	} while (n == DIVERT_RECORD_BATCH);
	return done;
}

/* Writing */

#define DIVERT_RECORD_FLAGS	(DIVERT_INFO_TEE | DIVERT_INFO_REASSEMBLED | \
				 DIVERT_INFO_LOOPBACK | DIVERT_INFO_SENDER | \
				 DIVERT_INFO_CONNTRACK | DIVERT_INFO_VLAN | \
				 DIVERT_INFO_CSUM_VALID | DIVERT_INFO_OIF | \
				 DIVERT_INFO_HELD | DIVERT_INFO_GSO | \
				 DIVERT_INFO_CSUM_PARTIAL | DIVERT_VERDICTS)

/* @left: bytes written from this record on */
static bool divert_record_valid(const struct divert_record *record, size_t left)
{
	if (record->size != sizeof(*record) ||
	    record->flags & ~DIVERT_RECORD_FLAGS)
		return false;
	if (record->flags & DIVERT_VERDICTS &&
	    !(record->flags & DIVERT_INFO_HELD))
		return false;
	if (record->len < sizeof(*record) || record->len > left ||
	    record->captured > record->len - sizeof(*record))
		return false;
	/* The last one need not be filled up. */
	return record->len == left ||
	       IS_ALIGNED(record->len, DIVERT_RECORD_ALIGN);
}

static int divert_record_dest(const struct divert_record *record,
			      const struct sock *sk, struct divert_dest *to)
{
	if (record->flags & DIVERT_INFO_HELD) {
		to->verdict = record->flags &
			      (DIVERT_INFO_HELD | DIVERT_VERDICTS);
		to->id = record->id;
		to->offset = record->offset;
		return 0;
	}
	if (!memchr_inv(record->addr, 0, sizeof(record->addr)))
		return 0;
	return divert_address_parse(record->addr, sk->sk_family == AF_INET6 ?
				    sizeof(struct sockaddr_in6) :
				    sizeof(struct sockaddr_in),
				    sk->sk_family, to);
}

/* Return: length of the record, or an error. */
static int divert_record_write_one(struct divert_net *dn, struct sock *sk,
				   struct msghdr *msg)
{
	size_t left = msg_data_left(msg);
	struct divert_dest to = { };
	struct divert_record record;
	int err;

	if (!copy_from_iter_full(&record, sizeof(record), &msg->msg_iter))
		return left < sizeof(record) ? -EINVAL : -EFAULT;
	if (!divert_record_valid(&record, left))
		return -EINVAL;

	err = divert_record_dest(&record, sk, &to);
	if (err)
		return err;

	msg->msg_name = record.addr;
	msg->msg_namelen = sizeof(record.addr);
	err = divert_write(dn, sk, msg, record.captured, &to);
	if (err)
		return err;

	/* Whether its bytes were used or not, the next one is behind them. */
	iov_iter_advance(&msg->msg_iter,
			 record.len - (left - msg_data_left(msg)));
	return record.len;
}

/**
 * divert_record_write() - sendmsg(2) with DIVERT_RECORDS
 * @dn: namespace
 * @sk: socket
 * @msg: the records
 * @len: their length
 *
 * Return: bytes up to the first record that was refused, or its error if that is
 * the first.
 */
int divert_record_write(struct divert_net *dn, struct sock *sk,
			struct msghdr *msg, size_t len)
{
	unsigned int flags = msg->msg_flags;
	size_t done = 0;
	int ret = 0;

	/* They go on together, and at the end at the latest. */
	msg->msg_flags |= MSG_BATCH;
	while (done < len) {
		ret = divert_record_write_one(dn, sk, msg);
		if (ret < 0)
			break;
		done += ret;
	}
	msg->msg_flags = flags;
	if (!(flags & MSG_BATCH))
		divert_batch_end(dn, sk);

	if (ret < 0)
		divert_count(dn, sk, divert_stat_errno(ret));
	return done ?: ret;
}
