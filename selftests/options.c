// SPDX-License-Identifier: GPL-2.0
/*
 * The options that exist, and that nothing else does: every level, name and
 * length there may be, and every ioctl of sockets.
 *
 * TIMEOUT=240
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/in6.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "divert_test.h"
#include "kselftest_harness.h"

/* Of <linux/...>, which does not get on with <netinet/in.h>. */
#define MRT_INIT		200
#define IP_ROUTER_ALERT_OPTION	5
#define IPT_SO_SET_REPLACE	64

static __u8 value[8192];

FIXTURE(option)
{
	struct loop loop;
	int fd;
};

FIXTURE_SETUP(option)
{
	loop_open(&self->loop);
	self->fd = self->loop.fd;
}

FIXTURE_TEARDOWN(option)
{
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

static int get(int fd, int level, int name, int len)
{
	return errno_of(syscall(SYS_getsockopt, fd, level, name, value, &len));
}

static int set(int fd, int level, int name, int len)
{
	return errno_of(syscall(SYS_setsockopt, fd, level, name, value, len));
}

TEST_F(option, S7_ip_hdrincl_reads_1)
{
	EXPECT_EQ(1, get_int(self->fd, SOL_IP, IP_HDRINCL));
	EXPECT_EQ(-ENOPROTOOPT, set_int(self->fd, SOL_IP, IP_HDRINCL, 0));
	EXPECT_EQ(1, get_int(self->fd, SOL_IP, IP_HDRINCL));
}

/* What a raw socket would take, each named for the hole it would open. */
TEST_F(option, S7_refused)
{
	static const struct {
		int level;
		int name;
		const char *what;
	} options[] = {
		{ SOL_IP, IP_ROUTER_ALERT_OPTION, "IP_ROUTER_ALERT" },
		{ SOL_IP, MRT_INIT, "MRT_INIT" },
		{ SOL_IP, IPT_SO_SET_REPLACE, "IPT_SO_SET_REPLACE" },
		{ SOL_IP, IP_TOS, "IP_TOS" },
		{ SOL_IP, IP_TTL, "IP_TTL" },
		{ SOL_IP, IP_RECVERR, "IP_RECVERR" },
		{ SOL_IP, IP_PKTINFO, "IP_PKTINFO" },
		{ SOL_IP, IP_TRANSPARENT, "IP_TRANSPARENT" },
		{ SOL_IP, IP_FREEBIND, "IP_FREEBIND" },
		{ SOL_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER" },
		{ SOL_IP, IP_NODEFRAG, "IP_NODEFRAG" },
		{ SOL_IP, IP_CHECKSUM, "IP_CHECKSUM" },
		{ SOL_IP, IP_UNICAST_IF, "IP_UNICAST_IF" },
		{ SOL_IP, IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP" },
		{ SOL_IP, MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP" },
		{ SOL_IP, IP_XFRM_POLICY, "IP_XFRM_POLICY" },
		{ SOL_IP, IP_MSFILTER, "IP_MSFILTER" },
		{ SOL_IPV6, IPV6_ADDRFORM, "IPV6_ADDRFORM" },
		{ SOL_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF" },
		{ SOL_RAW, 1, "ICMP_FILTER" },
	};
	int i;

	for (i = 0; i < ARRAY_LEN(options); i++) {
		EXPECT_EQ(-ENOPROTOOPT, set_int(self->fd, options[i].level,
						options[i].name, 1)) {
			TH_LOG("%s", options[i].what);
		}
		EXPECT_EQ(-ENOPROTOOPT, get_int(self->fd, options[i].level,
						options[i].name)) {
			TH_LOG("%s", options[i].what);
		}
	}
}

/* Port 2 is IGMP's number: the socket must not pass for a routing daemon's. */
TEST_F(option, S7_mrt_init_on_port_2)
{
	int fd = divert_open(2);

	EXPECT_EQ(-ENOPROTOOPT, set_int(fd, SOL_IP, MRT_INIT, 1));
	EXPECT_EQ(-ENOPROTOOPT, get_int(fd, SOL_IP, MRT_INIT + 9));
	EXPECT_NE(0, ioctl(fd, SIOCPROTOPRIVATE, value));
}

TEST_F(option, S7_accepted_and_read_back)
{
	unsigned char nop[4] = { 1, 1, 1, 0 }, got[40];
	socklen_t len = sizeof(got);

	EXPECT_EQ(0, setsockopt(self->fd, SOL_IP, IP_OPTIONS, nop, 4));
	EXPECT_EQ(0, getsockopt(self->fd, SOL_IP, IP_OPTIONS, got, &len));
	EXPECT_EQ(4U, len);
	EXPECT_EQ(0, memcmp(nop, got, 4));
	EXPECT_EQ(0, setsockopt(self->fd, SOL_IP, IP_OPTIONS, NULL, 0));

	EXPECT_EQ(0, set_int(self->fd, SOL_IP, IP_MULTICAST_TTL, 7));
	EXPECT_EQ(7, get_int(self->fd, SOL_IP, IP_MULTICAST_TTL));
	EXPECT_EQ(0, set_int(self->fd, SOL_IP, IP_MULTICAST_LOOP, 0));
	EXPECT_EQ(0, get_int(self->fd, SOL_IP, IP_MULTICAST_LOOP));
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_DONTROUTE, 1));
	EXPECT_EQ(1, get_int(self->fd, SOL_SOCKET, SO_DONTROUTE));
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_DONTROUTE, 0));
}

TEST_F(option, S7_before_bind)
{
	int fd = divert_socket();

	EXPECT_EQ(0, set_int(fd, SOL_IP, IP_MULTICAST_TTL, 7));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_MARK, 7));
	EXPECT_EQ(0, divert_bind(fd, 5));
	EXPECT_EQ(7, get_int(fd, SOL_IP, IP_MULTICAST_TTL));
	EXPECT_EQ(7, get_int(fd, SOL_SOCKET, SO_MARK));
}

