/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms of the module share: objects, their locks, their lives.
 *
 * Objects
 * -------
 * struct divert_net   one per network namespace, from pernet init to exit.
 * struct divert_sock  one per socket; holds a reference on its namespace, so
 *		       a namespace with sockets does not go away.
 *
 * Contexts
 * --------
 * Hooks run in softirq or process context, under RCU, and never take a lock
 * but that of the receive queue they append to. They find sockets in
 * divert_net.ports under RCU; SOCK_RCU_FREE keeps a socket found there valid
 * until the hook returns. Everything else runs in process context.
 *
 * Lock order
 * ----------
 *	lock_sock(sk)
 *	  divert_net.lock		hooks, defragmentation, settings
 *	  divert_net.socks_lock
 *	  sk->sk_receive_queue.lock
 *	  divert_sock.routes_lock
 *
 * Teardown
 * --------
 * Sockets pin the module and their namespace, so pernet exit meets none.
 * pre_exit takes the hooks off; a grace period lies between it and exit, which
 * frees what hooks read.
 */
#ifndef _DIVERT_TYPES_H
#define _DIVERT_TYPES_H

#include <linux/in.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/flow.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include <linux/divert.h>

#define DIVERT_MAX_PACKET	65535
/* IPv6 does not count its header. */
#define DIVERT_MAX_PACKET6	(DIVERT_MAX_PACKET + sizeof(struct ipv6hdr))

/* The longest IP header: IPv4 with options, or IPv6 without extensions */
#define DIVERT_HEADER_MAX	60

struct divert_extra;
struct metadata_dst;

/* PRE_ROUTING, LOCAL_OUT, POST_ROUTING of IPv4 and IPv6 */
#define DIVERT_HOOKS		6

/* What a packet meets whose port no socket is bound to. */
enum divert_no_listener {
	DIVERT_NO_LISTENER_AUTO,	/* drop once a socket was opened */
	DIVERT_NO_LISTENER_DROP,
	DIVERT_NO_LISTENER_ACCEPT,
};

/**
 * struct divert_conf - settings of a namespace (net.divert.*)
 *
 * Written under divert_net.lock with WRITE_ONCE(); read without a lock, each
 * member for itself, with READ_ONCE(). While masks change, a packet may be
 * seen by a mix of old and new: it is then taken for somebody else's or goes
 * to the old port, nothing worse.
 */
struct divert_conf {
	/** @port_mask: bits of the mark that hold the port; contiguous */
	u32	port_mask;
	/** @cookie_mask: bits of the mark that hold the cookie; contiguous */
	u32	cookie_mask;
	/** @tee_mask: bits of the mark that ask for a copy; 0 = none */
	u32	tee_mask;
	/** @port_base: added to the field to give the port */
	u32	port_base;
	/** @port_range: first and last port that is ours */
	u32	port_range[2];
	/** @no_listener: enum divert_no_listener */
	int	no_listener;
	/** @defrag: reassemble fragments before they are diverted */
	int	defrag;
	/** @in_place: enum divert_inplace of new sockets */
	int	in_place;
	/** @rcvbuf: default buffer sizes of new sockets, bytes of truesize */
	int	rcvbuf;
};

/* Counters, in the order of /proc/net/stat/divert and, up to
 * DIVERT_STAT_SOCKET_MAX, of the uapi's struct divert_stats.
 */
