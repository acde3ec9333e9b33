// SPDX-License-Identifier: GPL-2.0
/*
 * The control message of a packet: what it says when read, what it does when
 * written.
 *
 * TIMEOUT=240
 */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

/* Of <netinet/in.h> and <net/if.h>'s neighbours. */
#define TTL_OPTION	2
#define TOS_OPTION	1

static struct packet packet, got;
static struct divert_info info;
static struct sockaddr_in from;

/*	peer v1 ─────── v0 here d1
 *	10.0.0.2  10.0.0.1  10.1.0.1
 */
FIXTURE(info)
{
	int peer;
	int fd;
	int tx;
	int rx;
	int seen;		/* what d1 sends and receives */
	struct counters before;
};

FIXTURE_SETUP(info)
{
	int here;

	ns_new();
	here = ns_open();
	self->peer = veth_new();
	ns_enter(self->peer);
	ip_batch("route add 10.1.0.0/24 via 10.0.0.1\n");
	ns_enter(here);
	ip_batch("link add d1 type dummy\n"
		 "address add 10.1.0.1/24 dev d1\n"
		 "link set d1 up\n"
		 "neighbour add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d1\n");
	sysctl_write("net/ipv4/ip_forward", "1");
	self->fd = divert_open(PORT);
	self->tx = udp_open(NULL, MARK(PORT, COOKIE));
	self->rx = udp_open("0.0.0.0", 0);
	self->seen = capture_open("d1");
	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 1));
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(info)
{
}

/* From the peer to this host or through it. */
static void peer_sends(int peer, const char *to, int payload)
{
	int here = ns_open(), fd;

	ns_enter(peer);
	fd = udp_open(NULL, 0);
	udp_send(fd, to, payload);
	close(fd);
	ns_enter(here);
	close(here);
}

/* Fills in packet, from and info; the length, or what went wrong. */
static int read_info(int fd)
{
	char control[CMSG_SPACE(sizeof(info)) + 64];
	struct iovec iov = { packet.data, sizeof(packet.data) };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	memset(&info, 0, sizeof(info));
	if (!wait_readable(fd))
		return -ETIMEDOUT;
	packet.len = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (packet.len < 0)
		return -errno;

	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		return 0;
	if (cmsg->cmsg_level != SOL_DIVERT || cmsg->cmsg_type != DIVERT_INFO ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(info)) || msg.msg_flags)
		return -EBADMSG;
	memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
	return packet.len;
}

static int write_control(int fd, const struct sockaddr_in *to, int level,
			 int type, const void *data, int len)
{
	char control[512] __attribute__((__aligned__(8))) = { };
	struct iovec iov = { packet.data, packet.len };
	struct msghdr msg = {
		.msg_name = (void *)to, .msg_namelen = to ? sizeof(*to) : 0,
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = CMSG_SPACE(len),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cmsg), data, len);
	return errno_of(sendmsg(fd, &msg, 0));
}

static int write_info(int fd, const struct sockaddr_in *to)
{
	return write_control(fd, to, SOL_DIVERT, DIVERT_INFO, &info,
			     sizeof(info));
}

static void info_for(int hook)
{
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	info.hook = hook;
}

/* The option */

TEST_F(info, O2_option)
{
	int fd = divert_socket();
	long value = 1;

	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_INFO));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_INFO));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_INFO, 2));
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_INFO,
					       &value, sizeof(value))));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_INFO));
}

TEST_F(info, O2_only_when_asked)
{
	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 0));
	udp_send(self->tx, LOOP, 10);
	/* Before it was asked for. */
	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 1));
	udp_send(self->tx, LOOP, 10);
	EXPECT_EQ(0, read_info(self->fd));
	EXPECT_EQ(38, read_info(self->fd));
	udp_send(self->tx, LOOP, 10);
	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 0));
	EXPECT_EQ(0, read_info(self->fd));
}

