// SPDX-License-Identifier: GPL-2.0
/* Every call, flag and option that reads, writes or waits (S6). */

#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/io_uring.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "divert_test.h"
#include "kselftest_harness.h"

/* Lengths of packets, from those of payloads. */
#define LEN(payload)	((int)(sizeof(struct iphdr) + \
			       sizeof(struct udphdr)) + (payload))

static struct packet packet, got;

FIXTURE(io)
{
	struct loop loop;
	int fd;
};

/* The queue starts empty. */
FIXTURE_SETUP(io)
{
	loop_open(&self->loop);
	self->fd = self->loop.fd;
	if (!loop_pass(&self->loop, LOOP_WAITING))
		die("a first packet");
}

/* Whatever was done: the socket still works, and nothing is left over. */
FIXTURE_TEARDOWN(io)
{
	EXPECT_FALSE(readable(self->fd));
	loop_send(&self->loop, LOOP_WAITING);
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

/* A control message of this level and type in @msg, or NULL. */
static void *control(struct msghdr *msg, int level, int type)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg))
		if (cmsg->cmsg_level == level && cmsg->cmsg_type == type)
			return CMSG_DATA(cmsg);
	return NULL;
}

/* recvmsg() into @got with room for control messages. */
static int receive(int fd, struct msghdr *msg, int flags)
{
	static struct iovec iov = { got.data, sizeof(got.data) };
	static char buf[1024];

	*msg = (struct msghdr){
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = buf, .msg_controllen = sizeof(buf),
	};
	got.len = recvmsg(fd, msg, flags);
	return got.len < 0 ? -errno : got.len;
}

TEST_F(io, S6_read)
{
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), read(self->fd, got.data, sizeof(got.data)));
}

TEST_F(io, S6_readv_scatters)
{
	struct iovec iov[] = {
		{ packet.data, 20 }, { packet.data + 100, 8 },
		{ packet.data + 200, 100 },
	};

	loop_send(&self->loop, 10);
	packet_make(&got, LOOP, LOOP, 10);
	EXPECT_EQ(LEN(10), readv(self->fd, iov, 3));
	EXPECT_EQ(IPPROTO_UDP, packet.ip.protocol);
	EXPECT_EQ(htons(UDP_PORT), *(__u16 *)(packet.data + 102));
	EXPECT_EQ(0, memcmp(packet.data + 200, got.data + 28, 10));
}

TEST_F(io, S6_recv)
{
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recv(self->fd, got.data, sizeof(got.data), 0));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recv(self->fd, got.data, sizeof(got.data),
				MSG_WAITALL));
}

TEST_F(io, S6_recvfrom_any_address_size)
{
	struct sockaddr_storage storage;
	struct sockaddr_in *sin = (struct sockaddr_in *)&storage;
	socklen_t len = sizeof(storage);

	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recvfrom(self->fd, got.data, 100, 0,
				    (struct sockaddr *)&storage, &len));
	EXPECT_EQ((socklen_t)sizeof(*sin), len);
	EXPECT_EQ(AF_INET, sin->sin_family);
	EXPECT_EQ(COOKIE, divert_cookie(sin));

	/* A short one is cut, and says how long it would be. */
	memset(&storage, 0xa5, sizeof(storage));
	len = 4;
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recvfrom(self->fd, got.data, 100, 0,
				    (struct sockaddr *)&storage, &len));
	EXPECT_EQ((socklen_t)sizeof(*sin), len);
	EXPECT_EQ(COOKIE, divert_cookie(sin));
	EXPECT_EQ(0xa5a5a5a5, sin->sin_addr.s_addr);
}

TEST_F(io, S6_recvmsg)
{
	struct msghdr msg;

	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
	EXPECT_EQ(0, msg.msg_flags);
	EXPECT_EQ(0, (int)msg.msg_controllen);
	EXPECT_TRUE(packet_valid(&got));
}