TEST_F(option, S7_bad_values_are_refused)
{
	unsigned char long_option[] = { 7, 40, 4, 0 };

	EXPECT_EQ(-EINVAL, errno_of(setsockopt(self->fd, SOL_IP, IP_OPTIONS,
					       long_option, 4)));
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(self->fd, SOL_IP, IP_OPTIONS,
					       value, 41)));
	EXPECT_EQ(-EINVAL, set(self->fd, SOL_IP, IP_MULTICAST_IF, 1));
	EXPECT_EQ(-EINVAL, set(self->fd, SOL_IP, IP_MULTICAST_TTL, -1));
	EXPECT_EQ(-EFAULT, errno_of(syscall(SYS_setsockopt, self->fd, SOL_IP,
					    IP_OPTIONS, 8, 4)));
}

/* With the manual's errors; the socket is left as it was. */
TEST_F(option, S6_S7_errors_of_other_levels)
{
	struct timeval time = { .tv_usec = 1000000 };
	struct ip_mreqn by = { .imr_ifindex = 9999 };
	int fd = divert_socket(), i;

	EXPECT_EQ(-EADDRNOTAVAIL, errno_of(setsockopt(fd, SOL_IP,
						      IP_MULTICAST_IF, &by,
						      sizeof(by))));
	EXPECT_EQ(1, get_int(fd, SOL_IP, IP_MULTICAST_TTL));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-EINVAL, set_int(fd, SOL_IP, IP_MULTICAST_TTL,
					   i ? 256 : -2));
	EXPECT_EQ(0, set_int(fd, SOL_IP, IP_MULTICAST_TTL, -1));
	EXPECT_EQ(1, get_int(fd, SOL_IP, IP_MULTICAST_LOOP));
	EXPECT_EQ(-EDOM, errno_of(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
					     &time, sizeof(time))));
	EXPECT_EQ(-EDOM, errno_of(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO,
					     &time, sizeof(time))));
	EXPECT_EQ(-EBADF, set_int(fd, SOL_SOCKET, SO_ATTACH_BPF, -1));
	EXPECT_EQ(-EINVAL, set(fd, SOL_SOCKET, SO_ATTACH_FILTER, 1));
	EXPECT_EQ(-ENOENT, set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	EXPECT_EQ(-ENOENT, set_int(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1));
	EXPECT_EQ(-EPERM, set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0));

	/* A multicast interface that is not the one it is bound to. */
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	ip_batch("link add d1 type dummy\n");
	by.imr_ifindex = ifindex_of("d1");
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &by,
					       sizeof(by))));
}

