// SPDX-License-Identifier: GPL-2.0
/*
 * sock_diag, and the books: every packet that came is accounted for.
 *
 * TIMEOUT=180
 */

#include <linux/capability.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define SOCKETS_MAX	1024

/* What is told of one socket. */
struct told {
	struct inet_diag_msg msg;
	struct inet_diag_meminfo mem;
	__u32 skmem[SK_MEMINFO_VARS];
	struct divert_stats stats;
	int stats_len;
	bool marked;
	__u32 mark;
};

static struct told told[SOCKETS_MAX];
static struct packet got;

FIXTURE(diag)
{
	struct loop loop;
	int nl;
};

FIXTURE_SETUP(diag)
{
	diag_load();
	loop_open(&self->loop);
	self->nl = diag_socket();
}

FIXTURE_TEARDOWN(diag)
{
	EXPECT_TRUE(loop_unharmed(&self->loop));
	close(self->nl);
	EXPECT_EQ(0, diag_unload());
}

static void parse(struct told *t, struct nlmsghdr *nlh)
{
	struct inet_diag_msg *msg = NLMSG_DATA(nlh);
	int len = nlh->nlmsg_len - NLMSG_LENGTH(sizeof(*msg));
	struct rtattr *attr;

	memset(t, 0, sizeof(*t));
	t->msg = *msg;
	for (attr = (struct rtattr *)(msg + 1); RTA_OK(attr, len);
	     attr = RTA_NEXT(attr, len)) {
		if (attr->rta_type == INET_DIAG_MEMINFO)
			memcpy(&t->mem, RTA_DATA(attr), sizeof(t->mem));
		if (attr->rta_type == INET_DIAG_SKMEMINFO)
			memcpy(t->skmem, RTA_DATA(attr),
			       RTA_PAYLOAD(attr) < sizeof(t->skmem) ?
			       RTA_PAYLOAD(attr) : sizeof(t->skmem));
		if (attr->rta_type == INET_DIAG_MARK) {
			t->marked = true;
			memcpy(&t->mark, RTA_DATA(attr), sizeof(t->mark));
		}
		if (attr->rta_type == INET_DIAG_INFO) {
			t->stats_len = RTA_PAYLOAD(attr);
			memcpy(&t->stats, RTA_DATA(attr), sizeof(t->stats));
		}
	}
}

/* All answers in told; their number, or the error. */
static int answers(int nl, bool dump)
{
	static char data[65536] __attribute__((__aligned__(8)));
	struct nlmsghdr *nlh;
	int n = 0, len;

	for (;;) {
		len = recv(nl, data, sizeof(data), 0);
		if (len < 0)
			die("sock_diag answer");
		for (nlh = (void *)data; NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return *(int *)NLMSG_DATA(nlh);
			if (nlh->nlmsg_type == NLMSG_DONE)
				return n;
			if (n < SOCKETS_MAX)
				parse(&told[n++], nlh);
		}
		if (!dump)
			return n;
	}
}

static int dump(int nl, int family)
{
	diag_request(nl, family, NLM_F_DUMP, ~0U, NULL);
	return answers(nl, true);
}

static int look_up(int nl, const struct inet_diag_sockid *id)
{
	diag_request(nl, AF_INET, 0, ~0U, id);
	return answers(nl, false);
}

static int look_up_port(int nl, int port)
{
	struct inet_diag_sockid id = {
		.idiag_sport = htons(port),
		.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
	};

	return look_up(nl, &id);
}

static struct inet_diag_sockid id_of(int fd)
{
	struct inet_diag_sockid id = { };
	__u64 cookie;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		die("SO_COOKIE");
	id.idiag_cookie[0] = cookie;
	id.idiag_cookie[1] = cookie >> 32;
	return id;
}

static struct divert_stats stats_of(int fd)
{
	struct divert_stats stats = { };
	socklen_t len = sizeof(stats);

