// SPDX-License-Identifier: GPL-2.0
/*
 * Malformed packets, written by the thousand: headers, options, lengths,
 * fragments, chains of extension headers, control messages, verdicts on kept
 * packets, and records; as received and to be sent.
 *
 * Proves that each write is whole or refused with a documented error, and that
 * after them a good packet still makes its round. The kernel's log must be clean
 * too: meant for the debug kernel. SEED and STEPS in the environment change what
 * is written, and how much.
 *
 * TIMEOUT=600
 */

#include <linux/ipv6.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define STEPS_DEFAULT	4000
#define GOOD_EVERY	100	/* a good packet after so many */
/* Where bad packets go: not to who receives the good ones */
#define ELSEWHERE	"127.0.0.2"

FIXTURE(bad)
{
	struct loop loop;
	int raw;	/* unbound, for what is written */
	int raw6;
	int steps;
};

static long from_environment(const char *name, long or)
{
	const char *value = getenv(name);

	return value && *value ? strtol(value, NULL, 0) : or;
}

FIXTURE_SETUP(bad)
{
	srandom(from_environment("SEED", 1));
	self->steps = from_environment("STEPS", STEPS_DEFAULT);
	ns_new();
	self->loop.fd = divert_open(PORT);
	self->loop.tx = udp_open(NULL, MARK(PORT, COOKIE));
	self->loop.rx = udp_open(LOOP, 0);
	self->raw = divert_socket();
	self->raw6 = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT);
	if (self->raw6 < 0)
		die("IPv6 divert socket");
}

FIXTURE_TEARDOWN(bad)
{
}

static int below(int n)
{
	return random() % n;
}

/* Packets */

static __u8 data[65536 + 200];

static int make_ipv4(void)
{
	static const __u8 option[8] = { 0, 1, 7, 68, 130, 131, 137, 148 };
	static struct packet packet;
	int options = below(3) ? 0 : 4 * below(11), i;

	packet_make(&packet, LOOP, ELSEWHERE, below(below(8) ? 200 : 60000));
	memcpy(data, packet.data, 20);
	for (i = 0; i < options; i++)
		data[20 + i] = below(3) ? below(256) : option[below(8)];
	memcpy(data + 20 + options, packet.data + 20, packet.len - 20);
	data[0] = 0x40 | (5 + options / 4);
	data[2] = (packet.len + options) >> 8;
	data[3] = packet.len + options;
	if (!below(4))
		data[6] = below(256);
	if (!below(4))
		data[9] = below(256);
	return packet.len + options;
}

/* Up to so many extension headers, most of them of kinds that there are. */
static int make_ipv6(void)
{
	static const __u8 kind[] = { 0, 43, 44, 50, 51, 59, 60, 135 };
	struct ipv6hdr *ip6 = (struct ipv6hdr *)data;
	int i, n = below(below(4) ? 4 : 60), len = sizeof(*ip6);
	__u8 *next = &ip6->nexthdr;

	memset(data, 0, sizeof(*ip6));
	ip6->version = 6;
	ip6->hop_limit = 64;
	ip6->saddr.s6_addr[15] = 1;
	ip6->daddr.s6_addr[15] = 1;
	for (i = 0; i < n; i++) {
		int size = below(5) ? 8 : 8 * (1 + below(8)), j;

		*next = below(8) ? kind[below(sizeof(kind))] : below(256);
		for (j = 0; j < size; j++)
			data[len + j] = below(3) ? 0 : below(256);
		next = &data[len];
		data[len + 1] = below(8) ? size / 8 - 1 : below(256);
		len += size;
	}
	*next = below(2) ? IPPROTO_UDP : below(2) ? IPPROTO_TCP : below(256);
	for (i = below(200); i; i--)
		data[len++] = below(256);
	ip6->payload_len = htons(len - sizeof(*ip6));
	return len;
}

/* A packet that was good, or nearly, with some of its bytes changed. */
static int make(void)
{
	int len = below(2) ? make_ipv4() : make_ipv6(), i;
	__u16 sum;

	for (i = below(3) ? 0 : below(8); i; i--)
		data[below(below(2) ? 48 : len)] = below(256);
	if (!below(8))
		len = below(len + 100);
	/* Most of them get past the first look. */
	if (len >= 60 && data[0] >> 4 == 4 && below(4)) {
		data[10] = 0;
		data[11] = 0;
		sum = ip_sum(data, (data[0] & 15) * 4);
		memcpy(data + 10, &sum, 2);
	}
	return len;
}

