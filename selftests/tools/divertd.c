// SPDX-License-Identifier: GPL-2.0
/*
 * The daemon of the selftests: reads packets from a divert port, says what it
 * saw, and writes them back, changed or not.
 *
 * One line a packet, to standard output:
 *	in|out if=NAME cookie=N src=A dst=A proto=P sport=N dport=N len=N
 *	ttl=N id=N frag=whole|first|later
 * (ICMP: sport is the type, dport the code), "error NAME" for a write that
 * failed, and totals at the end:
 *	total read=N written=N errors=N badip=N badl4=N long=N
 * NAME is "-" for a packet made on this host.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/divert.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX	65535
#define NAME_LEN	8

static const char usage[] =
"usage: divertd [options] port\n"
"  -d        drop: write nothing back\n"
"  -i name   write as received on this interface\n"
"  -o        write as outgoing\n"
"  -z        forget the name or routing context that came with the packet\n"
"  -c n      write with this cookie\n"
"  -u        write through a second socket that is not bound\n"
"  -r        turn the packet round: its sender gets it back; answer pings\n"
"  -s addr   write with this source address\n"
"  -D addr   write with this destination address\n"
"  -t n      write with this TTL\n"
"  -f n      write in fragments with n bytes of payload, a multiple of 8\n"
"  -C        check checksums of what is read\n"
"  -l n      count packets longer than this\n"
"  -m mark   set SO_MARK\n"
"  -b name   set SO_BINDTODEVICE\n"
"  -T        watch: read copies, write nothing back\n"
"  -k        pass packets that are unread when the socket is closed\n"
"  -U uid    become this user once the sockets are open and bound\n"
"  -n n      end after so many packets\n"
"  -q        no line for each packet\n"
"  -R file   make this file once bound\n";

struct options {
	uint16_t	port;
	bool		drop;
	const char	*in;
	bool		out;
	bool		forget;
	int		cookie;
	bool		unbound;
	bool		turn;
	struct in_addr	src;
	struct in_addr	dst;
	int		ttl;
	unsigned int	fragment;
	bool		check;
	unsigned int	longest;
	unsigned int	mark;
	const char	*bound_dev;
	bool		tee;
	bool		keep;
	unsigned int	uid;
	unsigned long	count;
	bool		quiet;
	const char	*ready;
};

static struct options opt = { .cookie = -1, .ttl = -1, .longest = PACKET_MAX };

static struct {
	unsigned long	read;
	unsigned long	written;
	unsigned long	errors;
	unsigned long	bad_ip;
	unsigned long	bad_l4;
	unsigned long	too_long;
} total;

static volatile sig_atomic_t stop;

/* Room for the largest packet, aligned for the structures laid over it. */
static union {
	struct ip	ip;
	uint8_t		bytes[PACKET_MAX + 1];
} packet;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* Checksums */

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	/* A packet's worth of these fits 32 bits. */
	for (i = 0; i + 1 < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += p[len - 1] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/* CRC32c, bit by bit: few packets are SCTP. */
static uint32_t crc32c_add(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

/* Of the packet that was read. */
static uint8_t *payload(void)
{
	return packet.bytes + packet.ip.ip_hl * 4;
}

static size_t payload_len(void)
{
	return ntohs(packet.ip.ip_len) - packet.ip.ip_hl * 4;
}

static bool is_fragment(void)
{
	return packet.ip.ip_off & htons(IP_MF | IP_OFFMASK);
}

static uint32_t pseudo_header(void)
{
	uint32_t sum = packet.ip.ip_p + payload_len();

	sum = sum_add(sum, &packet.ip.ip_src, sizeof(packet.ip.ip_src));
	return sum_add(sum, &packet.ip.ip_dst, sizeof(packet.ip.ip_dst));
}

/* Where the checksum of a protocol is, or NULL. */
static uint16_t *l4_checksum(void)
{
	size_t offset;

	switch (packet.ip.ip_p) {
	case IPPROTO_TCP:
		offset = offsetof(struct tcphdr, th_sum);
		break;
	case IPPROTO_UDP:
		offset = offsetof(struct udphdr, uh_sum);
		break;
	case IPPROTO_ICMP:
		offset = offsetof(struct icmphdr, checksum);
		break;
	default:
		return NULL;
	}
	if (payload_len() < offset + sizeof(uint16_t))
		return NULL;
	return (uint16_t *)(payload() + offset);
}

static uint16_t l4_sum(void)
{
	uint32_t sum = packet.ip.ip_p == IPPROTO_ICMP ? 0 : pseudo_header();

	return sum_fold(sum_add(sum, payload(), payload_len()));
}

static bool sctp_valid(void)
{
	static const uint8_t zero[4];
	uint8_t *p = payload();
	uint32_t crc = ~0U;

	if (payload_len() < 12)
		return false;

	crc = crc32c_add(crc, p, 8);
	crc = crc32c_add(crc, zero, sizeof(zero));
	crc = ~crc32c_add(crc, p + 12, payload_len() - 12);
	return p[8] == (crc & 0xff) && p[9] == (crc >> 8 & 0xff) &&
	       p[10] == (crc >> 16 & 0xff) && p[11] == crc >> 24;
}

static bool l4_valid(void)
{
	const uint16_t *field = l4_checksum();

	if (is_fragment())
		return true;
	if (packet.ip.ip_p == IPPROTO_SCTP)
		return sctp_valid();
	if (!field || (packet.ip.ip_p == IPPROTO_UDP && !*field))
		return true;
	return !l4_sum();
}

static void fix_ip_checksum(void)
{
	packet.ip.ip_sum = 0;
	packet.ip.ip_sum = sum_fold(sum_add(0, &packet.ip,
					    packet.ip.ip_hl * 4));
}

static void fix_checksums(void)
{
	uint16_t *field = l4_checksum();

	fix_ip_checksum();
	if (!field || is_fragment())
		return;
	if (packet.ip.ip_p == IPPROTO_UDP && !*field)
		return;

	*field = 0;
	*field = l4_sum();
	if (packet.ip.ip_p == IPPROTO_UDP && !*field)
		*field = 0xffff;
}

/* Looking */

static void examine(size_t len)
{
	if (len > opt.longest)
		total.too_long++;
	if (!opt.check)
		return;
	if (len < sizeof(packet.ip) || ntohs(packet.ip.ip_len) != len ||
	    sum_fold(sum_add(0, &packet.ip, packet.ip.ip_hl * 4)))
		total.bad_ip++;
	else if (!l4_valid())
		total.bad_l4++;
}

static const char *protocol_name(void)
{
	static char number[4];

	switch (packet.ip.ip_p) {
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	default:
		snprintf(number, sizeof(number), "%u", packet.ip.ip_p);
		return number;
	}
}

static const char *fragment_name(void)
{
	if (!is_fragment())
		return "whole";
	return packet.ip.ip_off & htons(IP_OFFMASK) ? "later" : "first";
}

/* Ports, or type and code. */
static void l4_numbers(unsigned int *a, unsigned int *b)
{
	const uint8_t *p = payload();

	*a = 0;
	*b = 0;
	if (packet.ip.ip_off & htons(IP_OFFMASK) || payload_len() < 4)
		return;
	if (packet.ip.ip_p == IPPROTO_ICMP) {
		*a = p[0];
		*b = p[1];
	} else {
		*a = p[0] << 8 | p[1];
		*b = p[2] << 8 | p[3];
	}
}

static void print_packet(const struct sockaddr_in *sin, size_t len)
{
	char name[NAME_LEN + 1] = "";
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	unsigned int sport, dport;

	memcpy(name, sin->sin_zero, NAME_LEN);
	inet_ntop(AF_INET, &packet.ip.ip_src, src, sizeof(src));
	inet_ntop(AF_INET, &packet.ip.ip_dst, dst, sizeof(dst));
	l4_numbers(&sport, &dport);
	printf("%s if=%s cookie=%u src=%s dst=%s proto=%s sport=%u dport=%u len=%zu ttl=%u id=%u frag=%s\n",
	       sin->sin_addr.s_addr ? "in" : "out", name[0] ? name : "-",
	       divert_cookie(sin), src, dst, protocol_name(), sport, dport, len,
	       packet.ip.ip_ttl, ntohs(packet.ip.ip_id), fragment_name());
}

/* Changing */

static void turn_round(void)
{
	struct in_addr src = packet.ip.ip_src;
	uint8_t *p = payload();
	uint8_t port[2];

	packet.ip.ip_src = packet.ip.ip_dst;
	packet.ip.ip_dst = src;

	if (packet.ip.ip_p == IPPROTO_ICMP && p[0] == ICMP_ECHO) {
		p[0] = ICMP_ECHOREPLY;
	} else if (packet.ip.ip_p == IPPROTO_TCP ||
		   packet.ip.ip_p == IPPROTO_UDP) {
		memcpy(port, p, 2);
		memcpy(p, p + 2, 2);
		memcpy(p + 2, port, 2);
	}
}

static void change_packet(void)
{
	if (opt.turn)
		turn_round();
	if (opt.src.s_addr)
		packet.ip.ip_src = opt.src;
	if (opt.dst.s_addr)
		packet.ip.ip_dst = opt.dst;
	if (opt.ttl >= 0)
		packet.ip.ip_ttl = opt.ttl;

	if (opt.turn || opt.src.s_addr || opt.dst.s_addr)
		fix_checksums();
	else if (opt.ttl >= 0)
		fix_ip_checksum();
}

static void change_address(struct sockaddr_in *sin)
{
	if (opt.cookie >= 0)
		divert_set_cookie(sin, opt.cookie);
	if (opt.forget)
		memset(sin->sin_zero, 0, NAME_LEN);
	if (opt.out) {
		sin->sin_addr.s_addr = 0;
		memset(sin->sin_zero, 0, NAME_LEN);
	}
	if (opt.in) {
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		memset(sin->sin_zero, 0, NAME_LEN);
		strncpy((char *)sin->sin_zero, opt.in, NAME_LEN - 1);
	}
}

/* Running */

static void write_bytes(int fd, const void *bytes, size_t len,
			const struct sockaddr_in *sin)
{
	ssize_t n = sendto(fd, bytes, len, 0, (const struct sockaddr *)sin,
			   sizeof(*sin));

	if (n == (ssize_t)len) {
		total.written++;
		return;
	}
	total.errors++;
	printf("error %s\n", n < 0 ? strerrorname_np(errno) : "short");
}

/* Of a packet that is not one already and whose header has no options. */
static void write_fragments(int fd, const struct sockaddr_in *sin)
{
	struct ip header = packet.ip;
	size_t len = payload_len(), at, n;
	uint8_t *start;

	for (at = 0; at < len; at += n) {
		n = len - at < opt.fragment ? len - at : opt.fragment;
		packet.ip.ip_len = htons(sizeof(header) + n);
		packet.ip.ip_off = htons(at / 8 |
					 (at + n < len ? IP_MF : 0));
		fix_ip_checksum();
		start = packet.bytes + at;
		memmove(start, &packet.ip, sizeof(header));
		write_bytes(fd, start, sizeof(header) + n, sin);
		packet.ip = header;
	}
}

static void write_packet(int fd, size_t len, const struct sockaddr_in *sin)
{
	if (opt.fragment && len > sizeof(packet.ip) + opt.fragment)
		write_fragments(fd, sin);
	else
		write_bytes(fd, packet.bytes, len, sin);
}

static void serve_packet(int reader, int writer)
{
	struct sockaddr_in sin;
	socklen_t sin_len = sizeof(sin);
	ssize_t len;

	len = recvfrom(reader, packet.bytes, PACKET_MAX, 0,
		       (struct sockaddr *)&sin, &sin_len);
	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len < 0)
		die("divertd: recvfrom");

	total.read++;
	examine(len);
	if (!opt.quiet)
		print_packet(&sin, len);
	if (opt.drop)
		return;

	change_packet();
	change_address(&sin);
	write_packet(writer, len, &sin);
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
	if (opt.keep &&
	    setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, sizeof(limits)))
		die("divertd: DIVERT_LIMITS");
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
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
	struct sockaddr_in sin = {
		.sin_family	= AF_INET,
		.sin_port	= htons(opt.port),
	};

	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
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

static struct in_addr address(const char *text)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1) {
		fprintf(stderr, "divertd: bad address %s\n", text);
		exit(2);
	}
	return addr;
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "di:ozc:urs:D:t:f:Cl:m:b:TkU:n:qR:")) != -1) {
		switch (c) {
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
		case 'l': opt.longest = number(optarg, PACKET_MAX); break;
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

	printf("total read=%lu written=%lu errors=%lu badip=%lu badl4=%lu long=%lu\n",
	       total.read, total.written, total.errors, total.bad_ip,
	       total.bad_l4, total.too_long);
	return EXIT_SUCCESS;
}
