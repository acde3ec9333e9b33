// SPDX-License-Identifier: GPL-2.0
/*
 * net.divert: how marks are read, and what becomes of packets for nobody.
 */

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet got;

static int set(const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), DIVERT_SYSCTL("%s"), name);
	return sysctl_write(path, value);
}

static const char *get(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), DIVERT_SYSCTL("%s"), name);
	return sysctl_read(path);
}

FIXTURE(setting)
{
	struct loop loop;
};

FIXTURE_SETUP(setting)
{
	loop_open(&self->loop);
}

FIXTURE_TEARDOWN(setting)
{
}

TEST_F(setting, D1_defaults)
{
	EXPECT_STREQ("0xffff0000", get("port_mask"));
	EXPECT_STREQ("0x0000ffff", get("cookie_mask"));
	EXPECT_STREQ("0x00000000", get("tee_mask"));
	EXPECT_STREQ("0", get("port_base"));
	EXPECT_STREQ("1\t65535", get("port_range"));
	EXPECT_STREQ("auto", get("no_listener"));
	EXPECT_STREQ("1", get("defrag"));
}

struct change {
	const char *name;
	const char *value;
	const char *shown;	/* NULL: refused */
};

static const struct change changes[] = {
	{ "port_mask", "0x7fff0000", "0x7fff0000" },
	{ "port_mask", "0x00030000\n", "0x00030000" },
	{ "port_mask", "4294901760", "0xffff0000" },
	{ "port_mask", "0", NULL },
	{ "port_mask", "0x00010000", NULL },	/* one bit names no port */
	{ "port_mask", "0xff0f0000", NULL },	/* a hole */
	{ "port_mask", "0x80010000", NULL },
	{ "port_mask", "0xffff8000", NULL },	/* overlaps, too wide */
	{ "port_mask", "0x00018000", NULL },	/* overlaps */
	{ "port_mask", "0x0000ffff", NULL },
	{ "port_mask", "0xffffffff", NULL },
	{ "port_mask", "0x100000000", NULL },
	{ "port_mask", "-1", NULL },
	{ "port_mask", " ", NULL },
	{ "port_mask", "mark", NULL },
	{ "port_mask", "0xffff0000 0", NULL },
	{ "port_mask", "0xffff0000x", NULL },
	{ "cookie_mask", "0x000000ff", "0x000000ff" },
	{ "cookie_mask", "0x00000001", "0x00000001" },
	{ "cookie_mask", "0x00008000", "0x00008000" },
	{ "cookie_mask", "0", NULL },
	{ "cookie_mask", "0x00000101", NULL },
	{ "cookie_mask", "0x0001ffff", NULL },
	{ "cookie_mask", "0xffff0000", NULL },
	{ "tee_mask", "0", "0x00000000" },
	{ "tee_mask", "0x00000001", NULL },	/* the cookie's */
	{ "tee_mask", "0x00010000", NULL },	/* the port's */
	{ "tee_mask", "0x00030000", NULL },
	{ "port_base", "1000", "1000" },
	{ "port_base", "0", "0" },
	{ "port_base", "65535", NULL },
	{ "port_base", "65536", NULL },
	{ "port_base", "-1", NULL },
	{ "port_base", "4294967295", NULL },
	{ "port_base", "x", NULL },
	{ "port_range", "100 200", "100\t200" },
	{ "port_range", "7 7", "7\t7" },
	{ "port_range", "1\t65535", "1\t65535" },
	{ "port_range", "0 10", NULL },
	{ "port_range", "10 9", NULL },
	{ "port_range", "1 65536", NULL },
	{ "port_range", "-1 10", NULL },
	{ "port_range", "a b", NULL },
	{ "no_listener", "drop", "drop" },
	{ "no_listener", "accept\n", "accept" },
	{ "no_listener", "auto", "auto" },
	{ "no_listener", "dropp", NULL },
	{ "no_listener", "dro", NULL },
	{ "no_listener", " ", NULL },
	{ "no_listener", "1", NULL },
	{ "defrag", "0", "0" },
	{ "defrag", "1", "1" },
	{ "defrag", "2", NULL },
	{ "defrag", "-1", NULL },
};

