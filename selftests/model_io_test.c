// SPDX-License-Identifier: GPL-2.0
/* Reading and writing, from the kernel and from the model. */

#include <stddef.h>
#include <stdio.h>

#include "model_calls_test.h"

/* Reading */

static bool address4_same(const struct mqueued *q, bool ticket,
			  const struct sockaddr_in *sin)
{
	bool in = q->packet.hook == PRE;
	__u8 zero[8] = "";
	__u32 number = htonl(0x800000 | q->id), context = htonl(q->context);
	__u32 bound = htonl(q->bound);

	if (in) {
		strcpy((char *)zero, "lo");
	} else {
		memcpy(zero + 1, (__u8 *)&bound + 1, 3);
		memcpy(zero + 4, &context, 4);
	}
	if (ticket)
		memcpy(in ? zero + 5 : zero + 1, (__u8 *)&number + 1, 3);
	if (ticket && in)
		zero[4] = '/';
	return same("family", AF_INET, sin->sin_family) &&
	       same("cookie", q->cookie, divert_cookie(sin)) &&
	       same("sin_addr", in ? INADDR_LOOPBACK : 0,
		    ntohl(sin->sin_addr.s_addr)) &&
	       (!memcmp(zero, sin->sin_zero, 8) ||
		differs("sin_zero of packet %u", q->packet.serial));
}