	if (getsockopt(fd, SOL_DIVERT, DIVERT_STATS, &stats, &len))
		die("DIVERT_STATS");
	return stats;
}

static bool tells_of(const struct told *t, int fd)
{
	struct divert_stats stats = stats_of(fd);
	struct stat st;

	if (fstat(fd, &st))
		die("fstat");
	return t->msg.idiag_inode == st.st_ino &&
	       t->msg.id.idiag_sport == htons(divert_port(fd)) &&
	       t->stats_len == sizeof(stats) &&
	       !memcmp(&t->stats, &stats, sizeof(stats));
}

/* sock_diag */

TEST_F(diag, L2_dump)
{
	int second = divert_open(PORT + 1), unbound = divert_socket();
	int i, n = dump(self->nl, AF_INET), seen = 0;

	ASSERT_EQ(3, n);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(AF_INET, told[i].msg.idiag_family);
		EXPECT_EQ(0U, told[i].msg.idiag_uid);
		seen |= tells_of(&told[i], self->loop.fd) |
			tells_of(&told[i], second) << 1 |
			tells_of(&told[i], unbound) << 2;
	}
	EXPECT_EQ(7, seen);
	EXPECT_EQ(0, dump(self->nl, AF_INET6));
}

TEST_F(diag, L2_dump_of_many)
{
	static char seen[65536];
	int i, n, wrong = 0;

	for (i = 0; i < 500; i++)
		divert_open(10000 + i);
	n = dump(self->nl, AF_INET);
	ASSERT_EQ(501, n);
	for (i = 0; i < n; i++)
		seen[ntohs(told[i].msg.id.idiag_sport)]++;
	EXPECT_EQ(1, seen[PORT]);
	for (i = 0; i < 500; i++)
		wrong += seen[10000 + i] != 1;
	EXPECT_EQ(0, wrong);
}

TEST_F(diag, L2_by_port)
{
	int second = divert_open(PORT + 1);

	ASSERT_EQ(1, look_up_port(self->nl, PORT));
	EXPECT_TRUE(tells_of(&told[0], self->loop.fd));
	ASSERT_EQ(1, look_up_port(self->nl, PORT + 1));
	EXPECT_TRUE(tells_of(&told[0], second));
	EXPECT_EQ(-ENOENT, look_up_port(self->nl, PORT + 2));
}

TEST_F(diag, L2_by_cookie)
{
	int unbound = divert_socket();
	struct inet_diag_sockid id = id_of(unbound);

	ASSERT_EQ(1, look_up(self->nl, &id));
	EXPECT_TRUE(tells_of(&told[0], unbound));
	EXPECT_EQ(id.idiag_cookie[0], told[0].msg.id.idiag_cookie[0]);
	EXPECT_EQ(id.idiag_cookie[1], told[0].msg.id.idiag_cookie[1]);
	close(unbound);
	EXPECT_EQ(-ENOENT, look_up(self->nl, &id));
}

TEST_F(diag, L2_dump_of_some)
{
	int second = divert_open(PORT + 1);
	struct inet_diag_sockid id = { .idiag_sport = htons(PORT + 1) };

	diag_request(self->nl, AF_INET, NLM_F_DUMP, ~0U, &id);
	ASSERT_EQ(1, answers(self->nl, true));
	EXPECT_TRUE(tells_of(&told[0], second));
	/* None is connected. */
	diag_request(self->nl, AF_INET, NLM_F_DUMP, 1 << 1, NULL);
	EXPECT_EQ(0, answers(self->nl, true));
}

TEST_F(diag, L2_S2_of_the_other_family)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(PORT + 1),
	};
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT);
	struct stat st;

	if (get_int(fd, SOL_DIVERT, DIVERT_VERSION) < 0)
		SKIP(return, "no IPv6 here");
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
	ASSERT_EQ(1, dump(self->nl, AF_INET6));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(AF_INET6, told[0].msg.idiag_family);
	EXPECT_EQ(htons(PORT + 1), told[0].msg.id.idiag_sport);
	EXPECT_EQ(st.st_ino, told[0].msg.idiag_inode);
	ASSERT_EQ(1, dump(self->nl, AF_INET));
	EXPECT_TRUE(tells_of(&told[0], self->loop.fd));
}