enum divert_stat {
	DIVERT_STAT_DIVERTED,		/* packets queued to a socket */
	DIVERT_STAT_BYTES,		/* their lengths */
	DIVERT_STAT_TEED,		/* of them copies */
	DIVERT_STAT_READ,		/* packets read */
	DIVERT_STAT_UNREAD,		/* queued, lost as the socket closed */
	DIVERT_STAT_EXPIRED,		/* queued, dropped as too old */
	DIVERT_STAT_RELEASED,		/* queued, passed as too old or unread */
	DIVERT_STAT_PASSED,		/* marked, but left in the stack */
	DIVERT_STAT_FULL,		/* dropped, no room */
	DIVERT_STAT_NOMEM,		/* dropped, no memory */
	DIVERT_STAT_INJECT_IN,		/* written, received again */
	DIVERT_STAT_INJECT_OUT,		/* written, sent */
	DIVERT_STAT_CONGESTED,		/* sent, but lost at the queue below */
	DIVERT_STAT_EINVAL,		/* writes refused, by errno */
	DIVERT_STAT_EAFNOSUPPORT,
	DIVERT_STAT_EADDRNOTAVAIL,
	DIVERT_STAT_EMSGSIZE,
	DIVERT_STAT_EACCES,
	DIVERT_STAT_ENETDOWN,
	DIVERT_STAT_EUNREACH,		/* ENETUNREACH or EHOSTUNREACH */
	DIVERT_STAT_ENOBUFS,
	DIVERT_STAT_EOTHER,
	DIVERT_STAT_HELD,		/* read, kept */
	DIVERT_STAT_HELD_PASSED,	/* kept, sent on by a write */
	DIVERT_STAT_HELD_DROPPED,	/* kept, dropped by a write */
	DIVERT_STAT_HELD_LOST,		/* kept, dropped unanswered */
	DIVERT_STAT_HELD_RELEASED,	/* kept, passed unanswered */
	DIVERT_STAT_ESTALE,		/* verdicts on packets that are gone */
	DIVERT_STAT_SOCKET_MAX,
	/* These have no socket. */
	DIVERT_STAT_NOPORT = DIVERT_STAT_SOCKET_MAX, /* nobody on the port */
	DIVERT_STAT_RESUMED,		/* not diverted again by a passed rule */
	DIVERT_STAT_MAX,
};

/* Like SNMP counters: unsigned long, so that this_cpu_inc() is atomic against
 * softirqs on 32-bit machines too; they wrap there.
 */
struct divert_counters {
	unsigned long	n[DIVERT_STAT_MAX];
};

/**
 * struct divert_ports - a page of ports, by their lower byte
 */
struct divert_ports {
	/** @port: who is on the port, or NULL */
	struct divert_port __rcu *port[256];
};

/**
 * struct divert_net - what a network namespace keeps
 */
struct divert_net {
	/** @net: the namespace; it outlives this */
	struct net		*net;
	/** @conf: settings, see there */
	struct divert_conf	conf;
	/** @ports: by the port's upper byte; pages are added and their
	 * entries written under @lock, read under RCU; freed at exit
	 */
	struct divert_ports __rcu *ports[256];
	/** @secret: what proves that a tag in skb->cb is ours; random */
	u32			secret;
	/** @tags: cookie -> struct metadata_dst of packets written as
	 * received; grows under its xa_lock, read under RCU, emptied when the
	 * namespace, which has no sockets then, begins to go
	 */
	struct xarray		tags;
	/** @stats: per-CPU counters */
	struct divert_counters __percpu *stats;

	/** @packets: number of packets taken, for struct divert_info */
	atomic64_t		packets;

	/** @lock: serialises writers of @conf, @hooked, @opened, @bound and
	 * @defragging; may sleep
	 */
	struct mutex		lock;
	/** @hooked: @ops are registered */
	bool			hooked;
	/** @opened: a divert socket was opened here; read by READ_ONCE() */
	bool			opened;
	/** @bound: a divert socket was bound here */
	bool			bound;
	/** @defragging: we hold a reference on the kernel's defragmentation */
	bool			defragging;
	/** @ops: our hooks, carrying this as their private pointer */
	struct nf_hook_ops	ops[DIVERT_HOOKS];

	/** @socks_lock: protects @socks */
	spinlock_t		socks_lock;
	/** @socks: all sockets, for listing */
	struct hlist_head	socks;
	/** @sockets: their number; read by READ_ONCE() */
	unsigned int		sockets;

