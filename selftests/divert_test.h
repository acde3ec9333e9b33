/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the socket share: namespaces, packets, counters.
 *
 * Everything that merely prepares a test ends the program with a message when
 * it fails. What is tested returns -errno instead.
 *
 * Every test runs in a process and a network namespace of its own.
 */
#ifndef _DIVERT_TEST_H
#define _DIVERT_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/divert.h>

#define __printf(at, args)	__attribute__((__format__(printf, at, args)))
#define __noreturn		__attribute__((__noreturn__))
#define __always_unused		__attribute__((__unused__))

#define PORT		7000	/* the tests' divert port */
#define COOKIE		100
#define UDP_PORT	5000	/* where control packets end */

/* The default masks' mark. */
#define MARK(port, cookie)	((__u32)(port) << 16 | (cookie))

#define ARRAY_LEN(a)	((int)(sizeof(a) / sizeof((a)[0])))

/* How much more time than usual the kernel needs. */
int slowness(void);

/* An expected packet may take this long, on a slow machine. */
#define DEADLINE_MS	(20000 * slowness())

/* For the harness: its limit for a test. */
#define alarm(seconds)	alarm((seconds) * slowness())

void __printf(1, 2) __noreturn die(const char *format, ...);

/* Namespaces */

/* Move to a new network namespace; its lo is up, divert.ko is loaded. */
void ns_new(void);
int ns_open(void);
void ns_enter(int ns);
/* Run ip(8) on lines of commands. */
void __printf(1, 2) ip_batch(const char *format, ...);
/* Feed text to nft(8). */
void __printf(1, 2) nft_load(const char *format, ...);
/* Packets that "counter NAME", which is in one table only, has counted. */
long nft_packets(const char *counter);
/* Mark UDP packets to UDP_PORT in a chain: "prerouting", "postrouting". */
void nft_mark_udp(const char *hook, __u32 mark);
/* v0, 10.0.0.1/24, here, and its peer v1, 10.0.0.2/24, in a new namespace. */
int veth_new(void);
/* t0, 10.0.9.1/24, a tun device that receives what is written to it; @flags:
 * IFF_VNET_HDR, behind a header that may leave work for later.
 */
int tun_new(int flags);
/* divert_diag.ko, from where this program is. */
void diag_load(void);
/* Return: 0 if it could go. */
int diag_unload(void);
int diag_socket(void);
/* Ask for all there is to tell of the sockets in these states. */
struct inet_diag_sockid;
void diag_request(int nl, int family, int flags, __u32 states,
		  const struct inet_diag_sockid *id);
int ifindex_of(const char *name);

/* /proc/sys/... */
int sysctl_write(const char *name, const char *value);
const char *sysctl_read(const char *name);
#define DIVERT_SYSCTL(name)	"net/divert/" name

/* Capabilities: keep those of this set, by bits, and no other. */
#define CAP_BIT(cap)	(1ULL << (cap))
void caps_keep(__u64 caps);

/* Counters of /proc/net/stat/divert, over all CPUs. */
#define COUNTERS_MAX	64

struct counters {
	int n;
	char name[COUNTERS_MAX][24];
	long value[COUNTERS_MAX];
};

void counters_read(struct counters *now);
/* How far a counter has moved. */
long counted(const struct counters *since, const char *name);
/* The same, but -1 if any other counter has moved too. */
long counted_only(const struct counters *since, const char *name);
/* Until it has moved so far, or for the deadline. */
bool wait_counted(const struct counters *since, const char *name, long n);

/* Packets */

struct packet {
	union {
		struct iphdr ip;
		__u8 data[65536 + 4096];
	};
	int len;
};

__u16 ip_sum(const void *data, int len);
struct udphdr *packet_udp(struct packet *packet);
/* UDP to UDP_PORT with so many bytes of payload. */
void packet_make(struct packet *packet, const char *saddr, const char *daddr,
		 int payload);
/* Make the IP header's checksum right. */
void packet_sum(struct packet *packet);
/* Length and both checksums are right. */
bool packet_valid(const struct packet *packet);
bool packet_equal(const struct packet *a, const struct packet *b);

/* Sockets */

int divert_socket(void);
int divert_bind(int fd, int port);
/* A divert socket on this port. */
int divert_open(int port);
int divert_port(int fd);
/* One packet, within the deadline; address may be NULL. */
int divert_read(int fd, struct packet *packet, struct sockaddr_in *address);
int divert_write(int fd, const struct packet *packet,
		 const struct sockaddr_in *address);

struct sockaddr_in inet_address(const char *address, int port);
struct sockaddr_in divert_address(const char *address, int cookie,
				  const char *name);
/* A socket that sends with this mark, and receives on this address if any. */
int udp_open(const char *address, __u32 mark);
/* Send a packet of so many bytes of payload to UDP_PORT. */
void udp_send(int fd, const char *address, int payload);
/* Payload of the next packet within the deadline. */
int udp_receive(int fd, void *data, int size);
/* An extended BPF program for sockets; -1 if there is none. */
struct bpf_insn;
int bpf_load(const struct bpf_insn *code, int n);
/* One that returns this. */
int bpf_return(int value);
/* A socket that sees all IPv4 UDP of a device, link header and all. */
int capture_open(const char *dev);
/* The next UDP packet to UDP_PORT; link header and type if not NULL. */
int capture_read(int fd, struct packet *packet, void *link, int *type);

bool readable(int fd);
bool wait_readable(int fd);
/* Until a process or thread is blocked in a system call. */
void wait_blocked(int tid);

/* Packets over lo: sent by tx, diverted to fd, written back, received by rx. */
struct loop {
	int fd;
	int tx;
	int rx;
};

#define LOOP		"127.0.0.1"
/* Payload of the packet that waits in the queue while a test does its worst. */
#define LOOP_WAITING	77

/* In a new namespace; one packet is waiting to be read. */
void loop_open(struct loop *loop);
/* Have one more packet diverted. */
void loop_send(const struct loop *loop, int payload);
/* Read one, write it back, receive it: true if it came through unaltered. */
bool loop_pass(const struct loop *loop, int payload);
/* The packet that was waiting comes through, and so does another one. */
bool loop_unharmed(const struct loop *loop);

static inline int errno_of(long ret)
{
	return ret < 0 ? -errno : 0;
}

static inline int set_int(int fd, int level, int name, int value)
{
	return errno_of(setsockopt(fd, level, name, &value, sizeof(value)));
}

static inline int limits_set(int fd, const struct divert_limits *limits)
{
	return errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, limits,
				   sizeof(*limits)));
}

static inline int get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

#endif /* _DIVERT_TEST_H */