TEST_F(option, S2_S7_errors_of_ipv6)
{
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT), i;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, get_int(fd, SOL_IPV6, IPV6_MULTICAST_IF));
	EXPECT_EQ(1, get_int(fd, SOL_IPV6, IPV6_MULTICAST_LOOP));
	EXPECT_EQ(-ENODEV, set_int(fd, SOL_IPV6, IPV6_MULTICAST_IF, 9999));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-EINVAL, set_int(fd, SOL_IPV6, IPV6_MULTICAST_HOPS,
					   i ? 256 : -2));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_IPV6, IPV6_MULTICAST_LOOP, 2));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	ip_batch("link add d1 type dummy\n");
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_IPV6, IPV6_MULTICAST_IF,
				   ifindex_of("d1")));
}

TEST_F(option, S6_buffers)
{
	static const int names[][2] = {
		{ SO_RCVBUF, SO_RCVBUFFORCE }, { SO_SNDBUF, SO_SNDBUFFORCE },
	};
	int fd = divert_socket(), i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		EXPECT_EQ(4 << 20, get_int(fd, SOL_SOCKET, names[i][0]));
		EXPECT_EQ(0, set_int(fd, SOL_SOCKET, names[i][0], 50000));
		EXPECT_EQ(100000, get_int(fd, SOL_SOCKET, names[i][0]));
		/* More than the host's limit, which is no error. */
		EXPECT_EQ(0, set_int(fd, SOL_SOCKET, names[i][0], 32 << 20));
		EXPECT_GT(64 << 20, get_int(fd, SOL_SOCKET, names[i][0]));
		EXPECT_EQ(0, set_int(fd, SOL_SOCKET, names[i][1], 32 << 20));
		EXPECT_EQ(64 << 20, get_int(fd, SOL_SOCKET, names[i][0]));
	}
}

TEST_F(option, S6_without_privileges)
{
	int fd = divert_socket();

	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	caps_keep(0);
	EXPECT_EQ(-EPERM, errno_of(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE,
					      "", 0)));
	EXPECT_EQ(-EPERM, set_int(fd, SOL_SOCKET, SO_MARK, 1));
	EXPECT_EQ(-EPERM, set_int(fd, SOL_SOCKET, SO_PRIORITY, 7));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_PRIORITY, 6));
	EXPECT_EQ(-EPERM, set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, 50000));
	EXPECT_EQ(-EPERM, set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, 50000));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_RCVBUF, 50000));
}

TEST_F(option, S8_unknown_enoprotoopt)
{
	static const int names[] = { 0, -1, 200, 255, 256, 1 << 30 };
	int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		EXPECT_EQ(-ENOPROTOOPT, set_int(self->fd, SOL_DIVERT, names[i],
						1));
		EXPECT_EQ(-ENOPROTOOPT, get_int(self->fd, SOL_DIVERT,
						names[i]));
	}
}

/* Sweeps */

static const int levels[] = {
	/* These for each of fills[]. */
	SOL_IP, SOL_IPV6, SOL_DIVERT, SOL_DIVERT, SOL_IP, SOL_IPV6, SOL_IPV6,
	SOL_DIVERT, SOL_IP,
	IPPROTO_IGMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_ICMPV6,
	IPPROTO_SCTP, IPPROTO_UDPLITE, SOL_RAW, SOL_DIVERT - 1, SOL_DIVERT + 1,
	261, SOL_PACKET, SOL_NETLINK, SOL_TIPC, 100, SOL_XDP, SOL_MPTCP, 300,
	65535, -1,
};

static const int lengths[] = { 0, 1, 3, 4, 5, 8, 15, 16, 40, 255, 4096, -1 };

