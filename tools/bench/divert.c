// SPDX-License-Identifier: GPL-2.0
/*
 * A divert socket that passes on all it reads, in all the ways there are.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/divert.h>
#include <linux/filter.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hop.h"

#define DIVERT_PORT	7000	/* as in the rules of the script */
#define HEADERS		128	/* of a packet that stays in the kernel */

static struct hop_options opt;
static int fd;
static bool hold, gso;

static void option_set(int name, const void *value, socklen_t len)
{
	char text[32];

	if (!setsockopt(fd, SOL_DIVERT, name, value, len))
		return;
	snprintf(text, sizeof(text), "divert option %d", name);
	if (errno == ENOPROTOOPT)
		unavailable(text);
	die(text);
}

static void option_on(int name)
{
	int one = 1;

	option_set(name, &one, sizeof(one));
}

static void divert_open(void)
{
	int version;
	socklen_t len = sizeof(version);

	fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (fd < 0)
		unavailable("divert socket");
	if (getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len))
		unavailable("divert.ko is not loaded");
}

static void share(void)
{
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)))
		die("SO_REUSEPORT");
}

/* The members are there in the order of their CPUs. */
static void choose_by_cpu(void)
{
	struct sock_filter code[2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_CPU),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = {
		.len	= 2,
		.filter	= code,
	};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		       sizeof(program)))
		die("SO_ATTACH_REUSEPORT_CBPF");
}

static void divert_bind(void)
{
	struct sockaddr_in sa = {
		.sin_family	= AF_INET,
		.sin_port	= htons(DIVERT_PORT),
	};

	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("bind");
}

static void hold_on(void)
{
	struct divert_hold value = {
		.size		= sizeof(value),
		.headers	= HEADERS,
	};

	hold = true;
	option_set(DIVERT_HOLD, &value, sizeof(value));
}

/* As textbooks do it. */
static void serve_one(void)
{
	static uint8_t packet[HOP_PACKET_MAX];
	struct sockaddr_in sa;
	socklen_t len;
	ssize_t n;

	for (;;) {
		len = sizeof(sa);
		n = recvfrom(fd, packet, sizeof(packet), 0,
			     (struct sockaddr *)&sa, &len);
		if (n < 0)
			die("recvfrom");
		if (opt.rewrite)
			packet_rewrite(packet, n);
		if (sendto(fd, packet, n, 0, (struct sockaddr *)&sa, len) < 0)
			die("sendto");
	}
}

/* By recvmmsg and sendmmsg */

/* The one control message there may be: what checksums need. */
union control {
	struct cmsghdr	hdr;
	uint8_t		room[CMSG_SPACE(sizeof(struct virtio_net_hdr))];
};

static struct {
	uint8_t			packet[HOP_BATCH][HOP_PACKET_MAX];
	struct sockaddr_in	sa[HOP_BATCH];
	union control		control[HOP_BATCH];
	struct iovec		iov[HOP_BATCH];
	struct mmsghdr		msg[HOP_BATCH];
} batch;

static void batch_arm(unsigned int n)
{
	size_t room = hold ? HEADERS : HOP_PACKET_MAX;
	size_t control = gso ? sizeof(union control) : 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		batch.iov[i].iov_len = room;
		batch.msg[i].msg_hdr.msg_namelen = sizeof(batch.sa[i]);
		batch.msg[i].msg_hdr.msg_controllen = control;
	}
}

static void batch_init(void)
{
	struct msghdr *hdr;
	unsigned int i;

	for (i = 0; i < HOP_BATCH; i++) {
		hdr = &batch.msg[i].msg_hdr;
		batch.iov[i].iov_base = batch.packet[i];
		hdr->msg_iov = &batch.iov[i];
		hdr->msg_iovlen = 1;
		hdr->msg_name = &batch.sa[i];
		hdr->msg_control = &batch.control[i];
	}
	batch_arm(HOP_BATCH);
}

static void batch_send(unsigned int n)
{
	unsigned int i;
	int sent;

	for (i = 0; i < n; i += sent) {
		sent = sendmmsg(fd, batch.msg + i, n - i, 0);
		if (sent < 0)
			die("sendmmsg");
	}
}