TEST_F(io, S6_recvmmsg_sendmmsg)
{
	struct mmsghdr batch[4] = { };
	struct sockaddr_in sin[4];
	__u8 data[4][128];
	struct iovec iov[4];
	int i;

	for (i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
		batch[i].msg_hdr = (struct msghdr){
			.msg_name = &sin[i], .msg_namelen = sizeof(sin[i]),
			.msg_iov = &iov[i], .msg_iovlen = 1,
		};
	}
	for (i = 0; i < 3; i++)
		loop_send(&self->loop, 10 + i);

	ASSERT_EQ(3, recvmmsg(self->fd, batch, 4, MSG_DONTWAIT, NULL));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(LEN(10 + i), (int)batch[i].msg_len);
		EXPECT_EQ(COOKIE, divert_cookie(&sin[i]));
		iov[i].iov_len = batch[i].msg_len;
	}

	EXPECT_EQ(3, sendmmsg(self->fd, batch, 3, 0));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(LEN(10 + i), (int)batch[i].msg_len);
		EXPECT_EQ(10 + i, udp_receive(self->loop.rx, got.data, 100));
	}
}

TEST_F(io, S6_sendmmsg_stops_at_error)
{
	struct iovec iov[] = {
		{ packet.data, LEN(10) }, { packet.data, 5 },
		{ packet.data, LEN(10) },
	};
	struct mmsghdr batch[3] = { };
	int i;

	packet_make(&packet, LOOP, LOOP, 10);
	for (i = 0; i < 3; i++) {
		batch[i].msg_hdr.msg_iov = &iov[i];
		batch[i].msg_hdr.msg_iovlen = 1;
	}
	EXPECT_EQ(1, sendmmsg(self->fd, batch, 3, 0));
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(-EINVAL, errno_of(sendmmsg(self->fd, batch + 1, 2, 0)));
	EXPECT_FALSE(readable(self->loop.rx));
}

TEST_F(io, S6_writev_gathers)
{
	struct iovec iov[] = {
		{ packet.data, 20 }, { NULL, 0 }, { packet.data + 20, 8 },
		{ packet.data + 28, 10 },
	};

	packet_make(&packet, LOOP, LOOP, 10);
	EXPECT_EQ(LEN(10), writev(self->fd, iov, 4));
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(0, memcmp(packet.data + 28, got.data, 10));
}

TEST_F(io, S6_bad_buffers_efault)
{
	struct counters before;

	loop_send(&self->loop, 10);
	/* As with a raw socket, the packet is gone. */
	EXPECT_EQ(-EFAULT, errno_of(recv(self->fd, (void *)8, 100, 0)));
	counters_read(&before);
	EXPECT_EQ(-EFAULT, errno_of(send(self->fd, (void *)8, 100, 0)));
	EXPECT_EQ(1, counted_only(&before, "eother"));
	EXPECT_FALSE(readable(self->loop.rx));
}

/* Waiting */

TEST_F(io, S6_select)
{
	struct timeval none = { };
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(self->fd, &in);
	FD_SET(self->fd, &out);
	EXPECT_EQ(1, select(self->fd + 1, &in, &out, NULL, &none));
	EXPECT_FALSE(FD_ISSET(self->fd, &in));
	EXPECT_TRUE(FD_ISSET(self->fd, &out));

	loop_send(&self->loop, 10);
	FD_SET(self->fd, &in);
	EXPECT_EQ(2, select(self->fd + 1, &in, &out, NULL, NULL));
	EXPECT_TRUE(FD_ISSET(self->fd, &in));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

TEST_F(io, S6_poll_once_a_packet)
{
	int i;

	EXPECT_FALSE(readable(self->fd));
	for (i = 0; i < 3; i++)
		loop_send(&self->loop, 10);
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(readable(self->fd));
		EXPECT_TRUE(loop_pass(&self->loop, 10));
	}
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(io, S6_epoll)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	event.data.fd = self->fd;
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event));
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	loop_send(&self->loop, 10);
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, DEADLINE_MS));
	EXPECT_EQ(self->fd, event.data.fd);
	EXPECT_EQ((__u32)EPOLLIN, event.events);

	/* Once an edge, and each packet is one. */
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	loop_send(&self->loop, 11);
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, DEADLINE_MS));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	EXPECT_TRUE(loop_pass(&self->loop, 11));
	close(epoll);
}