TEST_F(diag, L2_user)
{
	struct inet_diag_sockid id;

	setfsuid(1234);
	id = id_of(divert_socket());
	setfsuid(0);
	ASSERT_EQ(1, look_up(self->nl, &id));
	EXPECT_EQ(1234U, told[0].msg.idiag_uid);
}

/* Whether those who ask are told the mark: 1 by a dump, 2 by a look-up. */
static int marks_told(__u64 caps)
{
	pid_t pid = fork();
	int nl, status;

	if (pid) {
		waitpid(pid, &status, 0);
		return WEXITSTATUS(status);
	}

	caps_keep(caps);
	nl = diag_socket();
	if (dump(nl, AF_INET) != 1)
		_exit(100);
	status = told[0].marked && told[0].mark == 0x1234;
	if (look_up_port(nl, PORT) != 1)
		_exit(101);
	status |= (told[0].marked && told[0].mark == 0x1234) << 1;
	_exit(status);
}

TEST_F(diag, L2_mark_for_the_privileged)
{
	ASSERT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_MARK, 0x1234));
	EXPECT_EQ(3, marks_told(CAP_BIT(CAP_NET_ADMIN)));
	EXPECT_EQ(0, marks_told(CAP_BIT(CAP_NET_RAW)));
	ASSERT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_MARK, 0));
}

TEST_F(diag, L2_memory)
{
	__u32 one;

	ASSERT_EQ(1, look_up_port(self->nl, PORT));
	one = told[0].mem.idiag_rmem;
	EXPECT_LT(28U + LOOP_WAITING, one);
	EXPECT_EQ(one, told[0].skmem[SK_MEMINFO_RMEM_ALLOC]);
	EXPECT_EQ(one, told[0].msg.idiag_rqueue);
	EXPECT_LE(4U << 20, told[0].skmem[SK_MEMINFO_RCVBUF]);
	EXPECT_EQ(0U, told[0].skmem[SK_MEMINFO_DROPS]);
	loop_send(&self->loop, LOOP_WAITING);
	ASSERT_EQ(1, look_up_port(self->nl, PORT));
	EXPECT_EQ(2 * one, told[0].mem.idiag_rmem);
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
}

TEST_F(diag, L2_of_its_own_namespace)
{
	struct inet_diag_sockid id = id_of(self->loop.fd);
	int here = ns_open(), nl;

	ns_new();
	nl = diag_socket();
	EXPECT_EQ(0, dump(nl, AF_INET));
	EXPECT_EQ(-ENOENT, look_up_port(nl, PORT));
	EXPECT_EQ(-ENOENT, look_up(nl, &id));
	ns_enter(here);
}

/* Counters */

TEST_F(diag, O6_shorter_buffer)
{
	struct divert_stats stats;
	socklen_t len = offsetof(struct divert_stats, bytes);

	memset(&stats, 0xff, sizeof(stats));
	EXPECT_EQ(0, getsockopt(self->loop.fd, SOL_DIVERT, DIVERT_STATS, &stats,
				&len));
	EXPECT_EQ(offsetof(struct divert_stats, bytes), len);
	EXPECT_EQ(len, stats.size);
	EXPECT_EQ(1U, stats.diverted);
	EXPECT_EQ(~0ULL, stats.bytes);
	len = 4;
	EXPECT_EQ(-EINVAL, errno_of(getsockopt(self->loop.fd, SOL_DIVERT,
					       DIVERT_STATS, &stats, &len)));
	EXPECT_EQ(-ENOPROTOOPT, set_int(self->loop.fd, SOL_DIVERT,
					DIVERT_STATS, 0));
}