static bool address6_same(const struct mqueued *q, bool ticket,
			  const struct sockaddr_in6 *sin6)
{
	bool in = q->packet.hook == PRE;
	struct in6_addr addr = IN6ADDR_ANY_INIT;
	__u32 flow = in ? 0 : q->context;
	__u32 scope = in ? LO : q->bound ? 0x80000000 | q->bound : 0;

	if (in && q->packet.v6)
		addr.s6_addr[15] = 1;
	else if (in)
		memcpy(&addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	if (ticket && in)
		flow = 0x80800000 | q->id;
	else if (ticket)
		scope = 0xc0800000 | q->id;
	return same("family", AF_INET6, sin6->sin6_family) &&
	       same("cookie", q->cookie, sin6->sin6_port) &&
	       same("sin6_flowinfo", flow, ntohl(sin6->sin6_flowinfo)) &&
	       same("sin6_scope_id", scope, sin6->sin6_scope_id) &&
	       (!memcmp(&addr, &sin6->sin6_addr, 16) ||
		differs("sin6_addr of packet %u", q->packet.serial));
}

static bool address_same(const struct msocket *s, const struct mqueued *q,
			 bool ticket, const struct sockaddr_storage *address)
{
	return s->v6 ? address6_same(q, ticket, (const void *)address) :
		       address4_same(q, ticket, (const void *)address);
}

static bool info_same(const struct msocket *s, const struct mqueued *q,
		      bool peek, const struct divert_info *info)
{
	static const int hook[HOOKS] = {
		[OUT] = DIVERT_HOOK_LOCAL_OUT, [POST] = DIVERT_HOOK_POST_ROUTING,
		[PRE] = DIVERT_HOOK_PRE_ROUTING,
	};
	bool held = !peek && q->id && q->keep == KEEP_HEADERS;
	bool in = q->packet.hook == PRE;

	if (!s->info || !q->info)
		return same("size of info", 0, info->size);
	return same("size of info", sizeof(*info), info->size) &&
	       same("info.hook", hook[q->packet.hook], info->hook) &&
	       same("info.port", q->port, info->port) &&
	       same("info.cookie", q->cookie, info->cookie) &&
	       same("info.iif", in ? LO : 0, info->iif) &&
	       same("info.oif", in ? 0 : q->bound ?: LO, info->oif) &&
	       same("DIVERT_INFO_OIF", !in && q->bound,
		    !!(info->flags & DIVERT_INFO_OIF)) &&
	       same("info.len", q->packet.len, info->len) &&
	       same("info.mark", in ? q->packet.mark & ~model_ours(&model.masks) :
				      q->context, info->mark) &&
	       same("DIVERT_INFO_TEE", q->copy,
		    !!(info->flags & DIVERT_INFO_TEE)) &&
	       same("DIVERT_INFO_HELD", held,
		    !!(info->flags & DIVERT_INFO_HELD)) &&
	       (!held || same("info.id", q->id, info->id));
}

static bool packet_same(const struct mqueued *q, const __u8 *data, int len)
{
	const struct mpacket *p = &q->packet;
	int at = payload_at(p);

	if (len < at)
		return true;
	if (!p->v6 && q->keep != KEEP_HEADERS && ip_sum(data, 20))
		return differs("header checksum of packet %u", p->serial);
	return same("version", p->v6 ? 6 : 4, data[0] >> 4) &&
	       same("protocol", p->icmp ? (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) :
				IPPROTO_UDP, data[p->v6 ? 6 : 9]) &&
	       payload_same("what is read", data + at, p, len - at);
}

static void slot_fill(int i, const struct mqueued *q, bool ticket,
		      const void *address, int address_len,
		      const struct divert_info *info, const __u8 *data, int len)
{
	struct slot *to = &slot[next_slot++ % SLOTS];

	to->used = true;
	to->reader = i;
	to->q = *q;
	to->ticket = ticket;
	to->address_len = address_len;
	memcpy(&to->address, address, address_len);
	to->info = *info;
	to->len = len;
	memcpy(to->data, data, len);
}

enum { R_PEEK = 1, R_TRUNC = 2, R_SHORT = 4, R_NO_ADDRESS = 8 };

static long read_msg(int i, __u8 *data, int size, int how,
		     struct sockaddr_storage *address, struct msghdr *msg,
		     struct divert_info *info)
{
	int flags = MSG_DONTWAIT | (how & R_PEEK ? MSG_PEEK : 0) |
		    (how & R_TRUNC ? MSG_TRUNC : 0);
	char control[256];
	struct iovec iov = { data, size };
	struct cmsghdr *c;
	long n;

	*msg = (struct msghdr){
		.msg_name = address, .msg_namelen = sizeof(*address),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	memset(info, 0, sizeof(*info));
	/* recvmsg(2) does not say whether its caller wants an address. */
	if (how & R_NO_ADDRESS) {
		msg->msg_controllen = 0;
		n = recv(fd[i], data, size, flags);
		return n < 0 ? -errno : n;
	}
	n = recvmsg(fd[i], msg, flags);
	for (c = CMSG_FIRSTHDR(msg); n >= 0 && c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_DIVERT && c->cmsg_type == DIVERT_INFO)
			memcpy(info, CMSG_DATA(c), sizeof(*info));
	return n < 0 ? -errno : n;
}

static bool read_one(const struct op *op, struct msocket *s)
{
	int size = op->a & R_SHORT ? 16 : 2048, wanted, copied;
	bool peek = op->a & R_PEEK, ticket;
	struct sockaddr_storage address;
	struct divert_info info;
	struct mqueued q;
	struct msghdr msg;
	__u8 data[2048];
	long n = read_msg(op->at, data, size, op->a, &address, &msg, &info);

	if (!s->queued)
		return same("recvmsg()", s->shut & 1 ? 0 : -EAGAIN, n);
	if (peek) {
		q = s->queue[0];
		q.id = 0;
	} else {
		model_take(&model, op->at, &q);
	}
	wanted = model_read_len(s, &q);
	copied = wanted < size ? wanted : size;
	ticket = model_ticket(&q) && !(op->a & R_NO_ADDRESS);
	if (!same("recvmsg()", op->a & R_TRUNC ? q.packet.len : copied, n) ||
	    !packet_same(&q, data, copied))
		return false;
	if (!(op->a & R_NO_ADDRESS) &&
	    (!same("MSG_TRUNC", copied < wanted,
		   !!(msg.msg_flags & MSG_TRUNC)) ||
	     !info_same(s, &q, peek, &info) ||
	     !address_same(s, &q, ticket, &address)))
		return false;
	if (peek)
		return true;
	if (!(op->a & R_NO_ADDRESS))
		slot_fill(op->at, &q, ticket, &address, msg.msg_namelen, &info,
			  data, copied);
	model_read_done(&model, op->at, &q,
			ticket || q.keep == KEEP_HEADERS);
	return true;
}

#define RECORD_ROOM	(256 * 1024)

static __u8 records[RECORD_ROOM] __attribute__((aligned(8)));

static int record_size(int captured)
{
	return (sizeof(struct divert_record) + captured + 7) & ~7;
}

/* Fills a slot, too. */
static bool record_same(int i, const struct mqueued *q, int captured,
			bool peek, const struct divert_record *record)
{
	static const struct divert_info none;
	struct msocket *s = &model.socket[i];
	bool held = q->id && q->keep == KEEP_HEADERS;
	struct sockaddr_storage address = { };

	memcpy(&address, record->addr, sizeof(record->addr));
	if (!same("record.size", sizeof(*record), record->size) ||
	    !same("record.len", record_size(captured), record->len) ||
	    !same("record.packet", q->packet.len, record->packet) ||
	    !same("record.captured", captured, record->captured) ||
	    !same("record.offset", 0, record->offset) ||
	    !same("record's DIVERT_INFO_HELD", held,
		  !!(record->flags & DIVERT_INFO_HELD)) ||
	    !same("record's DIVERT_INFO_TEE", q->copy,
		  !!(record->flags & DIVERT_INFO_TEE)) ||
	    !same("record.id", held ? q->id : 0, record->id) ||
	    !packet_same(q, (const __u8 *)(record + 1), captured) ||
	    !address_same(s, q, model_ticket(q) && !held, &address))
		return false;
	if (!peek)
		slot_fill(i, q, model_ticket(q) && !held, &address,
			  s->v6 ? sizeof(struct sockaddr_in6) :
				  sizeof(struct sockaddr_in),
			  &none, (const __u8 *)(record + 1), captured);
	return true;
}

static bool read_records(const struct op *op, struct msocket *s)
{
	int room = op->a & R_SHORT ? 600 : RECORD_ROOM, left = room;
	int i, n = 0, captured, len, at = 0, max = op->a & R_PEEK ? 1 : 64;
	struct sockaddr_storage address;
	static struct mqueued q[64];
	struct divert_info info;
	struct msghdr msg;
	long got = read_msg(op->at, records, room,
			    op->a & ~R_TRUNC, &address, &msg, &info);

	if (!s->queued)
		return same("recvmsg()", s->shut & 1 ? 0 : -EAGAIN, got);
	/* All are taken off the queue before the first is copied. */
	while (n < max && s->queued) {
		len = record_size(model_read_len(s, &s->queue[0]));
		if (n && len > left)
			break;
		left -= len < left ? len : left;
		if (op->a & R_PEEK)
			q[n] = s->queue[0];
		else
			model_take(&model, op->at, &q[n]);
		n++;
	}
	for (i = 0; i < n; i++) {
		captured = model_read_len(s, &q[i]);
		if (record_size(captured) > room - at)
			captured = room - at - sizeof(struct divert_record);
		if (at + (int)sizeof(struct divert_record) > got)
			return differs("record %d of %d is missing", i, n);
		if (!record_same(op->at, &q[i], captured, op->a & R_PEEK,
				 (void *)(records + at)))
			return false;
		at += record_size(captured);
	}
	for (i = 0; i < n && !(op->a & R_PEEK); i++)
		model_read_done(&model, op->at, &q[i], model_ticket(&q[i]));
	return same("bytes of records", at, got);
}

bool op_read(const struct op *op)
{
	struct msocket *s = opened(op);

	if (!s)
		return true;
	return s->records ? read_records(op, s) : read_one(op, s);
}

/* Writing */

struct outgoing {
	struct mpacket packet;
	struct mdest to;
	int err;		/* whatever else there is */
	struct sockaddr_storage address;
	int address_len;
	bool informs;
	struct divert_info info;
	int len;
	__u8 data[2048 + 8];
};

static void address_in(struct outgoing *out, bool v6, const char *name)
{
	struct sockaddr_in6 *sin6 = (void *)&out->address;
	struct sockaddr_in *sin = (void *)&out->address;

	memset(&out->address, 0, sizeof(out->address));
	if (v6) {
		sin6->sin6_family = AF_INET6;
		memcpy(&sin6->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1",
		       16);
		sin6->sin6_scope_id = name ? LO : 0;
		if (!name)
			sin6->sin6_addr.s6_addr[12] = 9;
		out->address_len = sizeof(*sin6);
	} else {
		*sin = divert_address(name ? LOOP : "9.9.9.9", 0, name ?: "none");
		out->address_len = sizeof(*sin);
	}
}

static void cookie_set(struct outgoing *out, __u16 cookie)
{
	((struct sockaddr_in *)&out->address)->sin_port = cookie;
	out->to.cookie = cookie;
}

static void out_address(struct outgoing *out, const struct slot *from, int how,
			int cookie)
{
	bool v6 = from->address.ss_family == AF_INET6;

	out->address = from->address;
	out->address_len = from->address_len;
	out->to = (struct mdest){
		.incoming = from->q.packet.hook == PRE,
		.cookie = from->q.cookie,
		.mark = from->q.packet.hook == PRE ? 0 : from->q.context,
		.context_oif = from->ticket ? 0 : from->q.bound,
		.ticket = from->ticket ? from->q.id : 0,
		.same_address = true,
	};
	switch (how) {
	case W_NONE:
		out->address_len = 0;
		out->to = (struct mdest){ };
		return;
	case W_IN:
	case W_NO_NAME:
		address_in(out, v6, how == W_IN ? "lo" : NULL);
		out->to = (struct mdest){ .incoming = true };
		if (how == W_NO_NAME)
			out->err = -EADDRNOTAVAIL;
		cookie = cookie < 0 ? from->q.cookie : cookie;
		break;
	case W_OUT:
		memset((char *)&out->address + 2, 0, sizeof(out->address) - 2);
		out->to = (struct mdest){ };
		cookie = cookie < 0 ? from->q.cookie : cookie;
		break;
	}
	if (cookie >= 0)
		cookie_set(out, cookie);
}

/* The message goes before the address. */
static void out_info(struct outgoing *out, const struct slot *from)
{
	out->informs = true;
	out->info = from->info;
	out->to.incoming = from->info.hook == DIVERT_HOOK_PRE_ROUTING;
	out->to.cookie = from->info.cookie;
	out->to.marked = true;
	out->to.mark = from->info.mark;
	out->to.oif = from->info.flags & DIVERT_INFO_OIF ? from->info.oif : 0;
	if (from->info.flags & DIVERT_INFO_HELD) {
		out->to.verdict = DIVERT_INFO_HELD;
		out->to.id = from->info.id;
		out->to.ticket = 0;
	}
}

static void out_damage(struct outgoing *out, int damage)
{
	switch (damage) {
	case D_SHORT:
		out->len--;
		out->err = -EINVAL;
		break;
	case D_VERSION:
		out->data[0] = 0x55;
		out->err = -EAFNOSUPPORT;
		break;
	case D_HEADER:
		if (out->packet.v6)
			return;
		out->data[0] = 0x44;
		out->err = -EINVAL;
		break;
	case D_LONGER:
		out->len += 3;
		break;
	case D_EMPTY:
		out->len = 0;
		out->err = -EINVAL;
		break;
	case D_FAMILY:
		if (!out->address_len)
			return;
		out->address.ss_family = AF_UNIX;
		out->err = -EAFNOSUPPORT;
		break;
	case D_ADDRESS:
		if (!out->address_len)
			return;
		out->address_len = 15;
		out->err = -EINVAL;
		break;
	}
}

/* Headers of a kept packet are read with a checksum that is yet to be made. */
static void transport_sum(__u8 *data, int len, const struct mpacket *p)
{
	__u8 buf[40 + 2048] = "";
	int hlen = p->v6 ? 40 : 20, n = len - hlen, pseudo = 0;
	__u8 *check = data + hlen + (p->icmp ? 2 : 6);
	__u16 sum;

	if (p->v6 || !p->icmp) {
		pseudo = hlen == 40 ? 36 : 12;
		memcpy(buf, data + hlen - (pseudo - 4), pseudo - 4);
		buf[pseudo - 2] = n >> 8;
		buf[pseudo - 1] = n;
		buf[pseudo - 3] = data[p->v6 ? 6 : 9];
	}
	memset(check, 0, 2);
	memcpy(buf + pseudo, data + hlen, n);
	sum = ip_sum(buf, pseudo + n) ?: 0xffff;
	memcpy(check, &sum, 2);
}

/* The model does not know what another socket's packet would do in the place of
 * a kept one; and what names a kept packet is not damaged.
 */
static bool out_make(struct outgoing *out, const struct op *op,
		     const struct slot *from)
{
	struct msocket *s = &model.socket[op->at];
	int way = op->b, value_at = payload_at(&from->q.packet) + 4;
	__u16 value[2] = { op->e, ~op->e };
	bool other = (from->address.ss_family == AF_INET6) != s->v6;

	memset(out, 0, offsetof(struct outgoing, data));
	out->packet = from->q.packet;
	out->len = from->len;
	memcpy(out->data, from->data, from->len);
	if (way == W_INFO && !from->info.size)
		way = W_SAME;
	out_address(out, from, way, op->d);
	if (way == W_INFO)
		out_info(out, from);
	if ((out->to.ticket || out->to.verdict) && from->reader != op->at)
		return false;
	/* The address of one family, with a socket of the other */
	if (other && out->address_len)
		out->err = s->v6 ? -EINVAL : -EAFNOSUPPORT;
	if (op->e && from->len >= value_at + 4 && out->packet.value != op->e) {
		memcpy(out->data + value_at, value, 4);
		out->packet.value = op->e;
	}
	if (from->len < from->q.packet.len)
		return true;
	transport_sum(out->data, out->len, &out->packet);
	if (!out->to.ticket && !out->to.verdict && !out->err)
		out_damage(out, op->c);
	return true;
}

static long out_send(int i, struct outgoing *out)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct divert_info))];
	} control = {
		.header.cmsg_len = CMSG_LEN(sizeof(struct divert_info)),
		.header.cmsg_level = SOL_DIVERT,
		.header.cmsg_type = DIVERT_INFO,
	};
	struct iovec iov = { out->data, out->len };
	struct msghdr msg = {
		.msg_name = out->address_len ? &out->address : NULL,
		.msg_namelen = out->address_len,
		.msg_iov = &iov, .msg_iovlen = out->len ? 1 : 0,
		.msg_control = out->informs ? &control : NULL,
		.msg_controllen = out->informs ? sizeof(control) : 0,
	};
	long n;

	memcpy(CMSG_DATA(&control.header), &out->info, sizeof(out->info));
	n = sendmsg(fd[i], &msg, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Return: 0 or an error, counted. */
static int out_model(int i, struct outgoing *out, bool more)
{
	int err = model.socket[i].shut & 2 ? -EPIPE : out->err;

	/* The packet is looked at before the device. */
	if (!err || (err == -EADDRNOTAVAIL && out->len < out->packet.len))
		err = model_write(&model, i, &out->packet, out->len, &out->to,
				  more);
	if (err)
		model_count_errno(&model, i, err);
	return err;
}

bool op_write(const struct op *op)
{
	const struct slot *from = &slot[op->a];
	struct msocket *s = opened(op);
	static struct outgoing out;
	long n;
	int err;

	if (!s || s->records || !from->used || !out_make(&out, op, from))
		return true;
	n = out_send(op->at, &out);
	err = out_model(op->at, &out, false);
	return same("sendmsg()", err ?: out.len, n);
}

/* A bare verdict on a kept packet, by number. */
bool op_verdict(const struct op *op)
{
	static const __u32 flags[] = {
		0, 0, DIVERT_VERDICT_DROP, DIVERT_VERDICT_UPTO,
		DIVERT_VERDICT_UPTO | DIVERT_VERDICT_DROP, DIVERT_VERDICT_RULES,
		DIVERT_VERDICT_UPTO | DIVERT_VERDICT_RULES,
		DIVERT_VERDICT_DROP | DIVERT_VERDICT_RULES,
	};
	struct msocket *s = opened(op);
	static struct outgoing out;
	long n;
	int err;

	if (!s || s->records)
		return true;
	memset(&out, 0, offsetof(struct outgoing, data));
	out.informs = true;
	out.info = (struct divert_info){
		.size = sizeof(out.info), .id = op->a, .cookie = op->c,
		.flags = DIVERT_INFO_HELD | flags[op->b], .mark = op->d,
	};
	out.to = (struct mdest){
		.incoming = true, .id = op->a, .cookie = op->c, .marked = true,
		.mark = op->d, .verdict = DIVERT_INFO_HELD | flags[op->b],
	};
	n = out_send(op->at, &out);
	err = out_model(op->at, &out, false);
	return same("verdict", err, n);
}

/* A record of what is written; @wrong: what the record itself has wrong. */
static int record_make(__u8 *at, struct outgoing *out, int wrong)
{
	struct divert_record *record = (void *)at;

	*record = (struct divert_record){
		.size = sizeof(*record), .captured = out->len,
		.len = record_size(out->len),
	};
	memcpy(record->addr, &out->address, out->address_len);
	memcpy(record + 1, out->data, out->len);
	/* Here the length is the socket's family's. */
	if (out->err == -EINVAL)
		out->err = -EAFNOSUPPORT;
	if (wrong)
		out->err = -EINVAL;
	record->size -= wrong == 1;
	record->len += wrong == 2 ? 4 : 0;
	record->flags |= wrong == 3 ? DIVERT_VERDICT_DROP : 0;
	record->captured += wrong == 4 ? 64 : 0;
	return record_size(out->len);
}

/* Up to three records from slots. */
bool op_records(const struct op *op)
{
	struct op each = { .at = op->at, .b = op->c, .d = op->d, .e = op->e };
	struct msocket *s = opened(op);
	static struct outgoing out[3];
	int i, n = 0, size[3], at = 0, done = 0, err = 0;
	long got;

	if (!s || !s->records || op->c == W_INFO)
		return true;
	memset(records, 0, 8192);
	for (i = 0; i < 3; i++) {
		const struct slot *from = &slot[(op->a + i) % SLOTS];

		if (!from->used || !out_make(&out[n], &each, from))
			continue;
		size[n] = record_make(records + at, &out[n],
				      n == 1 ? op->b : 0);
		at += size[n++];
	}
	if (!n)
		return true;
	got = errno_of(got = write(fd[op->at], records, at)) ?: got;
	for (i = 0; i < n && !err; i++) {
		err = out_model(op->at, &out[i], true);
		if (!err)
			done += size[i];
	}
	model_batch_end(&model);
	return same("write() of records", done ?: err, got);
}
