// SPDX-License-Identifier: GPL-2.0
/*
 * Many packets in one read and in one write, each in a struct divert_record.
 *
 * Records cross the border to user space by the page: one that is alone in its
 * crossing costs as much as a page full of them.
 */

#include <linux/uio.h>

#include "divert.h"

/* Packets that are taken off the queue, and published, at once */
#define DIVERT_RECORD_BATCH	64

/* Cross the border at once; a page may be larger. */
#define DIVERT_RECORD_PAGE	4096

/* A page of records on their way. */
struct divert_records {
	struct divert_net	*dn;
	struct sock		*sk;
	struct msghdr		*msg;
	u8			*page;
	size_t			have;	/* bytes in @page */
	size_t			at;	/* write: where the next record is */
	int			done;	/* read: bytes the reader has */
	unsigned int		n;	/* read: records in @page */
	u64			kept;	/* read: which of them will be kept */
};

static u8 *divert_records_page(void)
{
	return (u8 *)__get_free_page(GFP_KERNEL);
}

/* Reading */

/* Only the first @len bytes of the page have come to the reader: what is not
 * there whole is lost, as any datagram is that is read into bad memory.
 */
static void divert_records_lost(struct divert_records *rs,
				struct divert_read *read, size_t len)
{
	const struct divert_record *record;
	size_t at = 0;

	for (;;) {
		record = (const struct divert_record *)(rs->page + at);
		if (len - at < sizeof(*record) || len - at < record->len)
			break;
		at += record->len;
		rs->kept >>= 1;
	}
	rs->done += at;
	divert_read_undo(rs->sk, read, hweight64(rs->kept));
}

static int divert_records_flush(struct divert_records *rs,
				struct divert_read *read)
{
	size_t have = rs->have, len;

	/* A record has 64 bytes at the least: there is a bit for each. */
	BUILD_BUG_ON(DIVERT_RECORD_PAGE / sizeof(struct divert_record) >
		     BITS_PER_TYPE(rs->kept));

	len = copy_to_iter(rs->page, have, &rs->msg->msg_iter);
	if (likely(len == have))
		rs->done += have;
	else
		divert_records_lost(rs, read, len);
	rs->have = 0;
	rs->n = 0;
	rs->kept = 0;
	return len == have ? 0 : -EFAULT;
}

static void divert_record_fill(struct divert_record *record,
			       const struct sock *sk,
			       const struct sk_buff *skb, size_t captured)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	u32 flags = divert_info_flags(skb);
	int len;

	record->size = sizeof(*record);
	record->len = divert_record_size(captured);
	record->packet = skb->len;
	record->captured = captured;
	record->id = flags & DIVERT_INFO_HELD ? extra->id : 0;
	record->flags = flags;
	record->offset = 0;
	len = divert_address_read(skb, sk->sk_family, record->addr);
	memset(record->addr + len, 0, sizeof(record->addr) - len);
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

/* Bytes of the packet behind the record, filled up. */
static int divert_record_data(const struct divert_record *record,
			      const struct sk_buff *skb, u8 *to)
{
	size_t captured = record->captured;
	size_t room = record->len - sizeof(*record);

	/* First, as most of them fill up nothing. */
	if (room > captured)
		memset(to + captured, 0, room - captured);
	if (captured <= skb_headlen(skb)) {
		memcpy(to, skb->data, captured);
		return 0;
	}
	return skb_copy_bits(skb, 0, to, captured);
}

/* One that is longer than a page goes by itself, its record first. */
static int divert_record_long(struct divert_records *rs,
			      const struct divert_record *record,
			      const struct sk_buff *skb)
{
	struct iov_iter *to = &rs->msg->msg_iter;
	size_t fill = record->len - sizeof(*record) - record->captured;

	if (copy_to_iter(record, sizeof(*record), to) != sizeof(*record) ||
	    skb_copy_datagram_iter(skb, 0, to, record->captured) ||
	    iov_iter_zero(fill, to) != fill)
		return -EFAULT;
	rs->done += record->len;
	return 0;
}