TEST_F(io, S6_blocked_reader_wakes)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(recv(self->fd, got.data, sizeof(got.data), 0));
	wait_blocked(pid);
	loop_send(&self->loop, 10);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(LEN(10), WEXITSTATUS(status));
}

TEST_F(io, S6_nonblock_eagain)
{
	int flags = fcntl(self->fd, F_GETFL);

	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, flags | O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, errno_of(read(self->fd, got.data, 100)));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), read(self->fd, got.data, 100));
	EXPECT_EQ(-EAGAIN, errno_of(read(self->fd, got.data, 100)));
}

TEST_F(io, S6_dontwait_eagain)
{
	EXPECT_EQ(-EAGAIN, errno_of(recv(self->fd, got.data, 100,
					 MSG_DONTWAIT)));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recv(self->fd, got.data, 100, MSG_DONTWAIT));
}

TEST_F(io, S6_rcvtimeo)
{
	struct timeval soon = { .tv_usec = 20000 };

	EXPECT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVTIMEO, &soon,
				sizeof(soon)));
	EXPECT_EQ(-EAGAIN, errno_of(recv(self->fd, got.data, 100, 0)));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), recv(self->fd, got.data, 100, 0));
}

TEST_F(io, S6_sigio)
{
	sigset_t set;
	struct timespec deadline = { .tv_sec = DEADLINE_MS / 1000 };

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	EXPECT_EQ(0, fcntl(self->fd, F_SETOWN, getpid()));
	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, O_ASYNC));
	loop_send(&self->loop, 10);
	EXPECT_EQ(SIGIO, sigtimedwait(&set, NULL, &deadline));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

/* One packet, one read */

TEST_F(io, S6_never_joined_nor_split)
{
	int i;

	for (i = 1; i <= 20; i++)
		loop_send(&self->loop, i);
	for (i = 1; i <= 20; i++)
		EXPECT_EQ(LEN(i), read(self->fd, got.data, sizeof(got.data)));
}

TEST_F(io, S6_short_buffer_truncates)
{
	struct iovec iov = { got.data, LEN(0) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	loop_send(&self->loop, 500);
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(0), recvmsg(self->fd, &msg, 0));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags);
	EXPECT_EQ(htons(LEN(500)), got.ip.tot_len);
	/* The rest is gone: the next read is the next packet. */
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

TEST_F(io, S6_msg_trunc_real_length)
{
	struct iovec iov = { got.data, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	loop_send(&self->loop, 500);
	EXPECT_EQ(LEN(500), recv(self->fd, got.data, 1, MSG_TRUNC | MSG_PEEK));
	EXPECT_EQ(LEN(500), recv(self->fd, NULL, 0, MSG_TRUNC | MSG_PEEK));
	EXPECT_EQ(LEN(500), recvmsg(self->fd, &msg, MSG_TRUNC));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags & MSG_TRUNC);

	loop_send(&self->loop, 500);
	EXPECT_EQ(LEN(500), recv(self->fd, got.data, LEN(500), MSG_TRUNC));
}