TEST_F(info, O2_short_control_buffer)
{
	char control[32];
	struct iovec iov = { packet.data, sizeof(packet.data) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	udp_send(self->tx, LOOP, 10);
	EXPECT_EQ(38, recvmsg(self->fd, &msg, MSG_DONTWAIT));
	EXPECT_EQ(MSG_CTRUNC, msg.msg_flags & MSG_CTRUNC);
}

/* Reading */

TEST_F(info, R5_received)
{
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_EQ(0U, info.flags & ~DIVERT_INFO_CSUM_VALID);
	EXPECT_EQ(1U, info.id);
	EXPECT_EQ((__u32)ifindex_of("v0"), info.iif);
	EXPECT_EQ(0U, info.oif);
	EXPECT_STREQ("v0", info.ifname);
	EXPECT_EQ(DIVERT_HOOK_PRE_ROUTING, info.hook);
	EXPECT_EQ(AF_INET, info.family);
	EXPECT_EQ(PORT, info.port);
	EXPECT_EQ(COOKIE, info.cookie);
	EXPECT_EQ(0, info.vlan);
	EXPECT_EQ(0U, info.mark);
	EXPECT_NE(0U, info.hash);
	EXPECT_EQ(38U, info.len);
	EXPECT_EQ(0U, info.frag_max);
	EXPECT_EQ(0U, info.uid);
	EXPECT_EQ(0U, info.sock_cookie);
	EXPECT_EQ(0U, info.cgroup);
	EXPECT_EQ(0U, info.ct_id);
}

TEST_F(info, R5_full_interface_name)
{
	ip_batch("link add a-long-name type dummy\n"
		 "address add 10.4.0.1/24 dev a-long-name\n"
		 "link set a-long-name up\n");
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	packet_make(&packet, "10.4.0.2", "10.4.0.1", 10);
	info_for(DIVERT_HOOK_PRE_ROUTING);
	info.iif = ifindex_of("a-long-name");
	EXPECT_EQ(0, write_info(self->fd, NULL));
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_STREQ("a-long-name", info.ifname);
}

/* The tag has been taken off, the device is the VLAN's. */
TEST_F(info, R3_R5_vlan_device)
{
	int here = ns_open();

	ns_enter(self->peer);
	ip_batch("link add link v1 name v1.5 type vlan id 5\n"
		 "address add 10.5.0.2/24 dev v1.5\n"
		 "link set v1.5 up\n");
	ns_enter(here);
	ip_batch("link add link v0 name v0.5 type vlan id 5\n"
		 "address add 10.5.0.1/24 dev v0.5\n"
		 "link set v0.5 up\n");
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.5.0.1", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_STREQ("v0.5", (char *)from.sin_zero);
	EXPECT_EQ(inet_addr("10.5.0.1"), from.sin_addr.s_addr);
	EXPECT_STREQ("v0.5", info.ifname);
	EXPECT_EQ((__u32)ifindex_of("v0.5"), info.iif);
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_VLAN);
}

TEST_F(info, R5_loopback)
{
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	set_int(self->tx, SOL_SOCKET, SO_MARK, 0);
	udp_send(self->tx, LOOP, 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_LOOPBACK, info.flags & DIVERT_INFO_LOOPBACK);
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_SENDER);
	EXPECT_STREQ("lo", info.ifname);
}

/* This process's cgroup, as the kernel numbers it. */
static __u64 own_cgroup(void)
{
	char line[256], path[512] = "";
	struct stat st;
	FILE *file = fopen("/proc/self/cgroup", "r");

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "0::", 3))
			snprintf(path, sizeof(path), "/sys/fs/cgroup%s",
				 line + 3);
	}
	if (!file || stat(path, &st))
		die("cgroup %s", path);
	fclose(file);
	return st.st_ino;
}

TEST_F(info, R5_locally_made)
{
	__u64 cookie;
	socklen_t len = sizeof(cookie);
	int tx;

	setfsuid(1234);
	tx = udp_open(NULL, MARK(PORT, COOKIE));
	setfsuid(0);
	ASSERT_EQ(0, getsockopt(tx, SOL_SOCKET, SO_COOKIE, &cookie, &len));

	udp_send(tx, "10.0.0.2", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_SENDER, info.flags & DIVERT_INFO_SENDER);
	EXPECT_EQ(0U, info.flags & (DIVERT_INFO_TEE | DIVERT_INFO_LOOPBACK |
				    DIVERT_INFO_REASSEMBLED |
				    DIVERT_INFO_VLAN | DIVERT_INFO_OIF));
	EXPECT_EQ(0U, info.iif);
	EXPECT_EQ((__u32)ifindex_of("v0"), info.oif);
	EXPECT_STREQ("", info.ifname);
	EXPECT_EQ(DIVERT_HOOK_LOCAL_OUT, info.hook);
	EXPECT_EQ(1234U, info.uid);
	EXPECT_EQ(cookie, info.sock_cookie);
	EXPECT_EQ(own_cgroup(), info.cgroup);
	/* What it was routed with. */
	EXPECT_EQ(MARK(PORT, COOKIE), info.mark);
}

