// SPDX-License-Identifier: GPL-2.0
/*
 * Copies: who gets them, and that the packets go on as if nobody had looked.
 *
 * TIMEOUT=240
 */

#include <linux/filter.h>
#include <stdio.h>
#include <sys/fsuid.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define OTHER_PORT	7001
#define OTHER_COOKIE	200

static struct packet packet, got;

/* A sender whose packets carry a mark, and a receiver, over lo. */
struct way {
	int tx;
	int rx;
	struct counters before;
};

FIXTURE(tee)
{
	struct way way;
};

FIXTURE_SETUP(tee)
{
	ns_new();
	self->way.tx = udp_open(NULL, MARK(PORT, COOKIE));
	self->way.rx = udp_open(LOOP, 0);
	counters_read(&self->way.before);
}

FIXTURE_TEARDOWN(tee)
{
	EXPECT_FALSE(readable(self->way.rx));
}

static int watcher_socket(void)
{
	int fd = divert_socket();

	if (set_int(fd, SOL_DIVERT, DIVERT_TEE, 1))
		die("DIVERT_TEE");
	return fd;
}

static int watcher_open(int port)
{
	int fd = watcher_socket();

	if (divert_bind(fd, port))
		die("watcher on port %d", port);
	return fd;
}

/* A packet is sent and arrives, read by nobody who would have to write it. */
static bool goes_on(struct way *way, int payload)
{
	udp_send(way->tx, LOOP, payload);
	return udp_receive(way->rx, got.data, sizeof(got.data)) == payload;
}

/* Exactly one packet is there, of this payload. */
static bool has_one(int fd, int payload)
{
	return readable(fd) && divert_read(fd, &packet, NULL) == 28 + payload &&
	       packet_valid(&packet) && !readable(fd);
}

static void limit_packets(int fd, int packets)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .packets = packets,
	};

	if (setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, sizeof(limits)))
		die("DIVERT_LIMITS");
}

/* With two chains, output and postrouting, that say the same of each packet. */
static void rules_out(const char *rules)
{
	nft_load("table ip m {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n%s }\n"
		 " chain p {\n"
		 "  type filter hook postrouting priority mangle;\n%s }\n"
		 "}\n", rules, rules);
}

/* The option */

TEST_F(tee, O4_B5_option)
{
	int fd = divert_socket();
	long value = 1;

	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_TEE));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_TEE));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_TEE, 0));
	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_TEE));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_TEE, 2));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_TEE, -1));
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_TEE,
					       &value, 8)));
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_TEE,
					       &value, 3)));
	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_TEE));
}

TEST_F(tee, B5_after_bind_einval)
{
	int fd = divert_open(PORT), watcher = watcher_open(PORT);

	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_TEE));
	EXPECT_EQ(-EINVAL, set_int(watcher, SOL_DIVERT, DIVERT_TEE, 0));
	EXPECT_EQ(1, get_int(watcher, SOL_DIVERT, DIVERT_TEE));
}

TEST_F(tee, B5_no_conflict)
{
	int watcher = watcher_open(PORT), owner = divert_open(PORT);
	int second = divert_socket();

	EXPECT_EQ(PORT, divert_port(watcher));
	EXPECT_EQ(-EADDRINUSE, divert_bind(second, PORT));
	close(owner);
	EXPECT_EQ(0, divert_bind(second, PORT));
	EXPECT_EQ(-EINVAL, divert_bind(watcher, PORT));
	EXPECT_EQ(0, divert_bind(watcher_socket(), 0));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(watcher_socket(), 65535));
}

TEST_F(tee, B5_of_any_user)
{
	int owner = divert_open(PORT), watcher;

	setfsuid(65534);
	watcher = watcher_socket();
	setfsuid(0);
	EXPECT_EQ(0, divert_bind(watcher, PORT));
	EXPECT_EQ(0, divert_bind(watcher_socket(), PORT));
	close(owner);
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT));
}

TEST_F(tee, B5_as_many_as_there_may_be)
{
	int fd[256], late = watcher_socket(), i;

	for (i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = watcher_open(PORT);
	EXPECT_EQ(-ENOSPC, divert_bind(late, PORT));
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT));
	close(fd[7]);
	EXPECT_EQ(0, divert_bind(late, PORT));
}

/* Copies */