TEST_F(io, S6_empty_buffer_takes_packet)
{
	loop_send(&self->loop, 500);
	EXPECT_EQ(0, recv(self->fd, NULL, 0, 0));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(io, S6_msg_peek)
{
	struct sockaddr_in first, second;
	socklen_t len = sizeof(first);
	struct counters before;

	loop_send(&self->loop, 10);
	counters_read(&before);
	packet.len = recvfrom(self->fd, packet.data, 100, MSG_PEEK,
			      (struct sockaddr *)&first, &len);
	EXPECT_EQ(LEN(10), packet.len);
	EXPECT_EQ(0, counted_only(&before, "read"));

	EXPECT_EQ(LEN(10), divert_read(self->fd, &got, &second));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(0, memcmp(&first, &second, sizeof(first)));
	EXPECT_EQ(1, counted_only(&before, "read"));
}

TEST_F(io, S6_error_queue_is_empty)
{
	struct msghdr msg;

	EXPECT_EQ(-EAGAIN, receive(self->fd, &msg, MSG_ERRQUEUE));
	loop_send(&self->loop, 10);
	EXPECT_EQ(-EAGAIN, receive(self->fd, &msg, MSG_ERRQUEUE));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

/* Time */

static __s64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static __s64 timespec_us(const struct timespec *time)
{
	return time->tv_sec * 1000000LL + time->tv_nsec / 1000;
}

TEST_F(io, S6_so_timestamp)
{
	__s64 before = now_us(), time;
	struct msghdr msg;
	struct timeval *stamp;

	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_TIMESTAMP, 1));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
	stamp = control(&msg, SOL_SOCKET, SCM_TIMESTAMP);
	ASSERT_NE(NULL, stamp);
	time = stamp->tv_sec * 1000000LL + stamp->tv_usec;
	EXPECT_LE(before, time);
	EXPECT_GE(now_us(), time);
}

TEST_F(io, S6_so_timestampns)
{
	__s64 before = now_us();
	struct timespec *stamp;
	struct msghdr msg;

	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
	stamp = control(&msg, SOL_SOCKET, SCM_TIMESTAMPNS);
	ASSERT_NE(NULL, stamp);
	EXPECT_LE(before, timespec_us(stamp));
	EXPECT_GE(now_us(), timespec_us(stamp));
}

/* The time of diversion, however long the packet waits, held or not. */
TEST_F(io, O2_S6_time_of_diversion)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .close = DIVERT_POLICY_PASS,
	};
	struct timespec *stamp;
	struct msghdr msg;
	__s64 sent;
	int i;

	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	for (i = 0; i < 2; i++) {
		loop_send(&self->loop, 10);
		sent = now_us();
		while (now_us() < sent + 1000)
			;
		EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
		stamp = control(&msg, SOL_SOCKET, SCM_TIMESTAMPNS);
		ASSERT_NE(NULL, stamp);
		EXPECT_GE(sent, timespec_us(stamp));
		EXPECT_EQ(0, setsockopt(self->fd, SOL_DIVERT, DIVERT_LIMITS,
					&limits, sizeof(limits)));
	}
}

TEST_F(io, S6_so_timestamping)
{
	struct scm_timestamping *stamps;
	__s64 before = now_us();
	struct msghdr msg;

	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_TIMESTAMPING,
			     SOF_TIMESTAMPING_SOFTWARE |
			     SOF_TIMESTAMPING_RX_SOFTWARE));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
	stamps = control(&msg, SOL_SOCKET, SCM_TIMESTAMPING);
	ASSERT_NE(NULL, stamps);
	EXPECT_LE(before, timespec_us((struct timespec *)&stamps->ts[0]));
	EXPECT_GE(now_us(), timespec_us((struct timespec *)&stamps->ts[0]));
}

TEST_F(io, S6_siocgstamp)
{
	__s64 before = now_us();
	struct timespec stamp;

	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	EXPECT_EQ(0, ioctl(self->fd, SIOCGSTAMPNS_OLD, &stamp));
	EXPECT_LE(before, timespec_us(&stamp));
	EXPECT_GE(now_us(), timespec_us(&stamp));
}

