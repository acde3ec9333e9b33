// SPDX-License-Identifier: GPL-2.0
/* What the tests of the socket share; see divert_test.h. */

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "divert_test.h"

void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	fputs("# cannot test: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(err));
	_exit(1);
}

/* Namespaces */

static void device_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("%s up", name);
	close(fd);
}

int slowness(void)
{
	const char *value = getenv("SLOWNESS");

	return value ? atoi(value) : 1;
}

void ns_new(void)
{
	if (unshare(CLONE_NEWNET))
		die("unshare");
	device_up("lo");
	close(divert_socket());
}

int ns_open(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/self/ns/net");
	return fd;
}

void ns_enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns");
}

static void feed(const char *command, const char *format, va_list args)
{
	FILE *pipe = popen(command, "w");

	if (!pipe || vfprintf(pipe, format, args) < 0 || pclose(pipe))
		die("%s", command);
}

void ip_batch(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	feed("ip -batch -", format, args);
	va_end(args);
}

void nft_load(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	feed("nft -f -", format, args);
	va_end(args);
}

long nft_packets(const char *counter)
{
	FILE *pipe = popen("nft list counters", "r");
	char line[256], name[128];
	bool found = false;
	long packets = -1;

	if (!pipe)
		die("nft");
	snprintf(name, sizeof(name), "counter %s {", counter);
	while (fgets(line, sizeof(line), pipe)) {
		const char *at = strstr(line, "packets ");

		if (found && at && packets < 0)
			packets = atol(at + strlen("packets "));
		found |= !!strstr(line, name);
	}
	if (pclose(pipe) || packets < 0)
		die("no counter %s", counter);
	return packets;
}

void nft_mark_udp(const char *hook, __u32 mark)
{
	nft_load("table ip m {\n"
		 " chain %s {\n"
		 "  type filter hook %s priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", hook, hook, UDP_PORT, mark);
}

int veth_new(void)
{
	int here = ns_open(), peer;

	if (unshare(CLONE_NEWNET))
		die("unshare");
	device_up("lo");
	peer = ns_open();

	ns_enter(here);
	ip_batch("link add v0 type veth peer name v1 netns /proc/%d/fd/%d\n"
		 "address add 10.0.0.1/24 broadcast + dev v0\n"
		 "link set v0 up\n", getpid(), peer);
	ns_enter(peer);
	ip_batch("address add 10.0.0.2/24 broadcast + dev v1\n"
		 "link set v1 up\n");
	ns_enter(here);
	close(here);
	return peer;
}

int tun_new(int flags)
{
	struct ifreq ifr = {
		.ifr_name = "t0",
		.ifr_flags = IFF_TUN | IFF_NO_PI | flags,
	};
	int fd;

	if (system("modprobe -q tun"))
		die("modprobe tun");
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		die("tun");
	ip_batch("address add 10.0.9.1/24 dev t0\n"
		 "link set t0 up\n");
	return fd;
}

/* The module is not where modprobe looks; the test's folder leads to it. */
void diag_load(void)
{
	char path[256], line[512];
	struct utsname uts;
	int len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len < 0 || uname(&uts))
		die("/proc/self/exe");
	path[len] = 0;
	*strrchr(path, '/') = 0;
	*strrchr(path, '/') = 0;
	snprintf(line, sizeof(line),
		 "modprobe -q inet_diag; insmod %s/%s/divert_diag.ko", path,
		 uts.release);
	if (system(line))
		die("divert_diag.ko");
}

int diag_unload(void)
{
	return system("rmmod divert_diag");
}

int diag_socket(void)
{
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (nl < 0)
		die("sock_diag");
	return nl;
}

