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
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
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
/* IPv6 does not count its header. */
#define PACKET_MAX6	(PACKET_MAX + sizeof(struct ip6_hdr))
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

/* Room for the largest packet, aligned for the structures laid over it. */
union packet {
	struct ip	ip;
	struct ip6_hdr	ip6;
	uint8_t		bytes[PACKET_MAX6];
};

static union packet packet;

/* What is left to be done to it. */
static struct virtio_net_hdr offload;

/* Where in the packet that was read is what. */
static struct {
	bool		valid;		/* as long as its header says */
	bool		ipv6;
	uint8_t		protocol;
	size_t		payload;	/* offset: behind all IP headers */
	size_t		end;
	uint32_t	id;
	size_t		fragment;	/* offset in the packet that was cut */
	bool		more;		/* fragments */
} at;

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

/* Finding the way round in a packet */

static bool locate4(size_t len)
{
	if (len < sizeof(packet.ip))
		return false;

	at.protocol = packet.ip.ip_p;
	at.payload = packet.ip.ip_hl * 4;
	at.end = ntohs(packet.ip.ip_len);
	at.id = ntohs(packet.ip.ip_id);
	at.fragment = (ntohs(packet.ip.ip_off) & IP_OFFMASK) * 8;
	at.more = packet.ip.ip_off & htons(IP_MF);
	return at.payload >= sizeof(packet.ip) && at.payload <= at.end;
}

/* The fragment header at the payload. */
static void locate_fragment(void)
{
	struct ip6_frag header;

	memcpy(&header, packet.bytes + at.payload, sizeof(header));
	at.id = ntohl(header.ip6f_ident);
	at.fragment = ntohs(header.ip6f_offlg & IP6F_OFF_MASK);
	at.more = header.ip6f_offlg & IP6F_MORE_FRAG;
}

/* Goes past one extension header; false if it is none, or cut short. */
static bool skip_extension(void)
{
	const uint8_t *p = packet.bytes + at.payload;
	size_t len;

	/* What comes in later fragments is payload, whatever it was. */
	if (at.fragment || at.end - at.payload < 8)
		return false;

	switch (at.protocol) {
	case IPPROTO_FRAGMENT:
		len = sizeof(struct ip6_frag);
		break;
	case IPPROTO_AH:
		len = (p[1] + 2) * 4;
		break;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		len = (p[1] + 1) * 8;
		break;
	default:
		return false;
	}
	if (len > at.end - at.payload)
		return false;

	if (at.protocol == IPPROTO_FRAGMENT)
		locate_fragment();
	at.protocol = p[0];
	at.payload += len;
	return true;
}

static bool locate6(size_t len)
{
	if (len < sizeof(packet.ip6))
		return false;

	at.ipv6 = true;
	at.protocol = packet.ip6.ip6_nxt;
	at.payload = sizeof(packet.ip6);
	at.end = at.payload + ntohs(packet.ip6.ip6_plen);
	if (at.end > len)
		return false;

	while (skip_extension())
		;
	return true;
}

/* Nothing is looked at, or changed, of a packet that is not valid. */
static void locate(size_t len)
{
	memset(&at, 0, sizeof(at));
	if (len && packet.bytes[0] >> 4 == 4)
		at.valid = locate4(len);
	else if (len && packet.bytes[0] >> 4 == 6)
		at.valid = locate6(len);

	if (at.end != len)
		at.valid = false;
	if (!at.valid) {
		at.payload = 0;
		at.end = 0;
	}
}

static uint8_t *payload(void)
{
	return packet.bytes + at.payload;
}

static size_t payload_len(void)
{
	return at.end - at.payload;
}

static bool is_fragment(void)
{
	return at.fragment || at.more;
}