	/** @sysctl: net.divert, and the table it was made from */
	struct ctl_table_header	*sysctl;
	struct ctl_table	*sysctl_table;
};

#define DIVERT_SLOTS		256
#define DIVERT_OWNERS_MAX	DIVERT_SLOTS
#define DIVERT_WATCHERS_MAX	256

/**
 * struct divert_port - who listens on a port; immutable once published
 */
struct divert_port {
	/** @rcu: for kfree_rcu() */
	struct rcu_head	rcu;
	/** @owners: number of sockets that divide the diverted packets */
	u16		owners;
	/** @watchers: number of sockets that get copies */
	u16		watchers;
	/** @slots: flow hash -> index of the owner */
	u8		slots[DIVERT_SLOTS];
	/** @sk: owners, then watchers */
	struct sock	*sk[];
};

/* Lets packets go on, all of them, in order. Process context. */
typedef void divert_go_t(struct divert_net *dn, struct sock *sk,
			 struct sk_buff_head *list);

/**
 * struct divert_kept - packets that have been read and stay in the kernel
 *
 * Under the queue's lock. Numbers are given in the order of reading; the packets
 * that are here have numbers from @first to @next - 1, with gaps.
 */
struct divert_kept {
	/** @size: number of slots, a power of two */
	u32		size;
	/** @bytes: memory that the packets take */
	u64		bytes;
	/** @first: packets with numbers below are gone */
	u64		first;
	/** @next: number of the next packet to be read */
	u64		next;
	/** @slots: packets, by number modulo @size, or NULL */
	struct sk_buff	*slots[];
};

#define DIVERT_ROUTES_BITS	3

/**
 * struct divert_route - a route that was found for a flow
 */
struct divert_route {
	/** @flow: all that routing was asked; padding is zero */
	struct flowi4		flow;
	/** @dst: its answer, held, or NULL */
	struct dst_entry	*dst;
};

/**
 * struct divert_sock - a divert socket
 */
struct divert_sock {
	/** @inet: must be first */
	struct inet_sock	inet;
	/** @dn: of its namespace; does not change */
	struct divert_net	*dn;
	/** @node: in divert_net.socks, under its lock */
	struct hlist_node	node;
	/** @port: bound port or 0; written under lock_sock(), read by
	 * READ_ONCE()
	 */
	u16			port;
	/** @tee: the socket is a watcher; does not change once bound */
	bool			tee;
	/** @info: reads get a struct divert_info; READ_ONCE(), WRITE_ONCE() */
	bool			info;
	/** @gso: packets are read whole; as @info */
	bool			gso;
	/** @records: reads and writes are of records; as @info */
	bool			records;
	/** @in_place: enum divert_inplace; as @info */
	u8			in_place;
	/** @passes: a policy of @limits is DIVERT_POLICY_PASS; as @info */
	bool			passes;
	/** @closing: packets are not queued any more but passed; written and
	 * read under the queue's lock
	 */
	bool			closing;
	/** @hold: written under lock_sock(), members read by READ_ONCE() */
	struct divert_hold	hold;
	/** @kept: packets that have been read and stay here; set once, under
	 * lock_sock() and the queue's lock, which protects what is in it; NULL
	 * while none are kept
	 */
	struct divert_kept	*kept;
	/** @tag: of divert_net.tags, the last one used here; READ_ONCE(),
	 * WRITE_ONCE()
	 */
	struct metadata_dst	*tag;
	/** @routes_lock: protects @routes; process context */
	spinlock_t		routes_lock;
	/** @routes: of packets written to be sent, by a hash of the flow */
	struct divert_route	routes[1 << DIVERT_ROUTES_BITS];
	/** @batch_go: how the packets in sk->sk_write_queue go on; under its
	 * lock
	 */
	divert_go_t		*batch_go;
	/** @batch_work: lets a batch go on whose end never came */
	struct delayed_work	batch_work;
	/** @limits: written under lock_sock(), members read by READ_ONCE() */
	struct divert_limits	limits;
	/** @bytes: bytes queued or with room reserved, under the queue's lock;
	 * read by READ_ONCE()
	 */
	u64			bytes;
	/** @packets: the same in packets */
	u32			packets;
	/** @age_work: takes packets past their age off the queue */
	struct delayed_work	age_work;
	/** @counters: of this socket */
	atomic_long_t		counters[DIVERT_STAT_SOCKET_MAX];
	/** @id: random, for sharing out the flows of a port */
	u32			id;
	/** @mc_ttl: TTL of written multicast packets, -1 leaves it as written;
	 * accessed by READ_ONCE() and WRITE_ONCE()
	 */
	s16			mc_ttl;
	/** @mc_hops: the same of IPv6 packets */
	s16			mc_hops;
	/** @destruct: inet's or inet6's, called after ours */
	void			(*destruct)(struct sock *sk);
};