/* A connection's first answer is sent before there is a socket for it. */
TEST_F(info, R5_W9_answer_of_a_listener)
{
	struct sockaddr_in to = inet_address("10.0.0.1", 5001);
	int listener = socket(AF_INET, SOCK_STREAM, 0), here = ns_open(), tx;

	nft_load("table ip m {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  tcp sport 5001 meta mark set 0x%x\n"
		 " }\n"
		 "}\n", MARK(PORT, COOKIE));
	ASSERT_EQ(0, setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "v0", 3));
	ASSERT_EQ(0, set_int(listener, SOL_SOCKET, SO_MARK, 0x70000));
	ASSERT_EQ(0, bind(listener, (struct sockaddr *)&to, sizeof(to)));
	ASSERT_EQ(0, listen(listener, 1));
	ns_enter(self->peer);
	tx = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ASSERT_EQ(-1, connect(tx, (struct sockaddr *)&to, sizeof(to)));
	ns_enter(here);

	ASSERT_LT(0, read_info(self->fd));
	EXPECT_EQ(IPPROTO_TCP, packet.ip.protocol);
	EXPECT_TRUE(info.flags & DIVERT_INFO_OIF);
	EXPECT_EQ((__u32)ifindex_of("v0"), info.oif);
	EXPECT_EQ(0x70000U, info.mark);
}

TEST_F(info, R5_sender_at_post_routing)
{
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	set_int(self->tx, SOL_SOCKET, SO_MARK, 0);
	udp_send(self->tx, "10.0.0.2", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_HOOK_POST_ROUTING, info.hook);
	EXPECT_EQ(DIVERT_INFO_SENDER, info.flags & DIVERT_INFO_SENDER);
	EXPECT_EQ(0U, info.iif);
	EXPECT_EQ((__u32)ifindex_of("v0"), info.oif);
	EXPECT_EQ(0U, info.mark);
}

TEST_F(info, R5_forwarded)
{
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.1.0.2", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_HOOK_POST_ROUTING, info.hook);
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_SENDER);
	EXPECT_EQ((__u32)ifindex_of("v0"), info.iif);
	EXPECT_STREQ("v0", info.ifname);
	EXPECT_EQ((__u32)ifindex_of("d1"), info.oif);
}

/* Its VRF is no sender that would be bound to it. */
TEST_F(info, R5_forwarded_in_a_vrf)
{
	if (system("modprobe -q vrf"))
		SKIP(return, "no VRF devices");
	ip_batch("link add vrf0 type vrf table 10\n"
		 "link set vrf0 up\n"
		 "link set v0 master vrf0\n"
		 "link set d1 master vrf0\n"
		 "neighbour replace 10.1.0.2 lladdr 02:00:00:00:00:02 dev d1\n");
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.1.0.2", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ((__u32)ifindex_of("vrf0"), info.iif);
	EXPECT_EQ((__u32)ifindex_of("d1"), info.oif);
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_OIF);
}

/* Made here, or received with a checksum that nobody has looked at. */
TEST_F(info, R5_checksum)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "v0");

	udp_send(self->tx, LOOP, 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_CSUM_VALID, info.flags & DIVERT_INFO_CSUM_VALID);

	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	packet_make(&packet, "10.0.0.2", "10.0.0.1", 10);
	EXPECT_EQ(38, divert_write(self->fd, &packet, &to));
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_CSUM_VALID);
}

static void map_ids(pid_t pid, const char *file)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0 100000 1000", 13) != 13)
		die("%s", path);
	close(fd);
}

/* In a namespace whose users have other numbers outside. */
static int uid_read_inside(const int *go)
{
	int fd, tx;
	char byte;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) || write(go[1], "", 1) != 1 ||
	    read(go[1], &byte, 1) != 1 || setresuid(0, 0, 0))
		return KSFT_SKIP;
	ip_batch("link set lo up\n");
	fd = divert_open(PORT);
	setfsuid(5);
	tx = udp_open(NULL, MARK(PORT, COOKIE));
	setfsuid(0);
	if (set_int(fd, SOL_DIVERT, DIVERT_INFO, 1))
		return KSFT_FAIL;
	udp_send(tx, LOOP, 10);
	return read_info(fd) == 38 && info.uid == 5 ? 0 : KSFT_FAIL;
}