static bool documented(int err)
{
	switch (-err) {
	case EINVAL:
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
	case EMSGSIZE:
	case EACCES:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENOBUFS:
	case EAGAIN:
	case ESTALE:
	case ENOENT:
		return true;
	default:
		return false;
	}
}

/* Addresses and control messages, right and wrong */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct divert_info)) + 64];
};

static void random_bytes(void *to, int len)
{
	__u8 *byte = to;

	while (len--)
		*byte++ = below(2) ? 0 : below(256);
}

static int make_address(struct sockaddr_storage *address, bool v6)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)address;

	if (!below(3))
		return 0;
	random_bytes(address, sizeof(*address));
	address->ss_family = v6 ? AF_INET6 : AF_INET;
	if (!v6 && below(3))
		*sin = divert_address(below(2) ? LOOP : "0.0.0.0", below(200),
				      below(2) ? "lo" : "");
	if (!v6 && !below(8))
		memcpy(sin->sin_zero, "/1234567", 8);
	return below(16) ? (v6 ? 28 : 16) : below(128);
}

static int make_control(union control *control)
{
	static const __u8 hook[5] = { 0, 3, 4, 1, 255 };
	struct divert_info info = {
		.size = sizeof(info), .iif = below(3), .cookie = below(300),
		.hook = hook[below(5)],
	};
	int len = below(2) ? sizeof(info) : sizeof(struct virtio_net_hdr);

	memset(control, 0, sizeof(*control));
	if (below(3))
		return 0;
	if (below(2))
		random_bytes(&info, below(sizeof(info)));
	memcpy(CMSG_DATA(&control->header), &info, sizeof(info));
	if (!below(8))
		len = below(200);
	control->header.cmsg_len = CMSG_LEN(len);
	control->header.cmsg_level = SOL_DIVERT;
	control->header.cmsg_type = len == sizeof(info) || below(4) ?
				    DIVERT_INFO : DIVERT_GSO;
	return below(8) ? (int)CMSG_SPACE(len) : below(sizeof(*control));
}

