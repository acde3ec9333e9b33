// SPDX-License-Identifier: GPL-2.0
/*
 * Faults in calls of the socket: opening, binding, options, reading, writing;
 * and in what has a packet diverted.
 *
 * TIMEOUT=400
 */

#include <linux/filter.h>
#include <net/if.h>
#include <stdio.h>

#include "fault_test.h"
#include "kselftest_harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

static struct packet packet, got;
static struct sockaddr_in address;
static int tun, watcher;

FIXTURE(fault)
{
	struct faults f;
};

FIXTURE_SETUP(fault)
{
	faults_open(&self->f);
}

FIXTURE_TEARDOWN(fault)
{
	loop_send(&self->f.loop, LOOP_WAITING);
	EXPECT_TRUE(loop_unharmed(&self->f.loop));
}

/* Opening and binding */

static int call_socket(struct faults *f)
{
	f->fd = socket(f->option, SOCK_RAW, IPPROTO_DIVERT);
	return errno_of(f->fd);
}

static bool check_socket(struct faults *f, int err)
{
	return err || !close(f->fd);
}

static const struct walk walk_socket = { call_socket, check_socket };

TEST_F(fault, S1_socket)
{
	self->f.option = AF_INET;
	EXPECT_TRUE(faults_walk(&self->f, &walk_socket));
}

TEST_F(fault, S2_socket6)
{
	self->f.option = AF_INET6;
	EXPECT_TRUE(faults_walk(&self->f, &walk_socket));
}

static int call_bind(struct faults *f)
{
	return divert_bind(f->fd, f->option);
}

/* It is bound or not; what failed can be done again. */
static bool check_bound(struct faults *f, int err)
{
	return err ? !divert_port(f->fd) && !call_bind(f) :
		     divert_port(f->fd) > 0;
}

static bool check_bind(struct faults *f, int err)
{
	bool good = check_bound(f, err);

	close(f->fd);
	f->fd = divert_socket();
	return good && faults_passes(f);
}

static const struct walk walk_bind = { call_bind, check_bind };

TEST_F(fault, B1_bind)
{
	self->f.fd = divert_socket();
	self->f.option = PORT + 1;
	EXPECT_TRUE(faults_walk(&self->f, &walk_bind));
}

TEST_F(fault, B2_bind_to_any)
{
	self->f.fd = divert_socket();
	self->f.option = 0;
	EXPECT_TRUE(faults_walk(&self->f, &walk_bind));
}