TEST_F(tee, T1_copy_and_original)
{
	struct sockaddr_in from;
	int fd = watcher_open(PORT);

	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(1, counted(&self->way.before, "diverted"));
	EXPECT_EQ(1, counted(&self->way.before, "teed"));
	EXPECT_EQ(38, counted(&self->way.before, "bytes"));
	EXPECT_EQ(38, divert_read(fd, &packet, &from));
	EXPECT_TRUE(packet_valid(&packet));
	EXPECT_EQ(COOKIE, divert_cookie(&from));
	EXPECT_EQ(0U, from.sin_addr.s_addr);
	EXPECT_FALSE(readable(fd));
	EXPECT_EQ(0, counted(&self->way.before, "noport"));
}

TEST_F(tee, T1_input)
{
	struct sockaddr_in from;
	int fd = watcher_open(PORT);

	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(38, divert_read(fd, &packet, &from));
	EXPECT_EQ(inet_addr(LOOP), from.sin_addr.s_addr);
	EXPECT_STREQ("lo", (char *)from.sin_zero);
	EXPECT_FALSE(readable(fd));
}

TEST_F(tee, T1_many_watchers)
{
	int fd[20], i;

	for (i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = watcher_open(PORT);
	EXPECT_TRUE(goes_on(&self->way, 10));
	for (i = 0; i < ARRAY_LEN(fd); i++)
		EXPECT_TRUE(has_one(fd[i], 10));
	EXPECT_EQ(20, counted(&self->way.before, "teed"));
}

TEST_F(tee, B5_owner_and_watchers)
{
	int watcher = watcher_open(PORT), owner = divert_open(PORT);
	struct loop loop = { owner, self->way.tx, self->way.rx };
	int late = watcher_open(PORT);

	loop_send(&loop, 10);
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_TRUE(has_one(late, 10));
	/* The owner's is the packet, not a copy. */
	EXPECT_FALSE(readable(self->way.rx));
	EXPECT_TRUE(loop_pass(&loop, 10));
	EXPECT_FALSE(readable(owner));
	EXPECT_FALSE(readable(watcher));
	EXPECT_EQ(3, counted(&self->way.before, "diverted"));
	EXPECT_EQ(2, counted(&self->way.before, "teed"));
}

TEST_F(tee, B5_come_and_go)
{
	int owner = divert_open(PORT), first = watcher_open(PORT);
	struct loop loop = { owner, self->way.tx, self->way.rx };
	int second = watcher_open(PORT);

	close(first);
	loop_send(&loop, 10);
	EXPECT_TRUE(has_one(second, 10));
	EXPECT_TRUE(loop_pass(&loop, 10));

	/* Without the owner nobody has to write it. */
	close(owner);
	EXPECT_TRUE(goes_on(&self->way, 11));
	EXPECT_TRUE(has_one(second, 11));
	EXPECT_EQ(0, counted(&self->way.before, "noport"));

	close(second);
	udp_send(self->way.tx, LOOP, 12);
	EXPECT_EQ(1, counted(&self->way.before, "noport"));
}

TEST_F(tee, B5_shut_down_watcher)
{
	int fd = watcher_open(PORT), second = watcher_open(PORT);

	shutdown(fd, SHUT_RD);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(second, 10));
	shutdown(second, SHUT_RD);
	EXPECT_TRUE(goes_on(&self->way, 11));
	EXPECT_EQ(0, counted(&self->way.before, "noport"));
}

static void bind_to_device(int fd, const char *name)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, strlen(name)))
		die("SO_BINDTODEVICE");
}

/* Watchers that do not look at this device do not make it anybody's loss. */
TEST_F(tee, B5_watcher_of_another_device)
{
	int fd = watcher_open(PORT), second = watcher_open(PORT);

	ip_batch("link add d0 type dummy\n");
	bind_to_device(fd, "d0");
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(second, 10));
	bind_to_device(second, "d0");
	EXPECT_TRUE(goes_on(&self->way, 11));
	EXPECT_FALSE(readable(fd));
	bind_to_device(fd, "lo");
	EXPECT_TRUE(goes_on(&self->way, 12));
	EXPECT_TRUE(has_one(fd, 12));
}

/* What is not for the owner meets the rule for nobody, watched or not. */
TEST_F(tee, S6_owner_of_another_device)
{
	struct loop loop = { divert_open(PORT), self->way.tx, self->way.rx };
	int watcher = watcher_open(PORT);

	ip_batch("link add d0 type dummy\n");
	bind_to_device(loop.fd, "d0");
	loop_send(&loop, 10);
	EXPECT_EQ(1, counted(&self->way.before, "noport"));
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "accept"));
	EXPECT_TRUE(goes_on(&self->way, 11));
	EXPECT_TRUE(has_one(watcher, 11));

	bind_to_device(loop.fd, "lo");
	loop_send(&loop, 12);
	EXPECT_TRUE(loop_pass(&loop, 12));
	EXPECT_EQ(1, counted(&self->way.before, "noport"));
}