void diag_request(int nl, int family, int flags, __u32 states,
		  const struct inet_diag_sockid *id)
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
		struct rtattr attr;
		__u32 protocol;
	} request = {
		.nlh.nlmsg_len = sizeof(request),
		.nlh.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlh.nlmsg_flags = NLM_F_REQUEST | flags,
		.req.sdiag_family = family,
		.req.idiag_ext = 1 << (INET_DIAG_MEMINFO - 1) |
				 1 << (INET_DIAG_SKMEMINFO - 1) |
				 1 << (INET_DIAG_INFO - 1),
		.req.idiag_states = states,
		.attr.rta_len = RTA_LENGTH(4),
		.attr.rta_type = INET_DIAG_REQ_PROTOCOL,
		.protocol = IPPROTO_DIVERT,
	};

	if (id)
		request.req.id = *id;
	if (send(nl, &request, sizeof(request), 0) != sizeof(request))
		die("sock_diag request");
}

int ifindex_of(const char *name)
{
	int ifindex = if_nametoindex(name);

	if (!ifindex)
		die("%s", name);
	return ifindex;
}

static int sysctl_open(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	return open(path, flags | O_CLOEXEC);
}

int sysctl_write(const char *name, const char *value)
{
	int fd = sysctl_open(name, O_WRONLY), err;

	if (fd < 0)
		return -errno;
	err = errno_of(write(fd, value, strlen(value)));
	close(fd);
	return err;
}

const char *sysctl_read(const char *name)
{
	static char value[128];
	int fd = sysctl_open(name, O_RDONLY);
	int len = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);

	if (len < 0)
		die("%s", name);
	close(fd);
	value[len] = 0;
	value[strcspn(value, "\n")] = 0;
	return value;
}

void caps_keep(__u64 caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	if (syscall(SYS_capset, &header, data))
		die("capset");
}

/* Counters */

static void counters_add(struct counters *now, char *line)
{
	char *word, *rest;
	int i = 0;

	/* The first column is no counter but the number of sockets. */
	strtok_r(line, "\n ", &rest);
	for (word = strtok_r(NULL, "\n ", &rest); word && i < now->n;
	     word = strtok_r(NULL, "\n ", &rest))
		now->value[i++] += strtoul(word, NULL, 16);
}

void counters_read(struct counters *now)
{
	char line[1024], *word, *rest;
	FILE *file = fopen("/proc/self/net/stat/divert", "r");

	memset(now, 0, sizeof(*now));
	if (!file || !fgets(line, sizeof(line), file))
		die("/proc/net/stat/divert");

	strtok_r(line, "\n ", &rest);
	for (word = strtok_r(NULL, "\n ", &rest); word && now->n < COUNTERS_MAX;
	     word = strtok_r(NULL, "\n ", &rest))
		snprintf(now->name[now->n++], sizeof(now->name[0]), "%s", word);
	while (fgets(line, sizeof(line), file))
		counters_add(now, line);
	fclose(file);
}

static int counter_index(const struct counters *counters, const char *name)
{
	int i;

	for (i = 0; i < counters->n; i++)
		if (!strcmp(counters->name[i], name))
			return i;
	die("no counter %s", name);
}

long counted(const struct counters *since, const char *name)
{
	int i = counter_index(since, name);
	struct counters now;

	counters_read(&now);
	return now.value[i] - since->value[i];
}

long counted_only(const struct counters *since, const char *name)
{
	int i, chosen = counter_index(since, name);
	struct counters now;

	counters_read(&now);
	for (i = 0; i < now.n; i++) {
		if (i == chosen || now.value[i] == since->value[i])
			continue;
		fprintf(stderr, "# %s has moved by %ld\n", now.name[i],
			now.value[i] - since->value[i]);
		return -1;
	}
	return now.value[chosen] - since->value[chosen];
}

