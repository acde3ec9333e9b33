/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract as a state machine: who reads what, and what else becomes of a
 * packet, in a namespace that has lo and an interface that is down.
 *
 * model.c does the same things to both and compares. Nothing here asks the
 * kernel, but for one thing that is the kernel's own affair: which member of a
 * port the hash of a flow means. Once that is known it has to stay so.
 */
#ifndef _MODEL_TEST_H
#define _MODEL_TEST_H

#include "divert_test.h"

#define SOCKETS		6
#define PORTS		3	/* from PORT on */
#define RULES		3	/* of each hook */
#define FLOWS		2	/* UDP's source ports; ICMP has one flow */
#define QUEUE		96	/* packets, at most, in one queue */
#define KEPT		64	/* slots, at most, for kept ones */
#define EXPECTED	256	/* packets on their way to one receiver */

/* In the order of struct divert_stats; the last two have no socket. */
enum mstat {
	DIVERTED, BYTES, TEED, READ, UNREAD, EXPIRED, RELEASED, PASSED, FULL,
	NOMEM, INJECT_IN, INJECT_OUT, CONGESTED, S_EINVAL, S_EAFNOSUPPORT,
	S_EADDRNOTAVAIL, S_EMSGSIZE, S_EACCES, S_ENETDOWN, S_EUNREACH,
	S_ENOBUFS, S_EOTHER, HELD, HELD_PASSED, HELD_DROPPED, HELD_LOST,
	HELD_RELEASED, S_ESTALE, SOCKET_STATS,
	NOPORT = SOCKET_STATS, RESUMED, STATS
};

#define LO		1	/* ifindex; any other is that of what is down */

enum hook { OUT, POST, PRE, HOOKS };
enum verdict { GO, GONE, DROPPED };
enum keep { KEEP_NOT, KEEP_HEADERS, KEEP_COPY };
enum listener { AUTO, DROP, ACCEPT };
enum filter { FILTER_NONE, FILTER_NOTHING, FILTER_IPV4, FILTER_ALL, FILTERS };

/* How port and cookie lie in the mark. */
struct masks {
	__u32 port;
	__u32 cookie;
	__u32 tee;
	__u32 base;
	__u32 range[2];
};

struct mpacket {
	__u32 serial;
	__u16 value;		/* what writers change in it */
	bool v6;
	bool icmp;
	int flow;
	int len;
	__u32 mark;
	/* The divert socket it was written to, while that is open, or -1; and
	 * SO_MARK and interface of the socket it comes from.
	 */
	int writer;
	__u32 sender_mark;
	int sender_bound;
	enum hook hook;
	bool shown;		/* its mark says where it resumes */
	__u16 cookie;		/* rules up to this are behind it */
};

struct mqueued {
	struct mpacket packet;
	__u16 port;
	__u16 cookie;
	__u32 context;		/* mark that it was routed with */
	int bound;		/* interface that its sender was bound to */
	bool copy;
	bool info;
	bool held;
	__u8 keep;
	__u8 old;
	__u8 close;
	__u64 id;
};

struct msocket {
	bool open;
	bool v6;
	int port;
	bool tee;
	bool reuseport;
	bool info;
	bool records;
	int in_place;
	int shut;		/* bit 0: reading, bit 1: writing */
	__u32 mark;
	int bound;
	enum filter filter;
	struct divert_limits limits;
	struct divert_hold hold;
	bool closing;

	struct mqueued queue[QUEUE];
	int queued;
	__u64 bytes;

	int kept_size;		/* 0: none are kept */
	__u64 first;
	__u64 next;
	struct mqueued kept[KEPT];	/* by id modulo kept_size; id 0: empty */

	__u64 stat[SOCKET_STATS];
};

/* Who receives: UDP and ICMP of both families. */
#define RECEIVERS	4

struct mport {
	int owner[SOCKETS];
	int owners;
	int watcher[SOCKETS];
	int watchers;
	bool program;
	int chosen;		/* what the program says, maybe none of them */
	/* By the hash of a flow: sockets, as bits, of which it is one's. */
	unsigned int may[RECEIVERS][FLOWS];
};

struct mrule {
	bool used;
	bool drop;
	int family;		/* 4, 6, or 0: any */
	int protocol;		/* IPPROTO_UDP, IPPROTO_ICMP, or 0: any */
	bool guarded;		/* only if its cookie is not behind the packet */
	int port;
	__u16 cookie;
	bool tee;
};

struct mworld {
	struct masks masks;
	enum listener no_listener;
	int in_place;
	struct msocket socket[SOCKETS];
	struct mport port[PORTS];
	struct mrule rule[HOOKS][RULES];
	__u64 total[STATS];

	struct mpacket backlog[EXPECTED];
	int backlogged;
	struct mpacket expected[RECEIVERS][EXPECTED];
	int expecting[RECEIVERS];

	/* Which of these sockets, as bits, has got more packets than it has got
	 * here; negative: it cannot be told.
	 */
	int (*who)(unsigned int sockets);

	struct mqueued batch[QUEUE];
	int batched;
	bool batch_rules;
	bool overflow;		/* the model's own limits were met */
};

/* Where a write goes. */
struct mdest {
	bool incoming;
	__u16 cookie;
	bool marked;
	__u32 mark;
	int oif;		/* it has to leave by, whatever the socket says */
	int context_oif;	/* the same, if the socket says nothing */
	__u64 ticket;		/* id, as the address has it; 0: none */
	__u32 verdict;		/* DIVERT_INFO_HELD and DIVERT_VERDICT_* */
	__u64 id;
	bool same_address;	/* but for the cookie, as it was read */
};

__u32 model_ours(const struct masks *masks);
__u32 model_mark(const struct masks *masks, int port, __u16 cookie, bool tee);
int model_receiver(const struct mpacket *packet);
bool model_port_reachable(const struct mworld *w, int port);

/* NULL if it is none of those that can be reached. */
struct mport *model_port(struct mworld *w, int port);
bool model_port_join(const struct mworld *w, struct mport *port, int i);
void model_port_leave(struct mport *port, int i);
bool model_listens(const struct msocket *s);
/* The one of its sockets that gets this packet, or -1. */
int model_owner(struct mworld *w, struct mport *port,
		const struct mpacket *packet);

void model_socket(struct mworld *w, int i, bool v6);
void model_close(struct mworld *w, int i);
int model_bind(struct mworld *w, int i, int port);
void model_set_sender(struct mworld *w, int i, __u32 mark, int bound);
int model_set_hold(struct mworld *w, int i, const struct divert_hold *hold);
void model_set_in_place(struct mworld *w, int i, int value);

/* 0 or -EPERM */
int model_send(struct mworld *w, const struct mpacket *packet);
/* Take the first packet off the queue, to be read; false if there is none. */
bool model_take(struct mworld *w, int i, struct mqueued *q);
/* It has been read, and is to be kept if it can be. */
void model_read_done(struct mworld *w, int i, const struct mqueued *q,
		     bool keep);
/* Can the address name it? Not where its sender's interface is. */
bool model_ticket(const struct mqueued *q);
size_t model_read_len(const struct msocket *s, const struct mqueued *q);
/* 0 or the write's error. @len: bytes that are written. */
int model_write(struct mworld *w, int i, const struct mpacket *packet,
		int len, const struct mdest *to, bool more);
void model_batch_end(struct mworld *w);
void model_count(struct mworld *w, int i, enum mstat stat, __u64 n);
void model_count_errno(struct mworld *w, int i, int err);

#endif /* _MODEL_TEST_H */
