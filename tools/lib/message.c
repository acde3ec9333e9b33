// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading and writing: one packet, or a batch of them in one system call.
 */

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#define BATCH_MAX	1024	/* as the kernel takes, UIO_MAXIOV */

/* Control messages we read, and write: metadata, time, and offloads. Offloads
 * come last and must not be cut off: there is room for what options of the
 * socket bring that were set beside us, and for metadata that has grown.
 */
union control {
	struct cmsghdr align;
	char space[512];
};

static bool is_message(const struct cmsghdr *c, int level, int type, size_t len)
{
	return c->cmsg_level == level && c->cmsg_type == type &&
	       c->cmsg_len >= CMSG_LEN(len);
}

/* An older kernel gives less, a newer one more: take what both know. */
static void get_info(struct divert_info *info, const struct cmsghdr *c)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);

	if (len > sizeof(*info))
		len = sizeof(*info);
	memcpy(info, CMSG_DATA(c), len);
	info->size = len;
}

/* One more control message. They are put one behind the other. */
static void put_control(struct msghdr *msg, union control *control, int type,
			const void *data, size_t len)
{
	struct cmsghdr *c;

	c = (struct cmsghdr *)(control->space + msg->msg_controllen);
	c->cmsg_level = SOL_DIVERT;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_control = control;
	msg->msg_controllen += CMSG_SPACE(len);
}

static bool put_info(struct msghdr *msg, union control *control,
		     const struct divert_info *info)
{
	if (info->size < DIVERT_INFO_SIZE_1 || info->size > sizeof(*info))
		return false;

	put_control(msg, control, DIVERT_INFO, info, info->size);
	return true;
}

ssize_t divert_recv(struct divert *divert, void *data, size_t size,
		    union divert_addr *addr)
{
	socklen_t len = sizeof(*addr);

	return recvfrom(divert->fd, data, size, 0,
			addr ? &addr->sa : NULL, addr ? &len : NULL);
}

ssize_t divert_recv_info(struct divert *divert, void *data, size_t size,
			 union divert_addr *addr, struct divert_info *info)
{
	struct iovec iov = { data, size };
	union control control;
	struct msghdr msg = {
		.msg_name = addr,
		.msg_namelen = addr ? sizeof(*addr) : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(divert->fd, &msg, 0);
	struct cmsghdr *c;

	if (len < 0)
		return -1;

	memset(info, 0, sizeof(*info));
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (is_message(c, SOL_DIVERT, DIVERT_INFO, DIVERT_INFO_SIZE_1))
			get_info(info, c);
	}
	return len;
}

/* Without a length the kernel would take the address for none, and send the
 * packet whichever way it was to go.
 */
static bool put_addr(struct msghdr *msg, union divert_addr *addr)
{
	msg->msg_name = addr;
	msg->msg_namelen = divert_addr_len(addr);
	return msg->msg_namelen;
}

static ssize_t fail(int error)
{
	errno = error;
	return -1;
}

static ssize_t send_one(const struct divert *divert, const void *data,
			size_t len, const union divert_addr *addr,
			const struct divert_info *info)
{
	struct iovec iov = { (void *)data, len };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	if (addr && !put_addr(&msg, (union divert_addr *)addr))
		return fail(EAFNOSUPPORT);
	if (info && !put_info(&msg, &control, info))
		return fail(EINVAL);
	return sendmsg(divert->fd, &msg, 0);
}

ssize_t divert_send(struct divert *divert, const void *data, size_t len,
		    const union divert_addr *addr)
{
	return send_one(divert, data, len, addr, NULL);
}

ssize_t divert_send_info(struct divert *divert, const void *data, size_t len,
			 const union divert_addr *addr,
			 const struct divert_info *info)
{
	return send_one(divert, data, len, addr, info);
}

int divert_send_verdict(struct divert *divert, uint64_t id, uint32_t verdict,
			const void *data, size_t len)
{
	struct divert_info info = {
		.size = sizeof(info),
		.flags = DIVERT_INFO_HELD | verdict,
		.id = id,
	};

	return send_one(divert, data, len, NULL, &info) < 0 ? -1 : 0;
}

/* Batches */

struct slot {
	struct divert_msg msg;
	struct divert_info info;
	struct virtio_net_hdr gso;
	struct iovec iov;
	union control control;
};

struct divert_batch {
	unsigned int count;
	size_t size;			/* of each packet's place in @data */
	unsigned char *data;		/* mapped */
	struct slot *slots;
	struct mmsghdr *headers;	/* what the next system call is given */
	unsigned int *which;		/* the slots of the headers, to write */
};

static size_t data_size(const struct divert_batch *batch)
{
	return batch->count * batch->size;
}

static void *batch_data(const struct divert_batch *batch, unsigned int i)
{
	return batch->data + i * batch->size;
}

void divert_batch_free(struct divert_batch *batch)
{
	if (!batch)
		return;
	if (batch->data)
		munmap(batch->data, data_size(batch));
	free(batch->slots);
	free(batch->headers);
	free(batch->which);
	free(batch);
}

static bool batch_map(struct divert_batch *batch)
{
	void *data = mmap(NULL, data_size(batch), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED)
		return false;
	batch->data = data;
	return true;
}