bool wait_counted(const struct counters *since, const char *name, long n)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	int ms;

	for (ms = 0; ms < DEADLINE_MS; ms += 5) {
		if (counted(since, name) == n)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Packets */

static __u32 sum_add(const void *data, int len, __u32 sum)
{
	const __u8 *byte = data;
	int i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? byte[i] : byte[i] << 8;
	return sum;
}

static __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

__u16 ip_sum(const void *data, int len)
{
	return sum_fold(sum_add(data, len, 0));
}

/* What is at @packet's transport header, with the pseudo header. */
static __u16 transport_sum(const struct packet *packet)
{
	int hlen = packet->ip.ihl * 4, len = packet->len - hlen;
	__u32 sum = packet->ip.protocol + len;

	sum = sum_add(&packet->ip.saddr, 8, sum);
	return sum_fold(sum_add(packet->data + hlen, len, sum));
}

struct udphdr *packet_udp(struct packet *packet)
{
	return (struct udphdr *)(packet->data + packet->ip.ihl * 4);
}

void packet_sum(struct packet *packet)
{
	packet->ip.check = 0;
	packet->ip.check = ip_sum(packet->data, packet->ip.ihl * 4);
}

static void fill(__u8 *data, int len)
{
	int i;

	for (i = 0; i < len; i++)
		data[i] = i * 7;
}

void packet_make(struct packet *packet, const char *saddr, const char *daddr,
		 int payload)
{
	struct udphdr *udp;

	memset(packet->data, 0, sizeof(*udp) + sizeof(packet->ip));
	packet->len = sizeof(packet->ip) + sizeof(*udp) + payload;
	packet->ip.version = 4;
	packet->ip.ihl = 5;
	packet->ip.tot_len = htons(packet->len);
	packet->ip.id = htons(0x1234);
	packet->ip.ttl = 64;
	packet->ip.protocol = IPPROTO_UDP;
	packet->ip.saddr = inet_addr(saddr);
	packet->ip.daddr = inet_addr(daddr);

	udp = packet_udp(packet);
	udp->source = htons(4000);
	udp->dest = htons(UDP_PORT);
	udp->len = htons(sizeof(*udp) + payload);
	fill((__u8 *)(udp + 1), payload);

	udp->check = transport_sum(packet) ?: 0xffff;
	packet_sum(packet);
}

bool packet_valid(const struct packet *packet)
{
	return packet->len == ntohs(packet->ip.tot_len) &&
	       !ip_sum(packet->data, packet->ip.ihl * 4) &&
	       !transport_sum(packet);
}

bool packet_equal(const struct packet *a, const struct packet *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* Sockets */

int divert_socket(void)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);

	if (fd < 0)
		die("divert socket");
	if (get_int(fd, SOL_DIVERT, DIVERT_VERSION) < 0)
		die("divert.ko is not loaded");
	return fd;
}

int divert_bind(int fd, int port)
{
	struct sockaddr_in address = inet_address("0.0.0.0", port);

	return errno_of(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

int divert_open(int port)
{
	int fd = divert_socket();

	if (divert_bind(fd, port))
		die("bind to divert port %d", port);
	return fd;
}

int divert_port(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len) ||
	    len != sizeof(address))
		return -1;
	return ntohs(address.sin_port);
}

int divert_read(int fd, struct packet *packet, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);

	if (!wait_readable(fd))
		return -ETIMEDOUT;
	packet->len = recvfrom(fd, packet->data, sizeof(packet->data),
			       MSG_DONTWAIT, (struct sockaddr *)address,
			       address ? &len : NULL);
	return packet->len < 0 ? -errno : packet->len;
}

int divert_write(int fd, const struct packet *packet,
		 const struct sockaddr_in *address)
{
	int len = sendto(fd, packet->data, packet->len, 0,
			 (const struct sockaddr *)address,
			 address ? sizeof(*address) : 0);

	return len < 0 ? -errno : len;
}

struct sockaddr_in inet_address(const char *address, int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = inet_addr(address),
	};
}

struct sockaddr_in divert_address(const char *address, int cookie,
				  const char *name)
{
	struct sockaddr_in sin = inet_address(address, 0);

	divert_set_cookie(&sin, cookie);
	memcpy(sin.sin_zero, name, strnlen(name, sizeof(sin.sin_zero)));
	return sin;
}

int udp_open(const char *address, __u32 mark)
{
	struct sockaddr_in sin;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || set_int(fd, SOL_SOCKET, SO_MARK, mark))
		die("UDP socket");
	if (!address)
		return fd;

	sin = inet_address(address, UDP_PORT);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		die("bind to %s", address);
	return fd;
}