static int sharing_socket(void)
{
	int fd = divert_socket();

	if (set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		die("SO_REUSEPORT");
	return fd;
}

static bool check_share(struct faults *f, int err)
{
	bool good = check_bound(f, err);

	close(f->fd);
	f->fd = sharing_socket();
	return good;
}

static const struct walk walk_share = { call_bind, check_share };

TEST_F(fault, B4_bind_to_share)
{
	int fd = sharing_socket();

	self->f.option = PORT + 1;
	self->f.fd = fd;
	EXPECT_TRUE(faults_walk(&self->f, &walk_share));
	ASSERT_EQ(0, divert_bind(fd = sharing_socket(), PORT + 1));
	EXPECT_TRUE(faults_walk(&self->f, &walk_share));
	close(fd);
}

static int watcher_socket(void)
{
	int fd = divert_socket();

	if (set_int(fd, SOL_DIVERT, DIVERT_TEE, 1))
		die("DIVERT_TEE");
	return fd;
}

static bool check_watch(struct faults *f, int err)
{
	bool good = check_bound(f, err);

	close(f->fd);
	f->fd = watcher_socket();
	return good && faults_passes(f);
}

static const struct walk walk_watch = { call_bind, check_watch };

TEST_F(fault, B5_bind_a_watcher)
{
	self->f.fd = watcher_socket();
	self->f.option = PORT;
	EXPECT_TRUE(faults_walk(&self->f, &walk_watch));
}

/* Leaving cannot fail. */
static int call_leave(struct faults *f)
{
	return errno_of(close(f->fd));
}

static bool check_leave(struct faults *f, int err)
{
	f->fd = watcher_socket();
	return !err && !divert_bind(f->fd, PORT) && faults_passes(f);
}

static const struct walk walk_leave = { call_leave, check_leave };

TEST_F(fault, S10_close_a_watcher)
{
	self->f.fd = watcher_socket();
	ASSERT_EQ(0, divert_bind(self->f.fd, PORT));
	EXPECT_TRUE(faults_walk(&self->f, &walk_leave));
}

/* Options */

static int call_option(struct faults *f)
{
	return set_int(f->fd, SOL_DIVERT, f->option, 1);
}

/* All or nothing. */
static bool check_option(struct faults *f, int err)
{
	return get_int(f->fd, SOL_DIVERT, f->option) == !err &&
	       !set_int(f->fd, SOL_DIVERT, f->option, 0);
}

static const struct walk walk_option = { call_option, check_option };

static int call_option_get(struct faults *f)
{
	static const socklen_t sizes[] = {
		[DIVERT_LIMITS] = sizeof(struct divert_limits),
		[DIVERT_STATS] = sizeof(struct divert_stats),
		[DIVERT_HOLD] = sizeof(struct divert_hold),
		[DIVERT_INPLACE] = sizeof(int),
	};
	char value[sizeof(struct divert_stats)];
	socklen_t len = sizes[f->option] ?: sizeof(int);

	return errno_of(getsockopt(f->fd, SOL_DIVERT, f->option, value, &len));
}

static bool check_option_get(struct faults *f, int err)
{
	return err != -ENOMEM && !call_option_get(f);
}

static const struct walk walk_option_get = {
	call_option_get, check_option_get
};

TEST_F(fault, S7_options)
{
	static const int options[] = {
		DIVERT_INFO, DIVERT_GSO, DIVERT_TEE, DIVERT_RECORDS,
		DIVERT_INPLACE,
	};
	int i;

	for (i = 0; i < ARRAY_LEN(options); i++) {
		self->f.fd = divert_socket();
		self->f.option = options[i];
		EXPECT_TRUE(faults_walk(&self->f, &walk_option));
		close(self->f.fd);
	}
	self->f.fd = divert_socket();
	for (i = DIVERT_VERSION; i <= DIVERT_INPLACE; i++) {
		self->f.option = i;
		EXPECT_TRUE(faults_walk(&self->f, &walk_option_get));
	}
}

static int call_hold(struct faults *f)
{
	struct divert_hold hold = { .size = sizeof(hold), .headers = 64 };

	return errno_of(setsockopt(f->fd, SOL_DIVERT, DIVERT_HOLD, &hold,
				   sizeof(hold)));
}

static bool check_hold(struct faults *f, int err)
{
	struct divert_hold hold = { 0 };
	socklen_t len = sizeof(hold);
	bool good = !getsockopt(f->fd, SOL_DIVERT, DIVERT_HOLD, &hold, &len) &&
		    hold.headers == (err ? 0 : 64);

	close(f->fd);
	f->fd = divert_socket();
	return good;
}

static const struct walk walk_hold = { call_hold, check_hold };

TEST_F(fault, O7_hold)
{
	self->f.fd = divert_socket();
	EXPECT_TRUE(faults_walk(&self->f, &walk_hold));
}

static int set_limits(int fd, int packets, int on_close)
{
	struct divert_limits limits = {
		.size = sizeof(limits),
		.packets = packets,
		.close = on_close,
	};

	return limits_set(fd, &limits);
}

static int call_limits(struct faults *f)
{
	return set_limits(f->fd, 9, DIVERT_POLICY_PASS);
}

static bool check_limits(struct faults *f, int err)
{
	struct divert_limits limits = { 0 };
	socklen_t len = sizeof(limits);
	int ret = getsockopt(f->fd, SOL_DIVERT, DIVERT_LIMITS, &limits, &len);

	return !ret && limits.packets == (err ? 0 : 9) &&
	       limits.close == (err ? 0 : DIVERT_POLICY_PASS) &&
	       !set_limits(f->fd, 0, DIVERT_POLICY_DROP);
}

static const struct walk walk_limits = { call_limits, check_limits };

TEST_F(fault, O5_limits)
{
	self->f.fd = divert_socket();
	EXPECT_TRUE(faults_walk(&self->f, &walk_limits));
}

static int call_filter(struct faults *f)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { ARRAY_LEN(code), code };

	return errno_of(setsockopt(f->fd, SOL_SOCKET, f->option, &program,
				   sizeof(program)));
}

