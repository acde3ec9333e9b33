// SPDX-License-Identifier: GPL-2.0
/* Calls that are made to the kernel and to the model; see model_calls_test.h. */

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "model_calls_test.h"

#define ICMP_KIND	40	/* nobody answers these */
#define ICMP6_KIND	200
#define HEADER		8	/* of UDP and of ICMP */
#define LO		1	/* ifindex */

struct mworld model;
struct slot slot[SLOTS];
int next_slot;
static int fd[SOCKETS];
static int rx[RECEIVERS];
static struct nft_ctx *nft;
static struct counters before;
static __u32 serial;
long patience_ms = 5000;	/* softirqs may be late */
static bool marks_seen;		/* the kernel has SO_RCVMARK */

/* The first thing that differs. */
char difference[512];

static bool __printf(1, 2) differs(const char *format, ...)
{
	va_list args;

	if (difference[0])
		return false;
	va_start(args, format);
	vsnprintf(difference, sizeof(difference), format, args);
	va_end(args);
	return false;
}

static bool same(const char *what, long long wanted, long long got)
{
	return wanted == got ||
	       differs("%s: the model says %lld, the kernel %lld (%#llx, %#llx)",
		       what, wanted, got, wanted, got);
}

/* The world */

static const struct masks masks[MASKS] = {
	{ 0xffff0000, 0x0000ffff, 0, 0, { 1, 65535 } },
	{ 0xff000000, 0x00ff0000, 0x00008000, 6990, { 1, 65535 } },
	{ 0xffff0000, 0x00007fff, 0x00008000, 0, { 7000, 7001 } },
	{ 0x0000ff00, 0x00ff0000, 0x80000000, 6999, { 6000, 8000 } },
};

static const char * const chain[HOOKS] = { "output", "postrouting", "prerouting" };
static const char * const listener[] = { "auto", "drop", "accept" };

static void __printf(1, 2) nft_run(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (nft_run_cmd_from_buffer(nft, text)) {
		fprintf(stderr, "# cannot test: nft: %s: %s\n", text,
			nft_ctx_get_error_buffer(nft));
		_exit(1);
	}
}

static void set(const char *name, const char *format, __u32 a, __u32 b)
{
	char path[64], value[64];

	snprintf(path, sizeof(path), "net/divert/%s", name);
	snprintf(value, sizeof(value), format, a, b);
	if (sysctl_write(path, value))
		die("%s = %s", path, value);
}

/* They must not overlap at any time. */
static void masks_set(const struct masks *m)
{
	if (m->port != 0xffff0000) {
		set("cookie_mask", "0x%x", 0x00ff, 0);
		set("port_mask", "0x%x", 0xff000000, 0);
		set("cookie_mask", "0x%x", 0x00ff0000, 0);
	}
	set("port_mask", "0x%x", m->port, 0);
	set("cookie_mask", "0x%x", m->cookie, 0);
	set("tee_mask", "0x%x", m->tee, 0);
	set("port_base", "%u", m->base, 0);
	set("port_range", "%u %u", m->range[0], m->range[1]);
}

static int receiver_open(int r)
{
	bool v6 = r & 1, icmp = r & 2;
	int sk = socket(v6 ? AF_INET6 : AF_INET,
			(icmp ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK,
			icmp ? (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) : 0);
	struct sockaddr_in sin = inet_address(LOOP, icmp ? 0 : UDP_PORT);
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_port = icmp ? 0 : htons(UDP_PORT),
	};
	struct icmp6_filter filter6;
	__u32 filter4 = 0;	/* type 40 is beyond what it filters */

	if (sk < 0 || bind(sk, v6 ? (void *)&sin6 : (void *)&sin,
			   v6 ? sizeof(sin6) : sizeof(sin)))
		die("receiver");
	if (r == 2)
		filter4 = ~0u;
	if (r == 2 && setsockopt(sk, SOL_RAW, 1, &filter4, sizeof(filter4)))
		die("ICMP_FILTER");
	ICMP6_FILTER_SETBLOCKALL(&filter6);
	ICMP6_FILTER_SETPASS(ICMP6_KIND, &filter6);
	if (r == 3 && setsockopt(sk, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6,
				 sizeof(filter6)))
		die("ICMP6_FILTER");
	marks_seen = !set_int(sk, SOL_SOCKET, 75 /* SO_RCVMARK */, 1);
	return sk;
}

void world_open(int which)
{
	int r, h;

	ns_new();
	memset(&model, 0, sizeof(model));
	memset(slot, 0, sizeof(slot));
	model.masks = masks[which];
	masks_set(&model.masks);
	counters_read(&before);
	for (r = 0; r < RECEIVERS; r++)
		rx[r] = receiver_open(r);

	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	nft_ctx_buffer_error(nft);
	nft_run("add table inet m");
	for (h = 0; h < HOOKS; h++)
		nft_run("add chain inet m %s { type filter hook %s priority -150; }",
			chain[h], chain[h]);
	serial = 0;
	next_slot = 0;
}

void world_close(void)
{
	int i;

	for (i = 0; i < SOCKETS; i++)
		if (model.socket[i].open)
			close(fd[i]);
	for (i = 0; i < RECEIVERS; i++)
		close(rx[i]);
	nft_ctx_free(nft);
}

/* Packets */

static int payload_at(const struct mpacket *p)
{
	return (p->v6 ? 40 : 20) + HEADER;
}