/* A setting that cannot work is refused and changes nothing. */
TEST_F(setting, D1_accepted_and_refused)
{
	int i;

	for (i = 0; i < ARRAY_LEN(changes); i++) {
		const struct change *change = &changes[i];
		char before[64];

		snprintf(before, sizeof(before), "%s", get(change->name));
		EXPECT_EQ(change->shown ? 0 : -EINVAL,
			  set(change->name, change->value)) {
			TH_LOG("%s = '%s'", change->name, change->value);
		}
		EXPECT_STREQ(change->shown ?: before, get(change->name)) {
			TH_LOG("%s = '%s'", change->name, change->value);
		}
		/* The next row starts from the defaults again. */
		if (strstr(change->name, "mask")) {
			set("port_mask", "0xffff0000");
			set("cookie_mask", "0x0000ffff");
		}
	}
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(setting, D1_tee_mask)
{
	EXPECT_EQ(0, set("port_mask", "0xff000000"));
	EXPECT_EQ(0, set("tee_mask", "0x00800000"));
	EXPECT_STREQ("0x00800000", get("tee_mask"));
	EXPECT_EQ(-EINVAL, set("tee_mask", "0x00a00000"));
	EXPECT_EQ(-EINVAL, set("port_mask", "0xff800000"));
	EXPECT_EQ(-EINVAL, set("tee_mask", "0x01000000"));
	EXPECT_EQ(0, set("tee_mask", "0"));
}

TEST_F(setting, D1_of_each_namespace)
{
	int here = ns_open();

	EXPECT_EQ(0, set("port_base", "1000"));
	if (unshare(CLONE_NEWNET))
		die("unshare");
	EXPECT_STREQ("0", get("port_base"));
	EXPECT_EQ(0, set("port_base", "2000"));
	ns_enter(here);
	EXPECT_STREQ("1000", get("port_base"));
}

TEST_F(setting, D1_written_by_root_alone)
{
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		die("setuid");
	EXPECT_EQ(-EACCES, set("port_base", "1000"));
	EXPECT_EQ(-EACCES, set("no_listener", "accept"));
	EXPECT_STREQ("0", get("port_base"));
}

/* Marks */

/* Does a packet with this mark come to this socket, with this cookie? */
static bool leads_to(const struct loop *loop, int fd, __u32 mark, int cookie)
{
	struct loop way = { fd, udp_open(NULL, mark), loop->rx };
	struct sockaddr_in sin;
	bool right;

	loop_send(&way, 33);
	if (!readable(fd)) {
		/* Where it went instead is not the question here. */
		while (readable(loop->rx))
			udp_receive(loop->rx, got.data, sizeof(got.data));
		close(way.tx);
		return false;
	}
	right = divert_read(fd, &got, &sin) == 28 + 33 &&
		divert_cookie(&sin) == cookie;
	right &= divert_write(fd, &got, &sin) == 28 + 33;
	right &= udp_receive(loop->rx, got.data, sizeof(got.data)) == 33;
	close(way.tx);
	return right;
}

TEST_F(setting, D1_port_high_cookie_low)
{
	int fd = divert_open(8668);

	EXPECT_TRUE(leads_to(&self->loop, fd, 0x21dc0064, 100));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x21dcffff, 65535));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x21dc0001, 1));
	EXPECT_FALSE(leads_to(&self->loop, fd, 0x21dd0064, 100));
}

TEST_F(setting, D1_other_masks)
{
	int fd = divert_open(9);

	/* 0x00ff00ff is ours, in another order than the default. */
	EXPECT_EQ(0, set("cookie_mask", "0x00000001"));
	EXPECT_EQ(0, set("port_mask", "0x000000fe"));
	EXPECT_EQ(0, set("cookie_mask", "0x00ff0000"));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x00050012, 5));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0xab05cd12, 5));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x00050013, 5));
	EXPECT_FALSE(leads_to(&self->loop, fd, 0x00050014, 5));
	/* All of the field: cookies stop at 255. */
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x00ff0012, 255));
}