static inline struct divert_sock *divert_sk(const struct sock *sk)
{
	return (struct divert_sock *)sk;
}

/**
 * struct divert_context - what routing needs to send a packet on its old way
 *
 * For packets made on this host: how their sender would have them routed.
 */
struct divert_context {
	/** @oif: interface the sender is bound to, 0 = none */
	int	oif;
	/** @mark: the mark it was routed with */
	u32	mark;
};

/* sin_zero of struct sockaddr_in: interface name or struct divert_context */
#define DIVERT_NAME_LEN		8

/**
 * struct divert_cb - what a queued packet remembers, in skb->cb
 *
 * Everything the address needs is stored when the packet is taken: interface
 * and address may have gone when it is read. The last bytes of skb->cb belong
 * to the socket layer (SOCK_SKB_CB).
 */
struct divert_cb {
	/** @cookie: rule that took the packet, 1-65535 */
	u16	cookie;
	/** @port: port it was taken for */
	u16	port;
	/** @queued: jiffies when it was queued */
	u32	queued;
	/** @extra: what goes along only if the socket wants it, or NULL */
	struct divert_extra *extra;
	union {
		/** @v4: the rest of struct sockaddr_in, for such a socket */
		struct {
			__be32	addr;
			u8	zero[DIVERT_NAME_LEN];
		} v4;
		/** @v6: the rest of struct sockaddr_in6, for such a socket */
		struct {
			struct in6_addr	addr;
			__be32	flowinfo;
			u32	scope;
		} v6;
	};
};

/* Why a queued packet is held. */
enum divert_keep {
	DIVERT_KEEP_NOT,	/* it may be passed, no more; or not held */
	DIVERT_KEEP_HEADERS,	/* DIVERT_HOLD: kept while its headers are away */
	DIVERT_KEEP_COPY,	/* DIVERT_INPLACE: until its copy comes back */
};

/**
 * struct divert_extra - what goes along with some queued packets
 *
 * Belongs to the packet and goes with it.
 */
struct divert_extra {
	/** @state: the hook it was taken from */
	struct nf_hook_state	state;
	/** @cb: what skb->cb was there */
	u8			cb[sizeof_field(struct sk_buff, cb)];
	/** @id: its number in struct divert_kept */
	u64			id;
	/** @tstamp: when it was taken, 0 if nobody asked */
	ktime_t			tstamp;
	/** @keep: enum divert_keep */
	u8			keep;
	/** @old: enum divert_policy for it when past its age */
	u8			old;
	/** @close: the same when it is unread as the socket closes */
	u8			close;
	/** @copy: it is a copy, the packet went on */
	bool			copy;
	/** @held: the packet can go on; @state holds references, the packet
	 * has its route, connection and sender still. Under the queue's lock.
	 */
	bool			held;
	/** @info: what a reader is told of the packet; size 0: nothing */
	struct divert_info	info;
};

#define DIVERT_CB(skb)	((struct divert_cb *)(skb)->cb)

/**
 * struct divert_target - where a mark sends a packet
 */