/* It leaves all packets in the stack, or there is none. */
static bool check_filter(struct faults *f, int err)
{
	loop_send(&f->loop, 30);
	if (err)
		return loop_pass(&f->loop, 30);
	return faults_arrived(f, 30) == 1 && !readable(f->loop.fd) &&
	       !set_int(f->fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

static const struct walk walk_filter = { call_filter, check_filter };

TEST_F(fault, D10_filter)
{
	self->f.fd = self->f.loop.fd;
	self->f.option = SO_ATTACH_FILTER;
	EXPECT_TRUE(faults_walk(&self->f, &walk_filter));
}

/* A member of the port whose group gets a program. */
static bool check_choose(struct faults *f, int err)
{
	bool good = err || !set_int(f->fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF,
				    0);

	close(f->fd);
	f->fd = sharing_socket();
	return !divert_bind(f->fd, PORT + 1) && good;
}

static const struct walk walk_choose = { call_filter, check_choose };

TEST_F(fault, B4_program_that_chooses)
{
	self->f.fd = sharing_socket();
	ASSERT_EQ(0, divert_bind(self->f.fd, PORT + 1));
	self->f.option = SO_ATTACH_REUSEPORT_CBPF;
	EXPECT_TRUE(faults_walk(&self->f, &walk_choose));
}

/* Reading */

static int call_read(struct faults *f)
{
	char control[512];
	struct iovec iov = { got.data, sizeof(got.data) };
	struct msghdr msg = {
		.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	got.len = recvmsg(f->loop.fd, &msg, 0);
	return errno_of(got.len);
}

/* Read, or gone and counted as read, or still there. */
static bool check_read(struct faults *f, int err)
{
	long read = counted(&f->before, "read");
	bool there = readable(f->loop.fd);
	bool good = read + there == 1 && (err || (read && packet_valid(&got)));

	if (there)
		divert_read(f->loop.fd, &got, NULL);
	good = good && faults_passes(f);
	loop_send(&f->loop, 30);
	return good;
}

static const struct walk walk_read = { call_read, check_read };

TEST_F(fault, R1_read)
{
	loop_send(&self->f.loop, 30);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read));
	EXPECT_TRUE(loop_pass(&self->f.loop, 30));
}

TEST_F(fault, R5_read_with_info)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	loop_send(&self->f.loop, 30);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read));
	EXPECT_TRUE(loop_pass(&self->f.loop, 30));
}

/* Writing */

static int call_write(struct faults *f)
{
	return errno_of(divert_write(f->loop.fd, &packet, &address));
}

/* Refused and, once it has come to us, counted; or on its way, where a fault
 * may lose it as any other packet.
 */
static bool check_write(struct faults *f, int err)
{
	long refused = counted(&f->before, "enobufs") +
		       counted(&f->before, "eother");
	long sent = counted(&f->before, "inject_in") +
		    counted(&f->before, "inject_out");
	int there = faults_arrived(f, 100);

	if (err)
		return refused + (err == -EFAULT) >= 1 && !sent && !there &&
		       faults_passes(f);
	return sent == 1 && !refused && (there == 1 || (f->faulty && !there)) &&
	       faults_passes(f);
}

static const struct walk walk_write = { call_write, check_write };

TEST_F_TIMEOUT(fault, W2_write_out, 120)
{
	packet_make(&packet, LOOP, LOOP, 100);
	address = divert_address("0.0.0.0", COOKIE, "");
	EXPECT_TRUE(faults_walk(&self->f, &walk_write));
}

TEST_F_TIMEOUT(fault, W3_write_in, 120)
{
	packet_make(&packet, LOOP, LOOP, 100);
	address = divert_address(LOOP, COOKIE, "lo");
	EXPECT_TRUE(faults_walk(&self->f, &walk_write));
}

/* A new cookie is a new tag. */
static int call_write_cookie(struct faults *f)
{
	divert_set_cookie(&address, ++f->option);
	return call_write(f);
}

static const struct walk walk_write_cookie = { call_write_cookie, check_write };

TEST_F_TIMEOUT(fault, C1_write_in_with_a_new_cookie, 120)
{
	packet_make(&packet, LOOP, LOOP, 100);
	address = divert_address(LOOP, COOKIE, "lo");
	self->f.option = 1000;
	EXPECT_TRUE(faults_walk(&self->f, &walk_write_cookie));
}