/* Does the kernel complete this one's checksum? */
static bool batch_partial(unsigned int i)
{
	const struct virtio_net_hdr *vnet =
		(const void *)CMSG_DATA(&batch.control[i].hdr);

	return gso && vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

static void batch_rewrite(unsigned int i)
{
	uint8_t *packet = batch.packet[i];
	size_t len = batch.msg[i].msg_len;

	if (batch_partial(i))
		packet_change(packet, len);
	else
		packet_rewrite(packet, len);
}

/* The packet goes back whole, with the virtio_net_hdr it came with, if any. */
static void answer_packet(unsigned int i)
{
	batch.iov[i].iov_len = batch.msg[i].msg_len;
	if (opt.rewrite)
		batch_rewrite(i);
}

/* What has changed goes back; the address says of which packet. A checksum that
 * is still to be completed may be updated like any other: the kernel does not
 * look at it.
 */
static void answer_held(unsigned int i)
{
	struct change change;
	size_t end = 0;

	if (opt.rewrite && packet_patch(batch.packet[i], batch.msg[i].msg_len,
					false, &change))
		end = change.offset + change.len;
	batch.iov[i].iov_len = end;
	batch.msg[i].msg_hdr.msg_controllen = 0;
}

static void serve_batches(void)
{
	void (*answer)(unsigned int i) = hold ? answer_held : answer_packet;
	int i, n;

	batch_init();
	for (;;) {
		n = recvmmsg(fd, batch.msg, HOP_BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			die("recvmmsg");
		for (i = 0; i < n; i++)
			answer(i);
		batch_send(n);
		batch_arm(n);
	}
}

/* By records */

#define RECORDS_ROOM	(256 << 10)

static union {
	struct divert_record	first;
	uint8_t			bytes[RECORDS_ROOM];
} in, out;

static void records_write(const void *data, size_t len)
{
	ssize_t n;

	for (; len; len -= n, data = (const uint8_t *)data + n) {
		n = write(fd, data, len);
		if (n < 0)
			die("write");
	}
}

static struct divert_record *record_next(struct divert_record *record)
{
	return (struct divert_record *)((uint8_t *)record + record->len);
}

static void records_rewrite(size_t len)
{
	struct divert_record *record = &in.first;
	uint8_t *end = in.bytes + len;

	for (; (uint8_t *)record < end; record = record_next(record)) {
		uint8_t *packet = (uint8_t *)record + record->size;

		if (record->flags & DIVERT_INFO_CSUM_PARTIAL)
			packet_change(packet, record->captured);
		else
			packet_rewrite(packet, record->captured);
	}
}

/* Whole packets go back as they were read. */
static void serve_records(void)
{
	ssize_t n;

	while ((n = read(fd, &in, sizeof(in))) >= 0) {
		if (opt.rewrite)
			records_rewrite(n);
		records_write(&in, n);
	}
	die("read");
}

/* The verdict on a kept packet: go on with these bytes changed. */
static void verdict_patch(struct divert_record *verdict,
			  const struct divert_record *record)
{
	uint8_t *packet = (uint8_t *)record + record->size;
	struct change change = {};

	packet_patch(packet, record->captured,
		     record->flags & DIVERT_INFO_CSUM_PARTIAL, &change);
	verdict->size = sizeof(*verdict);
	verdict->len = sizeof(*verdict) + (change.len + DIVERT_RECORD_ALIGN - 1)
		       / DIVERT_RECORD_ALIGN * DIVERT_RECORD_ALIGN;
	verdict->captured = change.len;
	verdict->offset = change.offset;
	verdict->id = record->id;
	verdict->flags = DIVERT_INFO_HELD;
	memcpy(verdict + 1, packet + change.offset, change.len);
}

/* Records to read, verdicts to write; returns their length. */
static size_t verdicts_rewrite(size_t len)
{
	struct divert_record *record = &in.first, *verdict = &out.first;
	uint8_t *end = in.bytes + len;

	for (; (uint8_t *)record < end; record = record_next(record)) {
		verdict_patch(verdict, record);
		verdict = record_next(verdict);
	}
	return (uint8_t *)verdict - out.bytes;
}

/* One verdict lets all go on. */
static size_t verdict_pass_all(size_t len)
{
	struct divert_record *record = &in.first;
	uint8_t *end = in.bytes + len;
	uint64_t id = 0;

	for (; (uint8_t *)record < end; record = record_next(record))
		id = record->id;
	out.first = (struct divert_record){
		.size	= sizeof(out.first),
		.len	= sizeof(out.first),
		.id	= id,
		.flags	= DIVERT_INFO_HELD | DIVERT_VERDICT_UPTO,
	};
	return sizeof(out.first);
}

static void serve_held_records(void)
{
	ssize_t n;

	while ((n = read(fd, &in, sizeof(in))) >= 0) {
		if (opt.rewrite)
			n = verdicts_rewrite(n);
		else
			n = verdict_pass_all(n);
		records_write(&out, n);
	}
	die("read");
}

int main(int argc, char **argv)
{
	bool records;

	hop_options(&opt, argc, argv,
		    "words: one (recvfrom and sendto), gso, hold, records, member (of a port), cpu (the member of its CPU)");
	records = hop_mode(&opt, "records");
	gso = hop_mode(&opt, "gso");
	divert_open();
	if (hop_mode(&opt, "hold"))
		hold_on();
	if (gso)
		option_on(DIVERT_GSO);
	if (records)
		option_on(DIVERT_RECORDS);
	if (hop_mode(&opt, "member"))
		share();
	divert_bind();
	if (hop_mode(&opt, "cpu"))
		choose_by_cpu();
	hop_ready();

	if (records && hold)
		serve_held_records();
	else if (records)
		serve_records();
	else if (hop_mode(&opt, "one"))
		serve_one();
	else
		serve_batches();
	return EXIT_SUCCESS;
}