static int divert_record_read_one(struct divert_records *rs,
				  struct divert_read *read,
				  struct sk_buff *skb)
{
	size_t room = msg_data_left(rs->msg) - rs->have;
	size_t captured = divert_read_len(read, skb);
	size_t len = divert_record_size(captured);
	struct divert_record *record;
	bool keep;
	int err = 0;

	/* Only the first can be too long for its reader. */
	if (unlikely(len > room)) {
		room = round_down(room, DIVERT_RECORD_ALIGN);
		captured = room - sizeof(*record);
		len = room;
		rs->msg->msg_flags |= MSG_TRUNC;
	}
	if (rs->have + len > DIVERT_RECORD_PAGE && rs->have)
		err = divert_records_flush(rs, read);

	record = (struct divert_record *)(rs->page + rs->have);
	divert_record_fill(record, rs->sk, skb, captured);
	keep = divert_record_keep(rs->sk, skb, record);
	if (!err && len > DIVERT_RECORD_PAGE) {
		err = divert_record_long(rs, record, skb);
	} else if (!err) {
		err = divert_record_data(record, skb, (u8 *)(record + 1));
		rs->have += len;
		rs->kept |= (u64)keep << rs->n++;
	}
	divert_read_done(rs->sk, read, skb, keep && !err);
	return err;
}

static int divert_record_read_batch(struct divert_records *rs,
				    struct divert_read *read)
{
	struct sk_buff *skb;
	int err = 0;

	while ((skb = __skb_dequeue(&read->list))) {
		if (!err)
			err = divert_record_read_one(rs, read, skb);
		else
			divert_read_done(rs->sk, read, skb, false);
	}
	if (!err)
		err = divert_records_flush(rs, read);
	divert_read_end(rs->dn, rs->sk, read);
	return err;
}

/* Return: bytes of records, or an error */
static int divert_records_read(struct divert_records *rs, int flags)
{
	struct divert_read read;
	int n, err;

	do {
		divert_read_init(&read, DIVERT_RECORD_BATCH,
				 min_t(size_t, msg_data_left(rs->msg),
				       INT_MAX));
		/* What follows must fit whole. */
		read.first = !rs->done;
		n = divert_queue_read(rs->sk, flags, &read);
		if (n <= 0)
			return rs->done ?: n;
		if (!(flags & MSG_PEEK))
			divert_count_add(rs->dn, rs->sk, DIVERT_STAT_READ, n);

		err = divert_record_read_batch(rs, &read);
		if (err)
			return rs->done ?: err;
		flags |= MSG_DONTWAIT;
		cond_resched();
	} while (n == DIVERT_RECORD_BATCH && !signal_pending(current));
	return rs->done;
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
	struct divert_records rs = { .dn = dn, .sk = sk, .msg = msg };
	int ret;

	if (len < sizeof(struct divert_record))
		return -EINVAL;
	rs.page = divert_records_page();
	if (!rs.page)
		return -ENOMEM;

	msg->msg_namelen = 0;
	ret = divert_records_read(&rs, flags);
	free_page((unsigned long)rs.page);
	return ret;
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

/* Has at least @len bytes, if there are so many and a page holds them. Memory
 * that is bad further on is the next record's matter.
 */
static int divert_records_fill(struct divert_records *rs, size_t len)
{
	size_t left = rs->have - rs->at, n;

	if (left >= len || !msg_data_left(rs->msg))
		return 0;

	memmove(rs->page, rs->page + rs->at, left);
	n = min(msg_data_left(rs->msg), DIVERT_RECORD_PAGE - left);
	rs->at = 0;
	rs->have = left;
	len = min(len, left + n);
	rs->have += copy_from_iter(rs->page + left, n, &rs->msg->msg_iter);
	return rs->have < len ? -EFAULT : 0;
}

static int divert_record_verdict(struct divert_records *rs,
				 const struct divert_record *record,
				 size_t have)
{
	struct divert_bytes from = {
		.head	= (const u8 *)(record + 1),
		.have	= have,
		.rest	= &rs->msg->msg_iter,
	};
	struct divert_dest to = {
		.verdict	= record->flags & (DIVERT_INFO_HELD |
						   DIVERT_VERDICTS),
		.id		= record->id,
		.offset		= record->offset,
	};

	return divert_verdict(rs->dn, rs->sk, &from, record->captured, &to,
			      true);
}

/* A packet of its own, or the copy of a kept one: as any other write. */
static int divert_record_packet(struct divert_records *rs,
				struct divert_record *record, size_t have)
{
	struct kvec kvec = { record + 1, record->captured };
	struct msghdr msg = *rs->msg;
	struct divert_dest to = { };
	int err;

	if (memchr_inv(record->addr, 0, sizeof(record->addr))) {
		msg.msg_name = record->addr;
		msg.msg_namelen = rs->sk->sk_family == AF_INET6 ?
				  sizeof(struct sockaddr_in6) :
				  sizeof(struct sockaddr_in);
		err = divert_address_parse(msg.msg_name, msg.msg_namelen,
					   rs->sk->sk_family, &to);
		if (err)
			return err;
	}
	if (have == record->captured)
		iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &kvec, 1, have);
	else
		iov_iter_revert(&msg.msg_iter, have);
	return divert_write(rs->dn, rs->sk, &msg, record->captured, &to);
}