static int call_write_info(struct faults *f)
{
	struct {
		struct cmsghdr cmsg;
		struct divert_info info;
	} control = {
		.cmsg.cmsg_len = sizeof(control),
		.cmsg.cmsg_level = SOL_DIVERT,
		.cmsg.cmsg_type = DIVERT_INFO,
		.info.size = sizeof(control.info),
		.info.hook = DIVERT_HOOK_PRE_ROUTING,
		.info.iif = f->option,
		.info.cookie = COOKIE,
	};
	struct iovec iov = { packet.data, packet.len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	return errno_of(sendmsg(f->loop.fd, &msg, 0));
}

/* The kernel's copy of the control message may be what fails: before us. */
static bool check_write_info(struct faults *f, int err)
{
	return err == -ENOBUFS ? !faults_arrived(f, 100) && faults_passes(f) :
				 check_write(f, err);
}

static const struct walk walk_write_info = {
	call_write_info, check_write_info
};

TEST_F_TIMEOUT(fault, W8_write_with_info, 120)
{
	packet_make(&packet, LOOP, LOOP, 100);
	self->f.option = ifindex_of("lo");
	EXPECT_TRUE(faults_walk(&self->f, &walk_write_info));
}

/* What is sent meets our hook in the sender's context. */

static int call_send(struct faults *f)
{
	struct sockaddr_in sa = inet_address(LOOP, UDP_PORT);
	static const char data[3000];

	return errno_of(sendto(f->loop.tx, data, sizeof(data), 0,
			       (struct sockaddr *)&sa, sizeof(sa)));
}

static int packets_read(int fd)
{
	int n;

	for (n = 0; readable(fd); n++)
		if (divert_read(fd, &got, NULL) < 0 || !packet_valid(&got))
			return -1;
	return n;
}

/* What the sender believes to be sent is there, or counted. */
static bool check_send(struct faults *f, int err)
{
	int there = packets_read(f->loop.fd);
	long lost = counted(&f->before, "nomem");

	return (err ? !there : there + lost == 1) && faults_passes(f);
}

static const struct walk walk_send = { call_send, check_send };

TEST_F(fault, D8_send)
{
	EXPECT_TRUE(faults_walk(&self->f, &walk_send));
}

TEST_F(fault, D8_send_with_info)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_TRUE(faults_walk(&self->f, &walk_send));
}

/* One of the two may miss it. */
static bool check_send_copy(struct faults *f, int err)
{
	int there = packets_read(f->loop.fd), copies = packets_read(watcher);
	long lost = counted(&f->before, "nomem");
	bool good = err ? !there && !copies : there + copies + lost == 2;

	good = good && faults_passes(f);
	return packets_read(watcher) == 1 && good;
}

static const struct walk walk_send_copy = { call_send, check_send_copy };

TEST_F(fault, T1_send_with_a_copy)
{
	watcher = watcher_socket();
	ASSERT_EQ(0, divert_bind(watcher, PORT));
	EXPECT_TRUE(faults_walk(&self->f, &walk_send_copy));
	close(watcher);
}

/* All six segments or, counted, none; or what the info of each leaves. */
static bool check_send_segments(struct faults *f, int err)
{
	int there = packets_read(f->loop.fd);
	long lost = counted(&f->before, "nomem");

	return (err ? !there : there == 6 || (f->faulty && lost &&
					      (!there || there + lost == 6))) &&
	       faults_passes(f);
}

static const struct walk walk_send_segments = {
	call_send, check_send_segments
};

TEST_F(fault, D5_send_segments)
{
	ASSERT_EQ(0, set_int(self->f.loop.tx, IPPROTO_UDP, UDP_SEGMENT, 500));
	EXPECT_TRUE(faults_walk(&self->f, &walk_send_segments));
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_TRUE(faults_walk(&self->f, &walk_send_segments));
}

/* What a device receives from its writer meets our hook in the writer's
 * context.
 */

static int tun_open(void)
{
	int fd = tun_new(0);

	nft_load("table ip m {\n"
		 " chain p {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  iifname t0 meta mark set 0x%x\n"
		 " }\n"
		 "}\n", MARK(PORT, COOKIE));
	return fd;
}

static int call_receive(struct faults *f)
{
	(void)f;
	return errno_of(write(tun, packet.data, packet.len));
}

/* The device may lose it, uncounted by us. */
static bool check_receive(struct faults *f, int err)
{
	int there = packets_read(f->loop.fd);
	long lost = counted(&f->before, "nomem");

	return (err ? !there : there + lost == 1 || (f->faulty && !there)) &&
	       faults_passes(f);
}

static const struct walk walk_receive = { call_receive, check_receive };

TEST_F(fault, D8_receive)
{
	tun = tun_open();
	packet_make(&packet, "10.0.9.2", "10.0.9.1", 100);
	EXPECT_TRUE(faults_walk(&self->f, &walk_receive));
}

TEST_F(fault, D8_receive_with_info)
{
	tun = tun_open();
	packet_make(&packet, "10.0.9.2", "10.0.9.1", 100);
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_TRUE(faults_walk(&self->f, &walk_receive));
}

TEST_HARNESS_MAIN