TEST_F(io, S6_so_rxq_ovfl)
{
	struct counters before;
	struct msghdr msg;
	__u32 *drops;
	int i, held;

	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_RXQ_OVFL, 1));
	set_int(self->fd, SOL_SOCKET, SO_RCVBUF, 20000);
	counters_read(&before);
	for (i = 0; i < 50; i++)
		loop_send(&self->loop, 1000);
	held = counted(&before, "diverted");
	ASSERT_GT(50, held);
	for (i = 0; i < held; i++)
		EXPECT_EQ(LEN(1000), receive(self->fd, &msg, 0));

	/* Shown by the first packet that comes after the loss. */
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), receive(self->fd, &msg, 0));
	drops = control(&msg, SOL_SOCKET, SO_RXQ_OVFL);
	ASSERT_NE(NULL, drops);
	EXPECT_EQ(50U - held, *drops);
}

/* Options of the socket layer */

TEST_F(io, S6_so_mark_and_so_priority)
{
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_MARK, 0x42));
	EXPECT_EQ(0x42, get_int(self->fd, SOL_SOCKET, SO_MARK));
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_PRIORITY, 6));
	EXPECT_EQ(6, get_int(self->fd, SOL_SOCKET, SO_PRIORITY));
}

TEST_F(io, S6_so_bindtodevice)
{
	char name[IFNAMSIZ];
	socklen_t len = sizeof(name);

	EXPECT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo",
				3));
	EXPECT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_BINDTODEVICE, name,
				&len));
	EXPECT_STREQ("lo", name);
	EXPECT_EQ(-ENODEV, errno_of(setsockopt(self->fd, SOL_SOCKET,
					       SO_BINDTODEVICE, "none", 5)));
}

TEST_F(io, S6_so_broadcast_is_accepted)
{
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_BROADCAST, 1));
	EXPECT_EQ(1, get_int(self->fd, SOL_SOCKET, SO_BROADCAST));
}

static int queue_length(int fd, unsigned long request)
{
	int len = -1;

	return ioctl(fd, request, &len) ? -errno : len;
}

TEST_F(io, S6_siocinq)
{
	EXPECT_EQ(0, queue_length(self->fd, SIOCINQ));
	loop_send(&self->loop, 10);
	loop_send(&self->loop, 20);
	/* Of the next packet, as with other datagrams. */
	EXPECT_EQ(LEN(10), queue_length(self->fd, FIONREAD));
	EXPECT_EQ(LEN(10), queue_length(self->fd, SIOCINQ));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	EXPECT_EQ(LEN(20), queue_length(self->fd, SIOCINQ));
	EXPECT_TRUE(loop_pass(&self->loop, 20));
	EXPECT_EQ(0, queue_length(self->fd, SIOCINQ));
	EXPECT_EQ(-EFAULT, errno_of(ioctl(self->fd, SIOCINQ, 8)));
}

/* Packets that no driver has taken yet: those in a qdisc that lets none out. */
TEST_F(io, S6_siocoutq)
{
	EXPECT_EQ(0, queue_length(self->fd, SIOCOUTQ));
	EXPECT_EQ(0, queue_length(self->fd, TIOCOUTQ));
	ip_batch("link add d0 type dummy\n"
		 "address add 10.1.0.1/24 dev d0\n"
		 "link set d0 up\n");
	if (system("tc qdisc add dev d0 root tbf rate 8bit burst 2000 limit 99999"))
		die("tc");

	packet_make(&packet, "10.1.0.1", "10.1.0.2", 1500 - 28);
	EXPECT_EQ(1500, divert_write(self->fd, &packet, NULL));
	EXPECT_EQ(1500, divert_write(self->fd, &packet, NULL));
	EXPECT_LT(1500, queue_length(self->fd, SIOCOUTQ));

	ip_batch("link del d0\n");
	EXPECT_EQ(0, queue_length(self->fd, SIOCOUTQ));
}