/* Return: length of the record, or an error. */
static int divert_record_write_one(struct divert_records *rs)
{
	struct divert_record *record;
	size_t left, have;
	int err;

	err = divert_records_fill(rs, sizeof(*record));
	if (err)
		return err;
	record = (struct divert_record *)(rs->page + rs->at);
	left = rs->have - rs->at + msg_data_left(rs->msg);
	if (left < sizeof(*record) || !divert_record_valid(record, left))
		return -EINVAL;

	err = divert_records_fill(rs, min_t(size_t, record->len, DIVERT_RECORD_PAGE));
	if (err)
		return err;
	record = (struct divert_record *)(rs->page + rs->at);
	have = min_t(size_t, record->captured,
		     rs->have - rs->at - sizeof(*record));

	if (record->flags & DIVERT_INFO_HELD)
		return divert_record_verdict(rs, record, have) ?: record->len;
	return divert_record_packet(rs, record, have) ?: record->len;
}

/* Whether a record's bytes were used or not, the next one is behind them. */
static void divert_records_skip(struct divert_records *rs, size_t left,
				size_t len)
{
	size_t in_page = rs->have - rs->at;

	if (len <= in_page) {
		rs->at += len;
		return;
	}
	rs->at = 0;
	rs->have = 0;
	iov_iter_advance(&rs->msg->msg_iter,
			 msg_data_left(rs->msg) - (left - len));
}

static int divert_records_write(struct divert_records *rs, size_t len)
{
	size_t done = 0;
	int ret;

	while (done < len) {
		ret = divert_record_write_one(rs);
		if (ret < 0) {
			divert_count(rs->dn, rs->sk, divert_stat_errno(ret));
			return done ?: ret;
		}
		divert_records_skip(rs, len - done, ret);
		done += ret;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return done;
}

/**
 * divert_record_write() - sendmsg(2) with DIVERT_RECORDS
 * @dn: namespace
 * @sk: socket
 * @msg: the records
 * @len: their length
 *
 * Return: bytes up to the first record that was refused, or before which a
 * signal came, or its error if that is the first; -EINVAL for a control message
 * without any record.
 */
int divert_record_write(struct divert_net *dn, struct sock *sk,
			struct msghdr *msg, size_t len)
{
	struct divert_records rs = { .dn = dn, .sk = sk, .msg = msg };
	unsigned int flags = msg->msg_flags;
	int ret;

	/* A verdict by control message, which would not be heard here */
	if (!len && msg->msg_controllen) {
		divert_count(dn, sk, DIVERT_STAT_EINVAL);
		divert_batch_end(dn, sk);
		return -EINVAL;
	}
	rs.page = divert_records_page();
	if (!rs.page)
		return -ENOBUFS;

	/* They go on together, and at the end at the latest. */
	msg->msg_flags |= MSG_BATCH;
	ret = divert_records_write(&rs, min_t(size_t, len, INT_MAX));
	msg->msg_flags = flags;
	if (ret < 0 || !(flags & MSG_BATCH))
		divert_batch_end(dn, sk);

	free_page((unsigned long)rs.page);
	return ret;
}