/* The two words add up to the same whatever the value is. */
static void payload_fill(__u8 *payload, const struct mpacket *p, int len)
{
	__u16 value[2] = { p->value, ~p->value };

	memset(payload, 0x5a, len);
	memcpy(payload, &p->serial, 4);
	memcpy(payload + 4, value, 4);
}

static bool payload_same(const char *what, const __u8 *payload,
			 const struct mpacket *p, int len)
{
	__u8 wanted[2048];
	__u32 got;

	payload_fill(wanted, p, sizeof(wanted));
	if (!memcmp(payload, wanted, len))
		return true;
	memcpy(&got, payload, 4);
	return differs("%s: payload is not that of packet %u, value %u (says %u, %u)",
		       what, p->serial, p->value, len < 4 ? 0 : got,
		       len < 6 ? 0 : payload[4] | payload[5] << 8);
}

/* By a socket of its own, whose mark does not change while the packet lives. */
static int sender_open(const struct mpacket *p)
{
	int sk = socket(p->v6 ? AF_INET6 : AF_INET,
			p->icmp ? SOCK_RAW : SOCK_DGRAM, !p->icmp ? 0 :
			p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	if (sk < 0 || set_int(sk, SOL_SOCKET, SO_MARK, p->mark))
		die("sender");
	return sk;
}

static int packet_send(const struct mpacket *p)
{
	int sk = sender_open(p), n = p->len - payload_at(p), err;
	struct sockaddr_in sin = inet_address(LOOP, p->icmp ? 0 : UDP_PORT);
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_port = p->icmp ? 0 : htons(UDP_PORT),
	};
	__u8 data[2048] = { p->v6 ? ICMP6_KIND : ICMP_KIND }, *at = data;
	__u16 sum;

	payload_fill(data + HEADER, p, n);
	if (!p->icmp)
		at += HEADER;
	else
		n += HEADER;
	if (p->icmp && !p->v6) {
		sum = ip_sum(data, n);
		memcpy(data + 2, &sum, 2);
	}
	err = errno_of(sendto(sk, at, n, 0, p->v6 ? (void *)&sin6 : (void *)&sin,
			      p->v6 ? sizeof(sin6) : sizeof(sin)));
	close(sk);
	return err;
}

long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What has arrived at a receiver: its serial number and mark. */
static int receive(int r, __u8 *data, int size, __u32 *mark)
{
	char control[64];
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int n = recvmsg(rx[r], &msg, 0);
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(&msg); n >= 0 && c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_MARK)
			memcpy(mark, CMSG_DATA(c), sizeof(*mark));
	return n;
}

static bool arrived(int r, int i, long deadline)
{
	const struct mpacket *p = &model.expected[r][i];
	int n, skip = r & 2 ? (r & 1 ? HEADER : HEADER + 20) : 0;
	int len = p->len - payload_at(p);
	__u32 mark = 0;
	__u8 data[2048];

	do {
		n = receive(r, data, sizeof(data), &mark);
	} while (n < 0 && now_ms() < deadline);
	if (n < 0)
		return differs("packet %u does not arrive", p->serial);
	return same("length of what arrives", len, n - skip) &&
	       payload_same("what arrives", data + skip, p, len) &&
	       (!marks_seen ||
		same("mark of what arrives", p->mark, mark));
}

static bool all_arrived(void)
{
	long deadline = now_ms() + patience_ms;
	__u32 mark = 0;
	__u8 data[2048];
	int r, i;

	for (r = 0; r < RECEIVERS; r++) {
		for (i = 0; i < model.expecting[r]; i++)
			if (!arrived(r, i, deadline))
				return false;
		model.expecting[r] = 0;
		if (receive(r, data, sizeof(data), &mark) >= 0)
			return differs("receiver %d gets one too many", r);
	}
	return true;
}

/* Counters */

static const char * const stat_name[STATS] = {
	"diverted", "bytes", "teed", "read", "unread", "expired", "released",
	"passed", "full", "nomem", "inject_in", "inject_out", "congested",
	"einval", "eafnosupport", "eaddrnotavail", "emsgsize", "eacces",
	"enetdown", "eunreach", "enobufs", "eother", "held", "held_passed",
	"held_dropped", "held_lost", "held_released", "estale", "noport",
	"resumed",
};

static bool socket_stats_same(int i)
{
	struct divert_stats stats;
	socklen_t len = sizeof(stats);
	const __u64 *got = &stats.diverted;
	char what[64];
	int n;

	if (getsockopt(fd[i], SOL_DIVERT, DIVERT_STATS, &stats, &len))
		return differs("DIVERT_STATS: %s", strerror(errno));
	for (n = 0; n < SOCKET_STATS; n++) {
		if (got[n] == model.socket[i].stat[n])
			continue;
		snprintf(what, sizeof(what), "socket %d, %s", i, stat_name[n]);
		return same(what, model.socket[i].stat[n], got[n]);
	}
	return true;
}

static bool stats_same(void)
{
	int i;

	for (i = 0; i < SOCKETS; i++)
		if (model.socket[i].open && !socket_stats_same(i))
			return false;
	return true;
}

bool totals_same(void)
{
	struct counters now;
	int i, n;

	counters_read(&now);
	for (i = 0; i < now.n; i++)
		for (n = 0; n < STATS; n++)
			if (!strcmp(now.name[i], stat_name[n]) &&
			    !same(stat_name[n], model.total[n],
				  now.value[i] - before.value[i]))
				return false;
	return true;
}