TEST_F(info, R5_uid_in_the_terms_of_the_owner)
{
	int go[2], status;
	char byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, go))
		die("socketpair");
	pid = fork();
	if (!pid)
		_exit(uid_read_inside(go));
	close(go[1]);
	if (read(go[0], &byte, 1) == 1) {
		map_ids(pid, "uid_map");
		map_ids(pid, "gid_map");
		if (write(go[0], "", 1) != 1)
			die("go");
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WEXITSTATUS(status) == KSFT_SKIP)
		SKIP(return, "no user namespaces here");
	EXPECT_EQ(0, status);
}

TEST_F(info, R5_reassembled)
{
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.0.0.1", 4000);
	ASSERT_EQ(4028, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_REASSEMBLED,
		  info.flags & DIVERT_INFO_REASSEMBLED);
	EXPECT_EQ(1500U, info.frag_max);
	EXPECT_EQ(4028U, info.len);
}

TEST_F(info, R5_length_before_segmentation)
{
	static __u8 data[5000];
	struct sockaddr_in to = inet_address("10.0.0.2", UDP_PORT);
	int i;

	if (set_int(self->tx, IPPROTO_UDP, UDP_SEGMENT, 1000))
		SKIP(return, "no UDP_SEGMENT here");
	ASSERT_EQ(5000, sendto(self->tx, data, sizeof(data), 0,
			       (struct sockaddr *)&to, sizeof(to)));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(1028, read_info(self->fd));
		EXPECT_EQ(5028U, info.len);
		EXPECT_EQ(1U, info.id);
	}
}

TEST_F(info, R5_id_counts_packets)
{
	__u64 id;

	for (id = 1; id < 20; id++) {
		udp_send(self->tx, LOOP, 10);
		ASSERT_EQ(38, read_info(self->fd));
		EXPECT_EQ(id, info.id);
	}
}

TEST_F(info, R5_hash_of_both_directions)
{
	struct sockaddr_in sin = inet_address("10.0.0.1", 6000);
	struct sockaddr_in to = inet_address("10.1.0.1", 6001);
	__u32 hash[3];
	int i;

	for (i = 0; i < 3; i++) {
		struct sockaddr_in source = i == 1 ? to : sin;
		struct sockaddr_in sink = i == 1 ? sin : to;
		int tx = udp_open(NULL, MARK(PORT, COOKIE));

		/* The third is another flow. */
		sink.sin_port = htons(ntohs(sink.sin_port) + 9 * (i == 2));
		ASSERT_EQ(0, bind(tx, (struct sockaddr *)&source,
				  sizeof(source)));
		ASSERT_EQ(1, sendto(tx, "x", 1, 0, (struct sockaddr *)&sink,
				    sizeof(sink)));
		ASSERT_EQ(29, read_info(self->fd));
		hash[i] = info.hash;
		close(tx);
	}
	EXPECT_EQ(hash[0], hash[1]);
	EXPECT_NE(hash[0], hash[2]);
}

TEST_F(info, R5_foreign_bits_of_mark)
{
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x7fff0000"));
	nft_mark_udp("prerouting", 0x80000000 | MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(0x80000000, info.mark);
}

TEST_F(info, R5_conntrack)
{
	if (system("modprobe -q nf_conntrack && modprobe -q nft_ct"))
		SKIP(return, "no conntrack here");
	nft_load("table ip m {\n"
		 " chain p {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  udp dport 5000 ct mark set 0x1234 meta mark set 0x1b580064\n"
		 " }\n"
		 "}\n");
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_CONNTRACK, info.flags & DIVERT_INFO_CONNTRACK);
	EXPECT_EQ(0x1234U, info.ct_mark);
	EXPECT_EQ(2U, info.ct_state);	/* IP_CT_NEW */
}

/* What conntrack(8) says of the connection to UDP_PORT; 0 = there is none. */
static __u32 conntrack_id(void)
{
	FILE *list = popen("conntrack -L -o id -p udp --dport 5000 2>/dev/null",
			   "r");
	char line[512] = "", *id;

	if (!list)
		die("conntrack");
	fgets(line, sizeof(line), list);
	pclose(list);
	id = strstr(line, " id=");
	return id ? strtoul(id + 4, NULL, 10) : 0;
}