static void limit(int fd, int packets, int age, int close)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .packets = packets, .age = age,
		.close = close,
	};

	if (setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, sizeof(limits)))
		die("DIVERT_LIMITS");
}

static void send_to(int port, int n)
{
	struct loop way = { -1, udp_open(NULL, MARK(port, COOKIE)), -1 };

	while (n--)
		loop_send(&way, 10);
	close(way.tx);
}

/* Each member of the one is the sum of those of the others. */
static int members_off(const struct counters *now, const int *fd, int n)
{
	__u64 sum[COUNTERS_MAX] = { };
	int members = (sizeof(struct divert_stats) -
		       offsetof(struct divert_stats, diverted)) / 8;
	int i, j, off = 0;

	for (i = 0; i < n; i++) {
		struct divert_stats stats = stats_of(fd[i]);

		for (j = 0; j < members; j++)
			sum[j] += (&stats.diverted)[j];
	}
	for (j = 0; j < members; j++) {
		if (sum[j] == (__u64)now->value[j])
			continue;
		fprintf(stderr, "# %s: %llu of %ld\n", now->name[j], sum[j],
			now->value[j]);
		off++;
	}
	return off;
}

static long total(const struct counters *none, const char *name)
{
	return counted(none, name);
}

/* All that can happen to packets, at once. */
TEST_F(diag, L3_O6_books_balance)
{
	struct sockaddr_in wrong = divert_address("192.0.2.1", 0, "");
	struct counters none, now;
	int fd[5], i, writes = 0;

	fd[0] = self->loop.fd;		/* read and written */
	fd[1] = divert_socket();	/* a watcher of it */
	fd[2] = divert_open(PORT + 1);	/* full */
	fd[3] = divert_open(PORT + 2);	/* too slow */
	fd[4] = divert_open(PORT + 3);	/* never read */
	EXPECT_EQ(0, set_int(fd[1], SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(0, divert_bind(fd[1], PORT));
	limit(fd[2], 2, 0, 0);
	limit(fd[3], 0, 10, 0);

	send_to(PORT + 1, 5);
	send_to(PORT + 2, 5);
	send_to(PORT + 3, 5);
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	writes++;
	for (i = 0; i < 10; i++, writes++) {
		loop_send(&self->loop, 10);
		EXPECT_TRUE(loop_pass(&self->loop, 10));
	}
	EXPECT_EQ(38, divert_read(fd[1], &got, NULL));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_write(fd[0], &got, &wrong));
	got.len = 19;
	EXPECT_EQ(-EINVAL, divert_write(fd[1], &got, &wrong));
	writes += 2;

	counters_read(&none);
	memset(none.value, 0, sizeof(none.value));
	for (i = 0; i < DEADLINE_MS && total(&none, "expired") != 5; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	counters_read(&now);

	EXPECT_EQ(0, members_off(&now, fd, ARRAY_LEN(fd)));
	/* Still queued: 9 copies, 2 and 5. */
	EXPECT_EQ(total(&none, "diverted"),
		  total(&none, "read") + total(&none, "unread") +
		  total(&none, "expired") + total(&none, "released") + 16);
	EXPECT_EQ(writes,
		  total(&none, "inject_in") + total(&none, "inject_out") +
		  total(&none, "einval") + total(&none, "eaddrnotavail"));
	EXPECT_EQ(3, total(&none, "full"));
	EXPECT_EQ(5, total(&none, "expired"));
	EXPECT_EQ(10, total(&none, "teed"));

	/* In the end nothing is queued. */
	for (i = 1; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	EXPECT_EQ(total(&none, "diverted"),
		  total(&none, "read") + total(&none, "unread") +
		  total(&none, "expired") + total(&none, "released"));
	loop_send(&self->loop, LOOP_WAITING);
}

/* Of a kept packet, which goes on at the first. */
static void verdict_twice(struct __test_metadata *_metadata, int fd, int rx)
{
	struct divert_hold hold = { .size = sizeof(hold), .headers = 28 };
	struct sockaddr_in from;

	ASSERT_EQ(0, setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, &hold,
				sizeof(hold)));
	send_to(PORT + 1, 1);
	ASSERT_EQ(28, divert_read(fd, &got, &from));
	EXPECT_EQ(28, divert_write(fd, &got, &from));
	EXPECT_EQ(10, udp_receive(rx, got.data, sizeof(got.data)));
	got.len = 28;
	EXPECT_EQ(-ESTALE, divert_write(fd, &got, &from));
	EXPECT_FALSE(readable(rx));
}

/* Writes that are refused, one for each counter. */
TEST_F(diag, L3_O6_every_refusal)
{
	struct sockaddr_in nowhere = divert_address("192.0.2.1", 0, "");
	struct sockaddr_in down = divert_address("192.0.2.1", 0, "d1");
	static struct packet right, wrong;
	struct counters none, before;
	int fd[3] = { self->loop.fd, divert_socket(), divert_open(PORT + 1) };

	ip_batch("link add d1 type dummy\n");
	packet_make(&right, LOOP, LOOP, 10);
	counters_read(&before);

	verdict_twice(_metadata, fd[2], self->loop.rx);
	EXPECT_EQ(1, counted(&before, "estale"));

	wrong = right;
	wrong.len = 27;
	EXPECT_EQ(-EINVAL, divert_write(fd[1], &wrong, NULL));
	EXPECT_EQ(1, counted(&before, "einval"));
	wrong = right;
	wrong.ip.version = 5;
	EXPECT_EQ(-EAFNOSUPPORT, divert_write(fd[1], &wrong, NULL));
	EXPECT_EQ(1, counted(&before, "eafnosupport"));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_write(fd[1], &right, &nowhere));
	EXPECT_EQ(1, counted(&before, "eaddrnotavail"));
	wrong = right;
	wrong.len = 65536;
	EXPECT_EQ(-EMSGSIZE, divert_write(fd[1], &wrong, NULL));
	EXPECT_EQ(1, counted(&before, "emsgsize"));
	EXPECT_EQ(-ENETDOWN, divert_write(fd[1], &right, &down));
	EXPECT_EQ(1, counted(&before, "enetdown"));
	packet_make(&wrong, LOOP, "192.0.2.1", 10);
	EXPECT_EQ(-ENETUNREACH, divert_write(fd[1], &wrong, NULL));
	EXPECT_EQ(1, counted(&before, "eunreach"));
	nft_load("table ip t {\n"
		 " chain o {\n"
		 "  type filter hook output priority 0;\n"
		 "  udp dport 5000 drop\n"
		 " }\n"
		 "}\n");
	EXPECT_EQ(-EACCES, divert_write(fd[1], &right, NULL));
	EXPECT_EQ(1, counted(&before, "eacces"));
	nft_load("flush ruleset\n");

	EXPECT_EQ(-EFAULT, errno_of(send(fd[1], (void *)8, 100, 0)));
	EXPECT_EQ(1, counted(&before, "eother"));
	EXPECT_EQ(-EOPNOTSUPP, errno_of(send(fd[1], right.data, right.len,
					     MSG_OOB)));
	EXPECT_EQ(2, counted(&before, "eother"));
	shutdown(fd[1], SHUT_WR);
	EXPECT_EQ(-EPIPE, errno_of(send(fd[1], right.data, right.len,
					MSG_NOSIGNAL)));
	EXPECT_EQ(3, counted(&before, "eother"));

	counters_read(&none);
	EXPECT_EQ(0, members_off(&none, fd, ARRAY_LEN(fd)));
	EXPECT_EQ(0, counted(&before, "inject_in"));
	EXPECT_EQ(0, counted(&before, "inject_out"));
}

TEST_HARNESS_MAIN