/* Calls */

static bool op_socket(const struct op *op)
{
	if (model.socket[op->at].open)
		return true;
	fd[op->at] = socket(op->a ? AF_INET6 : AF_INET, SOCK_RAW,
			    IPPROTO_DIVERT);
	if (fd[op->at] < 0)
		return differs("socket(): %s", strerror(errno));
	model_socket(&model, op->at, op->a);
	return true;
}

static struct msocket *opened(const struct op *op)
{
	return model.socket[op->at].open ? &model.socket[op->at] : NULL;
}

/* Who reads must not be up to chance: a program says it. */
static void choose(struct mport *port, int which)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, which);
	struct sock_fprog program = { 1, &code };

	port->chosen = which;
	if (setsockopt(fd[port->owner[0]], SOL_SOCKET,
		       SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)))
		die("SO_ATTACH_REUSEPORT_CBPF");
}

static bool op_close(const struct op *op)
{
	struct msocket *s = opened(op);
	struct mport *port;
	int i;

	if (!s)
		return true;
	port = s->port ? &model.port[s->port - PORT] : NULL;
	close(fd[op->at]);
	model_close(&model, op->at);
	for (i = 0; i < SLOTS; i++)
		if (slot[i].reader == op->at)
			slot[i].reader = -1;
	if (port && port->owners > 1 && port->chosen >= port->owners)
		choose(port, 0);
	else if (port && port->owners < 2)
		port->chosen = 0;
	return true;
}

/* The addresses of both families have the port in the same place. */
static bool op_bind(const struct op *op)
{
	struct msocket *s = opened(op);
	struct sockaddr_in6 address = {
		.sin6_port = htons(PORT + op->a),
	};
	int len = sizeof(address), wanted;

	if (!s)
		return true;
	address.sin6_family = s->v6 ? AF_INET6 : AF_INET;
	wanted = op->b == 1 ? -EINVAL : op->b == 2 ? -EAFNOSUPPORT :
		 model_bind(&model, op->at, PORT + op->a);
	if (op->b == 1)
		len = s->v6 ? 23 : 15;
	else if (op->b == 2)
		address.sin6_family ^= AF_INET ^ AF_INET6;
	if (!same("bind()", wanted,
		  errno_of(bind(fd[op->at], (struct sockaddr *)&address, len))))
		return false;
	if (!wanted && !s->tee && model.port[op->a].owners > 1)
		choose(&model.port[op->a], 0);
	return true;
}

static bool op_choose(const struct op *op)
{
	struct mport *port = &model.port[op->a];

	if (port->owners > 1)
		choose(port, op->b % port->owners);
	return true;
}

static int option_set(struct msocket *s, int i, int option, int value)
{
	int max = option == DIVERT_INPLACE ? 2 : 1;

	if (value > max && option <= DIVERT_INPLACE)
		return -EINVAL;
	switch (option) {
	case DIVERT_INFO:
		s->info = value;
		return 0;
	case DIVERT_RECORDS:
		s->records = value;
		return 0;
	case DIVERT_INPLACE:
		model_set_in_place(&model, i, value);
		return 0;
	case DIVERT_TEE:
		if (s->port)
			return -EINVAL;
		s->tee = value;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static bool op_option(const struct op *op)
{
	struct msocket *s = opened(op);
	int err;

	if (!s)
		return true;
	if (op->a == -1) {	/* one that counts at bind() */
		if (s->port)
			return true;
		s->reuseport = op->b & 1;
		return same("SO_REUSEPORT", 0, set_int(fd[op->at], SOL_SOCKET,
						       SO_REUSEPORT, op->b & 1));
	}
	if (op->a == -2) {
		s->mark = op->b;
		return same("SO_MARK", 0, set_int(fd[op->at], SOL_SOCKET,
						  SO_MARK, op->b));
	}
	err = option_set(s, op->at, op->a, op->b);
	if (!same("setsockopt()", err,
		  set_int(fd[op->at], SOL_DIVERT, op->a, op->b)))
		return false;
	return err || same("getsockopt()", op->b,
			   get_int(fd[op->at], SOL_DIVERT, op->a));
}

static bool op_limits(const struct op *op)
{
	struct msocket *s = opened(op);
	struct divert_limits limits = {
		.size = sizeof(limits), .packets = op->a, .bytes = op->b,
		.full = op->c, .old = op->d & 1, .close = op->e,
		.reserved = op->d > 1,
	};

	if (!s)
		return true;
	if (!limits.reserved)
		s->limits = limits;
	return same("DIVERT_LIMITS", limits.reserved ? -EINVAL : 0,
		    errno_of(setsockopt(fd[op->at], SOL_DIVERT, DIVERT_LIMITS,
					&limits, sizeof(limits))));
}

static bool op_hold(const struct op *op)
{
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = op->a, .packets = op->b,
		.flags = op->c,
	};

	if (!opened(op))
		return true;
	return same("DIVERT_HOLD", model_set_hold(&model, op->at, &hold),
		    errno_of(setsockopt(fd[op->at], SOL_DIVERT, DIVERT_HOLD,
					&hold, sizeof(hold))));
}

static bool op_filter(const struct op *op)
{
	struct msocket *s = opened(op);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 op->a == FILTER_IPV4 ? 0x40 : 0x100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, op->a == FILTER_ALL),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };
	int wanted = 0, got;

	if (!s)
		return true;
	if (op->a == FILTER_NONE) {
		wanted = s->filter == FILTER_NONE ? -ENOENT : 0;
		got = errno_of(setsockopt(fd[op->at], SOL_SOCKET,
					  SO_DETACH_FILTER, &wanted, 4));
	} else {
		got = errno_of(setsockopt(fd[op->at], SOL_SOCKET,
					  SO_ATTACH_FILTER, &program,
					  sizeof(program)));
	}
	s->filter = op->a;
	return same("filter", wanted, got);
}