static bool batch_init(struct divert_batch *batch)
{
	unsigned int i;

	batch->slots = calloc(batch->count, sizeof(*batch->slots));
	batch->headers = calloc(batch->count, sizeof(*batch->headers));
	batch->which = calloc(batch->count, sizeof(*batch->which));
	if (!batch->slots || !batch->headers || !batch->which ||
	    !batch_map(batch))
		return false;

	for (i = 0; i < batch->count; i++) {
		batch->slots[i].msg.data = batch_data(batch, i);
		batch->slots[i].msg.info = &batch->slots[i].info;
		batch->slots[i].msg.gso = &batch->slots[i].gso;
	}
	return true;
}

struct divert_batch *divert_batch_alloc(unsigned int count, size_t size)
{
	struct divert_batch *batch;

	if (!count || count > BATCH_MAX || size > DIVERT_PACKET_MAX) {
		errno = EINVAL;
		return NULL;
	}

	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return NULL;

	batch->count = count;
	batch->size = ((size ?: DIVERT_PACKET_MAX) + 7) & ~(size_t)7;
	if (batch_init(batch))
		return batch;

	divert_batch_free(batch);
	errno = ENOMEM;
	return NULL;
}

struct divert_msg *divert_batch_msg(struct divert_batch *batch, unsigned int i)
{
	return i < batch->count ? &batch->slots[i].msg : NULL;
}

static void prepare_recv(struct divert_batch *batch, unsigned int i)
{
	struct slot *slot = &batch->slots[i];

	slot->iov.iov_base = batch_data(batch, i);
	slot->iov.iov_len = batch->size;
	batch->headers[i].msg_hdr = (struct msghdr){
		.msg_name = &slot->msg.addr,
		.msg_namelen = sizeof(slot->msg.addr),
		.msg_iov = &slot->iov,
		.msg_iovlen = 1,
		.msg_control = &slot->control,
		.msg_controllen = sizeof(slot->control),
	};
}

static void get_control(struct slot *slot, const struct cmsghdr *c)
{
	if (is_message(c, SOL_DIVERT, DIVERT_INFO, DIVERT_INFO_SIZE_1)) {
		get_info(&slot->info, c);
		slot->msg.flags |= DIVERT_MSG_INFO;
	} else if (is_message(c, SOL_SOCKET, SO_TIMESTAMPNS,
			      sizeof(slot->msg.time))) {
		memcpy(&slot->msg.time, CMSG_DATA(c), sizeof(slot->msg.time));
		slot->msg.flags |= DIVERT_MSG_TIME;
	} else if (is_message(c, SOL_DIVERT, DIVERT_GSO, sizeof(slot->gso))) {
		memcpy(&slot->gso, CMSG_DATA(c), sizeof(slot->gso));
		slot->msg.flags |= DIVERT_MSG_GSO;
		slot->msg.use |= DIVERT_MSG_GSO;
	}
}

static void finish_recv(struct divert_batch *batch, unsigned int i)
{
	struct msghdr *header = &batch->headers[i].msg_hdr;
	struct slot *slot = &batch->slots[i];
	struct cmsghdr *c;

	slot->msg.data = slot->iov.iov_base;
	slot->msg.len = batch->headers[i].msg_len;
	slot->msg.flags = header->msg_flags & MSG_TRUNC ? DIVERT_MSG_CUT : 0;
	slot->msg.use = 0;
	slot->msg.error = 0;
	slot->info.size = 0;
	for (c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
		get_control(slot, c);
}

int divert_batch_recv(struct divert *divert, struct divert_batch *batch)
{
	unsigned int i;
	int n;

	for (i = 0; i < batch->count; i++)
		prepare_recv(batch, i);

	n = recvmmsg(divert->fd, batch->headers, batch->count, MSG_WAITFORONE,
		     NULL);
	for (i = 0; (int)i < n; i++)
		finish_recv(batch, i);
	return n;
}

/* If the packet cannot be written, its error says why. */
static bool prepare_send(struct slot *slot, struct msghdr *header)
{
	memset(header, 0, sizeof(*header));
	slot->iov.iov_base = slot->msg.data;
	slot->iov.iov_len = slot->msg.len;
	header->msg_iov = &slot->iov;
	header->msg_iovlen = 1;
	slot->msg.error = EAFNOSUPPORT;
	if (!put_addr(header, &slot->msg.addr))
		return false;

	slot->msg.error = EINVAL;
	if (slot->msg.use & DIVERT_MSG_INFO &&
	    !put_info(header, &slot->control, &slot->info))
		return false;
	if (slot->msg.use & DIVERT_MSG_GSO)
		put_control(header, &slot->control, DIVERT_GSO, &slot->gso,
			    sizeof(slot->gso));

	slot->msg.error = 0;
	return true;
}

/* Headers for the packets that are to be written; how many. */
static unsigned int gather(struct divert_batch *batch, unsigned int count)
{
	unsigned int i, n = 0;

	for (i = 0; i < count; i++) {
		struct slot *slot = &batch->slots[i];

		slot->msg.error = 0;
		if (!slot->msg.len)
			continue;
		if (prepare_send(slot, &batch->headers[n].msg_hdr))
			batch->which[n++] = i;
	}
	return n;
}

int divert_batch_send(struct divert *divert, struct divert_batch *batch,
		      unsigned int count)
{
	unsigned int n, at = 0;
	int sent = 0, ret;

	n = gather(batch, count < batch->count ? count : batch->count);
	while (at < n) {
		ret = sendmmsg(divert->fd, batch->headers + at, n - at, 0);
		if (ret > 0) {
			at += ret;
			sent += ret;
		} else if (errno != EINTR) {
			/* The first one was refused: leave it behind. */
			batch->slots[batch->which[at++]].msg.error = errno;
		}
	}
	return sent;
}
