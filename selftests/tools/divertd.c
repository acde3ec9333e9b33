// SPDX-License-Identifier: GPL-2.0
/*
 * The daemon of the selftests: reads packets from a divert port, says what it
 * saw, and writes them back, changed or not.
 *
 * One line a packet, to standard output:
 *	in|out if=NAME cookie=N src=A dst=A proto=P sport=N dport=N len=N
 *	ttl=N id=N frag=whole|first|later
 * (ICMP: sport is the type, dport the code; IPv6: ttl is the hop limit, id the
 * fragments'), "error NAME" for a write that failed, and totals at the end:
 *	total read=N written=N errors=N badip=N badl4=N long=N whole=N
 * NAME is "-" for a packet made on this host.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/divert.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "divertd_packet.h"

#define NAME_LEN	8
#define SCOPE_OPAQUE	0x80000000	/* sin6_scope_id of a packet made here */

static const char usage[] =
"usage: divertd [options] port\n"
"  -6        use AF_INET6 sockets\n"
"  -d        drop: write nothing back\n"
"  -i name   write as received on this interface\n"
"  -o        write as outgoing\n"
"  -z        forget the name or routing context that came with the packet\n"
"  -c n      write with this cookie\n"
"  -u        write through a second socket that is not bound\n"
"  -r        turn the packet round: its sender gets it back; answer pings\n"
"  -s addr   write with this source address (packets of its family)\n"
"  -D addr   write with this destination address (packets of its family)\n"
"  -t n      write with this TTL or hop limit\n"
"  -f n      write in fragments with n bytes of payload, a multiple of 8\n"
"  -C        check checksums of what is read\n"
"  -l n      count packets longer than this\n"
"  -g        leave packets whole and checksums to the kernel (DIVERT_GSO)\n"
"  -m mark   set SO_MARK\n"
"  -b name   set SO_BINDTODEVICE\n"
"  -T        watch: read copies, write nothing back\n"
"  -k        pass packets that are unread when the socket is closed\n"
"  -U uid    become this user once the sockets are open and bound\n"
"  -n n      end after so many packets\n"
"  -q        no line for each packet\n"
"  -R file   make this file once bound\n";

struct ip_address {
	uint8_t		bytes[sizeof(struct in6_addr)];
	size_t		len;	/* 0: none */
};

struct options {
	uint16_t	port;
	int		family;
	bool		drop;
	const char	*in;
	bool		out;
	bool		forget;
	int		cookie;
	bool		unbound;
	bool		turn;
	struct ip_address src;
	struct ip_address dst;
	int		ttl;
	unsigned int	fragment;
	bool		check;
	unsigned int	longest;
	bool		whole;
	unsigned int	mark;
	const char	*bound_dev;
	bool		tee;
	bool		keep;
	unsigned int	uid;
	unsigned long	count;
	bool		quiet;
	const char	*ready;
};

static struct options opt = {
	.family		= AF_INET,
	.cookie		= -1,
	.ttl		= -1,
	.longest	= PACKET_MAX,
};

static struct {
	unsigned long	read;
	unsigned long	written;
	unsigned long	errors;
	unsigned long	bad_ip;
	unsigned long	bad_l4;
	unsigned long	too_long;
	unsigned long	whole;
} total;

static volatile sig_atomic_t stop;

/* As read, and to write to: both families have the port at the same place. */
union address {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
};

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* Looking */