static bool op_shutdown(const struct op *op)
{
	struct msocket *s = opened(op);

	if (!s)
		return true;
	s->shut |= op->a + 1;
	return same("shutdown()", 0, errno_of(shutdown(fd[op->at], op->a)));
}

/* Rules */

static void rule_text(char *text, int size, const struct mrule *rule)
{
	const struct masks *m = &model.masks;
	__u32 ours = model_ours(m);
	__u32 mark = model_mark(m, rule->port, rule->cookie, rule->tee);
	char guard[64] = "", keep[64] = "";

	if (rule->guarded)
		snprintf(guard, sizeof(guard), "meta mark & 0x%08x < 0x%x ",
			 m->cookie, rule->cookie << __builtin_ctz(m->cookie));
	if (~ours)
		snprintf(keep, sizeof(keep), "meta mark & 0x%08x | ", ~ours);
	snprintf(text, size, "%s%s%s", rule->family == 4 ? "meta nfproto ipv4 " :
		 rule->family == 6 ? "meta nfproto ipv6 " : "",
		 rule->protocol == IPPROTO_UDP ? "meta l4proto udp " :
		 rule->protocol ? "meta l4proto { icmp, ipv6-icmp } " : "",
		 guard);
	text += strlen(text);
	if (rule->drop)
		strcpy(text, "drop");
	else
		sprintf(text, "meta mark set %s0x%x return", keep, mark);
}

static bool op_rule(const struct op *op)
{
	int h = op->a, i = op->b;
	struct mrule *rule = &model.rule[h][i];
	char text[256], all[1024];

	*rule = (struct mrule){
		.used = op->c & 1,
		.drop = (op->c >> 1 & 15) == 15,
		.family = (op->c >> 5 & 3) < 2 ? 0 : (op->c >> 5 & 3) * 2,
		.protocol = (op->c >> 7 & 3) < 2 ? 0 : op->c >> 7 & 1 ?
			    IPPROTO_UDP : IPPROTO_ICMP,
		.guarded = op->c >> 9 & 1,
		.tee = model.masks.tee && (op->c >> 10 & 3) == 3,
		.port = PORT + op->d,
		.cookie = op->e,
	};
	if (rule->cookie > model.masks.cookie >> __builtin_ctz(model.masks.cookie))
		rule->cookie = 1;
	snprintf(all, sizeof(all), "flush chain inet m %s\n", chain[h]);
	for (i = 0; i < RULES; i++) {
		if (!model.rule[h][i].used)
			continue;
		rule_text(text, sizeof(text), &model.rule[h][i]);
		snprintf(all + strlen(all), sizeof(all) - strlen(all),
			 "add rule inet m %s %s\n", chain[h], text);
	}
	nft_run("%s", all);
	return true;
}

static bool op_listener(const struct op *op)
{
	model.no_listener = op->a;
	if (sysctl_write(DIVERT_SYSCTL("no_listener"), listener[op->a]))
		die("no_listener");
	return true;
}

static bool op_in_place(const struct op *op)
{
	model.in_place = op->a;
	set("in_place", "%u", op->a, 0);
	return true;
}

static bool op_send(const struct op *op)
{
	struct mpacket p = {
		.serial = ++serial, .value = 7, .v6 = op->a & 1,
		.icmp = op->a & 2, .mark = op->b, .sender_mark = op->b,
		.hook = OUT,
	};

	p.len = payload_at(&p) + HEADER + op->c;
	return same("sendto()", model_send(&model, &p), packet_send(&p));
}

/* Reading */

static bool address4_same(const struct mqueued *q, bool ticket,
			  const struct sockaddr_in *sin)
{
	bool in = q->packet.hook == PRE;
	__u8 zero[8] = "";
	__u32 number = htonl(0x800000 | q->id), context = htonl(q->context);

	if (in)
		strcpy((char *)zero, "lo");
	else
		memcpy(zero + 4, &context, 4);
	if (ticket)
		memcpy(in ? zero + 5 : zero + 1, (__u8 *)&number + 1, 3);
	if (ticket && in)
		zero[4] = '/';
	return same("family", AF_INET, sin->sin_family) &&
	       same("cookie", q->cookie, divert_cookie(sin)) &&
	       same("sin_addr", in ? INADDR_LOOPBACK : 0,
		    ntohl(sin->sin_addr.s_addr)) &&
	       (!memcmp(zero, sin->sin_zero, 8) ||
		differs("sin_zero of packet %u", q->packet.serial));
}