TEST_F(setting, D1_port_base)
{
	int fd = divert_open(8668);

	EXPECT_EQ(0, set("port_base", "8660"));
	EXPECT_EQ(0, set("port_mask", "0x000f0000"));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0x00080064, 100));
	EXPECT_TRUE(leads_to(&self->loop, fd, 0xff080064, 100));
	EXPECT_FALSE(leads_to(&self->loop, fd, 0x00090064, 100));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(divert_socket(), 8660));
	EXPECT_EQ(0, divert_bind(divert_socket(), 8661));
	EXPECT_EQ(0, divert_bind(divert_socket(), 8674));
	EXPECT_EQ(-EADDRNOTAVAIL, divert_bind(divert_socket(), 8675));
}

/* Marks that are not ours pass, and stay what they are. */
static void expect_untouched(struct __test_metadata *_metadata,
			     const struct loop *loop, __u32 mark)
{
	struct loop way = { loop->fd, udp_open(NULL, mark), loop->rx };
	struct counters before;

	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  meta mark 0x%x counter name c\n"
		 " }\n"
		 "}\n", mark);
	counters_read(&before);
	loop_send(&way, 44);
	EXPECT_EQ(44, udp_receive(way.rx, got.data, 100)) {
		TH_LOG("mark 0x%x", mark);
	}
	EXPECT_EQ(1, nft_packets("c")) {
		TH_LOG("mark 0x%x", mark);
	}
	EXPECT_EQ(0, counted_only(&before, "noport"));
	nft_load("delete table ip t\n");
	close(way.tx);
}