static void examine(size_t len)
{
	if (len > opt.longest)
		total.too_long++;
	if (offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		total.whole++;
	if (!opt.check)
		return;
	if (!packet_ip_valid())
		total.bad_ip++;
	else if (!packet_l4_valid())
		total.bad_l4++;
}

static const char *protocol_name(void)
{
	static char number[4];

	switch (at.protocol) {
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	default:
		snprintf(number, sizeof(number), "%u", at.protocol);
		return number;
	}
}

static const char *fragment_name(void)
{
	if (!packet_is_fragment())
		return "whole";
	return at.fragment ? "later" : "first";
}

/* Ports, or type and code. */
static void l4_numbers(unsigned int *a, unsigned int *b)
{
	const uint8_t *p = packet_payload();

	*a = 0;
	*b = 0;
	if (at.fragment || packet_payload_len() < 4)
		return;
	if (packet_is_icmp()) {
		*a = p[0];
		*b = p[1];
	} else {
		*a = p[0] << 8 | p[1];
		*b = p[2] << 8 | p[3];
	}
}

static bool is_incoming(const union address *from)
{
	return from->sa.sa_family == AF_INET6 ?
	       !IN6_IS_ADDR_UNSPECIFIED(&from->in6.sin6_addr) :
	       from->in.sin_addr.s_addr;
}

/* Of the interface the packet was received on; @name stays empty for none. */
static void interface_name(const union address *from, char name[IF_NAMESIZE])
{
	uint32_t scope = from->in6.sin6_scope_id;

	if (from->sa.sa_family == AF_INET)
		memcpy(name, from->in.sin_zero, NAME_LEN);
	else if (scope && !(scope & SCOPE_OPAQUE))
		if_indextoname(scope, name);
}

static void print_packet(const union address *from, size_t len)
{
	char name[IF_NAMESIZE] = "";
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int family = at.ipv6 ? AF_INET6 : AF_INET;
	unsigned int sport, dport;

	interface_name(from, name);
	inet_ntop(family, packet_source(), src, sizeof(src));
	inet_ntop(family, packet_destination(), dst, sizeof(dst));
	l4_numbers(&sport, &dport);
	printf("%s if=%s cookie=%u src=%s dst=%s proto=%s sport=%u dport=%u ",
	       is_incoming(from) ? "in" : "out", name[0] ? name : "-",
	       divert_cookie(&from->in), src, dst, protocol_name(), sport,
	       dport);
	printf("len=%zu ttl=%u id=%u frag=%s\n", len, *packet_ttl(), at.id,
	       fragment_name());
}

/* Changing */

/* Says whether it did. */
static bool change_to(uint8_t *where, const struct ip_address *addr)
{
	if (addr->len != packet_address_len())
		return false;
	memcpy(where, addr->bytes, addr->len);
	return true;
}

static void change_packet(void)
{
	bool changed = opt.turn;

	if (!at.valid)
		return;
	if (opt.turn)
		packet_turn();
	changed |= change_to(packet_source(), &opt.src);
	changed |= change_to(packet_destination(), &opt.dst);
	if (opt.ttl >= 0)
		*packet_ttl() = opt.ttl;

	if (changed)
		packet_fix();
	else if (opt.ttl >= 0)
		packet_fix_ip(&packet);
}

static void change_address4(struct sockaddr_in *sin)
{
	if (opt.forget || opt.out || opt.in)
		memset(sin->sin_zero, 0, NAME_LEN);
	if (opt.out)
		sin->sin_addr.s_addr = 0;
	if (opt.in) {
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		strncpy((char *)sin->sin_zero, opt.in, NAME_LEN - 1);
	}
}

static void change_address6(struct sockaddr_in6 *sin6)
{
	if (opt.forget || opt.out || opt.in) {
		sin6->sin6_flowinfo = 0;
		sin6->sin6_scope_id = 0;
	}
	if (opt.out)
		sin6->sin6_addr = in6addr_any;
	if (opt.in) {
		sin6->sin6_addr = in6addr_loopback;
		sin6->sin6_scope_id = if_nametoindex(opt.in);
	}
}

static void change_address(union address *to)
{
	if (opt.cookie >= 0)
		divert_set_cookie(&to->in, opt.cookie);
	if (to->sa.sa_family == AF_INET6)
		change_address6(&to->in6);
	else
		change_address4(&to->in);
}

/* Running */

static size_t address_size(void)
{
	return opt.family == AF_INET6 ? sizeof(struct sockaddr_in6) :
					sizeof(struct sockaddr_in);
}

/* A control message that holds offload. */
union control {
	struct cmsghdr	cmsg;
	uint8_t		space[CMSG_SPACE(sizeof(offload))];
};

static void write_bytes(int fd, const void *bytes, size_t len,
			const union address *to)
{
	union control control = { .cmsg = {
		.cmsg_level	= SOL_DIVERT,
		.cmsg_type	= DIVERT_GSO,
		.cmsg_len	= CMSG_LEN(sizeof(offload)),
	} };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = {
		.msg_name	= (void *)to,
		.msg_namelen	= address_size(),
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= opt.whole ? &control : NULL,
		.msg_controllen	= opt.whole ? sizeof(control) : 0,
	};
	ssize_t n;

	memcpy(CMSG_DATA(&control.cmsg), &offload, sizeof(offload));
	n = sendmsg(fd, &msg, 0);
	if (n == (ssize_t)len) {
		total.written++;
		return;
	}
	total.errors++;
	printf("error %s\n", n < 0 ? strerrorname_np(errno) : "short");
}

static void write_fragments(int fd, const union address *to)
{
	static union packet piece;
	size_t left, n, len, offset;

	for (offset = 0; offset < packet_payload_len(); offset += n) {
		left = packet_payload_len() - offset;
		n = left < opt.fragment ? left : opt.fragment;
		len = packet_cut(&piece, offset, n, total.read);
		write_bytes(fd, piece.bytes, len, to);
	}
}

static void write_packet(int fd, size_t len, const union address *to)
{
	if (opt.fragment && packet_payload_len() > opt.fragment &&
	    packet_can_be_cut())
		write_fragments(fd, to);
	else
		write_bytes(fd, packet.bytes, len, to);
}

static ssize_t read_packet(int fd, union address *from)
{
	union control control;
	struct iovec iov = { packet.bytes, sizeof(packet) };
	struct msghdr msg = {
		.msg_name	= from,
		.msg_namelen	= sizeof(*from),
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= &control,
		.msg_controllen	= sizeof(control),
	};
	ssize_t len = recvmsg(fd, &msg, 0);
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	memset(&offload, 0, sizeof(offload));
	if (len >= 0 && cmsg && cmsg->cmsg_level == SOL_DIVERT &&
	    cmsg->cmsg_type == DIVERT_GSO)
		memcpy(&offload, CMSG_DATA(cmsg), sizeof(offload));
	return len;
}

static void serve_packet(int reader, int writer)
{
	union address from;
	ssize_t len = read_packet(reader, &from);

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len < 0)
		die("divertd: recvmsg");

	total.read++;
	packet_locate(len);
	examine(len);
	if (!opt.quiet)
		print_packet(&from, len);
	if (opt.drop)
		return;

	change_packet();
	change_address(&from);
	write_packet(writer, len, &from);
}