TEST_F(tee, T1_info_says_so)
{
	int watcher = watcher_socket(), owner = divert_open(PORT), i;
	int fd[2] = { watcher, owner };
	__u64 id[2] = { };

	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, set_int(fd[i], SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_EQ(0, divert_bind(watcher, PORT));
	udp_send(self->way.tx, LOOP, 10);
	for (i = 0; i < 2; i++) {
		char control[CMSG_SPACE(sizeof(struct divert_info))];
		struct iovec iov = { packet.data, sizeof(packet.data) };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof(control),
		};
		struct divert_info *info = (void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));

		ASSERT_EQ(38, recvmsg(fd[i], &msg, MSG_DONTWAIT));
		EXPECT_EQ(i ? 0U : DIVERT_INFO_TEE,
			  info->flags & DIVERT_INFO_TEE);
		id[i] = info->id;
	}
	EXPECT_NE(id[0], id[1]);
}

/* The same rule, and the next one */

#define RULE_ALWAYS "udp dport 5000 meta mark set 0x1b580064\n"

TEST_F(tee, T1_once_by_one_rule_output)
{
	int fd = watcher_open(PORT);

	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(RULE_ALWAYS);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(fd, 10));
	EXPECT_EQ(1, counted(&self->way.before, "diverted"));
}

TEST_F(tee, T1_once_by_one_rule_postrouting)
{
	int fd = watcher_open(PORT);

	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(fd, 10));
}

/* Output and input are stages of their own: the same rule in each. */
TEST_F(tee, T1_once_a_stage)
{
	int fd = watcher_open(PORT);

	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(38, divert_read(fd, &packet, NULL));
	EXPECT_TRUE(has_one(fd, 10));
	EXPECT_EQ(2, counted(&self->way.before, "teed"));
}

#define RULES_TWO \
	"udp dport 5000 meta mark & 0xffff < 100 meta mark set 0x1b580064 accept\n" \
	"udp dport 5000 meta mark & 0xffff < 200 meta mark set 0x1b5900c8 accept\n"

static void two_rules(struct __test_metadata *_metadata,
		      struct way *way)
{
	int watcher = watcher_open(PORT), owner = divert_open(OTHER_PORT);
	struct loop loop = { owner, way->tx, way->rx };
	struct sockaddr_in from;

	set_int(way->tx, SOL_SOCKET, SO_MARK, 0);
	loop_send(&loop, 10);
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(38, recvfrom(owner, packet.data, 100, MSG_PEEK,
			       (struct sockaddr *)&from,
			       &(socklen_t){ sizeof(from) }));
	EXPECT_EQ(OTHER_COOKIE, divert_cookie(&from));
	EXPECT_TRUE(loop_pass(&loop, 10));
	EXPECT_FALSE(readable(watcher));
	EXPECT_FALSE(readable(owner));
}

TEST_F(tee, T1_next_rule_of_output)
{
	rules_out(RULES_TWO);
	two_rules(_metadata, &self->way);
}

TEST_F(tee, T1_next_rule_of_input)
{
	nft_load("table ip m {\n"
		 " chain i {\n"
		 "  type filter hook prerouting priority mangle;\n%s }\n"
		 "}\n", RULES_TWO);
	two_rules(_metadata, &self->way);
}

/* One rule always at LOCAL_OUT, another always at POST_ROUTING. */
TEST_F(tee, T1_next_rule_of_next_hook)
{
	nft_load("table ip m {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  " RULE_ALWAYS
		 " }\n"
		 " chain p {\n"
		 "  type filter hook postrouting priority mangle;\n"
		 "  udp dport 5000 meta mark set 0x1b5900c8\n"
		 " }\n"
		 "}\n");
	two_rules(_metadata, &self->way);
}

/* Also where the first rule's port has an owner that does not listen. */
TEST_F(tee, T1_next_rule_where_nobody_listens)
{
	int absent = divert_open(PORT);

	ip_batch("link add d0 type dummy\n");
	bind_to_device(absent, "d0");
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "accept"));
	rules_out(RULES_TWO);
	two_rules(_metadata, &self->way);
}