TEST_F(setting, D1_field_0_is_not_ours)
{
	expect_untouched(_metadata, &self->loop, 0x00000001);
	expect_untouched(_metadata, &self->loop, 0x0000ffff);
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

/* Nobody but the kernel says of a packet that it was diverted before. */
TEST_F(setting, D1_field_of_ones_is_not_ours)
{
	expect_untouched(_metadata, &self->loop, 0xffff0000);
	expect_untouched(_metadata, &self->loop, 0xffff0064);
	expect_untouched(_metadata, &self->loop, 0xffffffff);
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(setting, D7_outside_port_range_is_not_ours)
{
	EXPECT_EQ(0, set("port_range", "7000 7100"));
	expect_untouched(_metadata, &self->loop, MARK(6999, 1));
	expect_untouched(_metadata, &self->loop, MARK(7101, 1));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(setting, D1_foreign_bits_are_not_touched)
{
	struct sockaddr_in sin;
	int tx;

	/* Taken by a rule that leaves the bits of others alone. */
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_EQ(0, set("port_mask", "0x00ff0000"));
	EXPECT_EQ(0, set("cookie_mask", "0x000000ff"));
	divert_open(9);
	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  meta mark 0x12003400 counter name c\n"
		 " }\n"
		 "}\n");
	EXPECT_EQ(0, set("no_listener", "accept"));

	/* Left in the stack: our bits go, theirs stay. */
	tx = udp_open(NULL, 0x12083405);
	udp_send(tx, LOOP, 10);
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(1, nft_packets("c"));

	/* Round trip: the same. */
	close(self->loop.fd);
	self->loop.fd = divert_open(8);
	udp_send(tx, LOOP, 11);
	EXPECT_EQ(39, divert_read(self->loop.fd, &got, &sin));
	EXPECT_EQ(39, divert_write(self->loop.fd, &got, &sin));
	EXPECT_EQ(11, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(2, nft_packets("c"));
}

/* When a stage ends without a divert, our bits of the mark go. */
TEST_F(setting, D3_bits_cleared_when_passed)
{
	struct loop way = self->loop;

	EXPECT_EQ(0, set("no_listener", "accept"));
	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  udp dport %d meta mark 0 counter name c\n"
		 " }\n"
		 "}\n", UDP_PORT);
	way.tx = udp_open(NULL, MARK(5, 1));
	loop_send(&way, 10);
	EXPECT_EQ(10, udp_receive(way.rx, got.data, 100));
	EXPECT_EQ(1, nft_packets("c"));
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_EQ(2, nft_packets("c"));
}

TEST_F(setting, D9_cookie_0_reads_65535)
{
	EXPECT_TRUE(leads_to(&self->loop, divert_open(5), MARK(5, 0), 65535));
	/* Also where the field is narrower than that. */
	EXPECT_EQ(0, set("cookie_mask", "0x0000000f"));
	EXPECT_TRUE(leads_to(&self->loop, divert_open(6), MARK(6, 0), 65535));
}

/* Nobody listens */

FIXTURE(absent)
{
	int tx;
	int rx;
	struct counters before;
};

/* A namespace that no divert socket was opened in. */
FIXTURE_SETUP(absent)
{
	if (unshare(CLONE_NEWNET))
		die("unshare");
	ip_batch("link set lo up\n");
	self->tx = udp_open(NULL, MARK(PORT, COOKIE));
	self->rx = udp_open(LOOP, 0);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(absent)
{
}

/* Do marked packets pass? An unmarked one always does. */
static bool passes(int tx, int rx)
{
	int control = udp_open(NULL, 0);
	bool passed;

	udp_send(tx, LOOP, 10);
	udp_send(control, LOOP, 20);
	close(control);
	passed = udp_receive(rx, got.data, 100) == 10;
	if (passed && udp_receive(rx, got.data, 100) != 20)
		die("no control packet");
	return passed;
}

TEST_F(absent, D7_auto_passes_until_used)
{
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(0, counted_only(&self->before, "noport"));
}

TEST_F(absent, D7_auto_leaves_marks_until_used)
{
	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  meta mark 0x%x counter name c\n"
		 " }\n"
		 "}\n", MARK(PORT, COOKIE));
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(1, nft_packets("c"));

	/* Also once the hooks are there, by the first word on the matter. */
	EXPECT_EQ(0, set("no_listener", "auto"));
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(2, nft_packets("c"));
}

TEST_F(absent, D7_auto_drops_once_opened)
{
	int fd = divert_socket();

	/* Unbound, and even closed again. */
	EXPECT_FALSE(passes(self->tx, self->rx));
	EXPECT_EQ(1, counted_only(&self->before, "noport"));
	close(fd);
	EXPECT_FALSE(passes(self->tx, self->rx));
	EXPECT_EQ(2, counted_only(&self->before, "noport"));
}

TEST_F(absent, D7_drop_from_now_on)
{
	EXPECT_EQ(0, set("no_listener", "drop"));
	EXPECT_FALSE(passes(self->tx, self->rx));
	EXPECT_EQ(1, counted_only(&self->before, "noport"));
	EXPECT_EQ(0, set("no_listener", "accept"));
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(1, counted(&self->before, "noport"));
	EXPECT_EQ(1, counted(&self->before, "passed"));
}

TEST_F(absent, D7_accept_with_sockets)
{
	int fd = divert_open(PORT);

	EXPECT_EQ(0, set("no_listener", "accept"));
	EXPECT_FALSE(passes(self->tx, self->rx));
	EXPECT_EQ(1, counted(&self->before, "diverted"));
	close(fd);
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(1, counted(&self->before, "passed"));
	EXPECT_EQ(0, counted(&self->before, "noport"));
}

TEST_F(absent, D7_auto_again)
{
	divert_socket();
	EXPECT_EQ(0, set("no_listener", "accept"));
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_EQ(0, set("no_listener", "auto"));
	EXPECT_FALSE(passes(self->tx, self->rx));
}

/* Of another namespace, nothing counts here. */
TEST_F(absent, D7_each_namespace_for_itself)
{
	int here = ns_open();

	ns_new();
	divert_open(PORT);
	EXPECT_EQ(0, set("no_listener", "drop"));
	ns_enter(here);
	EXPECT_TRUE(passes(self->tx, self->rx));
	EXPECT_STREQ("auto", get("no_listener"));
}

TEST_HARNESS_MAIN