static void set_own_options(int fd)
{
	struct divert_limits limits = {
		.size	= sizeof(limits),
		.close	= DIVERT_POLICY_PASS,
	};
	int one = 1;

	if (opt.tee &&
	    setsockopt(fd, SOL_DIVERT, DIVERT_TEE, &one, sizeof(one)))
		die("divertd: DIVERT_TEE");
	if (opt.whole &&
	    setsockopt(fd, SOL_DIVERT, DIVERT_GSO, &one, sizeof(one)))
		die("divertd: DIVERT_GSO");
	if (opt.keep &&
	    setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, sizeof(limits)))
		die("divertd: DIVERT_LIMITS");
}

static int open_socket(void)
{
	int fd = socket(opt.family, SOCK_RAW, IPPROTO_DIVERT);
	int version;
	socklen_t len = sizeof(version);

	if (fd < 0)
		die("divertd: socket");
	if (getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len))
		die("divertd: no divert sockets here");
	if (opt.mark &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &opt.mark, sizeof(opt.mark)))
		die("divertd: SO_MARK");
	if (opt.bound_dev &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, opt.bound_dev,
		       strlen(opt.bound_dev)))
		die("divertd: SO_BINDTODEVICE");
	set_own_options(fd);
	return fd;
}

static void bind_socket(int fd)
{
	union address self = { .sa.sa_family = opt.family };

	self.in.sin_port = htons(opt.port);
	if (bind(fd, &self.sa, address_size()))
		die("divertd: bind");
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* The timeout is for a signal that comes just before a read, not in it. */
static void catch_signals(int fd)
{
	struct timeval timeout = { .tv_usec = 200000 };
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		die("divertd: SO_RCVTIMEO");
}

static void tell_ready(void)
{
	FILE *file = opt.ready ? fopen(opt.ready, "w") : stdout;

	if (!file)
		die(opt.ready);
	fputs("ready\n", file);
	if (opt.ready)
		fclose(file);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (!*text || *end || n > max) {
		fprintf(stderr, "divertd: bad number %s\n", text);
		exit(2);
	}
	return n;
}

static struct ip_address address(const char *text)
{
	struct ip_address addr;

	if (inet_pton(AF_INET, text, addr.bytes) == 1) {
		addr.len = sizeof(struct in_addr);
	} else if (inet_pton(AF_INET6, text, addr.bytes) == 1) {
		addr.len = sizeof(struct in6_addr);
	} else {
		fprintf(stderr, "divertd: bad address %s\n", text);
		exit(2);
	}
	return addr;
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "6di:ozc:urs:D:t:f:Cl:gm:b:TkU:n:qR:")) != -1) {
		switch (c) {
		case '6': opt.family = AF_INET6; break;
		case 'd': opt.drop = true; break;
		case 'i': opt.in = optarg; break;
		case 'o': opt.out = true; break;
		case 'z': opt.forget = true; break;
		case 'c': opt.cookie = number(optarg, UINT16_MAX); break;
		case 'u': opt.unbound = true; break;
		case 'r': opt.turn = true; break;
		case 's': opt.src = address(optarg); break;
		case 'D': opt.dst = address(optarg); break;
		case 't': opt.ttl = number(optarg, UINT8_MAX); break;
		case 'f': opt.fragment = number(optarg, PACKET_MAX) & ~7; break;
		case 'C': opt.check = true; break;
		case 'l': opt.longest = number(optarg, PACKET_MAX6); break;
		case 'g': opt.whole = true; break;
		case 'm': opt.mark = number(optarg, UINT32_MAX); break;
		case 'b': opt.bound_dev = optarg; break;
		case 'T': opt.tee = opt.drop = true; break;
		case 'k': opt.keep = true; break;
		case 'U': opt.uid = number(optarg, UINT32_MAX); break;
		case 'n': opt.count = number(optarg, UINT32_MAX); break;
		case 'q': opt.quiet = true; break;
		case 'R': opt.ready = optarg; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		exit(2);
	}
	opt.port = number(argv[optind], UINT16_MAX);
}

int main(int argc, char **argv)
{
	int reader, writer;

	parse_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);

	reader = open_socket();
	writer = opt.unbound ? open_socket() : reader;
	bind_socket(reader);
	catch_signals(reader);
	if (opt.uid && setuid(opt.uid))
		die("divertd: setuid");
	tell_ready();

	while (!stop && (!opt.count || total.read < opt.count))
		serve_packet(reader, writer);

	printf("total read=%lu written=%lu errors=%lu badip=%lu badl4=%lu long=%lu whole=%lu\n",
	       total.read, total.written, total.errors, total.bad_ip,
	       total.bad_l4, total.too_long, total.whole);
	return EXIT_SUCCESS;
}