/* What S7 and O1 list, and what is yet to come at our own level. */
static bool may_exist(int fd, int level, int name, bool setting)
{
	if (level == SOL_DIVERT)
		return name > 0 && name < 128;
	if (level == SOL_IPV6 &&
	    get_int(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6)
		return name == IPV6_MULTICAST_IF ||
		       name == IPV6_MULTICAST_HOPS ||
		       name == IPV6_MULTICAST_LOOP;
	if (level != SOL_IP)
		return false;
	return name == IP_OPTIONS || name == IP_MULTICAST_IF ||
	       name == IP_MULTICAST_TTL || name == IP_MULTICAST_LOOP ||
	       (name == IP_HDRINCL && !setting);
}

/* What options are set to: nothing, something small, nonsense. */
static const __u8 fills[] = { 0x00, 0x01, 0xff };

static void fill(int i)
{
	memset(value, fills[i], sizeof(value));
}

/* The kernel itself refuses to set an option of negative length. */
static bool set_refused(int fd, int level, int name, int len)
{
	return set(fd, level, name, len) == (len < 0 ? -EINVAL : -ENOPROTOOPT);
}

/* Number of calls that should have been refused and were not. */
static int sweep_name(int fd, int level, int name)
{
	int i, failed = 0;

	for (i = 0; i < ARRAY_LEN(lengths); i++) {
		if (!set_refused(fd, level, name, lengths[i]))
			failed += !may_exist(fd, level, name, true);
		if (get(fd, level, name, lengths[i]) != -ENOPROTOOPT)
			failed += !may_exist(fd, level, name, false);
	}
	return failed;
}

/* Undo what had a right to succeed: packets are read as ever. */
static int unsweep(int fd)
{
	return setsockopt(fd, SOL_IP, IP_OPTIONS, NULL, 0) ?:
	       set_int(fd, SOL_DIVERT, DIVERT_INFO, 0) ?:
	       set_int(fd, SOL_DIVERT, DIVERT_GSO, 0) ?:
	       set_int(fd, SOL_DIVERT, DIVERT_RECORDS, 0) ?:
	       set_int(fd, SOL_DIVERT, DIVERT_INPLACE, 0);
}

static int sweep_levels(int fd)
{
	int i, name, failed = 0;

	for (i = 0; i < ARRAY_LEN(levels); i++) {
		int level_failed = 0;

		fill(i % ARRAY_LEN(fills));
		for (name = 0; name < 256; name++)
			level_failed += sweep_name(fd, levels[i], name);
		if (level_failed)
			fprintf(stderr, "# level %d: %d not refused\n",
				levels[i], level_failed);
		failed += level_failed;
	}
	return failed;
}

/* Nothing of the socket layer's options is ours; they must do no harm. */
static void sweep_socket_level(int fd)
{
	int name, i, j;

	for (j = 0; j < ARRAY_LEN(fills); j++) {
		for (name = 0; name < 256; name++) {
			/* Says forever that the filter stays what it is. */
			if (name == SO_LOCK_FILTER)
				continue;
			fill(j);
			for (i = 0; i < ARRAY_LEN(lengths); i++)
				set(fd, SOL_SOCKET, name, lengths[i]);
			for (i = 0; i < ARRAY_LEN(lengths); i++)
				get(fd, SOL_SOCKET, name, lengths[i]);
		}
	}
}

static void sweep_ioctls(int fd)
{
	static const unsigned long others[] = {
		FIONREAD, TIOCOUTQ, FIONBIO, FIONCLEX, FIOCLEX, TIOCGWINSZ,
		TCGETS, TIOCSTI, FIOQSIZE, 0, -1,
	};
	int i, j;

	for (i = 0x8900; i <= 0x89ff; i++) {
		for (j = 0; j < ARRAY_LEN(fills); j++) {
			fill(j);
			ioctl(fd, i, value);
		}
		fill(0);
		strcpy((char *)value, "lo");
		ioctl(fd, i, value);
		ioctl(fd, i, 0);
		ioctl(fd, i, 8);
	}
	fill(0);
	for (i = 0; i < ARRAY_LEN(others); i++)
		ioctl(fd, others[i], value);
	fcntl(fd, F_SETFL, 0);
}

/* The process's capabilities, as the kernel shows them. */
static void capabilities(char *line, int size)
{
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, size, file))
		if (!strncmp(line, "CapEff:", 7))
			break;
	if (!file)
		die("/proc/self/status");
	fclose(file);
}

