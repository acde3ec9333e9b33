// SPDX-License-Identifier: GPL-2.0
/*
 * Proves that records are laid out as <linux/divert.h> says and that nothing
 * but whole ones is taken for one.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../internal.h"
#include "test.h"

static struct divert_record buffer[8];	/* aligned; room for 512 bytes */
static size_t at;

static struct divert_record *put(const char *text)
{
	return divert_record_put(buffer, sizeof(buffer), &at, text,
				 strlen(text));
}

static struct divert_record *next(size_t len)
{
	return divert_record_next(buffer, len, &at);
}

/* What is put is what is found, one behind the other. */
static void round_trip(void)
{
	struct divert_record *record;
	size_t len;

	at = 0;
	record = put("a packet");
	CHECK(record == buffer && record->size == 64 && record->len == 72);
	CHECK(record->captured == 8 && record->packet == 8 && !record->flags);
	divert_addr_set_out(divert_record_addr(record), AF_INET6, 7);
	CHECK(put("another one") && at == 72 + 80);
	record = divert_record_put_verdict(buffer, sizeof(buffer), &at, 5,
					   DIVERT_VERDICT_DROP);
	CHECK(record && record->id == 5 && !record->captured);
	CHECK(record->flags == (DIVERT_INFO_HELD | DIVERT_VERDICT_DROP));
	len = at;
	CHECK(len == 72 + 80 + 64);

	at = 0;
	record = next(len);
	CHECK(record && !memcmp(divert_record_data(record), "a packet", 8));
	CHECK(divert_addr_cookie(divert_record_addr(record)) == 7);
	record = next(len);
	CHECK(record && record->captured == 11);
	CHECK(!memcmp(divert_record_data(record), "another one", 11));
	CHECK(!divert_record_addr(record)->sa.sa_family);
	CHECK(next(len) && at == len);
	CHECK(!next(len) && !errno);
}

static void no_room(void)
{
	at = 0;
	CHECK(!divert_record_put(buffer, 63, &at, NULL, 0));
	CHECK(errno == ENOBUFS && !at);
	CHECK(!divert_record_put(buffer, 71, &at, "12345678", 8));
	CHECK(divert_record_put(buffer, 72, &at, "12345678", 8));
	CHECK(!divert_record_put(buffer, 72, &at, NULL, 0));
	CHECK(!divert_record_put(buffer, 72, &at, NULL, SIZE_MAX));
	at = 4;
	CHECK(!divert_record_put(buffer, 512, &at, NULL, 0));
}

static void refused(void)
{
	struct divert_record *record = buffer;
	size_t len;

	at = 0;
	put("12345678");
	len = at;
	for (at = 0; at < len - 1; at = 0, len--) {
		CHECK(!next(len - 1) && errno == EINVAL);
		if (len == 1)
			break;
	}

	at = 0;
	record->len = 0;
	CHECK(!next(72) && errno == EINVAL);
	record->len = 73;
	CHECK(!next(72) && errno == EINVAL);
	record->len = 72;
	record->captured = 9;
	CHECK(!next(72) && errno == EINVAL);
	record->captured = 8;
	record->size = 40;
	CHECK(!next(72) && errno == EINVAL);
	record->size = 80;
	CHECK(!next(72) && errno == EINVAL);
	record->size = 64;
	CHECK(next(72));
}

/* A newer kernel's records are longer; the last one may end early. */
static void other_sizes(void)
{
	struct divert_record *record = buffer;

	at = 0;
	put("0123456789abcdef");
	record->size = 72;
	record->captured = 5;
	record->len = 77;
	at = 0;
	CHECK(next(77) == record && at == 80);
	CHECK(!memcmp(divert_record_data(record), "89abc", 5));
	CHECK(!next(77) && !errno);
}

/* What comes of it is read from the other end: whole buffers, one a write. */
static size_t send_buffer(unsigned int refused, size_t len)
{
	static unsigned char written[sizeof(buffer)];
	struct divert divert;
	int fds[2];
	ssize_t n;
	size_t sum = 0;

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds));
	divert.fd = fds[0];
	errno = 0;
	CHECK(divert_record_send(&divert, buffer, len) == refused);
	CHECK(errno == (refused ? EINVAL : 0));
	while ((n = recv(fds[1], written, sizeof(written), 0)) > 0)
		sum += n;
	close(fds[0]);
	close(fds[1]);
	return sum;
}

/* To drop a kept packet is a verdict, any other one is just not written. */
static void dropped(void)
{
	struct divert_record *first, *second, *third;

	at = 0;
	first = put("12345678");
	second = put("12345678");
	third = put("12345678");
	CHECK(send_buffer(0, at) == 3 * 72);
	divert_record_drop(second);
	CHECK(!second->captured && send_buffer(0, at) == 2 * 72);
	second->flags |= DIVERT_INFO_HELD;
	CHECK(send_buffer(0, at) == 3 * 72);
	divert_record_drop(first);
	divert_record_drop(third);
	CHECK(send_buffer(0, at) == 72);
	second->flags &= ~DIVERT_INFO_HELD;
	CHECK(!send_buffer(0, at) && !send_buffer(0, 0));
}

static void send_nonsense(void)
{
	at = 0;
	put("12345678");
	put("12345678")->len = 7;
	CHECK(send_buffer(1, at) == 72);
	buffer->size = 7;
	CHECK(!send_buffer(1, at));
	/* The last one need not be filled up. */
	at = 0;
	put("123");
	buffer->len = 67;
	CHECK(send_buffer(0, 67) == 67);
}

/* Each is refused by itself. */
static void all_refused(void)
{
	struct divert divert = { .fd = -1 };

	at = 0;
	put("1");
	put("2");
	put("3");
	CHECK(divert_record_send(&divert, buffer, at) == 3 && errno == EBADF);
}

int main(void)
{
	TEST(round_trip);
	TEST(no_room);
	TEST(refused);
	TEST(other_sizes);
	TEST(dropped);
	TEST(send_nonsense);
	TEST(all_refused);
	return test_status();
}