TEST_F(info, O2_R5_conntrack_id)
{
	int here = ns_open(), fd;

	if (system("modprobe -q nf_conntrack && modprobe -q nft_ct"))
		SKIP(return, "no conntrack here");
	/* The first packet makes the connection, the second is diverted. */
	nft_load("table ip m {\n"
		 " chain p {\n"
		 "  type filter hook prerouting priority mangle;\n"
		 "  ct state new udp dport 5000 udp length 19 meta mark set 0x1b580064\n"
		 " }\n"
		 "}\n");
	ns_enter(self->peer);
	fd = udp_open(NULL, 0);
	udp_send(fd, "10.0.0.1", 10);
	udp_send(fd, "10.0.0.1", 11);
	ns_enter(here);
	ASSERT_EQ(39, read_info(self->fd));
	EXPECT_EQ(DIVERT_INFO_CONNTRACK, info.flags & DIVERT_INFO_CONNTRACK);
	EXPECT_NE(0U, info.ct_id);
	EXPECT_EQ(conntrack_id(), info.ct_id);
}

/* Writing */

TEST_F(info, W8_interface_by_index)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "v0");

	packet_make(&packet, "10.1.0.2", "10.1.0.1", 10);
	info_for(DIVERT_HOOK_PRE_ROUTING);
	info.iif = ifindex_of("d1");
	EXPECT_EQ(0, write_info(self->fd, &to));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	/* It says all there is to say. */
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));

	info.iif = 9999;
	EXPECT_EQ(-EADDRNOTAVAIL, write_info(self->fd, &to));
	info.iif = 0;
	EXPECT_EQ(-EADDRNOTAVAIL, write_info(self->fd, &to));
	EXPECT_EQ(2, counted(&self->before, "eaddrnotavail"));
	EXPECT_EQ(2, counted(&self->before, "inject_in"));
}