/* Devices and routes, to see what an unprivileged sweep has changed. */
static void configuration(char *text, int size)
{
	static const char * const files[] = {
		"/proc/self/net/if_inet6", "/proc/self/net/route",
		"/proc/self/net/dev_mcast", "/proc/self/net/arp",
		"/proc/self/net/ip_mr_vif", "/proc/self/net/fib_trie",
	};
	int i, used = 0;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		int fd = open(files[i], O_RDONLY);
		int len = fd < 0 ? 0 : read(fd, text + used, size - used - 1);

		used += len > 0 ? len : 0;
		close(fd);
	}
	text[used] = 0;
}

TEST_F_TIMEOUT(option, S7_sweep_as_root, 120)
{
	EXPECT_EQ(0, sweep_levels(self->fd));
	EXPECT_EQ(0, unsweep(self->fd));
}

TEST_F_TIMEOUT(option, S2_sweep_of_the_other_family, 120)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(5),
	};
	struct loop way = self->loop;

	way.fd = socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT);
	if (get_int(way.fd, SOL_DIVERT, DIVERT_VERSION) < 0)
		SKIP(return, "no IPv6 here");
	ASSERT_EQ(0, bind(way.fd, (struct sockaddr *)&sin6, sizeof(sin6)));
	EXPECT_EQ(0, sweep_levels(way.fd));

	way.tx = udp_open(NULL, MARK(5, 1));
	loop_send(&way, 10);
	EXPECT_EQ(28 + 10, recv(way.fd, value, sizeof(value), 0));
}

TEST_F_TIMEOUT(option, S7_sweep_of_socket_level, 120)
{
	int fd = divert_open(5);
	struct loop way = { fd, udp_open(NULL, MARK(5, 1)), self->loop.rx };

	sweep_socket_level(fd);
	set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
	set_int(fd, SOL_SOCKET, SO_DONTROUTE, 0);
	set_int(fd, SOL_SOCKET, SO_MARK, 0);
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1);
	loop_send(&way, 10);
	EXPECT_TRUE(loop_pass(&way, 10));
}

/* In namespaces of its own, where the calls may reconfigure what they like, and
 * where the kernel does not go looking for modules for each device name.
 */
static int sweep_ioctls_as_admin(int family)
{
	pid_t pid = fork();
	int fd, status;

	if (pid) {
		waitpid(pid, &status, 0);
		return WEXITSTATUS(status);
	}

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		_exit(KSFT_SKIP);
	fd = socket(family, SOCK_RAW, IPPROTO_DIVERT);
	sweep_ioctls(fd);
	_exit(get_int(fd, SOL_DIVERT, DIVERT_VERSION) > 0 ? 0 : KSFT_FAIL);
}

TEST_F_TIMEOUT(option, S6_sweep_of_ioctls_as_admin, 120)
{
	int status = sweep_ioctls_as_admin(AF_INET);

	if (status == KSFT_SKIP)
		SKIP(return, "no user namespaces here");
	EXPECT_EQ(0, status);
}

TEST_F_TIMEOUT(option, S2_sweep_of_ioctls_as_admin, 120)
{
	int status = sweep_ioctls_as_admin(AF_INET6);

	if (status == KSFT_SKIP)
		SKIP(return, "no user namespaces here");
	EXPECT_EQ(0, status);
}

/* With a socket that somebody more powerful has left to us. */
TEST_F_TIMEOUT(option, S3_sweep_with_cap_net_raw_alone, 120)
{
	static char before[65536], after[65536], caps[2][128];

	if (setresgid(65534, 65534, 65534))
		die("setgid");
	caps_keep(CAP_BIT(CAP_NET_RAW));
	capabilities(caps[0], sizeof(caps[0]));
	configuration(before, sizeof(before));

	EXPECT_EQ(0, sweep_levels(self->fd));
	EXPECT_EQ(0, unsweep(self->fd));
	sweep_ioctls(self->fd);
	EXPECT_GT(0, socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT));

	capabilities(caps[1], sizeof(caps[1]));
	configuration(after, sizeof(after));
	EXPECT_STREQ(caps[0], caps[1]);
	EXPECT_STREQ(before, after);
}

TEST_HARNESS_MAIN
