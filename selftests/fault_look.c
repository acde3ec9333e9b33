// SPDX-License-Identifier: GPL-2.0
/*
 * Faults while somebody looks at sockets, in /proc and by sock_diag, and while
 * fragments become a packet.
 *
 * TIMEOUT=400
 */

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdio.h>

#include "fault_test.h"
#include "kselftest_harness.h"

#define SOCKETS		3

static struct mnl_socket *diag_nl;

FIXTURE(fault)
{
	struct faults f;
	int more[SOCKETS - 1];
};

FIXTURE_SETUP(fault)
{
	int i;

	diag_load();
	faults_open(&self->f);
	for (i = 0; i < SOCKETS - 1; i++)
		self->more[i] = divert_open(PORT + 1 + i);
}

FIXTURE_TEARDOWN(fault)
{
	if (diag_nl)
		mnl_socket_close(diag_nl);
	loop_send(&self->f.loop, LOOP_WAITING);
	EXPECT_TRUE(loop_unharmed(&self->f.loop));
	EXPECT_EQ(0, diag_unload());
}

/* /proc/net/divert */

static char listing[4096];

static int call_list(struct faults *f)
{
	int fd = open("/proc/thread-self/net/divert", O_RDONLY | O_CLOEXEC);
	int len = 0, err = errno_of(fd);

	(void)f;
	if (!err) {
		len = read(fd, listing, sizeof(listing) - 1);
		err = errno_of(len);
		close(fd);
	}
	listing[len > 0 ? len : 0] = 0;
	return err;
}

/* All of it, or an error. */
static bool check_list(struct faults *f, int err)
{
	int lines = 0;
	char *at;

	for (at = listing; (at = strchr(at, '\n')); at++)
		lines++;
	return (err || lines == 1 + SOCKETS) && faults_passes(f);
}

static const struct walk walk_list = { call_list, check_list };

TEST_F(fault, L1_list)
{
	EXPECT_TRUE(faults_walk(&self->f, &walk_list));
}

/* sock_diag */

static int told;

static int tell(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	told++;
	return MNL_CB_OK;
}

/* Buffers of ours: what fails is the kernel's. */
static int diag_ask(struct mnl_socket *nl, int flags, int port)
{
	static char buffer[65536] __attribute__((__aligned__(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *req;
	int len, ret;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = AF_INET;
	req->idiag_states = ~0U;
	req->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	req->id.idiag_sport = htons(port);
	req->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	mnl_attr_put_u32(nlh, INET_DIAG_REQ_PROTOCOL, IPPROTO_DIVERT);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;

	told = 0;
	do {
		len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
		if (len < 0)
			return -errno;
		ret = mnl_cb_run(buffer, len, 0, 0, tell, NULL);
	} while (flags & NLM_F_DUMP && ret > 0);
	return ret < 0 ? -errno : 0;
}

static struct mnl_socket *diag_open(void)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_SOCK_DIAG);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		die("sock_diag");
	return nl;
}

static int call_dump(struct faults *f)
{
	(void)f;
	return diag_ask(diag_nl, NLM_F_DUMP, 0);
}

static int call_look_up(struct faults *f)
{
	(void)f;
	return diag_ask(diag_nl, 0, PORT + 1);
}

/* Who was told that all is well was told all. */
static bool check_told(struct faults *f, int err, int sockets)
{
	bool good = err || told == sockets;

	mnl_socket_close(diag_nl);
	diag_nl = diag_open();
	return good && faults_passes(f);
}

static bool check_dump(struct faults *f, int err)
{
	return check_told(f, err, SOCKETS);
}

static bool check_look_up(struct faults *f, int err)
{
	return check_told(f, err, 1);
}

static const struct walk walk_dump = { call_dump, check_dump };
static const struct walk walk_look_up = { call_look_up, check_look_up };

TEST_F(fault, L2_dump)
{
	diag_nl = diag_open();
	EXPECT_TRUE(faults_walk(&self->f, &walk_dump));
}

TEST_F(fault, L2_look_up)
{
	diag_nl = diag_open();
	EXPECT_TRUE(faults_walk(&self->f, &walk_look_up));
}

/* Fragments */

#define PAYLOAD		100
#define FIRST		48	/* bytes of IP's payload in the first of two */

static struct packet whole;
static int tun, id;

static int fragment_write(int from, int to)
{
	bool last = from > 0;
	struct packet part;

	part.ip = whole.ip;
	part.len = sizeof(part.ip) + to - from;
	memcpy(part.data + sizeof(part.ip),
	       whole.data + sizeof(whole.ip) + from, to - from);
	part.ip.tot_len = htons(part.len);
	part.ip.frag_off = htons(last ? from / 8 : 0x2000);
	packet_sum(&part);
	return errno_of(write(tun, part.data, part.len));
}

/* The next packet, but for its last fragment. */
static void begin_packet(void)
{
	packet_make(&whole, "10.0.9.2", "10.0.9.1", PAYLOAD);
	whole.ip.id = htons(++id);
	packet_sum(&whole);
	if (fragment_write(0, FIRST))
		die("write to tun");
}

static int call_complete(struct faults *f)
{
	(void)f;
	return fragment_write(FIRST, whole.len - sizeof(whole.ip));
}

/* It is whole, or was lost, by the device or by who puts it together. */
static bool check_complete(struct faults *f, int err)
{
	struct packet read;
	bool there = readable(f->loop.fd), good;

	good = err ? !there : there || f->faulty;
	if (there)
		good = divert_read(f->loop.fd, &read, NULL) == whole.len &&
		       packet_equal(&read, &whole) && good;
	good = good && !readable(f->loop.fd) && faults_passes(f);
	begin_packet();
	return good;
}

static const struct walk walk_complete = { call_complete, check_complete };

TEST_F(fault, D5_fragments)
{
	tun = tun_new(0);
	nft_load("table ip m {\n"
		 " chain p {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  iifname t0 meta mark set 0x%x\n"
		 " }\n"
		 "}\n", MARK(PORT, 100));
	begin_packet();
	EXPECT_TRUE(faults_walk(&self->f, &walk_complete));
}

TEST_HARNESS_MAIN