void udp_send(int fd, const char *address, int payload)
{
	struct sockaddr_in sin = inet_address(address, UDP_PORT);
	static __u8 data[65536];

	fill(data, payload);
	if (sendto(fd, data, payload, 0, (struct sockaddr *)&sin,
		   sizeof(sin)) != payload)
		die("send to %s", address);
}

int udp_receive(int fd, void *data, int size)
{
	int len;

	if (!wait_readable(fd))
		return -ETIMEDOUT;
	len = recv(fd, data, size, MSG_DONTWAIT);
	return len < 0 ? -errno : len;
}

int bpf_load(const struct bpf_insn *code, int n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (unsigned long)code,
		.insn_cnt = n,
		.license = (unsigned long)"GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

int bpf_return(int value)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_load(code, ARRAY_LEN(code));
}

/* IPv4 UDP, whatever else the devices' IPv6 has to say. */
static void capture_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535 * 2),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		       sizeof(program)))
		die("capture's filter");
}

int capture_open(const char *dev)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex_of(dev),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	capture_filter(fd);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("capture on %s", dev);
	return fd;
}

static bool capture_wanted(const struct packet *packet)
{
	return packet->len >= (int)sizeof(packet->ip) &&
	       packet_udp((struct packet *)packet)->dest == htons(UDP_PORT);
}

int capture_read(int fd, struct packet *packet, void *link, int *type)
{
	struct sockaddr_ll address;
	struct ethhdr eth;
	struct iovec iov[] = {
		{ &eth, sizeof(eth) },
		{ packet->data, sizeof(packet->data) },
	};
	struct msghdr msg = {
		.msg_name = &address, .msg_namelen = sizeof(address),
		.msg_iov = iov, .msg_iovlen = 2,
	};

	do {
		if (!wait_readable(fd))
			return -ETIMEDOUT;
		packet->len = recvmsg(fd, &msg, MSG_DONTWAIT);
		if (packet->len < 0)
			return -errno;
		packet->len -= sizeof(eth);
	} while (!capture_wanted(packet));

	if (link)
		memcpy(link, &eth, sizeof(eth));
	if (type)
		*type = address.sll_pkttype;
	return packet->len;
}

static bool poll_in(int fd, int timeout)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout) == 1;
}

bool readable(int fd)
{
	return poll_in(fd, 0);
}

bool wait_readable(int fd)
{
	return poll_in(fd, DEADLINE_MS);
}

void wait_blocked(int tid)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	char path[64], stat[256], *state;
	FILE *file;
	int ms;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	for (ms = 0; ms < DEADLINE_MS; ms++) {
		file = fopen(path, "r");
		if (!file || !fgets(stat, sizeof(stat), file))
			die("%s", path);
		fclose(file);
		state = strrchr(stat, ')');
		if (state && state[2] == 'S')
			return;
		nanosleep(&pause, NULL);
	}
	die("%d does not block", tid);
}

void loop_open(struct loop *loop)
{
	ns_new();
	loop->fd = divert_open(PORT);
	loop->tx = udp_open(NULL, MARK(PORT, COOKIE));
	loop->rx = udp_open(LOOP, 0);
	loop_send(loop, LOOP_WAITING);
}

void loop_send(const struct loop *loop, int payload)
{
	udp_send(loop->tx, LOOP, payload);
}

bool loop_pass(const struct loop *loop, int payload)
{
	static struct packet packet;
	static __u8 data[65536];
	struct sockaddr_in address;
	int len = payload + sizeof(struct iphdr) + sizeof(struct udphdr);

	if (divert_read(loop->fd, &packet, &address) != len ||
	    !packet_valid(&packet) || readable(loop->rx))
		return false;
	return divert_write(loop->fd, &packet, &address) == len &&
	       udp_receive(loop->rx, data, sizeof(data)) == payload &&
	       !memcmp(data, packet_udp(&packet) + 1, payload);
}

bool loop_unharmed(const struct loop *loop)
{
	if (!loop_pass(loop, LOOP_WAITING) || readable(loop->fd))
		return false;
	loop_send(loop, 10);
	return loop_pass(loop, 10);
}
