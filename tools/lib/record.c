// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Records: many packets, headers of packets or verdicts in one buffer.
 */

#include <errno.h>
#include <string.h>

#include <sys/socket.h>

#include "internal.h"

static size_t aligned(size_t len)
{
	return (len + DIVERT_RECORD_ALIGN - 1) & ~(DIVERT_RECORD_ALIGN - 1UL);
}

static bool is_whole(const struct divert_record *record, size_t room)
{
	if (room < sizeof(*record) || record->size < sizeof(*record) ||
	    record->len > room || record->size > record->len)
		return false;
	return record->captured <= record->len - record->size;
}

struct divert_record *divert_record_next(void *buffer, size_t len, size_t *at)
{
	struct divert_record *record;

	errno = 0;
	if (*at >= len)
		return NULL;

	record = (struct divert_record *)((char *)buffer + *at);
	if (*at % DIVERT_RECORD_ALIGN || !is_whole(record, len - *at)) {
		errno = EINVAL;
		return NULL;
	}
	/* The last one need not be filled up. */
	*at += aligned(record->len);
	return record;
}

void *divert_record_data(const struct divert_record *record)
{
	return (char *)record + record->size;
}

union divert_addr *divert_record_addr(struct divert_record *record)
{
	return (union divert_addr *)record->addr;
}

struct divert_record *divert_record_put(void *buffer, size_t size, size_t *at,
					const void *data, size_t len)
{
	struct divert_record *record;

	if (len > DIVERT_PACKET_MAX || *at > size || *at % DIVERT_RECORD_ALIGN ||
	    size - *at < aligned(sizeof(*record) + len)) {
		errno = ENOBUFS;
		return NULL;
	}

	record = (struct divert_record *)((char *)buffer + *at);
	memset(record, 0, aligned(sizeof(*record) + len));
	record->size = sizeof(*record);
	record->len = aligned(sizeof(*record) + len);
	record->packet = len;
	record->captured = len;
	if (len)
		memcpy(divert_record_data(record), data, len);
	*at += record->len;
	return record;
}

struct divert_record *divert_record_put_verdict(void *buffer, size_t size,
						size_t *at, uint64_t id,
						uint32_t verdict)
{
	struct divert_record *record;

	record = divert_record_put(buffer, size, at, NULL, 0);
	if (!record)
		return NULL;

	record->id = id;
	record->flags = DIVERT_INFO_HELD | verdict;
	return record;
}

void divert_record_drop(struct divert_record *record)
{
	record->flags |= DIVERT_VERDICT_DROP;
	record->captured = 0;
}

/* To drop a packet that the kernel does not keep is not to write it. */
static bool is_left_out(const struct divert_record *record)
{
	return record->flags & DIVERT_VERDICT_DROP &&
	       !(record->flags & DIVERT_INFO_HELD);
}

/* The end of the records from @at on that can be written at once. */
static size_t find_end(void *buffer, size_t len, size_t at)
{
	const struct divert_record *record;
	size_t end = at;

	while ((record = divert_record_next(buffer, len, &at)) &&
	       !is_left_out(record))
		end = at < len ? at : len;
	return end;
}

/* What is no record, nothing can come behind. */
static int skip(void *buffer, size_t len, size_t *at)
{
	if (divert_record_next(buffer, len, at))
		return 0;
	*at = len;
	return -EINVAL;
}

/* Write up to the first record that is refused, and go behind it. */
static int send_some(const struct divert *divert, void *buffer, size_t end,
		     size_t *at)
{
	ssize_t n;

	do {
		n = send(divert->fd, (char *)buffer + *at, end - *at, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		*at += n;
		return 0;
	}

	n = -errno;
	divert_record_next(buffer, end, at);
	return n;
}

unsigned int divert_record_send(struct divert *divert, void *buffer, size_t len)
{
	unsigned int refused = 0;
	size_t at = 0, end = 0;
	int error = 0, ret;

	while (at < len) {
		if (at >= end)
			end = find_end(buffer, len, at);
		if (at < end)
			ret = send_some(divert, buffer, end, &at);
		else
			ret = skip(buffer, len, &at);
		if (ret) {
			error = -ret;
			refused++;
		}
	}
	if (refused)
		errno = error;
	return refused;
}