TEST_F(io, S6_interface_ioctls)
{
	struct ifreq ifr = { .ifr_name = "lo" };

	EXPECT_EQ(0, ioctl(self->fd, SIOCGIFINDEX, &ifr));
	EXPECT_EQ(ifindex_of("lo"), ifr.ifr_ifindex);
	EXPECT_EQ(0, ioctl(self->fd, SIOCGIFADDR, &ifr));
	EXPECT_EQ(inet_addr(LOOP),
		  ((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr);
	EXPECT_EQ(0, ioctl(self->fd, SIOCGIFMTU, &ifr));
	EXPECT_EQ(65536, ifr.ifr_mtu);
	EXPECT_EQ(0, ioctl(self->fd, SIOCGIFFLAGS, &ifr));
	EXPECT_NE(0, ifr.ifr_flags & IFF_LOOPBACK);
}

/* io_uring, one request at a time */

struct uring {
	int fd;
	struct io_uring_params params;
	struct io_uring_sqe *sqes;
	char *ring;
};

static unsigned int *uring_word(struct uring *uring, __u32 offset)
{
	return (unsigned int *)(uring->ring + offset);
}

static int uring_open(struct uring *uring)
{
	int prot = PROT_READ | PROT_WRITE;

	memset(uring, 0, sizeof(*uring));
	uring->fd = syscall(SYS_io_uring_setup, 1, &uring->params);
	if (uring->fd < 0)
		return -errno;
	uring->ring = mmap(NULL, 4096, prot, MAP_SHARED, uring->fd,
			   IORING_OFF_SQ_RING);
	uring->sqes = mmap(NULL, 4096, prot, MAP_SHARED, uring->fd,
			   IORING_OFF_SQES);
	if (uring->ring == MAP_FAILED || uring->sqes == MAP_FAILED)
		die("io_uring's memory");
	return 0;
}

static int uring_submit(struct uring *uring, int opcode, int fd,
			struct msghdr *msg)
{
	unsigned int *tail = uring_word(uring, uring->params.sq_off.tail);

	memset(uring->sqes, 0, sizeof(*uring->sqes));
	uring->sqes->opcode = opcode;
	uring->sqes->fd = fd;
	uring->sqes->addr = (unsigned long)msg;
	uring->sqes->len = 1;
	*uring_word(uring, uring->params.sq_off.array) = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return errno_of(syscall(SYS_io_uring_enter, uring->fd, 1, 0, 0, NULL,
				0));
}

static int uring_wait(struct uring *uring)
{
	unsigned int *head = uring_word(uring, uring->params.cq_off.head);
	unsigned int mask = *uring_word(uring, uring->params.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (void *)uring_word(uring,
						uring->params.cq_off.cqes);
	int res;

	if (syscall(SYS_io_uring_enter, uring->fd, 0, 1,
		    IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = cqes[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

TEST_F(io, S6_io_uring)
{
	struct sockaddr_in sin;
	struct iovec iov = { got.data, sizeof(got.data) };
	struct msghdr msg = {
		.msg_name = &sin, .msg_namelen = sizeof(sin),
		.msg_iov = &iov, .msg_iovlen = 1,
	};
	struct uring uring;
	int err = uring_open(&uring);

	if (err)
		SKIP(return, "io_uring: %s", strerror(-err));

	/* Nothing there yet: it waits, and we do not. */
	EXPECT_EQ(0, uring_submit(&uring, IORING_OP_RECVMSG, self->fd, &msg));
	loop_send(&self->loop, 10);
	EXPECT_EQ(LEN(10), uring_wait(&uring));
	EXPECT_EQ(COOKIE, divert_cookie(&sin));

	iov.iov_len = LEN(10);
	EXPECT_EQ(0, uring_submit(&uring, IORING_OP_SENDMSG, self->fd, &msg));
	EXPECT_EQ(LEN(10), uring_wait(&uring));
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));

	/* Refusals arrive, too. */
	iov.iov_len = 5;
	EXPECT_EQ(0, uring_submit(&uring, IORING_OP_SENDMSG, self->fd, &msg));
	EXPECT_EQ(-EINVAL, uring_wait(&uring));
	close(uring.fd);
}

TEST_HARNESS_MAIN
