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
#define FLOW_PORT	6000	/* where the first flow of UDP comes from */

struct mworld model;
struct slot slot[SLOTS];
int next_slot;
int fd[SOCKETS];
int down;
static int rx[RECEIVERS];
static struct nft_ctx *nft;
static struct counters before;
static __u32 serial;
long patience_ms = 5000;	/* softirqs may be late */
static bool marks_seen;		/* the kernel has SO_RCVMARK */

/* The first thing that differs. */
char difference[512];

bool __printf(1, 2) differs(const char *format, ...)
{
	va_list args;

	/* Once the model does not know, nothing counts. */
	if (difference[0] || model.overflow)
		return false;
	va_start(args, format);
	vsnprintf(difference, sizeof(difference), format, args);
	va_end(args);
	return false;
}

bool same(const char *what, long long wanted, long long got)
{
	return wanted == got ||
	       differs("%s: the model says %lld, the kernel %lld (%#llx, %#llx)",
		       what, wanted, got, wanted, got);
}

/* The world */

static int who_got_more(unsigned int sockets);

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
	ip_batch("link add " DOWN " type dummy\n");
	down = ifindex_of(DOWN);
	memset(&model, 0, sizeof(model));
	memset(slot, 0, sizeof(slot));
	model.who = who_got_more;
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

int payload_at(const struct mpacket *p)
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

bool payload_same(const char *what, const __u8 *payload,
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
	struct sockaddr_in6 sin6 = {
		.sin6_family = p->v6 ? AF_INET6 : AF_INET,
		.sin6_port = htons(FLOW_PORT + p->flow),
	};
	int icmp = p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int sk = socket(p->v6 ? AF_INET6 : AF_INET,
			p->icmp ? SOCK_RAW : SOCK_DGRAM, p->icmp ? icmp : 0);

	if (sk < 0 || set_int(sk, SOL_SOCKET, SO_MARK, p->mark))
		die("sender");
	if (!p->icmp && bind(sk, (struct sockaddr *)&sin6, sizeof(sin6)))
		die("port %d", FLOW_PORT + p->flow);
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

/* Negative: it is closed. */
static int got_more(int i)
{
	static const enum mstat got[] = { DIVERTED, PASSED, FULL, NOMEM };
	struct divert_stats stats;
	socklen_t len = sizeof(stats);
	const __u64 *now = &stats.diverted;
	int n;

	if (getsockopt(fd[i], SOL_DIVERT, DIVERT_STATS, &stats, &len))
		return -1;
	for (n = 0; n < ARRAY_LEN(got); n++)
		if (now[got[n]] > model.socket[i].stat[got[n]])
			return 1;
	return 0;
}

/* Of what comes meanwhile, another may have got something, too. If none has, it
 * is any of them: that nobody has got it will be seen.
 */
static int who_got_more(unsigned int sockets)
{
	int i, more, n = 0, who = __builtin_ctz(sockets);
	long deadline = now_ms() + patience_ms;

	do {
		for (i = 0; i < SOCKETS; i++) {
			more = sockets & 1 << i ? got_more(i) : 0;
			if (more < 0)
				return -1;
			if (more)
				who = i;
			n += more;
		}
	} while (!n && now_ms() < deadline);
	return n > 1 ? -1 : who;
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
	model.socket[op->at].reuseport = op->b;
	return same("SO_REUSEPORT", 0, set_int(fd[op->at], SOL_SOCKET,
					       SO_REUSEPORT, op->b));
}

struct msocket *opened(const struct op *op)
{
	return model.socket[op->at].open ? &model.socket[op->at] : NULL;
}

static bool op_close(const struct op *op)
{
	struct msocket *s = opened(op);
	int i;

	if (!s)
		return true;
	close(fd[op->at]);
	model_close(&model, op->at);
	for (i = 0; i < SLOTS; i++)
		if (slot[i].reader == op->at)
			slot[i].reader = -1;
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
	return same("bind()", wanted,
		    errno_of(bind(fd[op->at], (struct sockaddr *)&address,
				  len)));
}

/* A program that says which member, and may say nonsense; or none. */
static bool op_choose(const struct op *op)
{
	struct mport *port = &model.port[op->a];
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, op->b);
	struct sock_fprog program = { 1, &code };
	bool had = port->program;
	int option = op->b < 0 ? SO_DETACH_REUSEPORT_BPF :
				 SO_ATTACH_REUSEPORT_CBPF;

	if (port->owners < 2)
		return true;
	port->program = op->b >= 0;
	port->chosen = op->b;
	return same("program", port->program || had ? 0 : -ENOENT,
		    errno_of(setsockopt(fd[port->owner[0]], SOL_SOCKET, option,
					&program, sizeof(program))));
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

static int bind_to_device(int sk, int which)
{
	static const char * const name[] = { "", "lo", DOWN };

	return errno_of(setsockopt(sk, SOL_SOCKET, SO_BINDTODEVICE, name[which],
				   strlen(name[which])));
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
		model_set_sender(&model, op->at, op->b, s->bound);
		return same("SO_MARK", 0, set_int(fd[op->at], SOL_SOCKET,
						  SO_MARK, op->b));
	}
	if (op->a == -3) {
		model_set_sender(&model, op->at, s->mark,
				 op->b > 1 ? down : op->b);
		return same("SO_BINDTODEVICE", 0, bind_to_device(fd[op->at], op->b));
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
		.writer = -1, .hook = OUT,
	};
	int err;

	if (!p.icmp)
		p.flow = op->d;
	p.len = payload_at(&p) + HEADER + op->c;
	err = packet_send(&p);
	return same("sendto()", model_send(&model, &p), err);
}

static op_t * const ops[KINDS] = {
	op_socket, op_close, op_bind, op_option, op_limits, op_hold, op_filter,
	op_shutdown, op_choose, op_rule, op_listener, op_in_place, op_send,
	op_read, op_write, op_verdict, op_records,
};

bool step(const struct op *op)
{
	long deadline = now_ms() + patience_ms;
	bool same;

	if (!ops[op->kind](op) || model.overflow || !all_arrived())
		return false;
	while (!(same = stats_same()) && now_ms() < deadline)
		difference[0] = 0;
	return same;
}