static int write_bad(int fd, bool v6, int len)
{
	struct sockaddr_storage address;
	union control control;
	struct iovec iov = { data, len };
	struct msghdr msg = {
		.msg_name = &address, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control,
	};
	int n;

	msg.msg_namelen = make_address(&address, v6);
	msg.msg_controllen = make_control(&control);
	if (msg.msg_controllen > sizeof(control))
		msg.msg_controllen = sizeof(control);
	if (msg.msg_namelen > sizeof(address))
		msg.msg_namelen = sizeof(address);
	n = sendmsg(fd, &msg, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Whatever came through, or round, goes. */
static void drain(int fd)
{
	static __u8 gone[65536];

	while (recv(fd, gone, sizeof(gone), MSG_DONTWAIT) >= 0)
		;
}

static bool good_packet(const struct loop *loop)
{
	drain(loop->rx);
	drain(loop->fd);
	loop_send(loop, 11);
	return loop_pass(loop, 11);
}

TEST_F_TIMEOUT(bad, W1_W6_bad_packets_harm_nobody, 600)
{
	int i, n, len, written = 0, refused = 0;

	for (i = 0; i < self->steps; i++) {
		bool v6 = below(2);

		len = make();
		n = write_bad(v6 ? self->raw6 : self->raw, v6, len);
		ASSERT_TRUE(n == len || documented(n)) {
			TH_LOG("step %d: %d bytes: %d", i, len, n);
		}
		written += n == len;
		refused += n < 0;
		if (!(i % GOOD_EVERY))
			ASSERT_TRUE(good_packet(&self->loop)) {
				TH_LOG("step %d", i);
			}
	}
	EXPECT_LT(self->steps / 20, written);
	EXPECT_LT(self->steps / 20, refused);
	EXPECT_TRUE(good_packet(&self->loop));
}

/* Kept packets, of which bad ones must leave whatever they do not fit. */
TEST_F_TIMEOUT(bad, O7_W6_bad_verdicts_harm_nobody, 600)
{
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = 64, .packets = 16,
	};
	static const __u32 flags[] = {
		0, DIVERT_VERDICT_DROP, DIVERT_VERDICT_UPTO,
		DIVERT_VERDICT_RULES, DIVERT_VERDICT_UPTO | DIVERT_VERDICT_DROP,
		~0u, 0x80000000,
	};
	int i, n, len, passed = 0;

	ASSERT_EQ(0, errno_of(setsockopt(self->loop.fd, SOL_DIVERT, DIVERT_HOLD,
					 &hold, sizeof(hold))));
	for (i = 0; i < self->steps; i++) {
		struct divert_info info = {
			.size = sizeof(info), .id = i + 1 - below(3),
			.flags = DIVERT_INFO_HELD | flags[below(7)],
			.mark = below(2) ? 0 : random(), .cookie = below(300),
		};
		union control control = { .header = {
			.cmsg_len = CMSG_LEN(sizeof(info)),
			.cmsg_level = SOL_DIVERT, .cmsg_type = DIVERT_INFO,
		} };
		struct iovec iov = { data, 0 };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = CMSG_SPACE(sizeof(info)),
		};

		memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
		loop_send(&self->loop, below(2000));
		ASSERT_TRUE(wait_readable(self->loop.fd));
		len = recv(self->loop.fd, data, sizeof(data), 0);
		ASSERT_LT(0, len);
		for (n = below(4); n; n--)
			data[below(len)] = below(256);
		iov.iov_len = below(2) ? 0 : below(len + 20);
		n = errno_of(n = sendmsg(self->loop.fd, &msg, 0)) ?: n;
		ASSERT_TRUE(n == (int)iov.iov_len || documented(n)) {
			TH_LOG("step %d: %d", i, n);
		}
		passed += n >= 0;
		drain(self->loop.rx);
	}
	EXPECT_LT(self->steps / 20, passed);

	hold.headers = 0;
	ASSERT_EQ(0, errno_of(setsockopt(self->loop.fd, SOL_DIVERT, DIVERT_HOLD,
					 &hold, sizeof(hold))));
	EXPECT_TRUE(good_packet(&self->loop));
}

static int make_records(__u8 *at, int room)
{
	int used = 0, n = 1 + below(8);

	while (n--) {
		int len = make();
		struct divert_record record = {
			.size = sizeof(record), .captured = len,
			.len = (sizeof(record) + len + 7) & ~7,
			.id = below(8), .offset = below(4) ? 0 : random(),
			.flags = below(2) ? 0 : below(2) ? DIVERT_INFO_HELD :
				 1 << below(32),
		};

		if (used + (int)record.len > room)
			break;
		memcpy(at + used, &record, sizeof(record));
		if (!below(4))
			random_bytes(at + used + below(64), 1 + below(32));
		if (below(2))
			memset(at + used + offsetof(struct divert_record, addr),
			       0, sizeof(record.addr));
		memcpy(at + used + sizeof(record), data, len);
		used += record.len;
	}
	return below(8) ? used : below(used + 1);
}

TEST_F_TIMEOUT(bad, O8_W6_bad_records_harm_nobody, 600)
{
	static __u8 records[200000 + 128] __attribute__((aligned(8)));
	int i, n, len, written = 0, refused = 0;

	ASSERT_EQ(0, set_int(self->raw, SOL_DIVERT, DIVERT_RECORDS, 1));
	for (i = 0; i < self->steps / 4; i++) {
		len = make_records(records, 200000);
		n = send(self->raw, records, len, MSG_DONTWAIT);
		n = n < 0 ? -errno : n;
		ASSERT_TRUE((n >= 0 && n <= len) || documented(n)) {
			TH_LOG("step %d: %d bytes: %d", i, len, n);
		}
		written += n > 0;
		refused += n < 0;
		if (!(i % GOOD_EVERY))
			ASSERT_TRUE(good_packet(&self->loop));
	}
	EXPECT_LT(self->steps / 100, written);
	EXPECT_LT(self->steps / 100, refused);
	EXPECT_TRUE(good_packet(&self->loop));
}

TEST_HARNESS_MAIN