/* What leaves, comes back and leaves again is copied again. */
TEST_F(tee, T1_each_time_it_leaves)
{
	int fd = watcher_open(PORT), i;

	ip_batch("link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02\n"
		 "link add d1 type dummy\n"
		 "address add 10.0.0.1/24 dev v0\n"
		 "link set v0 up\n"
		 "link set v1 up\n"
		 "link set d1 up\n"
		 "neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0\n"
		 "route add 10.6.0.0/24 via 10.0.0.2\n"
		 "route add 10.6.0.0/24 dev d1 table 7\n"
		 "rule add iif v1 table 7\n");
	sysctl_write("net/ipv4/ip_forward", "1");
	sysctl_write("net/ipv4/conf/v1/accept_local", "1");
	sysctl_write("net/ipv4/conf/all/rp_filter", "0");
	sysctl_write("net/ipv4/conf/v1/rp_filter", "0");
	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(RULE_ALWAYS);
	udp_send(self->way.tx, "10.6.0.2", 10);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(38, divert_read(fd, &packet, NULL));
		EXPECT_EQ(64 - i, packet.ip.ttl);
	}
	EXPECT_FALSE(readable(fd));
}

/* More of them than any stack could hold, had each its own. */
TEST_F(tee, T1_each_of_many_rules)
{
	static char rules[16384];
	int i, fd = watcher_open(PORT), n = 100, used = 0;
	struct sockaddr_in from;

	for (i = 1; i <= n; i++)
		used += snprintf(rules + used, sizeof(rules) - used,
				 "udp dport 5000 meta mark & 0xffff < %d meta mark set 0x%x accept\n",
				 i, MARK(PORT, i));
	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(rules);
	EXPECT_TRUE(goes_on(&self->way, 10));
	for (i = 1; i <= n; i++) {
		ASSERT_EQ(38, divert_read(fd, &packet, &from));
		EXPECT_EQ(i, divert_cookie(&from));
	}
	EXPECT_FALSE(readable(fd));
}

/* What the mark shows behind the rule, and when that ends. */
TEST_F(tee, C2_mark_shown_and_cleared)
{
	watcher_open(PORT);
	nft_load("table ip t {\n"
		 " counter shown { }\n"
		 " counter left { }\n"
		 " chain o {\n"
		 "  type filter hook output priority 0;\n"
		 "  meta mark 0xffff0064 counter name shown\n"
		 " }\n"
		 " chain p {\n"
		 "  type filter hook postrouting priority 100;\n"
		 "  meta mark != 0 counter name left\n"
		 " }\n"
		 "}\n");
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(1, nft_packets("shown"));
	EXPECT_EQ(0, nft_packets("left"));
}

/* Who sends a packet learns of its end, copy or not. */
TEST_F(tee, T1_dropped_later)
{
	struct sockaddr_in to = inet_address(LOOP, UDP_PORT);
	int fd = watcher_open(PORT);

	nft_load("table ip m {\n"
		 " chain o {\n"
		 "  type filter hook output priority 0;\n"
		 "  udp dport 5000 drop\n"
		 " }\n"
		 "}\n");
	EXPECT_EQ(-EPERM, errno_of(sendto(self->way.tx, "x", 1, 0,
					  (struct sockaddr *)&to, sizeof(to))));
	EXPECT_TRUE(has_one(fd, 1));

	/* By the rules that look again, too. */
	nft_load("table ip n {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  meta mark & 0xffff == 100 meta mark & 0xffff0000 == 0xffff0000 drop\n"
		 " }\n"
		 "}\n"
		 "flush table ip m\n");
	EXPECT_EQ(-EPERM, errno_of(sendto(self->way.tx, "x", 1, 0,
					  (struct sockaddr *)&to, sizeof(to))));
	EXPECT_TRUE(has_one(fd, 1));
}

/* Asked for by the mark */

TEST_F(tee, T1_tee_mask)
{
	int owner = divert_open(PORT);
	struct loop loop = { owner, self->way.tx, self->way.rx };
	struct sockaddr_in from;

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x7fff0000"));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("tee_mask"), "0x80000000"));
	set_int(self->way.tx, SOL_SOCKET, SO_MARK,
		0x80000000 | MARK(PORT, COOKIE));
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(38, divert_read(owner, &packet, &from));
	EXPECT_EQ(COOKIE, divert_cookie(&from));
	EXPECT_FALSE(readable(owner));
	EXPECT_EQ(1, counted(&self->way.before, "teed"));

	set_int(self->way.tx, SOL_SOCKET, SO_MARK, MARK(PORT, COOKIE));
	loop_send(&loop, 11);
	EXPECT_TRUE(loop_pass(&loop, 11));
	EXPECT_EQ(1, counted(&self->way.before, "teed"));
}