TEST_F(info, W8_hook)
{
	struct sockaddr_in to = divert_address("10.0.0.1", 0, "v0");

	packet_make(&packet, "10.1.0.1", "10.1.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	EXPECT_EQ(0, write_info(self->fd, &to));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	info.hook = DIVERT_HOOK_POST_ROUTING;
	EXPECT_EQ(0, write_info(self->fd, &to));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(2, counted_only(&self->before, "inject_out"));
}

TEST_F(info, W8_cookie)
{
	struct sockaddr_in to = divert_address("0.0.0.0", COOKIE, "");

	nft_mark_udp("output", MARK(PORT, COOKIE));
	packet_make(&packet, "10.1.0.1", "10.1.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	info.cookie = COOKIE;
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_FALSE(readable(self->fd));
	/* It counts, not the address's. */
	info.cookie = 0;
	EXPECT_EQ(0, write_info(self->fd, &to));
	EXPECT_EQ(38, read_info(self->fd));
	EXPECT_EQ(COOKIE, info.cookie);
}

TEST_F(info, W8_mark)
{
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x0fff0000"));
	ip_batch("route add 10.5.0.0/24 dev v0\n"
		 "route add 10.5.0.2/32 dev d1 table 7\n"
		 "neighbour add 10.5.0.2 lladdr 02:00:00:00:00:02 dev d1\n"
		 "rule add fwmark 0x80000000/0xf0000000 table 7\n");
	nft_load("table ip t {\n"
		 " counter marked { }\n"
		 " chain o {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  meta mark 0x80000000 counter name marked\n"
		 " }\n"
		 "}\n");
	packet_make(&packet, "10.1.0.1", "10.5.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	info.mark = 0x80000000;
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(1, nft_packets("marked"));

	/* It goes before the socket's. */
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_MARK, 0x40000000));
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(2, nft_packets("marked"));
}

TEST_F(info, W8_outgoing_interface)
{
	ip_batch("route add 10.5.0.0/24 dev v0\n"
		 "route add 10.5.0.0/24 dev d1 metric 9\n"
		 "neighbour add 10.5.0.2 lladdr 02:00:00:00:00:02 dev d1\n");
	packet_make(&packet, "10.1.0.1", "10.5.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	info.oif = ifindex_of("d1");
	/* Only if it says so. */
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_FALSE(readable(self->seen));
	info.flags = DIVERT_INFO_OIF;
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
}

TEST_F(info, W8_malformed_einval)
{
	struct divert_info right, wrong[6];
	char longer[sizeof(info) + 8] = { };
	int i, n = 0;

	udp_send(self->tx, LOOP, 10);
	packet_make(&packet, "10.1.0.1", "10.1.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	right = info;
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		wrong[i] = right;
	wrong[0].size = 0;
	wrong[1].size = DIVERT_INFO_SIZE_1 - 1;
	wrong[2].size = sizeof(right) + 1;
	wrong[3].hook = 1;
	wrong[4].hook = 255;
	wrong[5].iif = 1U << 31;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		info = wrong[i];
		EXPECT_EQ(-EINVAL, write_info(self->fd, NULL)) {
			TH_LOG("%d", i);
		}
		n++;
	}
	for (i = 0; i < (int)sizeof(right); i += 13, n++)
		EXPECT_EQ(-EINVAL, write_control(self->fd, NULL, SOL_DIVERT,
						 DIVERT_INFO, &right, i));
	/* A later version's, of which we know nothing. */
	right.size = sizeof(longer);
	memcpy(longer, &right, sizeof(right));
	EXPECT_EQ(-EINVAL, write_control(self->fd, NULL, SOL_DIVERT,
					 DIVERT_INFO, longer, sizeof(longer)));
	EXPECT_EQ(n + 1, counted(&self->before, "einval"));
	EXPECT_EQ(0, counted(&self->before, "inject_out"));
	EXPECT_FALSE(readable(self->seen));

	/* Nothing is lost, and the right one still works. */
	EXPECT_EQ(38, read_info(self->fd));
	packet_make(&packet, "10.1.0.1", "10.1.0.2", 10);
	info_for(DIVERT_HOOK_LOCAL_OUT);
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
}

/* The header is the user's. */
TEST_F(info, W8_ip_messages_are_not_applied)
{
	int value = 7;

	packet_make(&packet, "10.1.0.1", "10.1.0.2", 10);
	EXPECT_EQ(0, write_control(self->fd, NULL, SOL_IP, TTL_OPTION, &value,
				   sizeof(value)));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(64, got.ip.ttl);
	EXPECT_EQ(0, write_control(self->fd, NULL, SOL_IP, TOS_OPTION, &value,
				   sizeof(value)));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_EQ(0, got.ip.tos);
}

/* As it was read */

TEST_F(info, W8_round_trip_received)
{
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(0, write_info(self->fd, &from));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	peer_sends(self->peer, "10.0.0.1", 11);
	ASSERT_EQ(39, read_info(self->fd));
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(11, udp_receive(self->rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(info, W8_round_trip_forwarded)
{
	nft_mark_udp("postrouting", MARK(PORT, COOKIE));
	peer_sends(self->peer, "10.1.0.2", 10);
	ASSERT_EQ(38, read_info(self->fd));
	EXPECT_EQ(0, write_info(self->fd, NULL));
	EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_FALSE(readable(self->fd));
}

/* The way of a packet whose sender goes by a device, or a mark, of its own. */
TEST_F(info, W8_round_trip_keeps_the_route)
{
	int tx = udp_open(NULL, 0), i;

	ip_batch("route add 10.5.0.0/24 dev v0\n"
		 "route add 10.5.0.0/24 dev d1 metric 9\n"
		 "neighbour add 10.5.0.2 lladdr 02:00:00:00:00:02 dev d1\n"
		 "route add 10.6.0.2/32 dev d1 table 7\n"
		 "neighbour add 10.6.0.2 lladdr 02:00:00:00:00:02 dev d1\n"
		 "route add blackhole 10.6.0.0/24\n"
		 "rule add fwmark 0x77 table 7\n");
	nft_mark_udp("output", MARK(PORT, COOKIE));
	ASSERT_EQ(0, errno_of(setsockopt(tx, SOL_SOCKET, SO_BINDTODEVICE,
					 "d1", 2)));
	set_int(self->tx, SOL_SOCKET, SO_MARK, 0x77);
	for (i = 0; i < 2; i++) {
		udp_send(tx, "10.5.0.2", 10);
		ASSERT_EQ(38, read_info(self->fd));
		EXPECT_EQ(DIVERT_INFO_OIF, info.flags & DIVERT_INFO_OIF);
		EXPECT_EQ((__u32)ifindex_of("d1"), info.oif);
		EXPECT_EQ(0, write_info(self->fd, i ? &from : NULL));
		EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));

		udp_send(self->tx, "10.6.0.2", 10);
		ASSERT_EQ(38, read_info(self->fd));
		EXPECT_EQ(0x77U, info.mark);
		EXPECT_EQ(0, write_info(self->fd, i ? &from : NULL));
		EXPECT_EQ(38, capture_read(self->seen, &got, NULL, NULL));
	}
}

TEST_HARNESS_MAIN