struct divert_target {
	u16	port;
	u16	cookie;
	/** @tee: the packet goes on, a copy is wanted */
	bool	tee;
};

/**
 * struct divert_resume - where a packet stands in its stage
 */
struct divert_resume {
	/** @shown: its mark shows the cookie to the firewall: it was written
	 * to a divert socket, or goes on after a copy of it was taken
	 */
	bool	shown;
	/** @cookie: rules up to this one are behind it; 0 = none */
	u16	cookie;
};

/**
 * struct divert_offload - what is left to be done to a packet
 *
 * struct virtio_net_hdr of the uapi, in the host's byte order, offsets counted
 * from the IP header. All zero: nothing.
 */
struct divert_offload {
	/** @flags: VIRTIO_NET_HDR_F_* */
	u8	flags;
	/** @gso_type: VIRTIO_NET_HDR_GSO_* */
	u8	gso_type;
	/** @hdr_len: length of all headers, a hint */
	u16	hdr_len;
	/** @gso_size: payload of each segment */
	u16	gso_size;
	/** @csum_start: where the checksum begins */
	u16	csum_start;
	/** @csum_offset: and where, from there, it goes */
	u16	csum_offset;
};

/**
 * struct divert_dest - where a written packet is to go
 */
struct divert_dest {
	/** @incoming: receive it, else send it */
	bool	incoming;
	/** @cookie: resume after this rule; 0 = fresh */
	u16	cookie;
	/** @name: interface name, or empty; NUL-terminated */
	char	name[DIVERT_NAME_LEN];
	/** @ifindex: interface, goes before @name; 0 = not given */
	int	ifindex;
	/** @oif: interface to leave by, whatever routing would like; 0 = none */
	int	oif;
	/** @addr: address of the interface, IPv4 ones mapped */
	struct in6_addr addr;
	/** @marked: @context.mark was chosen, not just remembered */
	bool	marked;
	/** @context: of a locally made packet, else zero */
	struct divert_context context;
	/** @ticket: what the address says of a kept packet, 0 = nothing; see
	 * divert_kept_named()
	 */
	u32	ticket;
	/** @id: kept packet that this is a verdict on */
	u64	id;
	/** @verdict: DIVERT_INFO_HELD if it is one, and DIVERT_VERDICT_* */
	u32	verdict;
	/** @offset: where in the kept packet the bytes go */
	u32	offset;
	/** @offload: what is left to be done to it */
	struct divert_offload offload;
};

/**
 * struct divert_read - a read of packets; whoever reads owns it
 */
struct divert_read {
	/** @list: packets that are to be copied to the reader */
	struct sk_buff_head	list;
	/** @done: those that have been, and are to be kept */
	struct sk_buff_head	done;
	/** @evicted: packets that had to go for them */
	struct sk_buff_head	evicted;
	/** @max: so many packets at most */
	int			max;
	/** @room: bytes that the reader has for records */
	size_t			room;
	/** @headers: divert_hold.headers as the packets were taken: it may
	 * change, and the room would not be enough
	 */
	u32			headers;
	/** @first: the first packet is read even if it has no room */
	bool			first;
	/** @peek: they stay in the queue, @list has copies */
	bool			peek;
};

/**
 * struct divert_bytes - written bytes
 */
struct divert_bytes {
	/** @head: the first of them, in the kernel: all, or at least as many as
	 * there can be in an IP header
	 */
	const u8	*head;
	/** @have: their number */
	size_t		have;
	/** @rest: where the others are, if there are any */
	struct iov_iter	*rest;
};

/* A ticket is this and the lowest bits of a kept packet's number. */
#define DIVERT_TICKET		0x800000
#define DIVERT_TICKET_MASK	(DIVERT_TICKET - 1)

#define DIVERT_VERDICTS		(DIVERT_VERDICT_DROP | DIVERT_VERDICT_UPTO | \
				 DIVERT_VERDICT_RULES)

#endif /* _DIVERT_TYPES_H */