TEST_F(tee, T1_tee_mask_same_rule_in_both_chains)
{
	int owner = divert_open(PORT), watcher = watcher_open(PORT);

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x7fff0000"));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("tee_mask"), "0x80000000"));
	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out("udp dport 5000 meta mark set 0x9b580064\n");
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(owner, 10));
	EXPECT_TRUE(has_one(watcher, 10));
}

/* When there is no copy */

TEST_F(tee, T1_full_watcher)
{
	int fd = watcher_open(PORT), i;

	limit_packets(fd, 1);
	for (i = 0; i < 5; i++)
		EXPECT_TRUE(goes_on(&self->way, 10 + i));
	EXPECT_TRUE(has_one(fd, 10));
	EXPECT_EQ(4, counted(&self->way.before, "full"));
	EXPECT_EQ(1, counted(&self->way.before, "teed"));
	EXPECT_TRUE(goes_on(&self->way, 20));
	EXPECT_TRUE(has_one(fd, 20));
}

TEST_F(tee, T1_full_watcher_beside_owner)
{
	int fd = watcher_open(PORT);
	struct loop loop = { divert_open(PORT), self->way.tx, self->way.rx };
	int i;

	limit_packets(fd, 1);
	for (i = 0; i < 5; i++) {
		loop_send(&loop, 10 + i);
		EXPECT_TRUE(loop_pass(&loop, 10 + i));
	}
	EXPECT_EQ(4, counted(&self->way.before, "full"));
	EXPECT_TRUE(has_one(fd, 10));
}

static void filter_return(int fd, __u32 value)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, value) };
	struct sock_fprog program = { 1, code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		       sizeof(program)))
		die("filter");
}

TEST_F(tee, D10_watcher_filter)
{
	int fd = watcher_open(PORT), second = watcher_open(PORT);

	filter_return(fd, 0);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_FALSE(readable(fd));
	EXPECT_TRUE(has_one(second, 10));
}

/* The owner leaves it in the stack: the copy was taken once all the same. */
TEST_F(tee, D10_owner_filter_beside_watcher)
{
	int owner = divert_open(PORT), watcher = watcher_open(PORT);

	filter_return(owner, 0);
	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(RULE_ALWAYS);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_FALSE(readable(owner));
	EXPECT_TRUE(has_one(watcher, 10));
}

/* An owner that reads no more, and nobody is needed. */
TEST_F(tee, T1_once_beside_owner_that_does_not_listen)
{
	int owner = divert_open(PORT), watcher = watcher_open(PORT);

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "accept"));
	EXPECT_EQ(0, errno_of(shutdown(owner, SHUT_RD)));
	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(RULE_ALWAYS);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_TRUE(has_one(watcher, 10));
	EXPECT_EQ(1, counted(&self->way.before, "teed"));
	EXPECT_EQ(1, counted(&self->way.before, "passed"));

	/* Where somebody is, the copy is all that is left of it. */
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("no_listener"), "drop"));
	udp_send(self->way.tx, LOOP, 11);
	EXPECT_TRUE(has_one(watcher, 11));
	EXPECT_EQ(1, counted(&self->way.before, "noport"));
}

/* Writing one */

TEST_F(tee, T2_written_copy_is_one_more)
{
	int fd = watcher_open(PORT);
	struct sockaddr_in from;

	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(38, divert_read(fd, &packet, &from));
	EXPECT_EQ(38, divert_write(fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->way.rx, got.data, 100));
	EXPECT_EQ(1, counted(&self->way.before, "inject_out"));
	/* It resumes behind the rule, like any that was read. */
	EXPECT_FALSE(readable(fd));
}

TEST_F(tee, T2_written_copy_as_fresh_is_copied)
{
	int fd = watcher_open(PORT);
	struct sockaddr_in from;

	set_int(self->way.tx, SOL_SOCKET, SO_MARK, 0);
	rules_out(RULE_ALWAYS);
	EXPECT_TRUE(goes_on(&self->way, 10));
	EXPECT_EQ(38, divert_read(fd, &packet, &from));
	divert_set_cookie(&from, 0);
	EXPECT_EQ(38, divert_write(fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->way.rx, got.data, 100));
	EXPECT_TRUE(has_one(fd, 10));
}

TEST_HARNESS_MAIN