static size_t address_len(void)
{
	return at.ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

static uint8_t *source(void)
{
	return at.ipv6 ? (uint8_t *)&packet.ip6.ip6_src :
			 (uint8_t *)&packet.ip.ip_src;
}

static uint8_t *destination(void)
{
	return at.ipv6 ? (uint8_t *)&packet.ip6.ip6_dst :
			 (uint8_t *)&packet.ip.ip_dst;
}

static uint8_t *ttl(void)
{
	return at.ipv6 ? &packet.ip6.ip6_hlim : &packet.ip.ip_ttl;
}

/* ICMP, of the packet's own family; the other one is just some protocol. */
static bool is_icmp(void)
{
	return at.protocol == (at.ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* The packet's checksums */

static uint32_t pseudo_header(void)
{
	uint32_t sum = at.protocol + payload_len();

	sum = sum_add(sum, source(), address_len());
	return sum_add(sum, destination(), address_len());
}

/* Where the checksum of a protocol is, or NULL. */
static uint16_t *l4_checksum(void)
{
	size_t offset;

	if (is_icmp())
		offset = offsetof(struct icmphdr, checksum);
	else if (at.protocol == IPPROTO_TCP)
		offset = offsetof(struct tcphdr, th_sum);
	else if (at.protocol == IPPROTO_UDP)
		offset = offsetof(struct udphdr, uh_sum);
	else
		return NULL;

	if (payload_len() < offset + sizeof(uint16_t))
		return NULL;
	return (uint16_t *)(payload() + offset);
}

static uint16_t l4_sum(void)
{
	uint32_t sum = at.protocol == IPPROTO_ICMP ? 0 : pseudo_header();

	return sum_fold(sum_add(sum, payload(), payload_len()));
}

/* UDP over IPv4 may do without; over IPv6 that is an error. */
static bool l4_without_checksum(const uint16_t *field)
{
	return at.protocol == IPPROTO_UDP && !at.ipv6 && !*field;
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

/* As much of the checksum as must be there if the rest is made later. */
static bool l4_begun(const uint16_t *field)
{
	return field && offload.csum_start == at.payload &&
	       payload() + offload.csum_offset == (const uint8_t *)field &&
	       (*field ^ sum_fold(pseudo_header())) == UINT16_MAX;
}

static bool l4_valid(void)
{
	const uint16_t *field = l4_checksum();

	if (is_fragment())
		return true;
	if (offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return l4_begun(field);
	if (at.protocol == IPPROTO_SCTP)
		return sctp_valid();
	if (!field || l4_without_checksum(field))
		return true;
	if (at.protocol == IPPROTO_UDP && !*field)
		return false;
	return !l4_sum();
}

static uint16_t ip_sum(const union packet *of)
{
	return sum_fold(sum_add(0, of, of->ip.ip_hl * 4));
}

static void fix_ip_checksum(union packet *of)
{
	if (of->ip.ip_v != 4)
		return;
	of->ip.ip_sum = 0;
	of->ip.ip_sum = ip_sum(of);
}

static void fix_checksums(void)
{
	uint16_t *field = l4_checksum();

	fix_ip_checksum(&packet);
	if (!field || is_fragment() || l4_without_checksum(field) ||
	    offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return;

	*field = 0;
	*field = l4_sum();
	if (at.protocol == IPPROTO_UDP && !*field)
		*field = 0xffff;
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
	if (!at.valid || (!at.ipv6 && ip_sum(&packet)))
		total.bad_ip++;
	else if (!l4_valid())
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
	if (!is_fragment())
		return "whole";
	return at.fragment ? "later" : "first";
}

/* Ports, or type and code. */
static void l4_numbers(unsigned int *a, unsigned int *b)
{
	const uint8_t *p = payload();

	*a = 0;
	*b = 0;
	if (at.fragment || payload_len() < 4)
		return;
	if (is_icmp()) {
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
	inet_ntop(family, source(), src, sizeof(src));
	inet_ntop(family, destination(), dst, sizeof(dst));
	l4_numbers(&sport, &dport);
	printf("%s if=%s cookie=%u src=%s dst=%s proto=%s sport=%u dport=%u ",
	       is_incoming(from) ? "in" : "out", name[0] ? name : "-",
	       divert_cookie(&from->in), src, dst, protocol_name(), sport,
	       dport);
	printf("len=%zu ttl=%u id=%u frag=%s\n", len, *ttl(), at.id,
	       fragment_name());
}

/* Changing */

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t byte;

	while (len--) {
		byte = *a;
		*a++ = *b;
		*b++ = byte;
	}
}

static void turn_round(void)
{
	uint8_t *p = payload();

	swap(source(), destination(), address_len());

	if (at.fragment || payload_len() < 4)
		return;
	if (is_icmp() && p[0] == (at.ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO))
		p[0] = at.ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	else if (at.protocol == IPPROTO_TCP || at.protocol == IPPROTO_UDP)
		swap(p, p + 2, 2);
}

/* Says whether it did. */
static bool change_to(uint8_t *where, const struct ip_address *addr)
{
	if (addr->len != address_len())
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
		turn_round();
	changed |= change_to(source(), &opt.src);
	changed |= change_to(destination(), &opt.dst);
	if (opt.ttl >= 0)
		*ttl() = opt.ttl;

	if (changed)
		fix_checksums();
	else if (opt.ttl >= 0)
		fix_ip_checksum(&packet);
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

/* Makes the header of one fragment, at @offset with @len bytes of payload; says
 * how long it is.
 */
static size_t fragment_header4(union packet *piece, size_t offset, size_t len,
			       bool more)
{
	piece->ip = packet.ip;
	piece->ip.ip_len = htons(sizeof(piece->ip) + len);
	piece->ip.ip_off = htons(offset / 8 | (more ? IP_MF : 0));
	fix_ip_checksum(piece);
	return sizeof(piece->ip);
}

static size_t fragment_header6(union packet *piece, size_t offset, size_t len,
			       bool more)
{
	struct ip6_frag header = {
		.ip6f_nxt	= at.protocol,
		.ip6f_offlg	= htons(offset) | (more ? IP6F_MORE_FRAG : 0),
		.ip6f_ident	= htonl(total.read),
	};

	piece->ip6 = packet.ip6;
	piece->ip6.ip6_nxt = IPPROTO_FRAGMENT;
	piece->ip6.ip6_plen = htons(sizeof(header) + len);
	memcpy(piece->bytes + sizeof(piece->ip6), &header, sizeof(header));
	return sizeof(piece->ip6) + sizeof(header);
}

static void write_fragments(int fd, const union address *to)
{
	static union packet piece;
	size_t left, n, header, offset;

	for (offset = 0; offset < payload_len(); offset += n) {
		left = payload_len() - offset;
		n = left < opt.fragment ? left : opt.fragment;
		header = at.ipv6 ?
			 fragment_header6(&piece, offset, n, n < left) :
			 fragment_header4(&piece, offset, n, n < left);
		memcpy(piece.bytes + header, payload() + offset, n);
		write_bytes(fd, piece.bytes, header + n, to);
	}
}

/* Those that are one already, or have options or extension headers, cannot. */
static bool can_fragment(void)
{
	return at.valid && !is_fragment() &&
	       at.payload == (at.ipv6 ? sizeof(packet.ip6) : sizeof(packet.ip));
}

static void write_packet(int fd, size_t len, const union address *to)
{
	if (opt.fragment && payload_len() > opt.fragment && can_fragment())
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
	locate(len);
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
		case 'l': opt.longest = number(optarg, PACKET_MAX); break;
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