static bool address6_same(const struct mqueued *q, bool ticket,
			  const struct sockaddr_in6 *sin6)
{
	bool in = q->packet.hook == PRE;
	struct in6_addr addr = IN6ADDR_ANY_INIT;
	__u32 flow = in ? 0 : q->context, scope = in ? LO : 0;

	if (in && q->packet.v6)
		addr.s6_addr[15] = 1;
	else if (in)
		memcpy(&addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	if (ticket && in)
		flow = 0x80800000 | q->id;
	else if (ticket)
		scope = 0xc0800000 | q->id;
	return same("family", AF_INET6, sin6->sin6_family) &&
	       same("cookie", q->cookie, sin6->sin6_port) &&
	       same("sin6_flowinfo", flow, ntohl(sin6->sin6_flowinfo)) &&
	       same("sin6_scope_id", scope, sin6->sin6_scope_id) &&
	       (!memcmp(&addr, &sin6->sin6_addr, 16) ||
		differs("sin6_addr of packet %u", q->packet.serial));
}

static bool address_same(const struct msocket *s, const struct mqueued *q,
			 bool ticket, const struct sockaddr_storage *address)
{
	return s->v6 ? address6_same(q, ticket, (const void *)address) :
		       address4_same(q, ticket, (const void *)address);
}

static bool info_same(const struct msocket *s, const struct mqueued *q,
		      bool peek, const struct divert_info *info)
{
	static const int hook[HOOKS] = {
		[OUT] = DIVERT_HOOK_LOCAL_OUT, [POST] = DIVERT_HOOK_POST_ROUTING,
		[PRE] = DIVERT_HOOK_PRE_ROUTING,
	};
	bool held = !peek && q->id && q->keep == KEEP_HEADERS;
	bool in = q->packet.hook == PRE;

	if (!s->info || !q->info)
		return same("size of info", 0, info->size);
	return same("size of info", sizeof(*info), info->size) &&
	       same("info.hook", hook[q->packet.hook], info->hook) &&
	       same("info.port", q->port, info->port) &&
	       same("info.cookie", q->cookie, info->cookie) &&
	       same("info.iif", in ? LO : 0, info->iif) &&
	       same("info.oif", in ? 0 : LO, info->oif) &&
	       same("info.len", q->packet.len, info->len) &&
	       same("info.mark", in ? q->packet.mark & ~model_ours(&model.masks) :
				      q->context, info->mark) &&
	       same("DIVERT_INFO_TEE", q->copy,
		    !!(info->flags & DIVERT_INFO_TEE)) &&
	       same("DIVERT_INFO_HELD", held,
		    !!(info->flags & DIVERT_INFO_HELD)) &&
	       (!held || same("info.id", q->id, info->id));
}

static bool packet_same(const struct mqueued *q, const __u8 *data, int len)
{
	const struct mpacket *p = &q->packet;
	int at = payload_at(p);

	if (len < at)
		return true;
	if (!p->v6 && q->keep != KEEP_HEADERS && ip_sum(data, 20))
		return differs("header checksum of packet %u", p->serial);
	return same("version", p->v6 ? 6 : 4, data[0] >> 4) &&
	       same("protocol", p->icmp ? (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) :
				IPPROTO_UDP, data[p->v6 ? 6 : 9]) &&
	       payload_same("what is read", data + at, p, len - at);
}

static void slot_fill(int i, const struct mqueued *q, bool ticket,
		      const void *address, int address_len,
		      const struct divert_info *info, const __u8 *data, int len)
{
	struct slot *to = &slot[next_slot++ % SLOTS];

	to->used = true;
	to->reader = i;
	to->q = *q;
	to->ticket = ticket;
	to->address_len = address_len;
	memcpy(&to->address, address, address_len);
	to->info = *info;
	to->len = len;
	memcpy(to->data, data, len);
}

enum { R_PEEK = 1, R_TRUNC = 2, R_SHORT = 4, R_NO_ADDRESS = 8 };

static long read_msg(int i, __u8 *data, int size, int how,
		     struct sockaddr_storage *address, struct msghdr *msg,
		     struct divert_info *info)
{
	int flags = MSG_DONTWAIT | (how & R_PEEK ? MSG_PEEK : 0) |
		    (how & R_TRUNC ? MSG_TRUNC : 0);
	char control[256];
	struct iovec iov = { data, size };
	struct cmsghdr *c;
	long n;

	*msg = (struct msghdr){
		.msg_name = address, .msg_namelen = sizeof(*address),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	memset(info, 0, sizeof(*info));
	/* recvmsg(2) does not say whether its caller wants an address. */
	if (how & R_NO_ADDRESS) {
		msg->msg_controllen = 0;
		n = recv(fd[i], data, size, flags);
		return n < 0 ? -errno : n;
	}
	n = recvmsg(fd[i], msg, flags);
	for (c = CMSG_FIRSTHDR(msg); n >= 0 && c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_DIVERT && c->cmsg_type == DIVERT_INFO)
			memcpy(info, CMSG_DATA(c), sizeof(*info));
	return n < 0 ? -errno : n;
}

static bool read_one(const struct op *op, struct msocket *s)
{
	int size = op->a & R_SHORT ? 16 : 2048, wanted, copied;
	bool peek = op->a & R_PEEK, ticket;
	struct sockaddr_storage address;
	struct divert_info info;
	struct mqueued q;
	struct msghdr msg;
	__u8 data[2048];
	long n = read_msg(op->at, data, size, op->a, &address, &msg, &info);

	if (!s->queued)
		return same("recvmsg()", s->shut & 1 ? 0 : -EAGAIN, n);
	if (peek) {
		q = s->queue[0];
		q.id = 0;
	} else {
		model_take(&model, op->at, &q);
	}
	wanted = model_read_len(s, &q);
	copied = wanted < size ? wanted : size;
	ticket = q.id && !(op->a & R_NO_ADDRESS);
	if (!same("recvmsg()", op->a & R_TRUNC ? q.packet.len : copied, n) ||
	    !packet_same(&q, data, copied))
		return false;
	if (!(op->a & R_NO_ADDRESS) &&
	    (!same("MSG_TRUNC", copied < wanted,
		   !!(msg.msg_flags & MSG_TRUNC)) ||
	     !info_same(s, &q, peek, &info) ||
	     !address_same(s, &q, ticket, &address)))
		return false;
	if (peek)
		return true;
	if (!(op->a & R_NO_ADDRESS))
		slot_fill(op->at, &q, ticket, &address, msg.msg_namelen, &info,
			  data, copied);
	model_read_done(&model, op->at, &q,
			ticket || q.keep == KEEP_HEADERS);
	return true;
}

#define RECORD_ROOM	(256 * 1024)

static __u8 records[RECORD_ROOM] __attribute__((aligned(8)));

static int record_size(int captured)
{
	return (sizeof(struct divert_record) + captured + 7) & ~7;
}

/* Fills a slot, too. */
static bool record_same(int i, const struct mqueued *q, int captured,
			bool peek, const struct divert_record *record)
{
	static const struct divert_info none;
	struct msocket *s = &model.socket[i];
	bool held = q->id && q->keep == KEEP_HEADERS;
	struct sockaddr_storage address = { };

	memcpy(&address, record->addr, sizeof(record->addr));
	if (!same("record.size", sizeof(*record), record->size) ||
	    !same("record.len", record_size(captured), record->len) ||
	    !same("record.packet", q->packet.len, record->packet) ||
	    !same("record.captured", captured, record->captured) ||
	    !same("record.offset", 0, record->offset) ||
	    !same("record's DIVERT_INFO_HELD", held,
		  !!(record->flags & DIVERT_INFO_HELD)) ||
	    !same("record's DIVERT_INFO_TEE", q->copy,
		  !!(record->flags & DIVERT_INFO_TEE)) ||
	    !same("record.id", held ? q->id : 0, record->id) ||
	    !packet_same(q, (const __u8 *)(record + 1), captured) ||
	    !address_same(s, q, q->id && !held, &address))
		return false;
	if (!peek)
		slot_fill(i, q, q->id && !held, &address,
			  s->v6 ? sizeof(struct sockaddr_in6) :
				  sizeof(struct sockaddr_in),
			  &none, (const __u8 *)(record + 1), captured);
	return true;
}

static bool read_records(const struct op *op, struct msocket *s)
{
	int room = op->a & R_SHORT ? 600 : RECORD_ROOM, left = room;
	int i, n = 0, captured, len, at = 0, max = op->a & R_PEEK ? 1 : 64;
	struct sockaddr_storage address;
	static struct mqueued q[64];
	struct divert_info info;
	struct msghdr msg;
	long got = read_msg(op->at, records, room,
			    op->a & ~R_TRUNC, &address, &msg, &info);

	if (!s->queued)
		return same("recvmsg()", s->shut & 1 ? 0 : -EAGAIN, got);
	/* All are taken off the queue before the first is copied. */
	while (n < max && s->queued) {
		len = record_size(model_read_len(s, &s->queue[0]));
		if (n && len > left)
			break;
		left -= len < left ? len : left;
		if (op->a & R_PEEK)
			q[n] = s->queue[0];
		else
			model_take(&model, op->at, &q[n]);
		n++;
	}
	for (i = 0; i < n; i++) {
		captured = model_read_len(s, &q[i]);
		if (record_size(captured) > room - at)
			captured = room - at - sizeof(struct divert_record);
		if (at + (int)sizeof(struct divert_record) > got)
			return differs("record %d of %d is missing", i, n);
		if (!record_same(op->at, &q[i], captured, op->a & R_PEEK,
				 (void *)(records + at)))
			return false;
		at += record_size(captured);
	}
	for (i = 0; i < n && !(op->a & R_PEEK); i++)
		model_read_done(&model, op->at, &q[i], true);
	return same("bytes of records", at, got);
}

static bool op_read(const struct op *op)
{
	struct msocket *s = opened(op);

	if (!s)
		return true;
	return s->records ? read_records(op, s) : read_one(op, s);
}

/* Writing */

struct outgoing {
	struct mpacket packet;
	struct mdest to;
	int err;		/* whatever else there is */
	struct sockaddr_storage address;
	int address_len;
	bool informs;
	struct divert_info info;
	int len;
	__u8 data[2048 + 8];
};

static void address_in(struct outgoing *out, bool v6, const char *name)
{
	struct sockaddr_in6 *sin6 = (void *)&out->address;
	struct sockaddr_in *sin = (void *)&out->address;

	memset(&out->address, 0, sizeof(out->address));
	if (v6) {
		sin6->sin6_family = AF_INET6;
		memcpy(&sin6->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1",
		       16);
		sin6->sin6_scope_id = name ? LO : 0;
		if (!name)
			sin6->sin6_addr.s6_addr[12] = 9;
		out->address_len = sizeof(*sin6);
	} else {
		*sin = divert_address(name ? LOOP : "9.9.9.9", 0, name ?: "none");
		out->address_len = sizeof(*sin);
	}
}

static void cookie_set(struct outgoing *out, __u16 cookie)
{
	((struct sockaddr_in *)&out->address)->sin_port = cookie;
	out->to.cookie = cookie;
}

static void out_address(struct outgoing *out, const struct slot *from, int how,
			int cookie)
{
	bool v6 = from->address.ss_family == AF_INET6;

	out->address = from->address;
	out->address_len = from->address_len;
	out->to = (struct mdest){
		.incoming = from->q.packet.hook == PRE,
		.cookie = from->q.cookie,
		.mark = from->q.packet.hook == PRE ? 0 : from->q.context,
		.ticket = from->ticket ? from->q.id : 0,
		.same_address = true,
	};
	switch (how) {
	case W_NONE:
		out->address_len = 0;
		out->to = (struct mdest){ };
		return;
	case W_IN:
	case W_NO_NAME:
		address_in(out, v6, how == W_IN ? "lo" : NULL);
		out->to = (struct mdest){ .incoming = true };
		if (how == W_NO_NAME)
			out->err = -EADDRNOTAVAIL;
		cookie = cookie < 0 ? from->q.cookie : cookie;
		break;
	case W_OUT:
		memset((char *)&out->address + 2, 0, sizeof(out->address) - 2);
		out->to = (struct mdest){ };
		cookie = cookie < 0 ? from->q.cookie : cookie;
		break;
	}
	if (cookie >= 0)
		cookie_set(out, cookie);
}

/* The message goes before the address. */
static void out_info(struct outgoing *out, const struct slot *from)
{
	out->informs = true;
	out->info = from->info;
	out->to.incoming = from->info.hook == DIVERT_HOOK_PRE_ROUTING;
	out->to.cookie = from->info.cookie;
	out->to.marked = true;
	out->to.mark = from->info.mark;
	if (from->info.flags & DIVERT_INFO_HELD) {
		out->to.verdict = DIVERT_INFO_HELD;
		out->to.id = from->info.id;
		out->to.ticket = 0;
	}
}

static void out_damage(struct outgoing *out, int damage)
{
	switch (damage) {
	case D_SHORT:
		out->len--;
		out->err = -EINVAL;
		break;
	case D_VERSION:
		out->data[0] = 0x55;
		out->err = -EAFNOSUPPORT;
		break;
	case D_HEADER:
		if (out->packet.v6)
			return;
		out->data[0] = 0x44;
		out->err = -EINVAL;
		break;
	case D_LONGER:
		out->len += 3;
		break;
	case D_EMPTY:
		out->len = 0;
		out->err = -EINVAL;
		break;
	case D_FAMILY:
		if (!out->address_len)
			return;
		out->address.ss_family = AF_UNIX;
		out->err = -EAFNOSUPPORT;
		break;
	case D_ADDRESS:
		if (!out->address_len)
			return;
		out->address_len = 15;
		out->err = -EINVAL;
		break;
	}
}

/* Headers of a kept packet are read with a checksum that is yet to be made. */
static void transport_sum(__u8 *data, int len, const struct mpacket *p)
{
	__u8 buf[40 + 2048] = "";
	int hlen = p->v6 ? 40 : 20, n = len - hlen, pseudo = 0;
	__u8 *check = data + hlen + (p->icmp ? 2 : 6);
	__u16 sum;

	if (p->v6 || !p->icmp) {
		pseudo = hlen == 40 ? 36 : 12;
		memcpy(buf, data + hlen - (pseudo - 4), pseudo - 4);
		buf[pseudo - 2] = n >> 8;
		buf[pseudo - 1] = n;
		buf[pseudo - 3] = data[p->v6 ? 6 : 9];
	}
	memset(check, 0, 2);
	memcpy(buf + pseudo, data + hlen, n);
	sum = ip_sum(buf, pseudo + n) ?: 0xffff;
	memcpy(check, &sum, 2);
}

/* The model does not know what another socket's packet would do in the place of
 * a kept one; and what names a kept packet is not damaged.
 */
static bool out_make(struct outgoing *out, const struct op *op,
		     const struct slot *from)
{
	struct msocket *s = &model.socket[op->at];
	int way = op->b, value_at = payload_at(&from->q.packet) + 4;
	__u16 value[2] = { op->e, ~op->e };
	bool other = (from->address.ss_family == AF_INET6) != s->v6;

	memset(out, 0, offsetof(struct outgoing, data));
	out->packet = from->q.packet;
	out->len = from->len;
	memcpy(out->data, from->data, from->len);
	if (way == W_INFO && !from->info.size)
		way = W_SAME;
	out_address(out, from, way, op->d);
	if (way == W_INFO)
		out_info(out, from);
	if ((out->to.ticket || out->to.verdict) && from->reader != op->at)
		return false;
	/* The address of one family, with a socket of the other */
	if (other && out->address_len)
		out->err = s->v6 ? -EINVAL : -EAFNOSUPPORT;
	if (op->e && from->len >= value_at + 4 && out->packet.value != op->e) {
		memcpy(out->data + value_at, value, 4);
		out->packet.value = op->e;
	}
	if (from->len < from->q.packet.len)
		return true;
	transport_sum(out->data, out->len, &out->packet);
	if (!out->to.ticket && !out->to.verdict && !out->err)
		out_damage(out, op->c);
	return true;
}

static long out_send(int i, struct outgoing *out)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct divert_info))];
	} control = {
		.header.cmsg_len = CMSG_LEN(sizeof(struct divert_info)),
		.header.cmsg_level = SOL_DIVERT,
		.header.cmsg_type = DIVERT_INFO,
	};
	struct iovec iov = { out->data, out->len };
	struct msghdr msg = {
		.msg_name = out->address_len ? &out->address : NULL,
		.msg_namelen = out->address_len,
		.msg_iov = &iov, .msg_iovlen = out->len ? 1 : 0,
		.msg_control = out->informs ? &control : NULL,
		.msg_controllen = out->informs ? sizeof(control) : 0,
	};
	long n;

	memcpy(CMSG_DATA(&control.header), &out->info, sizeof(out->info));
	n = sendmsg(fd[i], &msg, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Return: 0 or an error, counted. */
static int out_model(int i, struct outgoing *out, bool more)
{
	int err = out->err;

	/* The packet is looked at before the device. */
	if (!err || (err == -EADDRNOTAVAIL && out->len < out->packet.len))
		err = model_write(&model, i, &out->packet, out->len, &out->to,
				  more);
	if (err)
		model_count_errno(&model, i, err);
	return err;
}

static bool op_write(const struct op *op)
{
	const struct slot *from = &slot[op->a];
	struct msocket *s = opened(op);
	static struct outgoing out;
	long n;
	int err;

	if (!s || s->records || !from->used || !out_make(&out, op, from))
		return true;
	n = out_send(op->at, &out);
	if (s->shut & 2)
		return same("sendmsg()", -EPIPE, n);
	err = out_model(op->at, &out, false);
	return same("sendmsg()", err ?: out.len, n);
}

/* A bare verdict on a kept packet, by number. */
static bool op_verdict(const struct op *op)
{
	static const __u32 flags[] = {
		0, 0, DIVERT_VERDICT_DROP, DIVERT_VERDICT_UPTO,
		DIVERT_VERDICT_UPTO | DIVERT_VERDICT_DROP, DIVERT_VERDICT_RULES,
		DIVERT_VERDICT_UPTO | DIVERT_VERDICT_RULES,
		DIVERT_VERDICT_DROP | DIVERT_VERDICT_RULES,
	};
	struct msocket *s = opened(op);
	static struct outgoing out;
	long n;
	int err;

	if (!s || s->records)
		return true;
	memset(&out, 0, offsetof(struct outgoing, data));
	out.informs = true;
	out.info = (struct divert_info){
		.size = sizeof(out.info), .id = op->a, .cookie = op->c,
		.flags = DIVERT_INFO_HELD | flags[op->b], .mark = op->d,
	};
	out.to = (struct mdest){
		.incoming = true, .id = op->a, .cookie = op->c, .marked = true,
		.mark = op->d, .verdict = DIVERT_INFO_HELD | flags[op->b],
	};
	n = out_send(op->at, &out);
	if (s->shut & 2)
		return same("sendmsg()", -EPIPE, n);
	err = out_model(op->at, &out, false);
	return same("verdict", err, n);
}

/* A record of what is written; @wrong: what the record itself has wrong. */
static int record_make(__u8 *at, struct outgoing *out, int wrong)
{
	struct divert_record *record = (void *)at;

	*record = (struct divert_record){
		.size = sizeof(*record), .captured = out->len,
		.len = record_size(out->len),
	};
	memcpy(record->addr, &out->address, out->address_len);
	memcpy(record + 1, out->data, out->len);
	/* Here the length is the socket's family's. */
	if (out->err == -EINVAL)
		out->err = -EAFNOSUPPORT;
	if (wrong)
		out->err = -EINVAL;
	record->size -= wrong == 1;
	record->len += wrong == 2 ? 4 : 0;
	record->flags |= wrong == 3 ? DIVERT_VERDICT_DROP : 0;
	record->captured += wrong == 4 ? 64 : 0;
	return record_size(out->len);
}

/* Up to three records from slots. */
static bool op_records(const struct op *op)
{
	struct op each = { .at = op->at, .b = op->c, .d = op->d, .e = op->e };
	struct msocket *s = opened(op);
	static struct outgoing out[3];
	int i, n = 0, size[3], at = 0, done = 0, err = 0;
	long got;

	if (!s || !s->records || op->c == W_INFO)
		return true;
	memset(records, 0, 8192);
	for (i = 0; i < 3; i++) {
		const struct slot *from = &slot[(op->a + i) % SLOTS];

		if (!from->used || !out_make(&out[n], &each, from))
			continue;
		size[n] = record_make(records + at, &out[n],
				      n == 1 ? op->b : 0);
		at += size[n++];
	}
	if (!n)
		return true;
	got = errno_of(got = write(fd[op->at], records, at)) ?: got;
	if (s->shut & 2)
		return same("write()", -EPIPE, got);
	for (i = 0; i < n && !err; i++) {
		err = out_model(op->at, &out[i], true);
		if (!err)
			done += size[i];
	}
	model_batch_end(&model);
	return same("write() of records", done ?: err, got);
}

typedef bool op_t(const struct op *op);

static op_t * const ops[KINDS] = {
	op_socket, op_close, op_bind, op_option, op_limits, op_hold, op_filter,
	op_shutdown, op_choose, op_rule, op_listener, op_in_place, op_send,
	op_read, op_write, op_verdict, op_records,
};

bool step(const struct op *op)
{
	long deadline = now_ms() + patience_ms;
	bool same;

	if (!ops[op->kind](op) || !all_arrived())
		return false;
	while (!(same = stats_same()) && now_ms() < deadline)
		difference[0] = 0;
	return same;
}
